"""Metrics of the reward components and of the shaping: scalars for verl's logging backends."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

from verl_medu1.length.advantage import Shaped
from verl_medu1.training.checklist_metrics import audit_metrics

# verl's timer (`timing_s/...`) for everything that we add to a step.
ADDED_TIME = "medu1"
# Components that have no meaning without a budget.
OF_BUDGET = ("budget_tokens", "over_budget", "budget_distance")
# Components that have no meaning for a question without evidence.
OF_EVIDENCE = ("evidence", "evidence_recall")


def component_metrics(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Compute the mean of each numeric component per data source, and percentiles of the response length.

    Args:
        samples: one dict per response: `data_source`, and the components of the reward manager. Strings are skipped,
            as are components of budget and evidence for rows without them. Other values (None, a list) are counted.

    Returns:
        `reward/<data_source>/<component>/mean`, and `/p50` and `/p95` of `length`; `/no_number` counts the values
        that are not numbers.

    Example:
        >>> component_metrics([{"data_source": "MedQA", "acc": 1.0}, {"data_source": "MedQA", "acc": 0.0}])
        {'reward/MedQA/acc/mean': 0.5}
    """
    by_source: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    others: Counter[str] = Counter()
    for sample in samples:
        for name, value in sample.items():
            if isinstance(value, str) or (name in OF_BUDGET and sample.get("budget_mode") == "none"):
                continue
            if name in OF_EVIDENCE and not sample.get("evidence"):
                continue
            if name in ("judge_failed", "reader_failed"):  # these samples are left out, and counted apart
                continue
            if isinstance(value, Real | np.bool_):
                by_source[sample["data_source"]][name].append(float(value))
            else:
                others[f"reward/{sample['data_source']}/{name}/no_number"] += 1
    metrics: dict[str, float] = dict(others)
    for source, components in by_source.items():
        for name, values in components.items():
            metrics[f"reward/{source}/{name}/mean"] = float(np.mean(values))
        if "length" in components:
            for percentile in (50, 95):
                metrics[f"reward/{source}/length/p{percentile}"] = float(
                    np.percentile(components["length"], percentile)
                )
    return metrics


def level_metrics(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Compute the share of right answers on each level of difficulty; {} without levels.

    Example:
        >>> level_metrics([{"level": "L1", "acc": 1.0}, {"level": "L1", "acc": 0.0}, {"level": "", "acc": 1.0}])
        {'level/L1/acc/mean': 0.5}
    """
    right: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if (level := sample.get("level")) and isinstance(sample.get("acc"), Real | np.bool_):
            right[level].append(float(sample["acc"]))
    return {f"level/{level}/acc/mean": float(np.mean(values)) for level, values in right.items()}


def verdict_metrics(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Count the responses that a judge was asked about, and those without a verdict of a judge or reader.

    Returns:
        `judge/asked` and `judge/failed` with a judge, `reader/failed` with a reader, and those of `audit_metrics`.

    Example:
        >>> verdict_metrics([{"judge_asked": 1.0, "judge_failed": 1.0}, {"judge_asked": 0.0, "judge_failed": 0.0}])
        {'judge/asked': 1, 'judge/failed': 1}
        >>> verdict_metrics([{"reader_failed": 1.0}, {"reader_failed": 0.0}]), verdict_metrics([{"acc": 1.0}])
        ({'reader/failed': 1}, {})
    """
    found = {
        name.replace("_", "/"): sum(bool(sample.get(name)) for sample in samples)
        for name in ("judge_asked", "judge_failed", "reader_failed")
        if any(name in sample for sample in samples)
    }
    return found | audit_metrics(samples)


def group_metrics(group: torch.Tensor, correct: torch.Tensor, sources: Sequence[str]) -> dict[str, float]:
    """Compute the shares of questions whose responses are all wrong (the length term skips them) or all right.

    Args:
        group: (B,) integer label of the question.
        correct: (B,) bool.
        sources: (B,) data source of each response.

    Returns:
        `advantage/<data_source>/all_wrong_groups` and `/all_right_groups`.

    Example:
        >>> group_metrics(torch.tensor([0, 0]), torch.tensor([True, False]), ["MedQA", "MedQA"])
        {'advantage/MedQA/all_wrong_groups': 0.0, 'advantage/MedQA/all_right_groups': 0.0}
    """
    metrics = {}
    for source, rows in _rows_of(sources).items():
        labels = group[rows].unique(return_inverse=True)[1]
        shares = torch.bincount(labels, correct[rows].float()) / torch.bincount(labels)
        metrics[f"advantage/{source}/all_wrong_groups"] = float((shares == 0).float().mean())
        metrics[f"advantage/{source}/all_right_groups"] = float((shares == 1).float().mean())
    return metrics


def shaping_metrics(
    shaped: Shaped, correct: torch.Tensor, group: torch.Tensor, sources: Sequence[str]
) -> dict[str, float]:
    """Measure how much the shaping changed the advantages.

    Args:
        shaped: what the hook returned.
        correct: (B,) bool.
        group: (B,) integer label of the question.
        sources: (B,) data source of each response.

    Returns:
        `advantage/<data_source>/moved_share_of_right`, the share of right answers whose advantage changed;
        `/moved_mean_abs`, the mean size of those changes; `/floor_factor`, the mean over groups of the share of the
        length term that the floor leaves (missing if no group asks for anything).
    """
    move = shaped.change.abs()
    metrics = {}
    for source, rows in _rows_of(sources).items():
        moved, right = move[rows][move[rows] > 0], correct[rows]
        metrics[f"advantage/{source}/moved_share_of_right"] = len(moved) / int(right.sum()) if right.any() else 0.0
        metrics[f"advantage/{source}/moved_mean_abs"] = float(moved.mean()) if len(moved) else 0.0
        factors = dict(zip(group[rows].tolist(), shaped.factor[rows].tolist(), strict=True))
        if asked := [factor for factor in factors.values() if not math.isnan(factor)]:
            metrics[f"advantage/{source}/floor_factor"] = sum(asked) / len(asked)
    return metrics


def _rows_of(sources: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the row numbers of each data source."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, source in enumerate(sources):
        places[source].append(place)
    return {source: torch.tensor(rows) for source, rows in sorted(places.items())}
