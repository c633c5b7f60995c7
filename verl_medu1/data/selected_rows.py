"""Reads prepared rows for a selection, and writes the selected ones with their pass rates and levels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from verl_medu1.data.schema import QUESTION_COLUMNS
from verl_medu1.data.selection import Measured, Outcome, PassRate
from verl_medu1.data.storage import MANIFEST, write_data_set

FILE = "train.parquet"
# What a selection adds to extra_info.
FIELDS = (("pass_rate", pa.float64()), ("pass_samples", pa.int64()), ("level", pa.string()))

Row = dict[str, Any]
Key = tuple[str, str]


def key_of(row: Mapping[str, Any]) -> Key:
    """Return the unique key of a row: a `row_id` is unique only within its data source."""
    return row["data_source"], row["extra_info"]["row_id"]


def read_rows(path: Path) -> tuple[pa.Schema, list[Row]]:
    """Read the rows of a training file, with whatever columns it has.

    Raises:
        ValueError: the file is missing, not parquet, lacks a column, is empty, has a row twice, or has test rows.
    """
    if not path.is_file():
        raise ValueError(f"--data {path} does not exist; prepare it with `medu1 prepare`.")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"--data {path} is not a parquet file ({str(error).splitlines()[0]}).") from None
    missing = [name for name in QUESTION_COLUMNS if name not in table.schema.names]
    if not missing:
        kind = table.schema.field("extra_info").type
        names = {field.name for field in kind} if pa.types.is_struct(kind) else set()
        missing = [] if "row_id" in names else ["extra_info.row_id"]
    if missing:
        raise ValueError(f"--data {path} has no column {', '.join(missing)}; prepare it with `medu1 prepare`.")
    rows = table.to_pylist()
    if not rows:
        raise ValueError(f"--data {path} has no rows; prepare it with more questions.")
    seen: set[Key] = set()
    for row in rows:
        if (key := key_of(row)) in seen:
            raise ValueError(f"--data {path} has the row_id {key[1]!r} of {key[0]} twice; prepare it again.")
        seen.add(key)
    if test := sum(row["extra_info"].get("split") == "test" for row in rows):
        raise ValueError(
            f"--data {path} has {test} test rows, which nothing may be trained on; give the train.parquet."
        )
    return table.schema, rows


def earlier_rate(row: Mapping[str, Any]) -> PassRate | None:
    """Return the pass rate that an earlier selection wrote into a row; None without one.

    Example:
        >>> earlier_rate({"extra_info": {"pass_rate": 0.25, "pass_samples": 8}})
        PassRate(right=2, samples=8)
    """
    rate, samples = (row["extra_info"].get(name) for name in ("pass_rate", "pass_samples"))
    return PassRate(round(rate * samples), samples) if samples else None


def measured(row: Mapping[str, Any], rate: PassRate | None) -> Measured:
    """Return a row as the selection sees it. Its length is that of the user's message: question, options, instruction.

    Example:
        >>> measured({"data_source": "MedQA", "prompt": [{"role": "user", "content": "Which one?"}]}, None).words
        2
    """
    return Measured(row["data_source"], len(row["prompt"][-1]["content"].split()), rate)


def selected_schema(schema: pa.Schema) -> pa.Schema:
    """Return a file's schema with the columns of a selection in `extra_info`; other columns stay as they are.

    Example:
        >>> schema = pa.schema([("extra_info", pa.struct([("row_id", pa.string())]))])
        >>> [field.name for field in selected_schema(schema).field("extra_info").type]
        ['row_id', 'pass_rate', 'pass_samples', 'level']
    """
    added = dict(FIELDS)
    kept = [field for field in schema.field("extra_info").type if field.name not in added]
    return schema.set(
        schema.get_field_index("extra_info"), pa.field("extra_info", pa.struct([*kept, *FIELDS]))
    ).remove_metadata()


def write_selected(
    data: Path,
    out: Path,
    schema: pa.Schema,
    rows: Sequence[Row],
    rates: Sequence[PassRate | None],
    outcomes: Sequence[Outcome],
    selection: Mapping[str, Any],
) -> None:
    """Write the selected rows as `out/train.parquet`, and a manifest.

    The manifest is that of the folder of `data`, so that sources, licences and test sets stay known, with `selection`
    and the number of rows.

    Args:
        data: the file that the rows come from.
        out: folder, new or an earlier data set's.
        schema: the file's schema.
        rows, rates, outcomes: one per row.
        selection: what the manifest says of it.

    Raises:
        ValueError: the folder can't be written.
    """
    kept = [
        row | {"extra_info": row["extra_info"] | _added(place, rate, outcome.level)}
        for place, (row, rate, outcome) in enumerate(
            (row, rate, outcome)
            for row, rate, outcome in zip(rows, rates, outcomes, strict=True)
            if not outcome.reason and rate is not None
        )
    ]
    counts: dict[str, int] = {}
    for row in kept:
        counts[row["data_source"]] = counts.get(row["data_source"], 0) + 1
    manifest = _manifest_beside(data) | {"rows": {"train": dict(sorted(counts.items()))}, "selection": selection}
    write_data_set(out, {FILE: (selected_schema(schema), kept)}, manifest)


def _added(index: int, rate: PassRate, level: str) -> Row:
    return {"index": index, "pass_rate": rate.value, "pass_samples": rate.samples, "level": level or None}


def _manifest_beside(data: Path) -> dict[str, Any]:
    path = data.parent / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path} is cut off or no JSON ({error}); prepare the data again.") from None
    return {name: value for name, value in found.items() if name != "files"} if isinstance(found, dict) else {}
