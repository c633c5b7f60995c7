"""Failures of an environment: a few are borne, many end the run."""

import pytest

from verl_medu1.rollout.failed_calls import LEAST, WINDOW, FailedCalls


def answers(number: int, calls: float = 2.0, failed: float = 0.0) -> list[dict[str, float]]:
    return [{"calls": calls, "failed_calls": failed}] * number


def test_responses_without_an_environment_have_no_calls() -> None:
    FailedCalls(0.0).add([{"acc": 1.0}] * 100 + answers(100, calls=0.0))


def test_as_many_as_allowed_are_borne() -> None:
    FailedCalls(0.5).add(answers(50, failed=1.0))


def test_one_more_ends_the_run_and_says_how_many() -> None:
    calls = FailedCalls(0.5)
    calls.add(answers(50, failed=1.0))
    with pytest.raises(RuntimeError, match=r"51 of its latest 101 calls, and episodes.max_failed_share is 0.5"):
        calls.add(answers(1, calls=1.0, failed=1.0))


def test_the_first_few_say_nothing() -> None:
    calls = FailedCalls(0.0)
    calls.add(answers(LEAST - 1, failed=2.0))
    with pytest.raises(RuntimeError):
        calls.add(answers(1))


def test_old_failures_are_forgotten() -> None:
    calls = FailedCalls(0.01)
    calls.add(answers(10, failed=1.0))
    calls.add(answers(WINDOW))
    calls.add(answers(19, failed=1.0))
