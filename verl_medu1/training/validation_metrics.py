"""Means of the components of a validation, in place of verl's statistics of each.

verl draws 1,000 samples with replacement for each question and component, in Python, while the devices wait: for 162
questions of four answers and our components that takes longer than to answer them. Reward and accuracy keep these
statistics (best, worst and majority of n answers); the other components have their mean.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from verl_medu1.training.metrics import OF_EVIDENCE

# `pred` is what verl takes the majority of.
RESAMPLED = ("reward", "acc", "pred")


def resampled(infos: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the components that verl computes its statistics of."""
    return {name: infos[name] for name in RESAMPLED if name in infos}


def component_means(
    sources: Sequence[str], questions: Sequence[str], infos: Mapping[str, Sequence[Any]]
) -> dict[str, float]:
    """Compute the mean over questions of each other numeric component's mean over the answers, per data source.

    Args:
        sources: of each answer, its data source.
        questions: of each answer, its question.
        infos: component -> its value for each answer; texts and None are left out.

    Returns:
        `val-aux/<data_source>/<component>/mean@<answers to the question>`, as verl names it.

    Example:
        >>> component_means(["s"] * 4, ["p", "p", "q", "q"], {"acc": [1.0] * 4, "length": [1.0, 3.0, 5.0, 7.0]})
        {'val-aux/s/length/mean@2': 4.0}
    """
    of_question: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for name, values in infos.items():
        if name in RESAMPLED:
            continue
        # Questions without evidence have no share of it.
        counts = infos["evidence"] if name in OF_EVIDENCE else [True] * len(values)
        for source, question, value, is_counted in zip(sources, questions, values, counts, strict=True):
            if is_counted and isinstance(value, Real | np.bool_):
                of_question[source, name, question].append(float(value))
    means: dict[str, list[float]] = defaultdict(list)
    for (source, name, _), values in of_question.items():
        means[f"val-aux/{source}/{name}/mean@{len(values)}"].append(sum(values) / len(values))
    return {name: sum(values) / len(values) for name, values in means.items()}
