"""Corrects published gold answers: those of a user's file, or due dates that the question shows to be wrong."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from reward_score.calendar_time import read_date
from reward_score.label_overrides import LabelOverride, Overrides, find_override
from verl_medu1.data.calculators.dates import due_date
from verl_medu1.data.counts import Counts
from verl_medu1.data.example import Example

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
        own_id = example.row_id.partition("/")[2]
        if overrides is None:
            override = due_date_override(example)
        else:
            override = find_override(overrides, example.data_source, own_id, example.gold)
        if override is None:
            kept.append(example)
        elif override.corrected:
            counts.corrected.append(f"{example.row_id}: {override.note}")
            # Drop the published limits, which are those of the wrong gold answer.
            kept.append(
                replace(example, gold=override.corrected, override=override.note, lower_limit=None, upper_limit=None)
            )
        else:
            counts.excluded.append(f"{example.row_id}: {override.note}")
    return kept


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
    period, cycle = datetime.strptime(stated["period"], _DATE).date(), int(stated["cycle"])
    due = due_date(period, cycle)
    if read_date(example.gold) == due:
        return None
    reason = f"due date = {stated['period']} + 280 days + ({cycle} - 28) days"
    return LabelOverride(example.gold, f"{due:{_DATE}}", reason)
