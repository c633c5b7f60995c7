"""How much more probable an answer is with what was told: which tokens are read, and what comes of it."""

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest

from verl_medu1.rollout.answer_gain import BEFORE_ANSWER, answer_gain, with_replies

ALONE, TOLD = [1, 2, 3], [1, 9, 9, 2, 3]
ANSWER = "35"


class Characters:
    """A tokenizer: one token per character."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [1000 + ord(letter) for letter in text]


class Server:
    """Finds digits more probable after a 9, and says so as verl's server does."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def __call__(self, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        assert sampling_params["prompt_logprobs"] == 0 and sampling_params["max_tokens"] == 1
        self.asked.append(prompt_ids)
        chance = 0.5 if 9 in prompt_ids else 0.125
        # One value for each token but the first, and one that means nothing.
        log_probs = [math.log(chance) if chr(max(token - 1000, 0)).isdigit() else -7.0 for token in prompt_ids[1:]]
        return SimpleNamespace(extra_fields={"prompt_logprobs": [[value] for value in [*log_probs, 0.0]]})


def gain(told: list[int], most: int = 100) -> tuple[float | None, Server]:
    server = Server()
    return asyncio.run(answer_gain(server, ALONE, told, ANSWER, most, Characters())), server


def test_the_gain_is_of_the_answers_tokens_alone() -> None:
    found, server = gain(TOLD)
    assert found == pytest.approx(math.log(0.5 / 0.125))
    end = Characters().encode(BEFORE_ANSWER + ANSWER, add_special_tokens=False)
    assert server.asked == [TOLD + end, ALONE + end]


def test_nothing_told_is_no_gain_and_needs_no_request() -> None:
    found, server = gain(ALONE)
    assert found == 0.0 and server.asked == []


def test_what_the_server_can_not_read_is_not_measured() -> None:
    needed = len(TOLD) + len(BEFORE_ANSWER) + len(ANSWER)
    assert gain(TOLD, needed)[0] is not None
    found, server = gain(TOLD, needed - 1)
    assert found is None and server.asked == []


def test_replies_stand_before_the_question() -> None:
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    assert with_replies(prompt, ["one", "two"]) == [prompt[0], {"role": "user", "content": "one\n\ntwo\n\nq"}]
    assert with_replies(prompt, []) == prompt
