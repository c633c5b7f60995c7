"""Corrections of published gold answers that are wrong, from a file, applied when data is prepared.

An override file is CSV with the columns `data_source, row_id, published, corrected, reason`. `published` guards
against other versions of the data set: a row is changed only if its gold answer equals it. An empty `corrected`
excludes the row.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

COLUMNS = ("data_source", "row_id", "published", "corrected", "reason")


@dataclass(frozen=True, slots=True)
class LabelOverride:
    """One correction.

    Attributes:
        published: The gold answer in the data set.
        corrected: The right answer; "" excludes the row.
        reason: How to check the correction.
    """

    published: str
    corrected: str
    reason: str

    @property
    def note(self) -> str:
        """The note stored with the prepared row."""
        return f"gold was {self.published}: {self.reason}"


Overrides = Mapping[tuple[str, str], LabelOverride]


def read_overrides(file: Path) -> Overrides:
    """Read an override file: (data_source, row_id) -> override.

    Raises:
        ValueError: The file can't be read, lacks a column, or has an incomplete or duplicate row; the message names
            file and line.

    Example:
        >>> read_overrides(Path("mine.csv"))["MedCalc-Bench", "928"].corrected  # doctest: +SKIP
        '09/11/2014'
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError(f"{file}: the first line must be {','.join(COLUMNS)}")
            overrides: dict[tuple[str, str], LabelOverride] = {}
            for row in reader:
                where = f"{file}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise ValueError(f"{where}: must have {len(COLUMNS)} columns")
                key = (row["data_source"], row["row_id"])
                if not (all(key) and row["published"] and row["reason"]):
                    raise ValueError(f"{where}: only corrected may be empty")
                if key in overrides:
                    raise ValueError(f"{where}: {key[0]} {key[1]} stands there twice")
                overrides[key] = LabelOverride(row["published"], row["corrected"], row["reason"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file}: can't be read as CSV in UTF-8 ({error})") from None
    return MappingProxyType(overrides)


def find_override(overrides: Overrides, data_source: str, row_id: str, ground_truth: str) -> LabelOverride | None:
    """Return the override of a row if the row's gold answer is the published one, else None."""
    override = overrides.get((data_source, row_id))
    return override if override and override.published == ground_truth.strip() else None
