"""Dynamic sampling in rounds: what is asked and what is trained on depends on no answer's arrival."""

import random
from itertools import count, islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from verl.trainer.ppo.v1 import replay_buffer
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from verl_medu1.training.batch_order import Asked
from verl_medu1.training.dynamic_sampling import ask_in_rounds, cost_metrics, forget_replaced
from verl_medu1.training.mixture_sampler import MixtureSampler, Stage

SIZE = 4


class Queue:
    """verl's queue in memory. Each question has two answers; they arrive, question by question, in a chance order."""

    def __init__(self, differs: list[bool], arrivals: random.Random) -> None:
        self._differs, self._arrivals = differs, arrivals
        self.tags: dict[str, dict[str, Any]] = {}
        self._numbers = count()
        self.asked = Asked()
        self.names: list[str] = []

    def ask(self, questions: int) -> int:
        for _ in range(questions):
            # The names are uuids in verl: they tell nothing of the order.
            name = f"{self._arrivals.getrandbits(64):x}"
            self.names.append(name)
            self.asked.add([name])
            self.tags[name] = {"is_prompt": True, "status": "running", "global_steps": 1}
        return questions

    def answer_one(self) -> None:
        awaited = sorted(name for name, tag in self.tags.items() if tag.get("status") == "running")
        if awaited:
            name = self._arrivals.choice(awaited)
            self.tags[name]["status"] = "finished"
            self.tags |= {f"{name}_{answer}_0": {"seq_len": 1} for answer in range(2)}

    # ---- verl's interface

    def kv_list(self) -> dict[str, dict[str, dict[str, Any]]]:
        return {"train": {key: dict(tag) for key, tag in self.tags.items()}}

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> dict[str, Any]:
        def reward(key: str) -> float:
            name, answer, _ = key.split("_")
            number = self.names.index(name)
            # The second answer is right; the first one too if the two are not to differ.
            return float(answer == "1" or not self._differs[number % len(self._differs)])

        return {"rm_scores": [torch.tensor([reward(key)]) for key in keys]}

    def kv_clear(self, partition_id: str, keys: list[str]) -> None:
        for key in keys:
            self.tags.pop(key, None)


def made_buffer(queue: Queue, in_rounds: bool) -> ReplayBuffer:
    buffer = ReplayBuffer(
        "sync",
        OmegaConf.create(),
        None,
        "drop",
        OmegaConf.create(),
        refill_fn=queue.ask,
        filter_groups_metric="reward",
        train_batch_size=SIZE,
        gen_batch_size=1,
    )
    forget_replaced(buffer, queue.asked)
    if in_rounds:
        ask_in_rounds(buffer, queue.asked)
    return buffer


def train(differs: list[bool], arrivals: int, in_rounds: bool = True, steps: int = 3) -> list[tuple[list[int], int]]:
    """Run some steps; return, of each, the numbers of its questions and how many had been asked at its end.

    From one look to the next any number of questions is answered.
    """
    queue = Queue(differs, random.Random(arrivals))
    number = random.Random(arrivals + 1)

    def answer_some(*_: object) -> float:
        for _ in range(number.choice([0, 1, 2, 3, 100])):
            queue.answer_one()
        return 0.0

    buffer = made_buffer(queue, in_rounds)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_buffer, "tq", queue)
        patch.setattr(buffer, "_wait_for_next_poll", answer_some)
        for step in range(1, steps + 1):
            queue.ask(SIZE)
            batch, _ = buffer.sample(step, "train", SIZE)
            queue.asked.order(batch.keys)
            assert len(queue.asked) == 0  # nothing of a step stays behind
            found.append((sorted({queue.names.index(key.split("_")[0]) for key in batch.keys}), len(queue.names)))
            queue.kv_clear("train", batch.keys)
            assert queue.tags == {}
    return found


DIFFERS = st.lists(st.booleans(), min_size=1, max_size=12).filter(any)


@settings(max_examples=60, deadline=None)
@given(DIFFERS, st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_matter(differs: list[bool], one: int, other: int) -> None:
    steps = train(differs, one)
    assert steps == train(differs, other)
    first = 0
    for questions, asked in steps:
        # The first ones, in the order of asking, whose answers differ.
        kept = [number for number in range(first, asked) if differs[number % len(differs)]]
        assert questions == kept[:SIZE] and len(questions) == SIZE
        first = asked


def test_without_rounds_it_does() -> None:
    """What the rounds are for; if this fails, verl has mended it."""
    differs = [True, False, True, False, False, True]
    assert len({str(train(differs, arrivals, in_rounds=False)) for arrivals in range(10)}) > 1


def test_a_question_thrown_away_is_forgotten_in_the_asynchronous_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    asked.add(["stale", "waits"])
    buffer = ReplayBufferAsync("colocate_async", OmegaConf.create(), None, "drop", OmegaConf.create())
    monkeypatch.setattr(replay_buffer, "tq", SimpleNamespace(kv_clear=lambda partition_id, keys: None))
    forget_replaced(buffer, asked)
    buffer._clear_groups("train", {"stale"})
    assert (len(asked), asked.place("waits"), asked.place("stale")) == (1, 1, -1)


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 10), min_size=1), st.integers(0, 8), st.integers(0, 100))
def test_a_step_that_begins_anywhere_asks_every_family(weights: dict[str, float], more: int, first: int) -> None:
    """After replacements a step begins in the middle of what the sampler calls a batch."""
    families = [family for family in weights for _ in range(5)]
    size = len(weights) + more
    order = iter(MixtureSampler(families, [Stage(1, weights)], size, seed=0))
    assert {families[row] for row in islice(order, first, first + size)} == set(weights)


def test_the_cost_is_of_all_questions_and_the_shares_of_each_source() -> None:
    assert cost_metrics({"a": 6, "b": 2}, {"b": 1, "a": 3}) == {
        "filter_groups/asked_per_trained": 2.0,
        "filter_groups/a/asked_share": 0.75,
        "filter_groups/b/asked_share": 0.25,
        "filter_groups/a/trained_share": 0.75,
        "filter_groups/b/trained_share": 0.25,
    }
    # A source that is filtered out is shown with 0.
    assert cost_metrics({"a": 3, "easy": 1}, {"a": 2})["filter_groups/easy/trained_share"] == 0
