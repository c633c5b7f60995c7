"""Corrects published gold answers: those of a user's file, or due dates that the question shows to be wrong."""

import re
from collections.abc import Sequence
from dataclasses import replace

from reward_score.calendar_time import read_date
from reward_score.label_overrides import LabelOverride, Overrides, find_override
from verl_medu1.data.calculators.dates import due_date
from verl_medu1.data.counts import Counts
from verl_medu1.data.example import Example
from verl_medu1.data.sources.fields import FieldError
from verl_medu1.data.sources.free_text import FREE_TEXT, as_graded

_DATE = "%m/%d/%Y"
_DUE_DATE = re.compile(
    r"last menstrual period was on (?P<period>\d{1,2}/\d{1,2}/\d{4})\. Her cycle length is (?P<cycle>\d{1,2}) days\."
    r".*\bNaegele's Rule\b.*\bdue date\b",
    re.DOTALL,
)


def corrected(examples: Sequence[Example], counts: Counts, overrides: Overrides | None) -> list[Example]:
    """Correct the gold answers of examples, and drop those that an override excludes.

    Args:
        examples: examples of one source.
        counts: counts of the source, updated with the rows that were corrected or excluded.
        overrides: a user's corrections; None for those that arithmetic proves.
    """
    kept = []
    for example in examples:
        if overrides is None:
            row, override = example, due_date_override(example)
        else:
            row, override = _overridden(example, overrides)
        if override is None:
            kept.append(example)
        elif override.corrected:
            counts.corrected.append(f"{example.row_id}: {override.note}")
            kept.append(_with_gold(row, override))
        else:
            counts.excluded.append(f"{example.row_id}: {override.note}")
    return kept


def unmatched(examples: Sequence[Example], overrides: Overrides) -> list[str]:
    """Return "data source, row" of the overrides of these data sources that fit none of the examples.

    Args:
        examples: examples of all sources.
        overrides: a user's corrections.
    """
    sources = {row.data_source for example in examples for row in (example, example.published) if row}
    matched = set()
    for example in examples:
        row, override = _overridden(example, overrides)
        if override:
            matched.add((row.data_source, _own_id(row)))
    return [
        f"{source}, {row_id}" for source, row_id in overrides if source in sources and (source, row_id) not in matched
    ]


def _own_id(example: Example) -> str:
    return example.row_id.partition("/")[2]


def _overridden(example: Example, overrides: Overrides) -> tuple[Example, LabelOverride | None]:
    """Return a row's override, and the form of the row that it is for: as graded, or as published."""
    for row in (example, example.published):
        if row and (override := find_override(overrides, row.data_source, _own_id(row), row.gold)):
            return row, override
    return example, None


def _with_gold(row: Example, override: LabelOverride) -> Example:
    """Return a row with its right answer, without the limits and the reasoning of the wrong one."""
    fixed = replace(
        row, gold=override.corrected, override=override.note, lower_limit=None, upper_limit=None, reasoning=""
    )
    if row.data_source not in FREE_TEXT:
        return fixed
    try:
        return as_graded(replace(fixed, graded="", published=None), "corrected")
    except FieldError as error:
        raise ValueError(f"--overrides, {row.data_source} {_own_id(row)}: {error}.") from None


def due_date_override(example: Example) -> LabelOverride | None:
    """Return the correction of a due date of MedCalc-Bench; None if the gold answer is right, or is not a due date.

    Where the cycle is shorter than 28 days, the published answer is later by what should make it earlier.

    Example:
        >>> question = "The patient's last menstrual period was on 12/11/2013. Her cycle length is 22 days. "
        >>> question += "Using Naegele's Rule, what is the estimated due date?"
        >>> due_date_override(Example("MedCalc-Bench", "medcalc/928", "calculation", question, "09/23/2014")).corrected
        '09/11/2014'
    """
    stated = _DUE_DATE.search(example.question) if example.data_source == "MedCalc-Bench" else None
    if stated is None:
        return None
    period, cycle = read_date(stated["period"]), int(stated["cycle"])
    if isinstance(period, str):  # why it is no date
        return None
    due = due_date(period, cycle)
    if read_date(example.gold) == due:
        return None
    reason = f"due date = {stated['period']} + 280 days + ({cycle} - 28) days"
    return LabelOverride(example.gold, f"{due:{_DATE}}", reason)
