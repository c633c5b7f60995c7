"""Which questions to train on: pass rates with their uncertainty, a band, long questions, levels and caps.

Pure functions of counts; `selected_rows.py` reads and writes the rows, `verl_medu1.evaluate.pass_rates` counts.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

# Why a question is not selected.
NOT_MEASURED, TOO_HARD, TOO_EASY = "not measured", "too hard", "too easy"
SHORT, OVER_CAP = "short", "over cap"
# Each with the options that decide on it.
OPTIONS = {
    NOT_MEASURED: "--evaluation or --rollouts",
    TOO_HARD: "--band",
    TOO_EASY: "--band",
    SHORT: "--longest",
    OVER_CAP: "--cap",
}
REASONS = tuple(OPTIONS)


@dataclass(frozen=True)
class PassRate:
    """How often a model answers a question right: `right` of `samples`."""

    right: int
    samples: int

    @property
    def value(self) -> float:
        """The share of right samples."""
        return self.right / self.samples

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return Wilson's interval of the pass rate (1927, J. Am. Stat. Assoc. 22:209).

        Args:
            confidence: its level, such as 0.95; with 0 both ends are the share itself.

        Example:
            >>> [round(end, 2) for end in PassRate(0, 4).interval(0.95)]
            [0.0, 0.49]
        """
        return _wilson(self.right, self.samples, confidence)


