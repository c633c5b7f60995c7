"""Readers of the benchmarks, in the JSON shape in which Med-U1's authors release them."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from verl_medu1.data.example import Example

Record = Mapping[str, Any]

_ANSWER_TAGS = re.compile(r"^\s*<answer>\s*(.*?)\s*</answer>\s*$", re.DOTALL)
_FIELD_TAGS = re.compile(r"</?(?:Context|Question)>")
_ASKED_UNIT = re.compile(
    r"\bin (?:terms of )?(mL/min/1\.73 m²|mL/min|mL/hr|mEq/L|mg/dL|kg/m²|mOsm/kg|mm Hg|msec|liters|kg|m²|mg)(?![\w/])"
)
# The Framingham score of MedCalc-Bench is the risk in percent (its explanations), though its question does not say so.
_ASKED_PERCENT = ("as a percentage value", "Framingham Risk Score")


def _text(record: Record, field: str) -> str:
    value = record.get(field)
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError(f"field {field} is {value!r}; it must hold text")
    return str(value).strip()


def _plain(text: str) -> str:
    """The text without the tags around context and question, which are no part of the case."""
    return _FIELD_TAGS.sub(" ", text).strip()


def _options(record: Record, field: str) -> tuple[tuple[str, str], ...]:
    options = record.get(field)
    if not isinstance(options, Mapping) or len(options) < 2:
        raise ValueError(f"field {field} is {options!r}; it must map letters to at least two options")
    if len(set(options.values())) < len(options):
        raise ValueError(f"field {field} repeats an option: {dict(options)!r}")
    return tuple((str(letter), " ".join(str(text).split())) for letter, text in options.items())


def _limit(record: Record, field: str) -> float | None:
    try:
        return float(record[field])
    except (KeyError, TypeError, ValueError):
        return None  # dates and durations have no limits


def medcalc(record: Record, row_id: str) -> Example:
    """MedCalc-Bench v1.0: a patient note and a calculation, with the official limits."""
    limits = (_limit(record, "Lower Limit"), _limit(record, "Upper Limit"))
    lower, upper = sorted(limits) if None not in limits else (None, None)  # type: ignore[type-var]
    problem = _text(record, "problem")
    return Example(
        "MedCalc-Bench",
        row_id,
        "calculation",
        _plain(problem),
        _text(record, "answer"),
        lower_limit=lower,
        upper_limit=upper,
        unit=_asked_unit(problem.rpartition("<Question>")[2]),
        # Up to five calculations are asked about one patient note.
        group=problem.split("</Context>")[0],
    )


def _asked_unit(question: str) -> str | None:
    """The unit that a question of MedCalc-Bench asks for; the first, because others tell what to compute with."""
    if any(phrase in question for phrase in _ASKED_PERCENT):
        return "%"
    found = _ASKED_UNIT.search(question)
    return found[1] if found else None


def mediq(record: Record, row_id: str) -> Example:
    """MediQ: a case and its question; the options stand beside the problem."""
    question, options = _plain(_text(record, "problem")), _options(record, "options")
    return Example("MedIQ", row_id, "multiple_choice", question, _text(record, "answer"), options)


def medxpertqa(record: Record, row_id: str) -> Example:
    """MedXpertQA-Text: ten options, which stand in the problem too and are cut off there."""
    options = _options(record, "choices")
    question = re.split(r"\n?\s*Answer Choices\s*:", _plain(_text(record, "problem")))[0].strip()
    return Example("MedXpertQA", row_id, "multiple_choice", question, _text(record, "answer"), options)


def medical_o1(record: Record, row_id: str) -> Example:
    """medical-o1-reasoning-SFT: the reference answer is wrapped in tags, which are taken off."""
    answer = _text(record, "answer")
    wrapped = _ANSWER_TAGS.match(answer)
    question = _plain(_text(record, "problem"))
    return Example("medical-o1-reasoning-SFT", row_id, "open_ended", question, wrapped.group(1) if wrapped else answer)


READERS: dict[str, Callable[[Record, str], Example]] = {
    "medcalc": medcalc,
    "mediq": mediq,
    "medxpertqa": medxpertqa,
    "medical-o1": medical_o1,
}


def read_source(name: str, path: Path) -> list[Example]:
    """Read a benchmark's file.

    Args:
        name: a key of `READERS`.
        path: JSON file, a list of records.

    Returns:
        One example per record; `row_id` is the name with the record's id or its place.

    Raises:
        ValueError: an unknown name, a file that can't be read, or a broken record (named by its place).

    Example:
        >>> read_source("mediq", Path("mediq.json"))  # doctest: +SKIP
    """
    if name not in READERS:
        raise ValueError(f"--source has {name!r}; choose quickstart or one of {', '.join(READERS)} with =FILE.")
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"--source {name}={path} can't be read ({error}); give the benchmark's JSON file.") from None
    if not isinstance(records, list):
        raise ValueError(f"--source {name}={path} is no list of records; give the benchmark's JSON file.")
    examples = []
    for place, record in enumerate(records):
        try:
            if not isinstance(record, Mapping):
                raise ValueError(f"it is {str(record)[:40]!r}; a record must map fields to values")
            examples.append(READERS[name](record, f"{name}/{record.get('id', place)}"))
        except ValueError as error:
            raise ValueError(f"{path}, record {place}: {error}.") from None
    return examples
