"""What rewards get for what an environment helps, and where nothing says what that is."""

import pytest

from verl_medu1.training.answer_gain import gains


def test_the_gain_of_each_response_and_none_of_padding() -> None:
    samples = [{"answer_gain": 0.5}, {"answer_gain": -0.25}, {"answer_gain": 9.0}]
    assert gains(samples, [False, False, True]).tolist() == [0.5, -0.25, 0.0]


def test_a_question_without_a_gain_keeps_the_differences_of_its_group() -> None:
    assert gains([{"answer_gain": None}, {"answer_gain": None}], [False, False]).tolist() == [0.0, 0.0]


def test_rewards_that_come_without_it_end_the_run() -> None:
    with pytest.raises(RuntimeError, match=r"a reward comes without answer_gain, .*; take it, or set .*weight=0"):
        gains([{"answer_gain": 0.5}, {"acc": 1.0}], [False, False])
