"""Length budgets: distances against hand-computed values."""

import pytest

from verl_medu1.length import budget_distance


@pytest.mark.parametrize(
    ("length", "mode", "budget", "distance"),
    [
        (100, "exact", 100, 0),
        (150, "exact", 100, 50),
        (50, "exact", 100, 50),
        (0, "exact", 100, 100),
        (60, "max", 100, 0),
        (100, "max", 100, 0),
        (125, "max", 100, 25),
        (77, "none", 0, 0),
    ],
)
def test_distance(length, mode, budget, distance):
    assert budget_distance(length, mode, budget) == distance


@pytest.mark.parametrize(("mode", "budget"), [("about", 10), ("exact", 0), ("max", -1)])
def test_impossible_budgets_are_refused(mode, budget):
    with pytest.raises(ValueError, match="budget"):
        budget_distance(1, mode, budget)
