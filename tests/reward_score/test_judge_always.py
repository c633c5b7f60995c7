"""`scoring.judge.when: always`: the judge decides what rules would have decided by equality."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from reward_score.judge import Judge, JudgeSettings, compute_judged_score
from tests.reward_score.judge_server import NO, YES, Endpoint, serving

REFERENCE = "Myocardial infarction"


def score(endpoint: Endpoint, source: str, answer: str, reference: str) -> Any:
    async def ask() -> Any:
        judge = Judge(JudgeSettings.read({"base_url": endpoint.url, "model": "judge", "when": "always"}))
        try:
            return await compute_judged_score(
                judge,
                source,
                f"<think>The pain and the ECG.</think><answer>{answer}</answer>",
                reference,
                {"question": "?"},
            )
        finally:
            await judge.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (REFERENCE, True),
        ("the myocardial infarctions", True),
        ("Coronary event", True),
        ("Angina or an event", False),
        (":", False),
        (f"{REFERENCE} " + "and what else he has had since this morning " * 5, False),
    ],
)
def test_it_is_asked_about_all_but_what_rules_refuse(answer, asked):
    """Its no stands against the reference itself, and its yes against the rules."""
    for said in (YES, NO):
        with serving() as endpoint:
            endpoint.reply = lambda case, said=said: said
            judged = score(endpoint, "medical-o1-verifiable-problem", answer, REFERENCE)
            assert len(endpoint.cases) == asked
        assert judged["acc"] == judged["score"] == float(said is YES and asked)
        assert (judged["judge_asked"], judged["judge_failed"]) == (float(asked), 0.0)


def test_it_is_asked_about_open_ended_answers_only():
    with serving() as endpoint:
        judged = score(endpoint, "MedQA", "B", "B")
        assert endpoint.requests == []
    assert judged["acc"] == 1.0 and judged["judge_asked"] == 0.0
