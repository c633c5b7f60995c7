"""Corrections of published gold answers that can be proven wrong, applied when data is prepared.

A file of overrides is CSV with the columns `data_source, row_id, published, corrected, reason`. `published` guards
against another version of the data set: a row is changed only if its gold answer is that one. An empty `corrected`
excludes the row.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

SHIPPED = Path(__file__).with_name("label_overrides.csv")
COLUMNS = ("data_source", "row_id", "published", "corrected", "reason")


@dataclass(frozen=True, slots=True)
class LabelOverride:
    """One correction.

    Attributes:
        published: The gold answer as the data set has it.
        corrected: The right one; "" excludes the row.
        reason: How that can be checked.
    """

    published: str
    corrected: str
    reason: str

    @property
    def note(self) -> str:
        """What a prepared row records."""
        return f"gold was {self.published}: {self.reason}"


Overrides = Mapping[tuple[str, str], LabelOverride]


def read_overrides(file: Path) -> Overrides:
    """Reads a file of overrides: (data_source, row_id) -> override.

    Raises:
        ValueError: The file can't be read, lacks a column, or a row is incomplete or stands there twice; the message
            names file and line.

    Example:
        >>> read_overrides(SHIPPED)["MedCalc-Bench", "928"].corrected
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


@lru_cache(maxsize=1)
def shipped_overrides() -> Overrides:
    """The overrides that come with this package: each can be proven by arithmetic."""
    return read_overrides(SHIPPED)


def find_override(overrides: Overrides, data_source: str, row_id: str, ground_truth: str) -> LabelOverride | None:
    """The override of a row whose gold answer is the published one, else None."""
    override = overrides.get((data_source, row_id))
    return override if override and override.published == ground_truth.strip() else None
