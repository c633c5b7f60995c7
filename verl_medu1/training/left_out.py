"""Responses without a verdict of the judge, or a reply of the reader, leave their group: neither right nor wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import make_iterator

from reward_score.verdict import lacks_verdict
from verl_medu1.length.shaping import Components


def rows_left_out(keys: Sequence[str], components: Sequence[Components]) -> list[int]:
    """Return the rows that leave their group: those without a verdict, and a response left alone by that.

    A lone response has nothing to be compared with; verl would take its reward as its advantage.

    Args:
        keys: verl's keys of the rows, `{question}_{response}_{turn}`; a response may have several rows.
        components: for each row, those of its response.

    Example:
        >>> failed, judged = {"judge_failed": 1.0}, {"judge_failed": 0.0}
        >>> rows_left_out(["a_0_0", "a_1_0", "a_2_0", "b_0_0", "b_1_0"], [failed, judged, judged, failed, judged])
        [0, 3, 4]
    """
    responses = [key.rpartition("_")[0] for key in keys]
    failed = {name for name, sample in zip(responses, components, strict=True) if lacks_verdict(sample)}
    judged = Counter(name.rpartition("_")[0] for name in set(responses) - failed)
    hit = {name.rpartition("_")[0] for name in failed}

    def is_left_out(name: str) -> bool:
        question = name.rpartition("_")[0]
        return name in failed or (question in hit and judged[question] < 2)

    return [row for row, name in enumerate(responses) if is_left_out(name)]


def neutral_fields(keys: Sequence[str], masks: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Return the fields that make rows neutral, as verl's own padding rows are (trainer/ppo/padding_utils.py).

    Args:
        keys: of the rows.
        masks: their response masks, (T,) each.

    Returns:
        For each field its values by row: a group of its own (`uid`), masks and rewards of zeros. The advantage is then
        0, no mean or standard deviation has the row, and no token of it counts in the loss.
    """
    zeros = [torch.zeros_like(mask) for mask in masks]
    return {
        "uid": [f"left-out-{key}" for key in keys],
        "response_mask": zeros,
        "loss_mask": zeros,
        "rm_scores": [mask.float() for mask in zeros],
    }


def leave_out(batch: KVBatchMeta, rows: Sequence[int]) -> None:
    """Make rows of a batch neutral, in verl's queue, and mark them as padding, which verl's metrics leave out."""
    keys = [batch.keys[row] for row in rows]
    for row in rows:
        batch.tags[row]["is_padding"] = True
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=["response_mask"])
    fields = neutral_fields(keys, list(data["response_mask"].unbind()))
    uids = fields.pop("uid")
    made = {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in fields.items()}
    content = TensorDict({**made, "uid": NonTensorStack(*uids)}, batch_size=len(keys))
    tq.kv_batch_put(
        keys=keys, partition_id=batch.partition_id, fields=content, tags=[dict(batch.tags[row]) for row in rows]
    )


def has_empty_mini_batch(is_padding: Sequence[bool], actor: DictConfig, n: int, dp: int) -> bool:
    """Return whether the update gets a mini-batch of padding only, whose mean over 0 tokens would be NaN.

    verl gives each data-parallel rank an equal part of the batch, in order, and each rank splits its part by the same
    iterator as here (workers/engine_workers.py, train_mini_batch). A mini-batch is what all ranks have at the same
    time: its tokens are counted over all of them.

    Args:
        is_padding: for each row of the balanced batch.
        actor: `actor_rollout_ref.actor`.
        n: responses to a question, `actor_rollout_ref.rollout.n`.
        dp: data-parallel size.
    """
    parts = torch.tensor(is_padding).chunk(dp)
    ranks = [
        make_iterator(
            TensorDict({"is_padding": part}, batch_size=len(part)),
            actor.ppo_mini_batch_size * n // dp,
            actor.ppo_epochs,
            seed=actor.data_loader_seed + rank,
            dataloader_kwargs={"shuffle": actor.shuffle},
        )
        for rank, part in enumerate(parts)
    ]
    return any(all(bool(rows["is_padding"].all()) for rows in mini_batch) for mini_batch in zip(*ranks, strict=True))


@dataclass
class Validation:
    """What verl's metrics of a validation are made of, for each response.

    Attributes:
        sources, uids: data source and question.
        infos: the components, a list of values each.
        expected: how many responses each (data source, question) has; verl takes missing ones for wrong ones.
    """

    sources: list[str]
    uids: list[str]
    infos: dict[str, list[Any]]
    expected: dict[tuple[str, str], int]

    def components(self) -> list[Components]:
        """Return the components of each response."""
        return [dict(zip(self.infos, values, strict=True)) for values in zip(*self.infos.values(), strict=True)]

    def judged(self) -> "Validation":
        """Return the responses without those to a question of which one has no verdict.

        verl names its metrics by the responses to a question, such as mean@4, so that a question with three would have
        metrics of its own.

        Example:
            >>> infos = {"acc": [1.0, 0.0, 1.0], "judge_failed": [0.0, 1.0, 0.0]}
            >>> expected = {("s", "p"): 2, ("s", "q"): 1}
            >>> kept = Validation(["s"] * 3, ["p", "p", "q"], infos, expected).judged()
            >>> kept.infos["acc"], kept.expected
            ([1.0], {('s', 'q'): 1})
        """
        gone = self.without_verdict()
        rows = [row for row, question in enumerate(self._questions()) if question not in gone]
        return Validation(
            [self.sources[row] for row in rows],
            [self.uids[row] for row in rows],
            {name: [values[row] for row in rows] for name, values in self.infos.items()},
            {question: number for question, number in self.expected.items() if question not in gone},
        )

    def without_verdict(self) -> set[tuple[str, str]]:
        """Return the questions, as (data source, question), a response to which has no verdict."""
        names = [name for name in ("judge_failed", "reader_failed") if name in self.infos]
        failed = [any(self.infos[name][row] for name in names) for row in range(len(self.uids))]
        return {question for question, has_failed in zip(self._questions(), failed, strict=True) if has_failed}

    def _questions(self) -> list[tuple[str, str]]:
        return [(str(source), str(uid)) for source, uid in zip(self.sources, self.uids, strict=True)]
