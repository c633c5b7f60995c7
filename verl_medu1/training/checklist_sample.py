"""Draws the items of a checklist that are scored in a step of the training (`scoring.checklist.items_per_step`)."""

import hashlib
from collections.abc import Mapping
from typing import Any

from tensordict import TensorDict
from verl.utils import tensordict_utils as tu


def draw_items(batch: TensorDict, number: int, step: int, seed: int | None) -> None:
    """Leave each question of a batch with the items that are scored in this step, before its answers are generated.

    All answers of a group get the question as it is in the batch, so that the same items decide them. Validation has
    batches of its own, which nothing is drawn for.

    Args:
        batch: verl's batch of questions, with `data_source` and `extra_info`, which is replaced.
        number: How many items that are no must-nots a checklist keeps.
        step: Global step of the trainer.
        seed: `data.seed`.
    """
    rows = zip(batch["data_source"], batch["extra_info"], strict=True)
    tu.assign_non_tensor_stack(
        batch, "extra_info", [with_drawn_items(info, number, (seed, step, source)) for source, info in rows]
    )


def with_drawn_items(info: Mapping[str, Any], number: int, key: tuple[object, ...]) -> dict[str, Any]:
    """Return a row's `extra_info` with `number` items of its checklist, and all must-nots, in their order.

    Args:
        info: With `row_id`, and a `checklist` that was checked; a row without one is returned as it is.
        number: How many items that are no must-nots are kept.
        key: What the draw depends on beside the row.

    Example:
        >>> info = {"row_id": "own/5", "checklist": [{"statement": s} for s in "abcd"]}
        >>> [[item["statement"] for item in with_drawn_items(info, 2, (1, step))["checklist"]] for step in range(3)]
        [['c', 'd'], ['a', 'd'], ['b', 'c']]
    """
    checklist = info.get("checklist")
    if checklist is None:
        return dict(info)
    wanted = [place for place, item in enumerate(checklist) if not item.get("must_not")]
    drawn = sorted(wanted, key=lambda place: _rank((*key, info.get("row_id"), place)))[:number]
    left_out = set(wanted) - set(drawn)
    return {**info, "checklist": [item for place, item in enumerate(checklist) if place not in left_out]}


def _rank(of_what: tuple[object, ...]) -> bytes:
    return hashlib.blake2b("\0".join(map(str, of_what)).encode(), digest_size=8).digest()
