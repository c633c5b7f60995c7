"""Means and intervals: tables, what holds for all inputs, and coverage on simulated models."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.evaluate.statistics import accuracy, bootstrap_mean, paired_difference

SHARES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=60)


@given(SHARES)
def test_interval_holds_the_mean_and_stays_between_zero_and_one(values: list[float]) -> None:
    estimate = accuracy(values)
    assert estimate.value == pytest.approx(np.mean(values))
    assert 0 <= estimate.low <= estimate.value + 1e-12
    assert estimate.value - 1e-12 <= estimate.high <= 1


@given(SHARES)
def test_same_values_and_seed_give_the_same_interval(values: list[float]) -> None:
    assert accuracy(values, seed=3) == accuracy(values, seed=3)


@given(SHARES)
def test_exchanging_right_and_wrong_mirrors_the_mean(values: list[float]) -> None:
    assert accuracy([1 - value for value in values]).value == pytest.approx(1 - accuracy(values).value)


# Wilson's interval for n of n and 0 of n has a closed form: n / (n + z^2).
@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([1.0] * 10, 10 / (10 + 1.959964**2), 1.0), ([0.0] * 10, 0.0, 1.959964**2 / (10 + 1.959964**2)),
     ([1.0], 1 / (1 + 1.959964**2), 1.0)],
)  # fmt: skip
def test_without_spread_the_interval_is_wilsons(values: list[float], low: float, high: float) -> None:
    estimate = accuracy(values)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-6)


def test_more_questions_give_a_narrower_interval() -> None:
    few, many = accuracy([0.0, 1.0] * 10), accuracy([0.0, 1.0] * 1000)
    assert many.high - many.low < (few.high - few.low) / 5


def test_repeating_a_question_is_not_more_evidence() -> None:
    # Four samples of each question enter as one mean: the interval is that of 50 questions, not of 200.
    rng = np.random.default_rng(0)
    truth = rng.random(50) < 0.5
    estimate = accuracy(np.stack([truth] * 4).mean(axis=0))
    assert estimate == accuracy(truth.astype(float))


@pytest.mark.parametrize(("questions", "ability", "samples"), [(100, 0.3, 1), (60, 0.9, 4)])
def test_interval_covers_the_truth_of_simulated_models(questions: int, ability: float, samples: int) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        difficulty = rng.beta(8 * ability, 8 * (1 - ability), size=questions)
        estimate = accuracy(rng.binomial(samples, difficulty) / samples)
        covered += estimate.low <= ability <= estimate.high
    assert 0.92 <= covered / 400 <= 0.98  # 95 % within 3 standard errors of 400 simulations


@pytest.mark.parametrize("values", [[], [[0.5]], [float("nan")], [0.0, float("inf")]])
def test_values_without_a_mean_are_refused(values: list) -> None:
    with pytest.raises(ValueError, match="A mean needs"):
        bootstrap_mean(values)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_no_accuracy_outside_zero_and_one(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        accuracy([0.5, value])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_difference_changes_sign_when_before_and_after_are_exchanged(pairs: list[tuple[bool, bool]]) -> None:
    before, after = map(list, zip(*pairs, strict=True))
    there, back = paired_difference(before, after), paired_difference(after, before)
    assert there.value == pytest.approx(-back.value)


def test_difference_of_equals_is_zero_and_claims_no_interval() -> None:
    estimate = paired_difference([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert estimate.value == 0
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_paired_interval_is_narrower_than_the_unpaired_ones() -> None:
    before = [0.0] * 40 + [1.0] * 60
    after = [0.0] * 30 + [1.0] * 70
    paired = paired_difference(before, after)
    assert paired.low > 0  # ten questions became right and none wrong
    assert accuracy(after).low < accuracy(before).high  # the separate intervals overlap


def test_a_difference_needs_the_same_questions() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_difference([0.0, 1.0], [1.0])
