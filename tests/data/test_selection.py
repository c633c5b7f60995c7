"""Selection by pass rate: intervals, bands, levels, long questions, caps."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.data.selection import (
    Measured,
    PassRate,
    Selection,
    band_reason,
    empty_levels,
    level_of,
    quantile_edges,
    select,
)

COUNTS = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    [
        # Computed by hand with z = 1.959964: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
        (0, 4, 0.0, 0.4899),
        (4, 4, 0.5101, 1.0),
        (2, 4, 0.1500, 0.8500),
        (0, 16, 0.0, 0.1936),
        (1, 10, 0.0179, 0.4042),
    ],
)
def test_wilsons_interval(right: int, samples: int, low: float, high: float) -> None:
    assert PassRate(right, samples).interval(0.95) == pytest.approx((low, high), abs=1e-4)


@given(COUNTS, st.floats(0, 0.999))
def test_the_interval_holds_the_rate(counts: tuple[int, int], confidence: float) -> None:
    rate = PassRate(*counts)
    low, high = rate.interval(confidence)
    assert 0 <= low <= rate.value <= high <= 1


@given(COUNTS)
def test_without_confidence_the_share_counts_as_it_is(counts: tuple[int, int]) -> None:
    assert PassRate(*counts).interval(0) == pytest.approx((PassRate(*counts).value,) * 2)


@pytest.mark.parametrize(
    ("right", "samples", "confidence", "reason"),
    [
        (0, 4, 0.95, ""),  # not impossible: up to 0.49
        (0, 4, 0.0, "too hard"),
        (0, 40, 0.95, "too hard"),  # up to 0.09
        (40, 40, 0.95, "too easy"),
        (4, 40, 0.0, ""),  # an edge is in the band
        (36, 40, 0.0, ""),
        (20, 40, 0.95, ""),
    ],
)
def test_a_band_leaves_out_what_is_surely_outside(right: int, samples: int, confidence: float, reason: str) -> None:
    assert band_reason(PassRate(right, samples), (0.1, 0.9), confidence) == reason


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60), st.integers(2, 4))
def test_levels_follow_the_pass_rate_and_none_is_empty(rights: list[int], levels: int) -> None:
    rates = [right / 8 for right in rights]
    try:
        edges = quantile_edges(rates, levels)
    except ValueError:
        # Refused only if that many levels of equal size can't be: some rate is more than a level's worth of questions.
        assert len(rates) < levels or max(Counter(rates).values()) > len(rates) // levels - 1
        return
    found = [level_of(rate, edges) for rate in rates]
    assert set(found) == {f"L{number}" for number in range(1, levels + 1)}
    in_order = [int(level[1:]) for _, level in sorted(zip(rates, found, strict=True))]
    assert in_order == sorted(in_order, reverse=True)


def test_distinct_rates_make_levels_of_the_same_size() -> None:
    rates = [place / 100 for place in range(99)]
    edges = quantile_edges(rates, 3)
    assert Counter(level_of(rate, edges) for rate in rates) == {"L1": 33, "L2": 33, "L3": 33}


def test_equal_rates_are_not_torn_apart() -> None:
    with pytest.raises(ValueError, match=r"--levels is 3, and the pass rates of 6 questions make 2 .* --edges"):
        quantile_edges([0.0, 0.5, 1.0, 1.0, 1.0, 1.0], 3)


def test_alphameds_levels_by_edges() -> None:
    """Six levels from five samples: the number of right ones."""
    edges = (0.2, 0.4, 0.6, 0.8, 1.0)
    assert [level_of(right / 5, edges) for right in range(6)] == ["L6", "L5", "L4", "L3", "L2", "L1"]


def questions(number: int, source: str = "MedQA") -> list[Measured]:
    return [Measured(source, 10 + place, PassRate(place % 5, 4)) for place in range(number)]


def test_every_question_has_one_outcome_with_its_reason() -> None:
    asked = [
        Measured("MedQA", 10, None),
        Measured("MedQA", 10, PassRate(0, 40)),
        Measured("MedQA", 10, PassRate(40, 40)),
        Measured("MedQA", 5, PassRate(20, 40)),
        Measured("MedQA", 6, PassRate(20, 40)),
    ]
    outcomes, _ = select(asked, Selection(band=(0.1, 0.9), longest=0.5))
    assert [outcome.reason for outcome in outcomes] == ["not measured", "too hard", "too easy", "short", ""]


@given(st.lists(st.none() | COUNTS, min_size=1, max_size=20), st.lists(st.floats(0.05, 1), min_size=1, max_size=4),
       st.integers(1, 3))  # fmt: skip
def test_an_empty_level_knows_what_it_has_lost(drawn: list, cuts: list[float], cap: int) -> None:
    rates = [PassRate(*counts) if counts else None for counts in drawn]
    rules = Selection(band=(0.3, 0.9), confidence=0, edges=tuple(sorted(set(cuts))), caps={"MedQA": cap})
    asked = [Measured("MedQA", 10, rate) for rate in rates]
    if not any(rate and 0.3 <= rate.value <= 0.9 for rate in rates):
        with pytest.raises(ValueError, match=r"^No question is left: \d+ (not measured|too)"):
            select(asked, rules)
        return
    outcomes, edges = select(asked, rules)
    found = empty_levels(rates, outcomes, edges)
    names = {f"L{number}" for number in range(1, len(edges) + 2)}
    assert set(found) == names - {outcome.level for outcome in outcomes}
    for level, reasons in found.items():
        lost = [
            outcome.reason
            for rate, outcome in zip(rates, outcomes, strict=True)
            if rate and level_of(rate.value, edges) == level
        ]
        assert reasons == Counter(lost) and "" not in reasons


def test_without_levels_none_is_empty() -> None:
    outcomes, edges = select(questions(3), Selection())
    assert empty_levels([PassRate(0, 4)] * 3, outcomes, edges) == {}


def test_levels_of_no_question_are_told_as_such() -> None:
    """And not as too many equal pass rates, which they are not."""
    with pytest.raises(ValueError, match=r"No question is left: 1 not measured \(--evaluation or --rollouts\), 1 too "):
        select([Measured("a", 1, None), Measured("a", 1, PassRate(0, 40))], Selection(band=(0.5, 1), levels=2))


def test_a_cap_draws_by_source_and_by_seed() -> None:
    asked = questions(30) + questions(20, "MedMCQA")

    def kept(seed: int) -> list[int]:
        outcomes, _ = select(asked, Selection(caps={"MedQA": 7}, seed=seed))
        return [place for place, outcome in enumerate(outcomes) if not outcome.reason]

    assert Counter(asked[place].data_source for place in kept(0)) == {"MedQA": 7, "MedMCQA": 20}
    assert kept(0) == kept(0) != kept(1)


def test_a_cap_of_one_source_moves_no_question_of_another() -> None:
    alone, _ = select(questions(30), Selection(caps={"MedQA": 7}))
    together, _ = select(questions(20, "MedMCQA") + questions(30), Selection(caps={"MedQA": 7}))
    assert [outcome.reason for outcome in together[20:]] == [outcome.reason for outcome in alone]


@given(st.lists(st.tuples(COUNTS, st.integers(1, 200)), min_size=1, max_size=40), st.floats(0.1, 1))
def test_the_longest_share_stays_and_no_shorter_one(drawn: list, longest: float) -> None:
    asked = [Measured("MedQA", words, PassRate(*counts)) for counts, words in drawn]
    outcomes, _ = select(asked, Selection(longest=longest))
    kept = [question.words for question, outcome in zip(asked, outcomes, strict=True) if not outcome.reason]
    short = [question.words for question, outcome in zip(asked, outcomes, strict=True) if outcome.reason]
    assert len(kept) >= longest * len(asked) - 1e-9 > len(kept) - 1
    assert not short or max(short) <= min(kept)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"band": (0.9, 0.1)}, r"--band is 0\.9:0\.1; give two pass rates from 0 to 1, the lower one first"),
        ({"band": (float("nan"), 1.0)}, "--band is nan:1"),
        ({"confidence": 1.0}, "--confidence is 1; it must be at least 0 and below 1"),
        ({"longest": 0.0}, "--longest is 0; it must be above 0"),
        ({"levels": 3, "edges": (0.5,)}, "--levels and --edges both"),
        ({"levels": 1}, "--levels is 1; give at least 2"),
        ({"edges": (0.5, 0.2)}, r"--edges is 0\.5,0\.2; give rising"),
        ({"edges": (0.0,)}, "--edges is 0; give rising pass rates above 0"),
        ({"caps": {"MedQA": 0}}, "--cap MedQA is 0; it must be at least 1"),
    ],
)
def test_wrong_rules_are_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Selection(**changes).check()


def test_a_cap_of_an_unknown_source_is_refused() -> None:
    with pytest.raises(ValueError, match="--cap names medqa; the questions are of MedQA"):
        select(questions(3), Selection(caps={"medqa": 2}))
