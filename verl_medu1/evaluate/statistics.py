"""Means over questions and their intervals. Pure functions of numbers."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A mean and its 95 % interval; both ends are NaN where the data allow none."""

    value: float
    low: float
    high: float


def bootstrap_mean(values: ArrayLike, seed: int = 0) -> Estimate:
    """Mean with the percentile interval of the bootstrap over questions (Efron & Tibshirani 1993, chapter 13).

    Args:
        values: one number per question (the mean over its samples), so that samples of one question, which
            resemble each other, are never counted as independent. At least one.
        seed: seed of the resampling; the same values and seed give the same interval.

    Returns:
        The mean and the ends of its interval; the ends are NaN when all values are the same, because resampling
        them shows no spread.

    Raises:
        ValueError: no values, or one that is not finite.

    Example:
        >>> estimate = bootstrap_mean([1.0, 2.0, 3.0, 4.0])
        >>> estimate.value, 1.0 <= estimate.low < 2.5 < estimate.high <= 4.0
        (2.5, True)
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"A mean needs a list of at least one number; got an array of shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("A mean needs finite numbers; got NaN or infinity.")
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Estimate(mean, float("nan"), float("nan"))
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        batch=max(1, 2_000_000 // values.size),  # keeps the resampled values under about 32 MB
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high))


def accuracy(values: ArrayLike, seed: int = 0) -> Estimate:
    """Mean accuracy with a 95 % interval: `bootstrap_mean`, and Wilson's interval where that has no spread.

    When each question has the same accuracy (all right, all wrong) the bootstrap would claim certainty. Wilson's
    interval for n questions (Wilson 1927, J. Am. Stat. Assoc. 22:209) does not:

        (p + z^2 / 2n ± z * sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Args:
        values: accuracy per question, each in [0, 1].
        seed: seed of the resampling.

    Raises:
        ValueError: no values, or one outside [0, 1].

    Example:
        >>> [round(x, 2) for x in accuracy([1.0] * 20)]
        [1.0, 0.84, 1.0]
    """
    values = np.asarray(values, dtype=float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("An accuracy lies between 0 and 1; got one outside.")
    estimate = bootstrap_mean(values, seed)
    if not np.isnan(estimate.low):
        return estimate
    p, n, z = estimate.value, values.size, float(stats.norm.ppf(0.5 + LEVEL / 2))
    centre = p + z**2 / (2 * n)
    half_width = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # Rounding may leave p = 0 or 1 outside by one part in 10^16.
    return Estimate(p, min(p, float(centre - half_width) / scale), max(p, float(centre + half_width) / scale))


def paired_difference(before: ArrayLike, after: ArrayLike, seed: int = 0) -> Estimate:
    """Mean of after - before over the same questions, with the bootstrap's interval of the differences.

    Args:
        before, after: one number per question, in the same order.
        seed: seed of the resampling.

    Raises:
        ValueError: lists of different lengths, or empty ones.

    Example:
        >>> paired_difference([0.0, 0.0, 1.0], [1.0, 1.0, 1.0]).value
        0.6666666666666666
    """
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if before.shape != after.shape:
        raise ValueError(f"A paired difference needs the same questions; got {before.size} and {after.size}.")
    return bootstrap_mean(after - before, seed)
