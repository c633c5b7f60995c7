"""Which items of a checklist are scored in a step of the training."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tensordict import NonTensorStack
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu

from verl_medu1.training import trainer
from verl_medu1.training.batch_order import Asked
from verl_medu1.training.checklist_sample import draw_items, with_drawn_items

ITEMS = st.lists(st.booleans(), max_size=12)


def checklist(must_nots: list[bool]) -> list[dict[str, Any]]:
    # As the file gives them: keys without a value are None, and so is a must_not that is not stated.
    return [
        {"statement": f"item {place}", "must_not": must_not or None, "number": None}
        for place, must_not in enumerate(must_nots)
    ]


@given(ITEMS, st.integers(1, 14), st.integers(0, 5), st.text())
def test_must_nots_stay_and_as_many_others_as_wanted(must_nots, number, step, row_id):
    items = checklist(must_nots)
    info = {"row_id": row_id, "checklist": items, "question": "q"}
    drawn = with_drawn_items(info, number, (1, step, "own"))
    kept = drawn["checklist"]
    assert [item for item in items if item in kept] == kept  # in their order, none twice
    assert [item for item in kept if item["must_not"]] == [item for item in items if item["must_not"]]
    assert sum(not item["must_not"] for item in kept) == min(number, must_nots.count(False))
    assert drawn == with_drawn_items(info, number, (1, step, "own"))
    assert drawn["question"] == "q" and info["checklist"] is items and len(items) == len(must_nots)


@pytest.mark.parametrize("info", [{}, {"row_id": "a"}, {"row_id": "a", "checklist": None}, {"checklist": []}])
def test_a_row_without_a_checklist_stays_as_it_is(info):
    assert with_drawn_items(info, 1, (1, 1, "own")) == info


def test_each_step_row_source_and_seed_draws_anew_and_all_items_come():
    def drawn(*key: object, row_id: str = "a") -> tuple[str, ...]:
        info = {"row_id": row_id, "checklist": checklist([False] * 8)}
        return tuple(item["statement"] for item in with_drawn_items(info, 2, key)["checklist"])

    steps = [drawn(1, step, "own") for step in range(200)]
    assert {statement for step in steps for statement in step} == {f"item {place}" for place in range(8)}
    counts = [sum(f"item {place}" in step for step in steps) for place in range(8)]
    assert min(counts) > 25 and max(counts) < 75  # 50 on average
    for other in (
        [drawn(2, step, "own") for step in range(200)],
        [drawn(1, step, "other") for step in range(200)],
        [drawn(1, step, "own", row_id="b") for step in range(200)],
    ):
        assert sum(one == two for one, two in zip(steps, other, strict=True)) < 30


def batch_of(*infos: dict[str, Any]) -> Any:
    objects = {"uid": [f"u{n}" for n in range(len(infos))], "data_source": ["own"] * len(infos), "extra_info": infos}
    columns = {name: np.array(values, dtype=object) for name, values in objects.items()}
    return tu.get_tensordict({"dummy_tensor": torch.zeros(len(infos), 1), **columns})


def test_the_batch_that_verl_hands_to_its_workers_has_the_drawn_items():
    infos = [{"row_id": "a", "checklist": checklist([False, True, False])}, {"row_id": "b", "checklist": None}]
    batch = batch_of(*infos)
    draw_items(batch, 1, 3, 1)
    # As verl reads it (trainer/ppo/v1/agent_loop_tq.py).
    column = batch.get("extra_info")
    assert isinstance(column, NonTensorStack)
    first, second = column[0].data, column[1].data
    assert first == with_drawn_items(infos[0], 1, (1, 3, "own")) and len(first["checklist"]) == 2
    assert second == infos[1] and list(batch["uid"]) == ["u0", "u1"]


@pytest.mark.parametrize(("items", "left"), [(None, 3), (1, 1)])
def test_the_trainer_draws_for_the_batches_that_it_trains_on(monkeypatch, items, left):
    """Validation does not go this way: verl's `_validate` hands its batches to the workers itself."""
    made = trainer.MedU1TrainerSync.__new__(trainer.MedU1TrainerSync)
    made.config = OmegaConf.create({"scoring": {"checklist": {"items_per_step": items}}, "data": {"seed": 1}})
    made._asked, made._asked_sources, made.global_steps = Asked(), trainer.Counter(), 7
    sent: list[Any] = []
    monkeypatch.setattr(PPOTrainerSync, "_submit_batch_to_rollout", lambda self, batch: sent.append(batch) or 1)
    made._submit_batch_to_rollout(batch_of({"row_id": "a", "checklist": checklist([False] * 3)}))
    [info] = sent[0]["extra_info"]
    assert len(info["checklist"]) == left
    assert SimpleNamespace(**info).row_id == "a"
