"""Generated patients: the exact optimum, against brute force and simulation."""

import random
from dataclasses import replace
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
    cases = [replace(draw_case(world, rng), budget=rng.randint(1, 3)) for _ in range(4000)]
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


@given(worlds(), st.integers(0, 2), st.integers(1, 3))
def test_a_question_is_worth_at_most_what_the_best_one_is(world: World, first: int, questions: int) -> None:
    answers = ((0, True),) if first == 0 else ()
    unknown = [finding for finding in range(len(world.likelihood[0])) if finding not in dict(answers)]
    values = {finding: world.asking(answers, finding, questions) for finding in unknown}
    value, best = world.value(answers, questions), world.question(answers, questions)
    assert all(found <= value + 1e-12 for found in values.values())
    if best is not None:
        assert values[best] == pytest.approx(value)
    assert world.value(answers, 0) - 1e-12 <= world.unguided(answers, questions) <= value + 1e-12


def test_random_questions_are_worth_what_they_reach_on_drawn_patients() -> None:
    world, rng = make_world(0), random.Random(2)
    right = expected = 0.0
    for _ in range(3000):
        case = draw_case(world, rng)
        answers = ((case.complaint, True),)
        expected += world.unguided(answers, 2)
        others = [finding for finding in range(len(FINDINGS)) if finding != case.complaint]
        asked = rng.sample(others, 2)
        beliefs = world.posterior(tuple(sorted((*answers, *((one, case.findings[one]) for one in asked)))))
        right += beliefs.index(max(beliefs)) == case.disease
    assert right / 3000 == pytest.approx(expected / 3000, abs=0.03)


@pytest.mark.parametrize("skewed", [False, True])
def test_there_is_much_to_gain_by_asking_and_more_by_choosing_what_to_ask(skewed: bool) -> None:
    """Otherwise a model that asks for anything would look as if it had learned what to ask."""
    for seed in range(3):
        world = make_world(seed, skewed)
        complaints = [((finding, True),) for finding in range(len(FINDINGS))]
        guess = sum(world.value(start, 0) for start in complaints)
        for questions in (1, 3):
            best = sum(world.value(start, questions) for start in complaints)
            unguided = sum(world.unguided(start, questions) for start in complaints)
            assert best - guess > 0.1 * len(complaints)
            assert unguided - guess < 0.6 * (best - guess)
