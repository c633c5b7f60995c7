"""Which rows make up a training batch: each family in every batch, by weight, in stages."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Sampler
from typing_extensions import override


@dataclass(frozen=True)
class Stage:
    """A part of the training, and how its batches are made up.

    Attributes:
        steps: batches of the stage; the last stage has no end.
        weights: family -> share of a batch, relative to the others, > 0.
    """

    steps: int
    weights: Mapping[str, float]


def plan_stages(
    rows: Mapping[str, int],
    weights: Mapping[str, float] | None,
    stages: Sequence[Mapping[str, Any]] | None,
    total_steps: int,
) -> list[Stage]:
    """The stages of a training, from `data.mixture`.

    Args:
        rows: family -> its number of rows.
        weights: family -> weight, for all of them; None for the numbers of rows.
        stages: each with `families` and `share`, the part of the training; None for one of all families.
        total_steps: steps of the training.

    Example:
        >>> stages = [{"families": ["closed"], "share": 3}, {"families": ["open"], "share": 1}]
        >>> [(stage.steps, dict(stage.weights)) for stage in plan_stages({"closed": 30, "open": 10}, None, stages, 100)]
        [(75, {'closed': 30}), (25, {'open': 10})]
    """
    weights = weights or rows
    if not stages:
        return [Stage(total_steps, weights)]
    shares = sum(stage["share"] for stage in stages)
    ends = [round(total_steps * sum(s["share"] for s in stages[: n + 1]) / shares) for n in range(len(stages))]
    return [
        Stage(end - start, {family: weights[family] for family in stage["families"]})
        for stage, start, end in zip(stages, [0, *ends], ends, strict=False)
    ]


def batch_families(weights: Mapping[str, float], batch_size: int) -> Iterator[list[str]]:
    """The families of one batch after another, without end.

    Each family has one place in every batch; each further place goes to the family that is furthest behind its share
    of all places so far. So the shares are kept over the batches also where they are no whole numbers of rows, except
    that a family never has less than one place.

    Args:
        weights: family -> share, relative to the others.
        batch_size: places of a batch, at least one for each family.

    Example:
        >>> batches = batch_families({"a": 3, "b": 1}, 3)
        >>> next(batches), next(batches), next(batches), next(batches)
        (['a', 'b', 'a'], ['a', 'b', 'a'], ['a', 'b', 'a'], ['a', 'b', 'a'])
    """
    total = sum(weights.values())
    share = {family: weight / total for family, weight in weights.items()}
    places, batches = dict.fromkeys(weights, 0), 0
    while True:
        batches += 1
        batch = list(share)
        for family in batch:
            places[family] += 1
        while len(batch) < batch_size:
            behind = max(share, key=lambda family: share[family] * batches * batch_size - places[family])
            places[behind] += 1
            batch.append(behind)
        yield batch


def _endless(rows: Sequence[int], seed: str) -> Iterator[int]:
    """All rows in an order drawn anew for each pass."""
    rng = random.Random(seed)
    while True:
        yield from rng.sample(rows, len(rows))


class MixtureSampler(Sampler[int]):
    """Indices of training rows without end, in batches of the families of a stage.

    The order depends on seed, rows and stages alone; a loader that continues from a checkpoint goes through what was
    drawn before it.

    Args:
        families: of each row.
        stages: of the training.
        batch_size: rows of a training step.
        seed: of the order within each family.

    Example:
        >>> sampler = MixtureSampler(["a", "a", "b"], [Stage(1, {"a": 1, "b": 1})], batch_size=2, seed=0)
        >>> order = iter(sampler)
        >>> [{"aab"[next(order)] for _ in range(2)} == {"a", "b"} for _ in range(5)]
        [True, True, True, True, True]
    """

    def __init__(self, families: Sequence[str], stages: Sequence[Stage], batch_size: int, seed: int) -> None:
        self._rows: dict[str, list[int]] = {}
        for row, family in enumerate(families):
            self._rows.setdefault(family, []).append(row)
        self._stages, self._batch_size, self._seed = stages, batch_size, seed

    @override
    def __iter__(self) -> Iterator[int]:
        rows = {family: _endless(indices, f"{self._seed} {family}") for family, indices in self._rows.items()}
        for number, stage in enumerate(self._stages):
            batches = batch_families(stage.weights, self._batch_size)
            for step, batch in enumerate(batches):
                if step == stage.steps and number < len(self._stages) - 1:
                    break
                yield from (next(rows[family]) for family in batch)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))
