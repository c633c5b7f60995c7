"""Accuracy and adherence by length budget: the curve that length control should improve."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from verl_medu1.run_folder.evaluations import Sample

MAX_POINTS = 8  # more budgets than this are binned, with about as many samples in each bin
TOLERANCE = 0.1  # an exact budget counts as kept within this share of it


def is_kept(sample: Sample) -> bool:
    """Return whether a response keeps its budget: at most N tokens for "max", within 10 % of N for "exact"."""
    slack = TOLERANCE * sample["budget_tokens"] if sample["budget_mode"] == "exact" else 0
    return sample["budget_distance"] <= slack


def by_budget(samples: Sequence[Sample]) -> list[tuple[dict[str, Any], list[Sample]]]:
    """Group the samples that have a budget by mode and tokens.

    Returns:
        For each group `mode`, `tokens` (mean budget), `fewest` and `most` (range of its budgets), and its samples; per
        mode, from small to large budgets.
    """
    groups = []
    for mode in ("exact", "max"):
        of_mode = [sample for sample in samples if sample["budget_mode"] == mode]
        budgets = np.array([sample["budget_tokens"] for sample in of_mode])
        for chosen in _portions(budgets):
            tokens = budgets[chosen]
            label = {
                "mode": mode,
                "tokens": float(tokens.mean()),
                "fewest": float(tokens.min()),
                "most": float(tokens.max()),
            }
            groups.append((label, [of_mode[place] for place in chosen]))
    return groups


def _portions(budgets: np.ndarray) -> list[np.ndarray]:
    """Return the sample indices of each point; equal budgets share a point."""
    different = np.unique(budgets)
    if len(different) <= MAX_POINTS:
        return [np.flatnonzero(budgets == budget) for budget in different]
    ends = np.quantile(budgets, np.linspace(0, 1, MAX_POINTS + 1)[1:-1])
    point = np.searchsorted(ends, budgets)
    return [np.flatnonzero(point == number) for number in np.unique(point)]
