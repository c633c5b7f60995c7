"""The files of an evaluation: samples.jsonl and summary.json, and the names of the two that are written on the way."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from verl_medu1.run_folder.whole_file import replace_file

Sample = dict[str, Any]  # a row of samples.jsonl
SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"
# The cache of responses (evaluate/cache.py), and what vLLM prints.
RESPONSES, ENGINE_LOG = "responses.jsonl", "engine.log"
# Fields of a sample that comparing two evaluations needs.
NEEDED = ("row_id", "data_source", "asked_as", "ground_truth", "answer_type", "acc")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object per line, atomically.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "rows.jsonl"
        >>> write_jsonl(path, [{"score": 1.0}])
        >>> read_jsonl(path)
        [{'score': 1.0}]
    """
    replace_file(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append one JSON object per line; the file is closed before this returns."""
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object per line; a last line without a newline, which is still being written, is ignored.

    Raises:
        ValueError: a line is not a JSON object.
    """
    rows = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                break
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                row = None
            if not isinstance(row, dict):
                raise ValueError(f"Line {number} of {path} is not valid JSON object; write the file again.")
            rows.append(row)
    return rows


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write one JSON object, atomically. NaN raises ValueError, because JSON has no NaN."""
    replace_file(path, [json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"])


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not valid JSON object; write the file again.")
    return value


def read_evaluation(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read the summary and the samples that `medu1 eval --out FOLDER` wrote.

    Raises:
        ValueError: the folder has no evaluation, or one of its files can't be read.
    """
    for name in (SUMMARY, SAMPLES):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} has no {name}; make it with `medu1 eval --out {folder}`.")
    samples = read_jsonl(folder / SAMPLES)
    for number, sample in enumerate(samples, start=1):
        if missing := [name for name in NEEDED if name not in sample]:
            raise ValueError(
                f"Line {number} of {folder / SAMPLES} has no {', '.join(missing)}; make it with "
                f"`medu1 eval --out {folder}`."
            )
    return read_json(folder / SUMMARY), samples
