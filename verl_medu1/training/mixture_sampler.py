"""Which rows make up a training batch: every family in every batch, by weight, in stages."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, override

from torch.utils.data import Sampler


@dataclass(frozen=True)
class Stage:
    """A part of the training, and the composition of its batches.

    Attributes:
        steps: batches in the stage; ignored for the last stage, which never ends.
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
    """Return the stages of a training, from `data.mixture`.

    Args:
        rows: family -> its number of rows.
        weights: family -> weight, for every family; None to weight by number of rows.
        stages: each with `families` and `share`, its part of the training; None for one stage with all families.
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
    """Yield the families of one batch after another, endlessly.

    Each family gets one place in every batch; each further place goes to the family that is furthest behind its share
    of all places so far. The shares thus hold over many batches even if they are not whole numbers of rows, except
    that a family never gets fewer than one place.

    Args:
        weights: family -> share, relative to the others.
        batch_size: places in a batch, at least one per family.

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
    """Yield all rows, reshuffled for each pass."""
    rng = random.Random(seed)
    while True:
        yield from rng.sample(rows, len(rows))


class MixtureSampler(Sampler[int]):
    """Yield indices of training rows endlessly, each batch composed by the current stage.

    The order depends only on seed, rows and stages. A loader that resumes from a checkpoint redraws and skips the
    rows drawn before it.

    Args:
        families: family of each row.
        stages: stages of the training.
        batch_size: rows in a training step.
        seed: seed of the order within each family.

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
