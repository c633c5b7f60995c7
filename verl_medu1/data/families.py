"""Families of a mixture: what `data.mixture.by` may name, and the family of each row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from reward_score.evidence import JOINT

# Fields of `extra_info`, and the family of rows without one: `medu1 select` writes the first. The others are columns.
LEVEL, STAGE = "level", "stage"
_FIELDS = {LEVEL: None, STAGE: JOINT}
FAMILIES = ("data_source", "ability", LEVEL, STAGE)


def families_of(columns: Mapping[str, Sequence[Any]], by: str) -> list[Any]:
    """Return the family of each row.

    Args:
        columns: column name -> its values.
        by: one of `FAMILIES`.

    Returns:
        Names; None where a row has no family.

    Example:
        >>> families_of({"extra_info": [{"level": "L1"}, {}]}, "level")
        ['L1', None]
    """
    if by in _FIELDS:
        return [(info or {}).get(by) or _FIELDS[by] for info in columns["extra_info"]]
    return list(columns[by])


def read_families(file: Path, by: str) -> list[Any]:
    """Return the family of each row of a prepared file; see `families_of`."""
    column = "extra_info" if by in _FIELDS else by
    if column not in pq.read_schema(file).names:
        return [None] * pq.read_metadata(file).num_rows
    return families_of({column: pq.read_table(file, columns=[column])[column].to_pylist()}, by)
