"""Generated patients: the exact optimum, against brute force and simulation."""

import random
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.data.generated.consultation import FINDINGS, World, draw_case, make_world

CHANCES = st.floats(0.05, 0.95)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    diseases, findings = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    weights = [draw(CHANCES) for _ in range(diseases)]
    likelihood = tuple(tuple(draw(CHANCES) for _ in range(findings)) for _ in range(diseases))
    return World(tuple(weight / sum(weights) for weight in weights), likelihood)


@given(worlds())
def test_all_questions_are_worth_what_knowing_everything_is(world: World) -> None:
    findings = len(world.likelihood[0])
    expected = 0.0
    for pattern in product((True, False), repeat=findings):
        joint = [prior * _chance(row, pattern) for prior, row in zip(world.prior, world.likelihood, strict=True)]
        expected += max(joint)
    assert world.value((), findings) == pytest.approx(expected)
    assert world.value((), findings + 1) == pytest.approx(expected)


def _chance(row: tuple[float, ...], pattern: tuple[bool, ...]) -> float:
    chance = 1.0
    for probability, present in zip(row, pattern, strict=True):
        chance *= probability if present else 1 - probability
    return chance


@given(worlds())
def test_another_question_never_hurts_and_none_is_a_guess(world: World) -> None:
    values = [world.value((), questions) for questions in range(4)]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(values))
    assert values[0] == pytest.approx(max(world.prior))
    assert sum(world.posterior(((0, True),))) == pytest.approx(1.0)


def test_the_best_policy_reaches_its_value_on_drawn_patients() -> None:
    world, rng = make_world(0), random.Random(1)
    right = expected = 0.0
    cases = [draw_case(world, rng) for _ in range(4000)]
    for case in cases:
        answers = ((case.complaint, True),)
        expected += world.value(answers, case.budget)
        for left in range(case.budget, 0, -1):
            asked = world.question(answers, left)
            if asked is None:
                break
            answers = tuple(sorted((*answers, (asked, case.findings[asked]))))
        beliefs = world.posterior(answers)
        right += beliefs.index(max(beliefs)) == case.disease
    assert right / len(cases) == pytest.approx(expected / len(cases), abs=0.03)


def test_there_is_much_to_gain_by_asking() -> None:
    for seed in range(5):
        world = make_world(seed)
        guess = sum(world.value(((finding, True),), 0) for finding in range(len(FINDINGS))) / len(FINDINGS)
        best = sum(world.value(((finding, True),), 5) for finding in range(len(FINDINGS))) / len(FINDINGS)
        assert guess < 0.4 and best > 0.6
