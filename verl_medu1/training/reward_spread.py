"""How far apart the rewards of a group are, and the alarm when they lie so close that GRPO would train on noise."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

# Our metric: 1 for a step with an alarm, 0 for one without.
ALARM = "training/reward_collapse_alarm"


def spread_metrics(questions: Sequence[str], sources: Sequence[str], rewards: Sequence[float]) -> dict[str, float]:
    """Compute the standard deviation of the rewards within a group, averaged over groups, per data source.

    GRPO divides by it, so that rewards which differ by next to nothing weigh as much as right against wrong. In a group
    of n answers with rewards of 0 and 1 it is at least 1 / sqrt(n). With the rewards of a model or of a similarity it
    may be smaller.

    Args:
        questions: of each answer, the question that it answers.
        sources: of each answer, the data source.
        rewards: of each answer, before any length term.

    Returns:
        `reward/<data_source>/score/spread`: over the groups whose rewards are not all equal, for nothing is learned
        from the others. Missing if there are none.

    Example:
        >>> spread_metrics(["a", "a", "b", "b"], ["MedQA"] * 4, [0.5, 0.5, 0.0, 2.0])
        {'reward/MedQA/score/spread': 1.4142135623730951}
    """
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for question, source, reward in zip(questions, sources, rewards, strict=True):
        groups[source, question].append(reward)
    spreads: dict[str, list[float]] = defaultdict(list)
    for (source, _), values in groups.items():
        if any(one != other for one, other in pairwise(values)):
            spreads[source].append(_deviation(values))
    return {f"reward/{source}/score/spread": sum(found) / len(found) for source, found in sorted(spreads.items())}


def _deviation(values: Sequence[float]) -> float:
    # statistics.stdev fails on NaN, and the command that shows the console has no numpy.
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def collapse_metrics(samples: Sequence[Mapping[str, Any]], min_spread: float | None) -> dict[str, float]:
    """Compute `spread_metrics`, and the alarm: 1 where a source has less than allowed, 0 where none has.

    Args:
        samples: one mapping per answer with `uid` (its question), `data_source` and `score` (its reward before any
            length term). Nothing is computed of answers without `score`, which another reward manager may return.
        min_spread: `scoring.min_spread`; None for no alarm.

    Example:
        >>> collapse_metrics([{"uid": "a", "data_source": "MedQA", "score": score} for score in (1.0, 1.0)], 0.05)
        {'training/reward_collapse_alarm': 0.0}
    """
    if any("score" not in sample for sample in samples):
        return {}
    spreads = spread_metrics(*([sample[name] for sample in samples] for name in ("uid", "data_source", "score")))
    if min_spread is None:
        return spreads
    # Written so that a spread that is not a number is an alarm.
    return spreads | {ALARM: float(any(not spread >= min_spread for spread in spreads.values()))}
