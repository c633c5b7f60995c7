"""Whether a response rests on its picture: which tokens and pictures the server is shown, and what comes of it."""

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from verl_medu1.rollout.perception import emptied, perception, perception_gain
from verl_medu1.rollout.single_turn import SeededSingleTurnAgentLoop

PROMPT, RESPONSE = [1, 2, 3], [7, 8, 9, 10]
GUESS, LOOK = 0.25, 0.75


class Server:
    """Says of each token after the prompt that it is a guess, as verl's server does, and what it was shown."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def generate(self, **request: Any) -> Any:
        self.asked.append(request)
        params = request["sampling_params"]
        assert params["prompt_logprobs"] == 0 and params["max_tokens"] == 1
        ids = request["prompt_ids"]
        log_probs = [-9.0] * (len(PROMPT) - 1) + [math.log(GUESS)] * (len(ids) - len(PROMPT))
        # One that means nothing stands at the end.
        return SimpleNamespace(extra_fields={"prompt_logprobs": [[value] for value in [*log_probs, 0.0]]})


def gain(log_probs: list[float], most: int = 100) -> tuple[float | None, Server]:
    server = Server()
    found = asyncio.run(perception_gain(server.generate, PROMPT, RESPONSE, log_probs, most))
    return found, server


def test_the_gain_is_the_mean_over_the_responses_own_tokens() -> None:
    found, server = gain([math.log(LOOK)] * 2 + [math.log(GUESS)] * 2)
    assert found == pytest.approx(math.log(LOOK / GUESS) / 2)
    assert [request["prompt_ids"] for request in server.asked] == [PROMPT + RESPONSE]


def test_a_response_that_ignores_the_picture_gains_nothing() -> None:
    assert gain([math.log(GUESS)] * 4)[0] == pytest.approx(0.0, abs=1e-12)


def test_what_the_server_can_not_read_counts_in_neither_term() -> None:
    log_probs = [math.log(LOOK), math.log(GUESS), -5.0, -5.0]
    found, server = gain(log_probs, len(PROMPT) + 2)
    assert found == pytest.approx(math.log(LOOK / GUESS) / 2)
    assert server.asked[0]["prompt_ids"] == PROMPT + RESPONSE[:2]
    for most in (len(PROMPT), 1):
        found, server = gain(log_probs, most)
        assert found is None and server.asked == []


@given(st.one_of(st.none(), st.floats(allow_nan=False)), st.floats(1e-3, 1e3), st.booleans())
def test_only_right_answers_earn_and_at_most_one(found: float | None, full_at: float, is_right: bool) -> None:
    earned = perception(found, full_at, is_right)
    assert 0.0 <= earned <= 1.0
    if not is_right or found is None or found <= 0:
        assert earned == 0.0
    elif found >= full_at:
        assert earned == 1.0


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from(["RGB", "L", "RGBA"]), st.randoms())
def test_an_emptied_picture_shows_nothing_has_the_same_size_and_is_the_same_again(
    width: int, height: int, mode: str, rng: Any
) -> None:
    pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    found = emptied(image)
    assert found.size == image.size and found.mode == "RGB"
    assert len(found.getcolors() or []) == 1 and found.tobytes() == emptied(image).tobytes()


def test_a_finding_does_not_change_the_colour() -> None:
    image = Image.new("RGB", (10, 10), (115, 100, 90))
    image.paste((240, 240, 240), (2, 2, 8, 8))
    assert emptied(image).getcolors() == [(100, (115, 100, 90))]


# ---------------------------------------------------------------------- the loop


def answered(monkeypatch: pytest.MonkeyPatch, weight: float | None, images: list[Image.Image]) -> tuple[Any, Server]:
    """What the loop returns for a response to a question with these pictures."""

    async def run(self: Any, sampling_params: Any, priority: int = 0, **row: Any) -> AgentLoopOutput:
        return AgentLoopOutput(
            prompt_ids=PROMPT,
            response_ids=RESPONSE,
            response_mask=[1] * 4,
            response_logprobs=[math.log(LOOK)] * 4,
            multi_modal_data={"images": images} if images else {},
            metrics=AgentLoopMetrics(),
            extra_fields={"turn_scores": []},
        )

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop: Any = SeededSingleTurnAgentLoop.__new__(SeededSingleTurnAgentLoop)
    scoring = SimpleNamespace(perception=SimpleNamespace(weight=weight))
    loop.config = SimpleNamespace(data=SimpleNamespace(seed=5), scoring=scoring)
    loop.rollout_config = SimpleNamespace(prompt_length=8, response_length=8, full_determinism=False)
    loop.server_manager = server = Server()
    return asyncio.run(loop.run({}, 3, global_steps=2, index=7, session_id=1)), server


def test_each_response_is_read_once_more_with_its_pictures_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Image.new("RGB", (8, 4), (10, 20, 30))
    shown.putpixel((0, 0), (200, 200, 200))
    output, server = answered(monkeypatch, 0.0, [shown, shown])
    assert output.extra_fields["perception_gain"] == pytest.approx(math.log(LOOK / GUESS))
    (request,) = server.asked
    assert [image.getcolors() for image in request["image_data"]] == [[(32, (10, 20, 30))]] * 2
    assert request["prompt_ids"] == PROMPT + RESPONSE and request["priority"] == 3


def test_a_question_without_a_picture_has_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    output, server = answered(monkeypatch, 1.0, [])
    assert output.extra_fields["perception_gain"] is None and server.asked == []


def test_nothing_is_asked_where_it_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    output, server = answered(monkeypatch, None, [Image.new("RGB", (8, 8))])
    assert output.extra_fields == {"turn_scores": []} and server.asked == []
