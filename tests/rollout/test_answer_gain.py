"""How much more probable an answer is by what was told: which tokens are read, and what comes of it."""

import asyncio
import math
import random
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.data.actions import ask_turn
from verl_medu1.data.generated.consultation import DISEASES, FINDINGS, draw_case, make_world
from verl_medu1.environments.consultation import Consultation
from verl_medu1.rollout.answer_gain import BEFORE_ANSWER, answer_gain, with_known
from verl_medu1.rollout.episode import Episode, Limits

PROMPT = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
ANSWER = "35"


class Characters:
    """A tokenizer, and a chat template: one token per character."""

    all_special_ids, all_special_tokens = [0], ["\0"]

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) for letter in text]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return "".join(chr(token) for token in ids if token)


async def render(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    return Characters().encode("".join(f"[{message['content']}]" for message in messages))


class Server:
    """Finds digits more probable after a nine, and says so as verl's server does."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        assert sampling_params["prompt_logprobs"] == 0 and sampling_params["max_tokens"] == 1
        text = Characters().decode(prompt_ids)
        self.asked.append(text)
        chance = 0.5 if "nine" in text else 0.125
        # One value for each token but the first, and one that means nothing.
        log_probs = [math.log(chance) if letter.isdigit() else -7.0 for letter in text[1:]]
        return SimpleNamespace(extra_fields={"prompt_logprobs": [[value] for value in [*log_probs, 0.0]]})


def gain(known: list[str], most: int = 200, server: Any = None) -> tuple[float | None, Any]:
    server = server or Server()
    return asyncio.run(answer_gain(server, render, PROMPT, known, ANSWER, most, Characters())), server


def test_the_gain_is_of_the_answers_tokens_alone() -> None:
    found, server = gain(["nine"])
    assert found == pytest.approx(math.log(0.5 / 0.125))
    end = BEFORE_ANSWER + ANSWER
    assert server.asked == [f"[s][nine\n\nq]{end}", f"[s][q]{end}"]


def test_nothing_told_is_no_gain_and_needs_no_request() -> None:
    found, server = gain([])
    assert found == 0.0 and server.asked == []


def test_what_the_server_can_not_read_is_left_out() -> None:
    alone = len(f"[s][q]{BEFORE_ANSWER}{ANSWER}")
    first = alone + len("eight\n\n")
    both = first + len("nine\n\n")
    assert [gain(["eight", "nine"], most)[0] for most in (both, both - 1, first, first - 1, alone)] == [
        pytest.approx(math.log(4)), 0.0, 0.0, 0.0, 0.0
    ]  # fmt: skip
    assert "eight" in gain(["eight", "nine"], both - 1)[1].asked[0]
    # Neither prompt nor answer depends on the response: the gain is missing in a whole group or nowhere.
    for known in ([], ["nine"], ["eight", "nine"]):
        found, server = gain(known, alone - 1)
        assert found is None and server.asked == []


def test_what_is_known_stands_before_the_question_in_an_order_of_its_own() -> None:
    known = [PROMPT[0], {"role": "user", "content": "one\n\ntwo\n\nq"}]
    assert with_known(PROMPT, ["one", "two"]) == with_known(PROMPT, ["two", "one"]) == known
    assert with_known(PROMPT, []) == PROMPT


# ---------------------------------------------------------------------- a consultation, before an exact reader of it

WORLD = make_world(0)
CASES = [draw_case(WORLD, random.Random(number)) for number in range(20)]
LIMITS = Limits(turns=100, turn_tokens=1000, observation_tokens=100, all_tokens=100_000, last_turn="Answer now.")


class Bayes:
    """A server whose log-probs of the answer are those of the exact posterior by the findings in the prompt."""

    def __init__(self, complaint: int) -> None:
        self.complaint = complaint

    async def __call__(self, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        told, _, answer = Characters().decode(prompt_ids).partition(BEFORE_ANSWER)
        answers = {self.complaint: True}
        answers |= {FINDINGS.index(name): said == "yes" for name, said in re.findall(r"(\w+): (yes|no)", told)}
        chance = WORLD.posterior(tuple(sorted(answers.items())))[DISEASES.index(answer)]
        log_probs = [math.log(chance)] * (len(prompt_ids) - 1)
        return SimpleNamespace(extra_fields={"prompt_logprobs": [[value] for value in [*log_probs, 0.0]]})


class Builder:
    """Appends tokens as verl's builder does, with no marks between turns."""

    def merge_assistant_tokens(self, ids: list[int], tokens: list[int]) -> Any:
        return SimpleNamespace(token_ids=[*ids, *tokens], removed_prefix_token_count=0)

    def merge_context_tokens(self, before: Any, after: list[dict[str, str]], ids: list[int]) -> Any:
        tokens = Characters().encode(after[-1]["content"])
        return SimpleNamespace(token_ids=[*ids, *tokens], removed_prefix_token_count=0)

    def align_response_metadata(self, merged: Any, mask: list[int], log_probs: Any, assistant_logprobs: Any) -> Any:
        return [1] * len(merged.token_ids), log_probs


def consultation(case: Any, findings: Sequence[str], **settings: Any) -> float:
    """The gain of a consultation that asks for these findings."""
    example = case.example()
    environment = f'{{"budget": 50, {example.environment[1:].partition(', "budget"')[0]}}}'
    session = Consultation(settings).start({"extra_info": {"row_id": "r", "environment": environment}})
    episode = Episode(Builder(), Characters(), PROMPT, [], session, LIMITS)

    async def hold() -> float:
        for finding in findings:
            assert await episode.proceed(Characters().encode(ask_turn(finding)))
        server, answer = Bayes(case.complaint), example.gold
        found = await answer_gain(server, render, PROMPT, episode.known, answer, 10_000, Characters())
        assert found is not None
        return found

    return asyncio.run(hold())


ASKED = st.lists(st.sampled_from([*FINDINGS, "age", "amavia"]), max_size=6)


@given(st.sampled_from(CASES), ASKED.filter(bool), st.randoms())
def test_asking_again_in_any_order_earns_nothing(case: Any, asked: list[str], rng: random.Random) -> None:
    once = list(dict.fromkeys(asked))
    again = [*asked, *asked, *asked]
    rng.shuffle(again)
    # To the bit: members of a group that know the same earn the same, and a group of them has no advantage.
    assert consultation(case, once) == consultation(case, again)


@given(st.sampled_from(CASES), ASKED)
def test_the_steps_sum_up_to_the_first_and_the_last_state(case: Any, asked: list[str]) -> None:
    worth = [consultation(case, asked[:number]) for number in range(len(asked) + 1)]
    assert worth[0] == 0.0
    known = {case.complaint: True} | {
        FINDINGS.index(name): case.findings[FINDINGS.index(name)] for name in asked if name in FINDINGS
    }
    first, last = (
        WORLD.posterior(tuple(sorted(state.items())))[case.disease] for state in ({case.complaint: True}, known)
    )
    assert worth[-1] == pytest.approx(math.log(last / first), abs=1e-9)
    assert sum(after - before for before, after in pairwise(worth)) == pytest.approx(worth[-1])


@given(st.sampled_from(CASES), ASKED)
def test_a_patient_who_knows_nothing_is_worth_exactly_nothing(case: Any, asked: list[str]) -> None:
    assert consultation(case, asked, silent=True) == 0.0


def test_questions_that_matter_are_worth_something() -> None:
    assert max(consultation(case, FINDINGS) for case in CASES) > 0.5