@cache  # there are few pairs, and many questions
def _wilson(right: int, samples: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import binomtest

    found = binomtest(right, samples).proportion_ci(confidence, method="wilson")
    # Rounding may put an end beyond the share by one part in 10^16.
    return min(float(found.low), right / samples), max(float(found.high), right / samples)


@dataclass(frozen=True)
class Measured:
    """A question as the selection sees it.

    Attributes:
        data_source: where it comes from.
        words: number of words that the user's message has.
        rate: its pass rate; None if it has no sample.
    """

    data_source: str
    words: int
    rate: PassRate | None


@dataclass(frozen=True)
class Outcome:
    """What becomes of a question: its `level` ("" without levels), or the `reason` why it is left out (else "")."""

    reason: str
    level: str = ""


@dataclass(frozen=True)
class Selection:
    """The rules of a selection.

    Attributes:
        band: smallest and largest pass rate; a question stays if its interval has a rate in the band.
        confidence: level of the intervals.
        longest: share of each data source's questions that stay, those with the most words.
        levels: number of levels with about as many questions each; 0 for none.
        edges: pass rates that separate levels, instead of their number; a rate on an edge is of the easier level.
        caps: data source -> most questions that stay, drawn at random.
        seed: of that draw.
    """

    band: tuple[float, float] = (0.0, 1.0)
    confidence: float = 0.95
    longest: float = 1.0
    levels: int = 0
    edges: tuple[float, ...] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    def check(self) -> None:
        """Check the settings.

        Raises:
            ValueError: a number is out of range, or two settings exclude each other; named like their options.
        """
        low, high = self.band
        if not 0 <= low <= high <= 1:
            raise ValueError(f"--band is {low:g}:{high:g}; give two pass rates from 0 to 1, the lower one first.")
        if not 0 <= self.confidence < 1:
            raise ValueError(f"--confidence is {self.confidence:g}; it must be at least 0 and below 1.")
        if not 0 < self.longest <= 1:
            raise ValueError(f"--longest is {self.longest:g}; it must be above 0 and at most 1.")
        if self.levels and self.edges:
            raise ValueError("--levels and --edges both make levels; give one of them.")
        if self.levels < 0 or self.levels == 1:
            raise ValueError(f"--levels is {self.levels}; give at least 2, or leave it out.")
        if list(self.edges) != sorted(set(self.edges)) or not all(0 < edge <= 1 for edge in self.edges):
            given = ",".join(f"{edge:g}" for edge in self.edges)
            raise ValueError(f"--edges is {given}; give rising pass rates above 0 and at most 1.")
        for name, cap in self.caps.items():
            if cap < 1:
                raise ValueError(f"--cap {name} is {cap}; it must be at least 1.")


def band_reason(rate: PassRate, band: tuple[float, float], confidence: float) -> str:
    """Return why a pass rate is outside of a band; "" if its interval and the band have a rate in common.

    Example:
        >>> [band_reason(PassRate(right, 4), (0.6, 0.9), 0.95) for right in (0, 1, 4)]
        ['too hard', '', '']
    """
    low, high = rate.interval(confidence)
    return TOO_HARD if high < band[0] else TOO_EASY if low > band[1] else ""


def quantile_edges(rates: Sequence[float], levels: int) -> tuple[float, ...]:
    """Return the pass rates that separate levels of about the same size; equal rates are on the same level.

    Raises:
        ValueError: so many rates are equal that a level would be empty.

    Example:
        >>> quantile_edges([0.0, 0.0, 0.5, 0.5, 1.0, 1.0], 3)
        (0.5, 1.0)
    """
    ordered = sorted(rates)
    edges = [ordered[math.ceil(n * len(ordered) / levels)] for n in range(1, levels) if len(ordered) >= levels]
    possible = len({edge for edge in edges if edge > ordered[0]}) + 1
    if possible < levels:
        raise ValueError(
            f"--levels is {levels}, and the pass rates of {len(ordered)} questions make {possible} of about the same "
            "size, because many are equal; take more samples, give fewer --levels, or --edges."
        )
    return tuple(edges)


def level_of(rate: float, edges: Sequence[float]) -> str:
    """Return the level of a pass rate: L1 is the easiest.

    Example:
        >>> [level_of(rate, (0.25, 0.75)) for rate in (1.0, 0.75, 0.5, 0.0)]
        ['L1', 'L1', 'L2', 'L3']
    """
    return f"L{1 + sum(rate < edge for edge in edges)}"


def empty_levels(
    rates: Sequence[PassRate | None], outcomes: Sequence[Outcome], edges: Sequence[float]
) -> dict[str, Counter[str]]:
    """Return the levels without a question, easiest first, each with how many were left out of it, by reason.

    Args:
        rates: of all questions, None without a sample.
        outcomes: of the selection, one per question.
        edges: pass rates that separate the levels; without any there are no levels.

    Example:
        >>> rates, outcomes = [PassRate(1, 1), PassRate(0, 1)], [Outcome("", "L1"), Outcome(OVER_CAP)]
        >>> empty_levels(rates, outcomes, (0.5, 1.0))
        {'L2': Counter(), 'L3': Counter({'over cap': 1})}
    """
    filled = {outcome.level for outcome in outcomes}
    levels = [f"L{number}" for number in range(1, len(edges) + 2)] if edges else []
    found: dict[str, Counter[str]] = {level: Counter() for level in levels if level not in filled}
    for rate, outcome in zip(rates, outcomes, strict=True):
        if rate is not None and (level := level_of(rate.value, edges)) in found:
            found[level][outcome.reason] += 1
    return found


def counted_reasons(reasons: Mapping[str, int]) -> str:
    """Return why questions are left out, in words, with the options that decide on it.

    Example:
        >>> counted_reasons({OVER_CAP: 3, TOO_HARD: 12, SHORT: 0})
        '12 too hard (--band), 3 over cap (--cap)'
    """
    return ", ".join(
        f"{reasons[reason]} {reason} ({option})" for reason, option in OPTIONS.items() if reasons.get(reason)
    )


def select(questions: Sequence[Measured], rules: Selection) -> tuple[list[Outcome], tuple[float, ...]]:
    """Decide which questions to train on, and their levels.

    In this order: questions without a sample are left out, then those outside of the band, then the shorter ones of
    each data source; the rest gets levels; last come the caps.

    Args:
        questions: all of them.
        rules: the rules, checked.

    Returns:
        One outcome per question, in order, and the pass rates that separate the levels.

    Raises:
        ValueError: a cap names a data source that no question has, no question is left, or the levels can't be made.

    Example:
        >>> questions = [Measured("MedQA", 20, PassRate(right, 4)) for right in (0, 2, 4)]
        >>> select(questions, Selection(edges=(0.5,)))[0][0]
        Outcome(reason='', level='L2')
    """
    sources = {question.data_source for question in questions}
    if unknown := sorted(set(rules.caps) - sources):
        raise ValueError(f"--cap names {', '.join(unknown)}; the questions are of {', '.join(sorted(sources))}.")
    reasons: dict[int, str] = {}
    rates: dict[int, PassRate] = {}
    for place, question in enumerate(questions):
        if question.rate is None:
            reasons[place] = NOT_MEASURED
        elif reason := band_reason(question.rate, rules.band, rules.confidence):
            reasons[place] = reason
        else:
            rates[place] = question.rate
    if not rates:
        # Neither a share of the longest nor a cap takes the last one.
        why = counted_reasons(Counter(reasons.values()))
        raise ValueError(f"No question is left: {why}; give a wider --band, or measure more of the questions.")
    for members in _by_source(rates, questions):
        # Of two with as many words the earlier one stays.
        longest_first = sorted(members, key=lambda place: (-questions[place].words, place))
        reasons |= dict.fromkeys(longest_first[math.ceil(rules.longest * len(members)) :], SHORT)
    rates = {place: rate for place, rate in rates.items() if place not in reasons}
    edges = quantile_edges([rate.value for rate in rates.values()], rules.levels) if rules.levels else rules.edges
    for members in _by_source(rates, questions):
        source = questions[members[0]].data_source
        drawn = random.Random(f"{rules.seed} {source}").sample(members, len(members))
        reasons |= dict.fromkeys(drawn[rules.caps.get(source, len(members)) :], OVER_CAP)
    outcomes = [
        Outcome(reasons[place])
        if place in reasons
        else Outcome("", level_of(rates[place].value, edges) if edges else "")
        for place in range(len(questions))
    ]
    return outcomes, edges


def _by_source(places: Mapping[int, PassRate], questions: Sequence[Measured]) -> list[list[int]]:
    """Group the places of questions by data source."""
    groups: dict[str, list[int]] = {}
    for place in places:
        groups.setdefault(questions[place].data_source, []).append(place)
    return list(groups.values())
