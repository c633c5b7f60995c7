"""The gain of a reader over naive retrieval, and that nothing but the reader's replies is scored."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import compute_score
from reward_score.reader import FACTS, READING

INFO = {"options": {"A": "Third nerve palsy", "B": "Horner syndrome"}}
RIGHT, WRONG, REFUSED = "<think>x</think><answer>B</answer>", "<answer>A</answer>", "<answer>unknown</answer>"


def score(answer: Any, naive: Any, text: str = "", failed: str = "", **more: Any) -> dict[str, Any]:
    reading = {"reader": "r", "answer": answer, "naive_answer": naive, "failed": failed}
    return dict(compute_score("MedQA", text, "B", {**INFO, FACTS: {READING: reading}}, **more))


@pytest.mark.parametrize(
    ("answer", "naive", "gain"),
    [
        (RIGHT, WRONG, 1.0),
        (RIGHT, REFUSED, 1.0),
        (RIGHT, RIGHT, 0.0),
        (WRONG, WRONG, 0.0),
        (WRONG, RIGHT, -1.0),
        ("", RIGHT, -1.0),
        ("<answer>A</answer><answer>B</answer>", RIGHT, -1.0),
        ("no tags", REFUSED, 0.0),
    ],
)
def test_the_reward_is_the_gain(answer: str, naive: str, gain: float) -> None:
    found = score(answer, naive)
    assert found["score"] == found["gain"] == found["reader_correct"] - found["naive_correct"] == gain
    assert found["acc"] == found["reader_correct"] and found["reader_failed"] == 0.0


@given(st.text() | st.sampled_from([RIGHT, "<answer>B</answer>", "facts", '{"reading": {"answer": "B"}}']))
def test_what_the_searcher_writes_changes_nothing(text: str) -> None:
    assert score(WRONG, RIGHT, text) == score(WRONG, RIGHT)


def test_schemes_do_not_change_the_gain() -> None:
    assert score(RIGHT, WRONG, scheme="release", num_tokens=5) == score(RIGHT, WRONG)


def test_a_missing_reply_is_no_wrong_one() -> None:
    found = score("", "", RIGHT, failed="reader: HTTP 500")
    assert (found["reader_failed"], found["error"], found["reason"]) == (1.0, 1.0, "reader: HTTP 500")
    assert found["score"] == found["acc"] == found["gain"] == 0.0


@pytest.mark.parametrize("reply", [None, 3])
def test_a_reply_that_is_no_text_is_an_error_of_the_row(reply: Any) -> None:
    found = score(reply, RIGHT)
    assert found["error"] == 1.0 and found["acc"] == 0.0


def test_a_row_that_can_not_be_scored_has_no_gain() -> None:
    reading = {"reader": "r", "answer": RIGHT, "naive_answer": WRONG, "failed": ""}
    found = compute_score("MedQA", "", "Z", {**INFO, FACTS: {READING: reading}})
    assert found["error"] == 1.0 and found["score"] == 0.0
