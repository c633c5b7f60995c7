"""Shares, their intervals and paired comparisons, over questions. Pure, deterministic functions of numbers."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal, stats

LEVEL = 0.95


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A mean difference, its 95 % interval, and the p-value under the hypothesis of two equal models."""

    value: float
    low: float
    high: float
    p_value: float


def score_interval(
    mean: ArrayLike, variance: ArrayLike, questions: int, samples: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of a share over questions, each with one or more samples.

    Wilson's interval (1927, J. Am. Stat. Assoc. 22:209) for the effective number of questions:

        m = p (1 - p) / (v / n),  n questions, p their mean, v the variance between their means
        (p + z^2 / 2m ± z * sqrt(p (1 - p) / m + z^2 / 4m^2)) / (1 + z^2 / m),  z the normal quantile

    v / n is the variance of a mean under the bootstrap over questions (Efron & Tibshirani 1993, section 5.2), computed
    without resampling. Samples of one question are correlated: m lies between n, if they are all the same, and the
    number of samples. With one sample per question m is n and this is Wilson's interval, which Brown, Cai and DasGupta
    (2001, Stat. Sci. 16:101) recommend for small n: one more right answer never lowers either end, and never widens the
    interval if all are right. Student's quantile would break both properties at n = 2. The bootstrap's percentiles
    would be too narrow near 0 and 1: `benchmarks/intervals.py` prints the coverage of both.

    Args:
        mean, variance: mean and variance of the questions' means; arrays of the same shape.
        questions: number of questions.
        samples: number of samples per question.

    Returns:
        The lower and upper ends.
    """
    mean, variance = np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)
    spread = mean * (1 - mean)
    # If all questions have the same mean, the variance can't be estimated: count each question once.
    known = (variance > 0) & (spread > 0)
    effective = np.where(known, questions * spread / np.where(known, variance, 1), questions)
    effective = np.clip(effective, questions, questions * samples)
    z = stats.norm.ppf(0.5 + LEVEL / 2)
    scale = 1 + z**2 / effective
    centre = (mean + z**2 / (2 * effective)) / scale
    half_width = z * np.sqrt(spread / effective + z**2 / (4 * effective**2)) / scale
    # Rounding may put a mean of 0 or 1 outside the interval by one part in 10^16.
    return np.minimum(mean, centre - half_width), np.maximum(mean, centre + half_width)


def share(values: ArrayLike, samples: int = 1) -> Estimate:
    """Average a share per question (accuracy, pass@k, majority vote), with its interval; see `score_interval`.

    Args:
        values: one share in [0, 1] per question: the mean over its samples, so that samples of one question never
            count as independent.
        samples: number of samples behind each value.

    Raises:
        ValueError: there are no values, or one is outside [0, 1].

    Example:
        >>> [round(x, 2) for x in share([1.0] * 20)]
        [1.0, 0.84, 1.0]
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"A share needs a list of at least one number; got an array of shape {values.shape}.")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("A share lies between 0 and 1; got one outside.")
    low, high = score_interval(values.mean(), values.var(), values.size, samples)
    return Estimate(float(values.mean()), float(low), float(high))


def paired_difference(before: ArrayLike, after: ArrayLike) -> Difference:
    """Average after - before over the same questions.

    The interval is Agresti and Min's (2005, Stat. Med. 24:729) with Student's quantile: half a question is added to
    each cell of the 2 x 2 table of right and wrong. The p-value is from `sign_flip_test`.

    Args:
        before, after: one share per question, in the same order.

    Raises:
        ValueError: the lists differ in length, or are empty.

    Example:
        >>> paired_difference([0.0, 0.0, 1.0], [1.0, 1.0, 1.0]).value
        0.6666666666666666
    """
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if before.shape != after.shape or before.ndim != 1:
        raise ValueError(f"A paired difference needs the same questions; got {before.size} and {after.size}.")
    if not before.size:
        raise ValueError("A paired difference needs at least one question.")
    differences = after - before
    low, high = difference_interval(differences.sum(), (differences**2).sum(), differences.size)
    return Difference(float(differences.mean()), float(low), float(high), sign_flip_test(differences))


def difference_interval(total: ArrayLike, squares: ArrayLike, questions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of `paired_difference` from the sums of the differences and of their squares (arrays)."""
    weight = questions + 2
    mean = np.asarray(total, dtype=float) / weight
    variance = (np.asarray(squares, dtype=float) + 1) / weight - mean**2
    t = stats.t.ppf(0.5 + LEVEL / 2, max(1, questions - 1))
    half_width = t * np.sqrt(variance / weight)
    return np.maximum(mean - half_width, -1), np.minimum(mean + half_width, 1)


def sign_flip_test(differences: ArrayLike) -> float:
    """Return the two-sided p-value of paired differences, by the exact permutation test with questions as clusters.

    If the two models were equal, each question's difference would have either sign with the same probability. The
    p-value is the share of all 2^n sign assignments whose sum is at least as far from zero (Fisher 1935; Good 2005,
    chapter 3). With one sample per question this is McNemar's exact test. Nothing is sampled: the number of positive
    signs among questions with equal |difference| is binomial, and the distributions of the few distinct sizes are
    convolved.

    Args:
        differences: one per question, in [-1, 1]; each the difference of shares over a few samples.

    Example:
        >>> round(sign_flip_test([1, 1, 1, 1, 1, 1, -1, 0, 0]), 6)  # 2 * P(Binomial(7, 1/2) >= 6)
        0.125
    """
    differences = np.asarray(differences, dtype=float)
    steps = _common_denominator(differences)
    sizes, counts = np.unique(np.abs(np.rint(differences * steps)).astype(int), return_counts=True)
    density = np.ones(1)  # of the sum of size * (number of positive signs)
    for size, count in zip(sizes, counts, strict=True):
        if size:
            spaced = np.zeros(size * count + 1)
            spaced[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
            density = np.maximum(signal.convolve(density, spaced), 0)
    half = (len(density) - 1) / 2
    observed = abs(float(np.rint(differences * steps).sum())) / 2
    return float(min(1.0, density[np.abs(np.arange(len(density)) - half) >= observed].sum()))


def _common_denominator(values: np.ndarray) -> int:
    """Return the smallest number that makes all values whole; shares over n samples have denominators up to n."""
    for steps in range(1, 1025):
        if np.allclose(values * steps, np.rint(values * steps), atol=1e-6 * steps, rtol=0):
            return steps
    return 1024


def pass_at_k(right: ArrayLike, samples: int, k: int) -> np.ndarray:
    """Return the unbiased estimate of the probability that at least one of k samples is right, from n >= k samples.

        1 - C(n - c, k) / C(n, k)      (Chen et al. 2021, arXiv 2107.03374)

    Args:
        right: (questions,) number of right samples c.
        samples: n, the same for all questions.
        k: at most n.

    Raises:
        ValueError: k is not in 1..n, or a count is not in 0..n.

    Example:
        >>> pass_at_k([0, 1, 4], samples=4, k=2).tolist()
        [0.0, 0.5, 1.0]
    """
    counts = np.asarray(right, dtype=int)
    if not 1 <= k <= samples:
        raise ValueError(
            f"pass@{k} needs at least {k} samples of each question, and k at least 1; there are {samples}."
        )
    if ((counts < 0) | (counts > samples)).any():
        raise ValueError(f"The right ones of {samples} samples are between 0 and {samples}.")
    by_count = [1 - math.comb(samples - c, k) / math.comb(samples, k) for c in range(samples + 1)]
    return np.array(by_count)[counts]
