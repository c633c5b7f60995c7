"""MedCalc-Bench: a calculation from a patient note, with the official limits.

Columns of the official CSV files (v1.0 and v1.2 alike): Row Number, Patient Note, Question, Ground Truth Answer,
Lower Limit, Upper Limit, and others that are not read. Med-U1's release: id, problem (note and question in tags),
answer, Lower Limit, Upper Limit.
"""

import math
import re

from reward_score.calendar_time import read_date
from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import text, untagged, untagged_text
from verl_medu1.data.sources.reader import Hub, Reader, Shape

LOWER, UPPER = "Lower Limit", "Upper Limit"
_ASKED_UNIT = re.compile(
    r"\bin (?:terms of )?(mL/min/1\.73 m²|mL/min|mL/hr|mEq/L|mg/dL|kg/m²|mOsm/kg|mm Hg|msec|liters|kg|m²|mg)(?![\w/])"
)
# The Framingham score of MedCalc-Bench is the risk in percent (its explanations), though its question does not say so.
_ASKED_PERCENT = ("as a percentage value", "Framingham Risk Score")


def _limit(record: Record, field: str) -> float | None:
    try:
        value = float(record[field])
    except (KeyError, OverflowError, TypeError, ValueError):
        return None  # dates and durations have no limits
    return value if math.isfinite(value) else None


def _limits(record: Record) -> tuple[float | None, float | None]:
    lower, upper = _limit(record, LOWER), _limit(record, UPPER)
    if lower is None or upper is None:
        return None, None
    if lower > upper and lower > 0:
        raise ValueError(f"field {LOWER} is {lower:g} and {UPPER} is {upper:g}; the lower one is above the upper one")
    # Five percent below and above a negative value come out in the wrong order.
    return min(lower, upper), max(lower, upper)


def _gold(record: Record, field: str) -> str:
    gold = text(record, field)
    if "/" in gold and isinstance(reason := read_date(gold), str):
        raise ValueError(f"field {field} is no date MM/DD/YYYY ({reason})")
    return gold


def _asked_unit(question: str) -> str | None:
    """The unit that a question asks for; the first, because others tell what to compute with."""
    if any(phrase in question for phrase in _ASKED_PERCENT):
        return "%"
    found = _ASKED_UNIT.search(question)
    return found[1] if found else None


def _example(record: Record, row_id: str, problem: str, note: str, question: str, answer: str) -> Example:
    lower, upper = _limits(record)
    return Example(
        "MedCalc-Bench",
        row_id,
        "calculation",
        problem,
        _gold(record, answer),
        lower_limit=lower,
        upper_limit=upper,
        unit=_asked_unit(question),
        # Up to five calculations are asked about one patient note.
        group=note,
    )


def _read_release(record: Record, row_id: str) -> Example:
    problem = text(record, "problem")
    note, _, question = problem.rpartition("<Question>")
    return _example(record, row_id, untagged_text(record, "problem"), untagged(note), question, "answer")


def _read_official(record: Record, row_id: str) -> Example:
    note, question = text(record, "Patient Note"), text(record, "Question")
    return _example(record, row_id, f"{note}\n{question}", note, question, "Ground Truth Answer")


SHAPES = (
    Shape("official", ("Patient Note", "Question", "Ground Truth Answer", LOWER, UPPER), _read_official, "Row Number"),
    Shape("Med-U1's release", ("problem", "answer", LOWER, UPPER), _read_release, "id"),
)
READER = Reader(
    "CC-BY-SA-4.0",
    SHAPES,
    Hub("ncbi/MedCalc-Bench-v1.2", "train"),
    official_test=OfficialTest("the test split of MedCalc-Bench", splits=("test",)),
)
