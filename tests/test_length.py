"""Length budgets: distances and scores against hand-computed values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.length import budget_distance, get_penalty, relative_distance


@pytest.mark.parametrize(
    ("length", "mode", "budget", "distance", "score"),
    [
        (100, "exact", 100, 0, 1.0),
        (150, "exact", 100, 50, 0.0),
        (50, "exact", 100, 50, 0.0),
        (200, "exact", 100, 100, -1.0),
        (900, "exact", 100, 800, -1.0),
        (0, "exact", 100, 100, -1.0),
        (60, "max", 100, 0, 1.0),
        (100, "max", 100, 0, 1.0),
        (125, "max", 100, 25, 0.5),
        (77, "none", 0, 0, 0.0),
    ],
)
def test_distance_and_score(length, mode, budget, distance, score):
    assert budget_distance(length, mode, budget) == distance
    assert relative_distance(length, mode, budget) == pytest.approx(score)


def test_the_tolerance_is_free():
    assert relative_distance(110, "exact", 100, tolerance=0.1) == 1.0
    assert relative_distance(120, "exact", 100, tolerance=0.1) == pytest.approx(0.8)


@given(st.integers(0, 10**6), st.sampled_from(["exact", "max"]), st.integers(1, 10**6), st.floats(0, 1))
def test_the_score_stays_in_its_range(length, mode, budget, tolerance):
    assert -1.0 <= relative_distance(length, mode, budget, tolerance) <= 1.0


@pytest.mark.parametrize(("mode", "budget"), [("about", 10), ("exact", 0), ("max", -1)])
def test_impossible_budgets_are_refused(mode, budget):
    with pytest.raises(ValueError, match="budget"):
        budget_distance(1, mode, budget)


def test_an_unknown_penalty_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"length_penalty\.name is 'nope'; choose one of relative_distance"):
        get_penalty("nope")
