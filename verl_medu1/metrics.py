"""What is logged of the reward's components and of the shaping, as scalars for each of verl's logging backends."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def component_metrics(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean of each numeric component per data source, and the spread of the response lengths.

    Args:
        samples: one dict per response: `data_source`, and the components of the reward manager. Strings are
            left out.

    Returns:
        `reward/<data_source>/<component>/mean`, and `/p50` and `/p95` of `length`.

    Example:
        >>> component_metrics([{"data_source": "MedQA", "acc": 1.0}, {"data_source": "MedQA", "acc": 0.0}])
        {'reward/MedQA/acc/mean': 0.5}
    """
    by_source: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        for name, value in sample.items():
            if not isinstance(value, str):
                by_source[sample["data_source"]][name].append(float(value))
    metrics = {}
    for source, components in by_source.items():
        for name, values in components.items():
            metrics[f"reward/{source}/{name}/mean"] = float(np.mean(values))
        if "length" in components:
            for percentile in (50, 95):
                metrics[f"reward/{source}/length/p{percentile}"] = float(
                    np.percentile(components["length"], percentile)
                )
    return metrics


def shaping_metrics(
    base: torch.Tensor, shaped: torch.Tensor, group: torch.Tensor, correct: torch.Tensor
) -> dict[str, float]:
    """How far the hook reached.

    Args:
        base, shaped: (B, T) advantages before and after the hook.
        group: (B,) integer label of the prompt.
        correct: (B,) bool.

    Returns:
        `advantage/moved_share_of_right`, the share of right answers whose advantage was moved;
        `advantage/all_wrong_groups` and `advantage/all_right_groups`, shares of the groups;
        `advantage/moved_mean_abs`, the mean size of a move.
    """
    move = (shaped - base).abs().amax(dim=1)
    moved = move > 0
    labels = torch.unique(group)
    right_shares = torch.stack([correct[group == label].float().mean() for label in labels])
    return {
        "advantage/moved_share_of_right": float(moved[correct].float().mean()) if bool(correct.any()) else 0.0,
        "advantage/moved_mean_abs": float(move[moved].mean()) if bool(moved.any()) else 0.0,
        "advantage/all_wrong_groups": float((right_shares == 0).float().mean()),
        "advantage/all_right_groups": float((right_shares == 1).float().mean()),
    }
