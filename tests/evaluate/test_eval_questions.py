"""Prepared parquet becomes questions, and a wrong file one sentence; a response becomes a sample."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reward_score import compute_score
from verl_medu1.evaluate.questions import Question, read_questions
from verl_medu1.evaluate.scoring import Response, call_of, sample_of


def _row(number: int = 0, **extra: Any) -> dict[str, Any]:
    return {
        "data_source": "MedQA",
        "prompt": [{"role": "user", "content": f"Which is right in case {number}?"}],
        "ability": "multiple_choice",
        "reward_model": {"style": "rule", "ground_truth": "B"},
        "extra_info": {
            "row_id": f"r{number}",
            "options": [{"letter": "A", "text": "rest"}, {"letter": "B", "text": "aspirin"}],
            "budget_mode": "max",
            "budget_tokens": 30,
            "budget_counts": "response",
        }
        | extra,
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    def write(rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path

    return write


def test_rows_become_questions_in_order(write: Callable) -> None:
    questions = read_questions(write([_row(2), _row(1)]))
    assert [question.row_id for question in questions] == ["r2", "r1"]
    assert questions[0].prompt == [{"role": "user", "content": "Which is right in case 2?"}]
    assert (questions[0].ground_truth, questions[0].budget_mode, questions[0].budget_tokens) == ("B", "max", 30)


def _without(column: str) -> dict[str, Any]:
    return {name: value for name, value in _row().items() if name != column}


def _without_extra(field: str) -> dict[str, Any]:
    extra = {name: value for name, value in _row()["extra_info"].items() if name != field}
    return _row() | {"extra_info": extra}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([_without("prompt")], "has no column prompt"),
        ([_without("extra_info")], "has no column extra_info"),
        ([_without_extra("budget_mode")], "has no column extra_info.budget_mode"),
        ([_row() | {"reward_model": {"style": "rule"}}], "has no column reward_model.ground_truth"),
        ([_row() | {"extra_info": "text"}], "has no column extra_info.row_id"),
        ([_row() | {"data_source": "MedQQ"}], "data_source 'MedQQ', which has no scorer; known are .*MedQA"),
        ([_row(1), _row(1)], "row_id 'r1' of MedQA twice"),
        ([_row(budget_mode="about")], "budget_mode 'about' in row 'r0'; choose one of none, exact, max"),
        ([_row(budget_tokens=0)], "budget_tokens 0 in row 'r0'"),
        ([_row(budget_counts="words")], "budget_counts 'words' in row 'r0'; choose one of response, reasoning"),
        ([{"question": "?", "answer": "B"}], "has no column data_source, prompt, reward_model, extra_info"),
    ],
)
def test_a_wrong_table_is_one_sentence_that_names_the_fault(write: Callable, rows: list, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        read_questions(write(rows))
    assert "\n" not in str(raised.value)


def test_missing_and_foreign_files_are_refused(tmp_path: Path, write: Callable) -> None:
    with pytest.raises(ValueError, match=r"nothing.parquet does not exist; prepare"):
        read_questions(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("question,answer\n")
    with pytest.raises(ValueError, match=r"text.parquet is not a parquet file"):
        read_questions(tmp_path / "text.parquet")
    empty = write([_row()])
    pq.write_table(pq.read_table(empty).slice(0, 0), empty)
    with pytest.raises(ValueError, match="has no rows"):
        read_questions(empty)


RIGHT = "<think>It thins the blood.</think><answer>B</answer>"


@pytest.mark.parametrize(
    ("text", "length", "mode", "acc", "format_kept", "distance"),
    [
        (RIGHT, 40, "max", 1.0, 1.0, 10),
        (RIGHT, 20, "max", 1.0, 1.0, 0),
        (RIGHT, 20, "exact", 1.0, 1.0, 10),
        (RIGHT, 20, "none", 1.0, 1.0, 0),
        (RIGHT.replace(">B<", ">A<"), 30, "max", 0.0, 1.0, 0),
        ("no tags at all", 130, "exact", 0.0, 0.0, 100),
        ("", 1, "max", 0.0, 0.0, 0),
    ],
)
def test_a_response_becomes_a_sample(
    text: str, length: int, mode: str, acc: float, format_kept: float, distance: float
) -> None:
    info = _row(budget_mode=mode, budget_tokens=0 if mode == "none" else 30)["extra_info"]
    question = Question("r0", "MedQA", _row()["prompt"], "B", info)
    response = Response(text, length, truncated=False, counted_tokens=length)
    sample = sample_of(question, response, 3, compute_score(**call_of(question, response)))
    assert (sample["acc"], sample["format"], sample["budget_distance"]) == (acc, format_kept, distance)
    assert (sample["row_id"], sample["sample"], sample["length"], sample["response"]) == ("r0", 3, length, text)
    assert (sample["answer_type"], sample["error"]) == ("multiple_choice", 0.0)


def test_the_distance_is_that_of_what_the_budget_counts() -> None:
    question = Question("r0", "MedQA", _row()["prompt"], "B", _row(budget_counts="reasoning")["extra_info"])
    response = Response(RIGHT, 50, truncated=False, counted_tokens=32)
    sample = sample_of(question, response, 0, compute_score(**call_of(question, response)))
    assert (sample["length"], sample["counted_tokens"], sample["budget_distance"]) == (50, 32, 2.0)
