"""Each length penalty against values computed by hand from its published formula, and what holds for all inputs."""

import doctest
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.length import penalties
from verl_medu1.length.penalties import PENALTIES, Group, get_penalty


def values(name, lengths, correct=None, **group):
    lengths = np.array(lengths, dtype=float)
    right = np.ones(len(lengths), dtype=bool) if correct is None else np.array(correct, dtype=bool)
    return get_penalty(name).values(Group(lengths, right, **group)).tolist()


EXACT_100, MAX_100 = {"mode": "exact", "budget": 100}, {"mode": "max", "budget": 100}
EXACT_1000, MAX_1000 = {"mode": "exact", "budget": 1000}, {"mode": "max", "budget": 1000}


@pytest.mark.parametrize(
    ("name", "lengths", "correct", "group", "expected"),
    [
        ("relative_distance", [100, 150, 50, 200, 900, 0], None, EXACT_100, [1, 0, 0, -1, -1, -1]),
        ("relative_distance", [60, 100, 125], None, MAX_100, [1, 1, 0.5]),
        ("relative_distance", [110, 120], None, {**EXACT_100, "tolerance": 0.1}, [1, 0.8]),
        # The release: 0..1600 tokens still earn at least 0 at N = 100, the floor is 3000 tokens off.
        ("med_u1_exact", [100, 1600, 0, 3100, 4096], None, EXACT_100, [1, 0, 14 / 15, -1, -1]),
        ("med_u1_exact", [1750], [False], EXACT_1000, [0.5]),
        # The release: 0 at the budget, the most at 500 tokens under it; a budget of 100 pays 0.2 at most.
        ("med_u1_max", [1000, 500, 0, 1250, 1500, 4096], None, MAX_1000, [0, 1, 1, -0.5, -1, -1]),
        ("med_u1_max", [0, 50], None, MAX_100, [0.2, 0.1]),
        ("lcpo_exact", [1000, 2000, 0], None, EXACT_1000, [0, -0.3, -0.3]),
        # The paper: 0.5 at the budget, 0.0003 for each token, between 0 (1667 tokens over) and 1.
        ("lcpo_max", [1000, 1500, 500, 2600, 2700], None, MAX_1000, [0.5, 0.35, 0.65, 0.02, 0]),
        ("lcpo_max", [1000, 3000], None, {"mode": "max", "budget": 3000}, [1, 0.5]),
        ("lcpo_max", [500, 1000], [False, True], MAX_1000, [0, 0.5]),
        ("dapo_overlong", [16384, 18432, 20480, 30000], None, {"longest": 20480}, [0, -0.5, -1, -1]),
        ("dapo_overlong", [700, 800, 850, 1000, 1100], None, MAX_1000, [0, 0, -0.25, -1, -1]),
        # 8192 tokens are free; half of the way to the limit costs half of the cap.
        ("soft_overlong_cosine", [0, 8192, 12288, 16384, 30000], None, {"longest": 16384}, [0, 0, -0.25, -0.5, -0.5]),
        ("soft_overlong_cosine", [400, 600, 1000], None, {"longest": 1000, "free_share": 0.4}, [0, -0.125, -0.5]),
        ("soft_overlong_cosine", [750, 900, 1100], [True, False, False], MAX_1000, [-0.25, 0, 0]),
        ("soft_overlong_cosine", [500], None, {"longest": 1000, "free_share": 0}, [-0.25]),
        ("kimi", [100, 200, 300], None, {}, [0.5, 0, -0.5]),
        ("kimi", [100, 200, 300, 100], [True, False, False, False], {}, [0.5, 0, -0.5, 0]),
        ("kimi", [70, 70], None, {}, [0, 0]),
        ("alp", [500, 1000], [True, False], {"longest": 1000}, [-0.25, -0.5]),
        # Nobody right: the share is that of one right answer.
        ("alp", [1000] * 4, [False] * 4, {"longest": 1000}, [-0.25] * 4),
        # Two right answers are 1 / sqrt(2) of their deviation, which divides by n - 1, from their mean.
        (
            "grpo_lead",
            [100, 300, 900],
            [True, True, False],
            {},
            [math.expm1(0.05 / math.sqrt(2)), math.expm1(-0.05 / math.sqrt(2)), 0],
        ),
        ("grpo_lead", [100, 200, 300], None, {}, [math.exp(0.05) - 1, 0, math.exp(-0.05) - 1]),
        ("grpo_lead", [100, 300], [True, False], {}, [0, 0]),
        ("grpo_lead", [100, 100, 300], [True, True, False], {}, [0, 0, 0]),
        ("short_rl", [100, 200, 201, 500], None, {}, [0.5, 0.5, 0.5 - 101 / 400, -0.5]),
        ("short_rl", [100, 50], [True, False], {}, [0.5, 0]),
        ("group_relative", [100, 200, 300, 10], [True, True, True, False], {}, [0.5, 0, -0.5, 0]),
        ("group_relative", [100, 300], [True, False], {}, [0, 0]),
    ],
)
def test_values(name, lengths, correct, group, expected):
    assert values(name, lengths, correct, **group) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_rows_of_another_budget_mode_are_left_alone(name):
    for mode in {"none", "exact", "max"} - get_penalty(name).modes:
        assert values(name, [1, 500], mode=mode, budget=100, longest=1000) == [0, 0]


lengths_and_verdicts = st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=9)


@pytest.mark.parametrize("name", sorted(PENALTIES))
@given(rows=lengths_and_verdicts, budget=st.integers(1, 10**5), data=st.data())
def test_values_are_finite_ordered_as_the_rows_and_never_favour_the_longer_of_two_over_budget(name, rows, budget, data):
    mode = data.draw(st.sampled_from(sorted(get_penalty(name).modes)))
    group = {"mode": mode, "budget": budget, "longest": 10**6}
    lengths, correct = [row[0] for row in rows], [row[1] for row in rows]
    found = values(name, lengths, correct, **group)
    assert np.isfinite(found).all() and len(found) == len(rows)
    order = data.draw(st.permutations(range(len(rows))))
    again = values(name, [lengths[i] for i in order], [correct[i] for i in order], **group)
    assert again == pytest.approx([found[i] for i in order], abs=1e-9)
    over = sorted((length, value) for length, value, right in zip(lengths, found, correct, strict=True)
                  if right and length >= budget)  # fmt: skip
    assert all(later <= earlier + 1e-9 for (_, earlier), (_, later) in pairwise(over))


def test_an_unknown_penalty_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"length_penalty\.name is 'nope'; choose one of alp, dapo_overlong, group"):
        get_penalty("nope")


@pytest.mark.parametrize(("mode", "budget"), [("about", 10), ("exact", 0), ("max", -1)])
def test_impossible_budgets_are_refused(mode, budget):
    with pytest.raises(ValueError, match="budget"):
        values("kimi", [1], mode=mode, budget=budget)


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(penalties).failed == 0
