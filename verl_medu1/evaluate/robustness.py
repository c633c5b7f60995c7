"""Answer-format robustness: do questions answered right as multiple choice stay right in other formats?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from verl_medu1.evaluate.formats import FORMATS
from verl_medu1.evaluate.questions import AS_PREPARED
from verl_medu1.evaluate.statistics import share
from verl_medu1.run_folder.evaluations import Sample


def robustness(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """Compute, per other format, the accuracy over the questions asked in both, and the share that stays right.

        stays = sum_q p_q r_q / sum_q p_q

    with p_q the share of right samples of question q as multiple choice, and r_q that in the other format. This is the
    probability that the question of a right sample is answered right in the other format too.

    Args:
        samples: samples of one group, in all formats.

    Returns:
        By format `questions`, `as_prepared` and `accuracy` (shares), `accuracy_low`, `accuracy_high`, and `stays` (None
        if nothing is right as multiple choice); formats that were not asked are left out.
    """
    means = {name: _per_question(samples, name) for name in (AS_PREPARED, *FORMATS)}
    found = {}
    for name in FORMATS:
        common = [key for key in means[name] if key in means[AS_PREPARED]]
        if not common:
            continue
        prepared, other = (np.array([means[kind][key] for key in common]) for kind in (AS_PREPARED, name))
        repeats = len([sample for sample in samples if sample["asked_as"] == name]) // len(means[name])
        estimate = share(other, repeats)
        found[name] = {
            "questions": len(common),
            "as_prepared": float(prepared.mean()),
            "accuracy": estimate.value,
            "accuracy_low": estimate.low,
            "accuracy_high": estimate.high,
            "stays": float((prepared * other).sum() / prepared.sum()) if prepared.any() else None,
        }
    return found


def _per_question(samples: Sequence[Sample], asked_as: str) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], list[float]] = {}
    for sample in samples:
        if sample["asked_as"] == asked_as:
            values.setdefault((sample["data_source"], sample["row_id"]), []).append(float(sample["acc"]))
    return {key: float(np.mean(numbers)) for key, numbers in values.items()}
