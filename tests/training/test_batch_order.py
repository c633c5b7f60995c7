"""A batch stands in the order of its questions, whatever was finished first."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transfer_queue import KVBatchMeta
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions

from verl_medu1.training.batch_order import Asked, by_question
from verl_medu1.training.trainer import MedU1TrainerSync, PPOTrainer


@pytest.mark.parametrize(
    ("keys", "place", "order"),
    [
        ([], {}, []),
        (["q_0_0"], {"q": 0}, [0]),
        # As finished -> as asked, and a question's answers together.
        (["b_1_0", "a_1_0", "b_0_0", "a_0_0"], {"b": 0, "a": 1}, [2, 0, 3, 1]),
        # Numbers, not letters.
        (["q_10_0", "q_9_0", "q_9_1"], {"q": 0}, [1, 2, 0]),
        # A question of a run before this one.
        (["new_0_0", "old_0_0"], {"new": 0}, [1, 0]),
        (["a-b_c_1_0", "a-b_c_0_0"], {"a-b_c": 3}, [1, 0]),
    ],
)
def test_order(keys: list[str], place: dict[str, int], order: list[int]) -> None:
    assert by_question(keys, place) == order


@given(st.permutations([f"{question}_{answer}_0" for question in "abc" for answer in range(4)]))
def test_what_was_finished_first_does_not_matter(finished: list[str]) -> None:
    ordered = [finished[row] for row in by_question(finished, {"c": 0, "a": 1, "b": 2})]
    assert ordered == [f"{question}_{answer}_0" for question in "cab" for answer in range(4)]


def test_the_trainer_orders_a_batch_before_verl_shares_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PPOTrainer, "_balance_batch", lambda self, batch, *rest: batch)
    trainer = object.__new__(MedU1TrainerSync)
    trainer._asked = Asked()
    trainer._asked.add(["first", "second", "third"])
    keys = ["second_0_0", "first_1_0", "second_1_0", "first_0_0"]
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{"seq_len": place} for place in range(4)])
    ordered = trainer._balance_batch(batch, {})
    assert ordered.keys == ["first_0_0", "first_1_0", "second_0_0", "second_1_0"]
    assert [tag["seq_len"] for tag in ordered.tags] == [3, 1, 0, 2]
    assert len(trainer._asked) == 1  # the third question still waits


def test_the_order_goes_on_after_questions_are_forgotten() -> None:
    asked = Asked()
    for step in range(1000):
        asked.add([f"b{step}", f"a{step}"])
        assert asked.order([f"a{step}_0_0", f"b{step}_0_0"]) == [1, 0]
    assert len(asked) == 0
    # An answer that is finished steps later comes before those asked after it.
    asked.add(["late"])
    asked.add(["early", "z"])
    asked.order(["z_0_0"])
    assert asked.order(["early_0_0", "late_0_0"]) == [1, 0]


@pytest.mark.parametrize(("ranks", "some_are_cut"), [(1, False), (2, True), (4, True)])
def test_mini_batches_hold_whole_groups_with_one_rank_only(ranks: int, some_are_cut: bool) -> None:
    """What docs/length.md says of verl's balancing, which comes after our order; two mini-batches a step."""
    questions, answers = 32, 8
    lengths = np.random.default_rng(0).integers(100, 4000, questions * answers)
    workload = calculate_workload(torch.from_numpy(lengths))
    parts = get_seqlen_balanced_partitions(workload, k_partitions=ranks, equal_size=True)
    # Each rank has its first rows in the first mini-batch, and the rest in the second.
    first = {row // answers for part in parts for row in part[: len(part) // 2]}
    second = {row // answers for part in parts for row in part[len(part) // 2 :]}
    assert bool(first & second) == some_are_cut
