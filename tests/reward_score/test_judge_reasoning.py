"""What a judge is asked about reasoning, what a right answer earns by it, and that a wrong one earns nothing."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from reward_score.judge import ReasoningSettings, compute_judged_score, judge_reasoning
from tests.reward_score.judge_server import NO, YES, Case, Endpoint, Reply, serving
from tests.reward_score.test_judge import make_judge

SOURCE, QUESTION = "MedQA", "Where is the spot?"
INFO = {"options": [{"letter": "A", "text": "left"}, {"letter": "B", "text": "right"}]}
RUBRIC = ("Names what the picture shows", "Says why that is the answer")
LOOK, GUESS = "A white spot near the left edge, so left.", "It may be anything."
CONSISTENCY = ReasoningSettings(consistency=True)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


def reader(case: Case) -> Reply:
    """Comes to left where the reasoning says left, and finds what the picture shows where it has a spot."""
    if "options" in case:
        return Reply('{"option": "A"}' if "left" in case["reasoning"] else '{"option": "none"}')
    return YES if ("picture" in case["statement"] and "spot" in case["answer"]) else NO


def worth(
    endpoint: Endpoint,
    settings: ReasoningSettings,
    reasoning: str,
    answer: str = "A",
    reply: Callable[[Case], Reply] = reader,
    info: Any = INFO,
    **judge_settings: Any,
) -> dict[str, Any]:
    endpoint.reply = reply

    async def ask() -> dict[str, Any]:
        judge = make_judge(endpoint, **judge_settings)
        response = {"data_source": SOURCE, "solution_str": f"<think>{reasoning}</think><answer>{answer}</answer>"}
        try:
            scored = await compute_judged_score(judge, ground_truth="A", extra_info=info, **response)
            return await judge_reasoning(judge, settings, question=QUESTION, extra_info=info, scored=scored, **response)
        finally:
            await judge.close()

    return asyncio.run(ask())


def test_the_judge_comes_to_the_answer_without_seeing_it_or_the_question(endpoint: Endpoint) -> None:
    scored = worth(endpoint, CONSISTENCY, LOOK)
    assert (scored["consistent"], scored["judge_asked"], scored["score"]) == (1.0, 1.0, 1.0)
    assert endpoint.cases == [{"options": {"A": "left", "B": "right"}, "reasoning": LOOK}]
    asked = endpoint.requests[0]["response_format"]["json_schema"]["schema"]["properties"]
    assert asked == {"option": {"type": "string", "enum": ["A", "B", "none"]}}


def test_reasoning_that_leads_elsewhere_or_nowhere_is_not_consistent(endpoint: Endpoint) -> None:
    assert worth(endpoint, CONSISTENCY, GUESS)["consistent"] == 0.0
    assert worth(endpoint, CONSISTENCY, LOOK, reply=lambda _: Reply('{"option": "B"}'))["consistent"] == 0.0


def test_each_statement_of_a_rubric_is_asked_about_the_reasoning(endpoint: Endpoint) -> None:
    scored = worth(endpoint, ReasoningSettings(False, RUBRIC), LOOK)
    assert scored["reasoning"] == 0.5 and "consistent" not in scored
    cases = sorted(endpoint.cases, key=lambda case: RUBRIC.index(case["statement"]))
    assert cases == [{"question": QUESTION, "statement": statement, "answer": LOOK} for statement in RUBRIC]


@pytest.mark.parametrize("response", [("B", LOOK), ("A", "")])
def test_nice_reasoning_earns_nothing_for_a_wrong_or_ill_formed_response(
    endpoint: Endpoint, response: tuple[str, str]
) -> None:
    answer, reasoning = response
    scored = worth(endpoint, ReasoningSettings(True, RUBRIC), reasoning, answer, reply=lambda _: YES)
    assert (scored["consistent"], scored["reasoning"], scored["judge_asked"]) == (0.0, 0.0, 0.0)
    assert endpoint.requests == []


def test_a_question_without_options_is_not_asked_for_its_consistency(endpoint: Endpoint) -> None:
    scored = worth(endpoint, CONSISTENCY, LOOK, info={})
    assert (scored["acc"], scored["consistent"], scored["judge_asked"]) == (1.0, 0.0, 0.0)
    assert endpoint.requests == []


@pytest.mark.parametrize("reply", [Reply(status=500), Reply("left"), Reply('{"option": "Z"}'), Reply(refusal="no")])
def test_without_a_verdict_the_response_leaves_its_group(endpoint: Endpoint, reply: Reply) -> None:
    scored = worth(endpoint, CONSISTENCY, LOOK, reply=lambda _: reply)
    assert (scored["judge_failed"], scored["error"], scored["score"]) == (1.0, 1.0, 0.0)
    assert scored["reason"].startswith("judge: ")


def test_all_responses_have_the_same_components(endpoint: Endpoint) -> None:
    settings = ReasoningSettings(True, RUBRIC)
    found = [worth(endpoint, settings, LOOK, answer) for answer in ("A", "B")]
    found.append(worth(endpoint, settings, LOOK, reply=lambda _: Reply(status=500)))
    assert len({frozenset(scored) for scored in found}) == 1
