"""Shares, intervals and paired tests: tables, what holds for all inputs, coverage and level on simulated models."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from reward_score.open_ended import judge_open_ended
from verl_medu1.evaluate.statistics import (
    difference_interval,
    paired_difference,
    pass_at_k,
    score_interval,
    share,
    sign_flip_test,
)
from verl_medu1.evaluate.votes import majority

SIMULATIONS = 2000
SHARES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=60)


@given(SHARES, st.sampled_from([1, 4, 8]))
def test_interval_holds_the_mean_and_stays_between_zero_and_one(values: list[float], samples: int) -> None:
    estimate = share(values, samples)
    assert estimate.value == pytest.approx(np.mean(values))
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1 + 1e-12


@given(SHARES)
def test_exchanging_right_and_wrong_mirrors_the_interval(values: list[float]) -> None:
    there, back = share(values, 4), share([1 - value for value in values], 4)
    assert (back.value, back.low, back.high) == pytest.approx((1 - there.value, 1 - there.high, 1 - there.low))


@pytest.mark.parametrize(("right", "questions"), [(0, 10), (10, 10), (3, 10), (57, 100), (199, 200)])
def test_with_one_sample_it_is_wilsons_interval(right: int, questions: int) -> None:
    expected = stats.binomtest(right, questions).proportion_ci(method="wilson")
    found = share([1.0] * right + [0.0] * (questions - right))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.integers(0, 300), st.integers(0, 300))
def test_another_right_answer_moves_no_end_down_and_another_wrong_one_none_up(right: int, wrong: int) -> None:
    assume(right + wrong)
    before = share([1.0] * right + [0.0] * wrong)
    better, worse = share([1.0] * (right + 1) + [0.0] * wrong), share([1.0] * right + [0.0] * (wrong + 1))
    tolerance = 1e-12
    assert better.low >= before.low - tolerance and better.high >= before.high - tolerance
    assert worse.low <= before.low + tolerance and worse.high <= before.high + tolerance


@pytest.mark.parametrize("samples", [1, 4])
def test_where_all_are_right_one_more_makes_the_interval_narrower(samples: int) -> None:
    lows = [share([1.0] * questions, samples).low for questions in range(1, 200)]
    assert all(fewer < more for fewer, more in itertools.pairwise(lows))


def test_more_questions_give_a_narrower_interval() -> None:
    few, many = share([0.0, 1.0] * 10), share([0.0, 1.0] * 1000)
    assert many.high - many.low < (few.high - few.low) / 5


def test_repeating_a_question_is_not_more_evidence() -> None:
    # Four samples that are all alike: the interval is that of 50 questions, not of 200.
    truth = np.random.default_rng(0).random(50) < 0.5
    assert share(np.stack([truth] * 4).mean(axis=0), 4) == share(truth.astype(float))


def test_samples_that_differ_by_chance_alone_count_in_full() -> None:
    rng = np.random.default_rng(0)
    four, one = (share(rng.binomial(samples, 0.5, size=20_000) / samples, samples) for samples in (4, 1))
    assert (four.high - four.low) == pytest.approx((one.high - one.low) / 2, rel=0.02)


def simulated(questions: int, accuracy: float, samples: int, concentration: float | None) -> np.ndarray:
    """(SIMULATIONS, questions) shares of right samples; None for questions that are all equally hard."""
    rng = np.random.default_rng(questions)
    shape = (SIMULATIONS, questions)
    p = accuracy
    if concentration is not None:
        p = rng.beta(concentration * accuracy, concentration * (1 - accuracy), size=shape)
    return rng.binomial(samples, p, size=shape) / samples


@pytest.mark.parametrize("questions", [50, 100, 221, 1000])
@pytest.mark.parametrize("accuracy", [0.1, 0.3, 0.5, 0.8, 0.9])
@pytest.mark.parametrize(("samples", "concentration"), [(1, 4.0), (4, 1.0), (4, 4.0), (8, None)])
def test_the_interval_covers_the_truth_of_simulated_models(
    questions: int, accuracy: float, samples: int, concentration: float | None
) -> None:
    values = simulated(questions, accuracy, samples, concentration)
    low, high = score_interval(values.mean(axis=1), values.var(axis=1), questions, samples)
    covered = np.mean((low <= accuracy) & (accuracy <= high))
    # 93 to 97 %, give or take the chance of 2000 simulations.
    assert 0.93 - 0.005 <= covered <= 0.97 + 0.005


@pytest.mark.parametrize("questions", [50, 221])
@pytest.mark.parametrize(("accuracy", "gain"), [(0.5, 0.0), (0.5, 0.1), (0.3, 0.2)])
@pytest.mark.parametrize("samples", [1, 4])
def test_the_interval_of_a_difference_covers_the_truth(
    questions: int, accuracy: float, gain: float, samples: int
) -> None:
    rng = np.random.default_rng(questions)
    hardness = rng.beta(4 * accuracy, 4 * (1 - accuracy), size=(SIMULATIONS, questions))
    better = hardness + gain * (1 - hardness) / (1 - accuracy)
    change = (rng.binomial(samples, better) - rng.binomial(samples, hardness)) / samples
    low, high = difference_interval(change.sum(axis=1), (change**2).sum(axis=1), questions)
    assert 0.93 <= np.mean((low <= gain) & (gain <= high)) <= 0.975


@pytest.mark.parametrize("questions", [20, 100])
@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("samples", [1, 4])
def test_the_paired_test_holds_its_level(questions: int, accuracy: float, samples: int) -> None:
    rng = np.random.default_rng(questions)
    hardness = rng.beta(4 * accuracy, 4 * (1 - accuracy), size=(1000, questions))
    change = (rng.binomial(samples, hardness) - rng.binomial(samples, hardness)) / samples
    alarms = np.mean([sign_flip_test(row) <= 0.05 for row in change])
    assert alarms <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


def test_the_paired_test_finds_a_difference() -> None:
    rng = np.random.default_rng(0)
    change = rng.binomial(4, 0.6, size=300) / 4 - rng.binomial(4, 0.45, size=300) / 4
    assert sign_flip_test(change) < 0.001


@given(st.lists(st.sampled_from([-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=10))
def test_the_p_value_is_that_of_all_choices_of_signs(differences: list[float]) -> None:
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in itertools.product((-1, 1), repeat=len(differences))]  # fmt: skip
    expected = np.mean([total >= abs(sum(differences)) - 1e-9 for total in sums])
    assert sign_flip_test(differences) == pytest.approx(expected)


@pytest.mark.parametrize(("better", "worse", "same"), [(7, 1, 3), (10, 0, 90), (5, 5, 0), (0, 0, 4), (60, 31, 9)])
def test_with_one_sample_it_is_mcnemars_exact_test(better: int, worse: int, same: int) -> None:
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_flip_test([1.0] * better + [-1.0] * worse + [0.0] * same) == pytest.approx(expected)


def test_shares_of_thirds_and_quarters_are_compared_exactly() -> None:
    change = np.array([1 / 3, 2 / 3, 1.0, 1 / 3]) - np.array([0.0, 0.25, 0.25, 0.75])
    sums = [abs(np.dot(signs, change)) for signs in itertools.product((-1, 1), repeat=4)]
    assert sign_flip_test(change) == pytest.approx(np.mean([total >= abs(change.sum()) - 1e-9 for total in sums]))


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_all_choices_of_k_samples(samples: int, data: st.DataObject) -> None:
    right, k = data.draw(st.integers(0, samples)), data.draw(st.integers(1, samples))
    answers = [True] * right + [False] * (samples - right)
    expected = np.mean([any(chosen) for chosen in itertools.combinations(answers, k)])
    assert pass_at_k([right], samples, k)[0] == pytest.approx(expected)


def test_pass_at_k_is_unbiased() -> None:
    # The mean over all outcomes of n = 6 samples, by their probabilities, is 1 - (1 - p)^k.
    for p, k in itertools.product((0.1, 0.5, 0.9), (1, 2, 5)):
        probabilities = stats.binom.pmf(np.arange(7), 6, p)
        assert probabilities @ pass_at_k(range(7), 6, k) == pytest.approx(1 - (1 - p) ** k)


@pytest.mark.parametrize(("right", "samples", "k"), [([1], 4, 5), ([1], 4, 0), ([5], 4, 2), ([-1], 4, 2)])
def test_what_has_no_pass_at_k_is_refused(right: list[int], samples: int, k: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        pass_at_k(right, samples, k)


@pytest.mark.parametrize(
    ("votes", "right", "expected"),
    [
        ("AAB", "A", 1.0),
        ("ABB", "A", 0.0),
        ("AB", "A", 0.5),
        ("ABC", "C", 1 / 3),
        (["", "", "A"], "A", 1.0),
        (["", ""], "A", 0.0),
    ],
)
def test_the_majority_votes(votes: list[str], right: str, expected: float) -> None:
    assert majority([{"pred": vote, "acc": float(vote == right)} for vote in votes]) == pytest.approx(expected)


def test_equal_open_ended_answers_vote_together() -> None:
    verdicts = [judge_open_ended(answer, "sepsis", {}) for answer in ("Sepsis.", "sepsis", "Gout", "Gout")]
    assert majority([{"pred": verdict.pred, "acc": float(verdict.correct)} for verdict in verdicts]) == 0.5


@pytest.mark.parametrize("values", [[], [[0.5]]])
def test_values_without_a_mean_are_refused(values: list) -> None:
    with pytest.raises(ValueError, match="A share needs"):
        share(values)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_no_share_outside_zero_and_one(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        share([0.5, value])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_difference_changes_sign_when_before_and_after_are_exchanged(pairs: list[tuple[bool, bool]]) -> None:
    before, after = map(list, zip(*pairs, strict=True))
    there, back = paired_difference(before, after), paired_difference(after, before)
    assert there[:3] == pytest.approx((-back.value, -back.high, -back.low))
    assert there.p_value == pytest.approx(back.p_value)
    assert there.low - 1e-12 <= there.value <= there.high + 1e-12


def test_difference_of_equals_claims_no_certainty() -> None:
    estimate = paired_difference([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (estimate.value, estimate.p_value) == (0.0, 1.0)
    assert estimate.low < 0 < estimate.high


def test_paired_interval_is_narrower_than_the_unpaired_ones() -> None:
    before = [0.0] * 40 + [1.0] * 60
    after = [0.0] * 30 + [1.0] * 70
    paired = paired_difference(before, after)
    assert paired.low > 0 and paired.p_value < 0.01  # ten questions became right and none wrong
    assert share(after).low < share(before).high  # the separate intervals overlap


@pytest.mark.parametrize(("before", "after", "message"), [([0.0, 1.0], [1.0], "got 2 and 1"), ([], [], "at least one")])
def test_a_difference_needs_the_same_questions(before: list, after: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(before, after)
