"""MedCalc-Bench: a calculation from a patient note, with the official limits.

Columns of the official CSV files (both v1.0 and v1.2): Row Number, Patient Note, Question, Ground Truth Answer,
Lower Limit, Upper Limit, and others that are not read. Med-U1's release: id, problem (note and question in tags),
answer, Lower Limit, Upper Limit.
"""

import re

from verl_medu1.data.example import Example
from verl_medu1.data.folds import OfficialTest
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import text, untagged, untagged_text
from verl_medu1.data.sources.reader import Hub, Reader, Shape
from verl_medu1.data.sources.results import gold_result, limits

LOWER, UPPER = "Lower Limit", "Upper Limit"
_ASKED_UNIT = re.compile(
    r"\bin (?:terms of )?(mL/min/1\.73 m²|mL/min|mL/hr|mEq/L|mg/dL|kg/m²|mOsm/kg|mm Hg|msec|liters|kg|m²|mg)(?![\w/])"
)
# MedCalc-Bench's Framingham score is the risk in percent, according to its explanations; the question does not say so.
_ASKED_PERCENT = ("as a percentage value", "Framingham Risk Score")


def _asked_unit(question: str) -> str | None:
    """Return the unit that a question asks for: the first one, because later ones belong to the inputs."""
    if any(phrase in question for phrase in _ASKED_PERCENT):
        return "%"
    found = _ASKED_UNIT.search(question)
    return found[1] if found else None


def _example(record: Record, row_id: str, problem: str, note: str, question: str, answer: str) -> Example:
    gold = gold_result(record, answer)
    lower, upper = limits(record, LOWER, UPPER, gold)
    return Example(
        "MedCalc-Bench",
        row_id,
        "calculation",
        problem,
        gold,
        lower_limit=lower,
        upper_limit=upper,
        unit=_asked_unit(question),
        # A patient note has up to five calculations.
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
