"""The spread of rewards within a group, and the alarm when it is small."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.training.reward_spread import ALARM, collapse_metrics

SPREAD = "reward/MedQA/score/spread"


def answers(*groups: list[float], source: str = "MedQA") -> list[dict]:
    return [
        {"uid": f"{source}-{number}", "data_source": source, "score": score}
        for number, scores in enumerate(groups)
        for score in scores
    ]


@pytest.mark.parametrize(
    ("samples", "bound", "expected"),
    [
        (answers([1.0, 0.0]), 0.05, {SPREAD: math.sqrt(0.5), ALARM: 0.0}),
        # Groups whose rewards are equal teach nothing, and do not count.
        (answers([1.0, 0.0], [1.0, 1.0]), 0.05, {SPREAD: math.sqrt(0.5), ALARM: 0.0}),
        (answers([1.0, 1.0], [0.0, 0.0]), 0.05, {ALARM: 0.0}),
        # A narrow band is an alarm, also in one source beside a wide one.
        (answers([0.61, 0.62]), 0.05, {SPREAD: 0.01 * math.sqrt(0.5), ALARM: 1.0}),
        (
            answers([0.61, 0.62]) + answers([1.0, 0.0], source="calc"),
            0.05,
            {SPREAD: 0.01 * math.sqrt(0.5), "reward/calc/score/spread": math.sqrt(0.5), ALARM: 1.0},
        ),
        (answers([0.61, 0.62]), None, {SPREAD: 0.01 * math.sqrt(0.5)}),
        (answers([math.nan, 0.5]), 0.05, {SPREAD: math.nan, ALARM: 1.0}),
        ([{"uid": "a", "data_source": "MedQA"}], 0.05, {}),
        ([], 0.05, {ALARM: 0.0}),
    ],
)
def test_spread_and_alarm(samples: list[dict], bound: float | None, expected: dict[str, float]) -> None:
    assert collapse_metrics(samples, bound) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=16), min_size=1, max_size=5))
def test_right_and_wrong_never_set_off_the_alarm_of_the_default(groups: list[list[bool]]) -> None:
    assert collapse_metrics(answers(*[list(map(float, group)) for group in groups]), 0.05)[ALARM] == 0.0
