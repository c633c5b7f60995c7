"""From the components of a batch to its length term: groups, verdicts, penalty values and weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from verl_medu1.length.penalties import TOKENS, UNITS, Group, get_penalty

# What the reward manager returned for one sample, with `uid` (its question) and `data_source`.
Components = dict[str, Any]


@dataclass(frozen=True)
class LengthShaping:
    """The inputs of the length term for a batch of B responses.

    Attributes:
        group: (B,) integer label of the question.
        correct: (B,) bool: right and rewarded. A malformed response earns no reward, so it gets no length term
            either; padding is never right.
        values: (B,) penalty values, higher is better.
        weight: (B,) weights of the penalty, by data source.
    """

    group: torch.Tensor
    correct: torch.Tensor
    values: torch.Tensor
    weight: torch.Tensor


# The components that the length term needs, beside the one that counts.
NEEDED = ("score", "budget_mode", "budget_tokens")


def lacking(samples: Sequence[Components], unit: str) -> list[str]:
    """Return the components that the length term needs and at least one sample lacks.

    Args:
        samples: components of each response.
        unit: `algorithm.length_penalty.unit`.

    Example:
        >>> lacking([{"score": 1.0, "budget_mode": "none", "budget_tokens": 0.0}], "tokens")
        ['counted_tokens']
    """
    return [name for name in (*NEEDED, UNITS[unit]) if any(name not in sample for sample in samples)]


def longest(config: DictConfig, unit: str) -> int:
    """Return the most tokens, or calls, that a response can have; for prices, which have no such limit, the calls.

    Args:
        config: of the run.
        unit: `algorithm.length_penalty.unit`.
    """
    most: int = config.data.max_response_length if unit == TOKENS else config.episodes.max_turns
    return most


def _number(sample: Components, name: str) -> float:
    value = sample[name]
    if not isinstance(value, Real | np.bool_):
        raise ValueError(
            f"component {name} of data source {sample['data_source']!r} is {str(value)[:80]!r} and must be a number; "
            "correct the reward function."
        )
    return float(value)


def length_shaping(
    samples: Sequence[Components], is_padding: Sequence[bool], penalty: DictConfig, longest: int
) -> LengthShaping:
    """Group a batch by question, and apply `algorithm.length_penalty` to each group.

    Args:
        samples: components with `uid`, `data_source`, `score`, `acc`, `budget_mode`, `budget_tokens`, and
            what the penalty's unit counts (`UNITS`). A budget is one of tokens: with others there is none.
        is_padding: for each sample, whether it only fills up the batch; padding is never right, and groups ignore it.
        penalty: `algorithm.length_penalty` (name, unit, weight, per_source, tolerance, free_share).
        longest: see `longest`.

    Example: see tests/length/test_shaping.py.
    """
    label = np.unique([sample["uid"] for sample in samples], return_inverse=True)[1]
    real = ~np.asarray(is_padding, dtype=bool)
    # A user's reward function may return no `acc`.
    verdicts = [min(_number(sample, name) for name in ("acc", "score") if name in sample) for sample in samples]
    correct = np.array([verdict > 0 for verdict in verdicts], dtype=bool) & real
    has_budgets, counted = penalty.unit == TOKENS, UNITS[penalty.unit]
    lengths = np.array([sample[counted] for sample in samples], dtype=float)
    values = np.zeros(len(samples))
    get_values = get_penalty(penalty.name).values
    # Read once: each look into a DictConfig takes longer than a group's values.
    shares, weight, per_source = (penalty.tolerance, penalty.free_share), penalty.weight, dict(penalty.per_source or {})
    for rows in _groups(label, real):
        first = samples[rows[0]]
        mode, budget = (first["budget_mode"], first["budget_tokens"]) if has_budgets else ("none", 0.0)
        values[rows] = get_values(Group(lengths[rows], correct[rows], mode, budget, longest, *shares))
    weights = [per_source.get(sample["data_source"], weight) for sample in samples]
    return LengthShaping(
        torch.from_numpy(label),
        torch.from_numpy(correct),
        torch.from_numpy(values).float(),
        torch.tensor(weights, dtype=torch.float32),
    )


def _groups(label: np.ndarray, real: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each label, in their order, without those that are not real."""
    rows = np.flatnonzero(real)
    rows = rows[np.argsort(label[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(label[rows])) + 1) if len(rows) else []
