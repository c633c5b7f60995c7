"""Reads prepared parquet files into questions, and reports errors in a file before anything starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reward_score import known_sources
from verl_medu1.data.images.prepared import prepared_images
from verl_medu1.data.schema import IMAGES, QUESTION_COLUMNS
from verl_medu1.length.budget import BUDGET_MODES, COUNTED, what_is_counted

EXTRA_FIELDS = ("row_id", "budget_mode", "budget_tokens")
AS_PREPARED = "as_prepared"
HOW_TO_PREPARE = "prepare the file with `medu1 prepare`"


@dataclass(frozen=True)
class Question:
    """One row of prepared data."""

    row_id: str
    data_source: str
    prompt: list[dict[str, str]]  # chat messages: role and content
    ground_truth: str
    extra_info: dict[str, Any]  # as the scorers get it: options, limits, unit
    asked_as: str = AS_PREPARED  # format: as prepared, or one of `verl_medu1.evaluate.formats.FORMATS`
    images: tuple[bytes, ...] = ()  # encoded, one for each `<image>` in the prompt

    @property
    def budget_mode(self) -> str:
        return self.extra_info["budget_mode"]

    @property
    def budget_tokens(self) -> int:
        return self.extra_info["budget_tokens"]

    @property
    def budget_counts(self) -> str:
        return what_is_counted(self.extra_info)


def _fields(schema: pa.Schema, column: str) -> set[str]:
    kind = schema.field(column).type
    return {field.name for field in kind} if pa.types.is_struct(kind) else set()


def _check_schema(schema: pa.Schema, path: Path) -> None:
    missing = [name for name in QUESTION_COLUMNS if name not in schema.names]
    if not missing:
        missing = [f"extra_info.{name}" for name in EXTRA_FIELDS if name not in _fields(schema, "extra_info")]
        missing += [f"reward_model.{name}" for name in ("ground_truth",) if name not in _fields(schema, "reward_model")]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; {HOW_TO_PREPARE}.")


def read_questions(path: Path) -> list[Question]:
    """Read prepared questions.

    Args:
        path: parquet file that `medu1 prepare` wrote.

    Returns:
        One question per row, in the file's order.

    Raises:
        ValueError: the file is missing, not parquet, empty, lacks a required column, or has a data source without a
            scorer, a duplicate row, or an invalid budget.
    """
    if not path.is_file():
        raise ValueError(f"--data {path} does not exist; {HOW_TO_PREPARE}.")
    try:
        table = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise ValueError(f"--data {path} is not a parquet file ({error}); {HOW_TO_PREPARE}.") from None
    _check_schema(table.schema_arrow, path)
    columns = [*QUESTION_COLUMNS, *([IMAGES] if IMAGES in table.schema_arrow.names else [])]
    questions = [
        Question(
            row_id=row["extra_info"]["row_id"],
            data_source=row["data_source"],
            prompt=row["prompt"],
            ground_truth=row["reward_model"]["ground_truth"],
            extra_info=row["extra_info"],
            images=_images(row, number, path),
        )
        for number, row in enumerate(table.read(columns=columns).to_pylist())
    ]
    if not questions:
        raise ValueError(f"--data {path} has no rows; {HOW_TO_PREPARE}.")
    _check_rows(questions, path)
    return questions


def _images(row: dict[str, Any], number: int, path: Path) -> tuple[bytes, ...]:
    if IMAGES not in row:
        return ()
    try:
        return tuple(prepared_images(row))
    except ValueError as error:
        raise ValueError(f"--data {path}, row {number}: {error}; {HOW_TO_PREPARE}.") from None


def _check_rows(questions: list[Question], path: Path) -> None:
    known = known_sources()
    seen: set[tuple[str, str]] = set()
    for question in questions:
        if question.data_source not in known:
            raise ValueError(
                f"{path} has data_source {question.data_source!r}, which has no scorer; known are {', '.join(known)}."
            )
        key = (question.data_source, question.row_id)
        if key in seen:
            raise ValueError(f"{path} has the row_id {key[1]!r} of {key[0]} twice; {HOW_TO_PREPARE}.")
        seen.add(key)
        if question.budget_mode not in BUDGET_MODES:
            raise ValueError(
                f"{path} has budget_mode {question.budget_mode!r} in row {question.row_id!r}; "
                f"choose one of {', '.join(BUDGET_MODES)}."
            )
        if question.budget_counts not in COUNTED:
            raise ValueError(
                f"{path} has budget_counts {question.budget_counts!r} in row {question.row_id!r}; "
                f"choose one of {', '.join(COUNTED)}."
            )
        if question.budget_mode != "none" and question.budget_tokens < 1:
            raise ValueError(
                f"{path} has budget_tokens {question.budget_tokens} in row {question.row_id!r}; "
                "a budget needs at least one token."
            )
