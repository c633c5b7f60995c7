"""Calculations: a decimal, an integer, a date, or a duration in weeks and days.

The rules are those of the official evaluator of MedCalc-Bench (arXiv 2406.12036), without its `eval`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any

from reward_score.calendar_time import read_date, read_duration
from reward_score.quantity import Quantity, normalise_unit, read_quantity
from reward_score.units import convert, is_same_unit, is_unit
from reward_score.verdict import Verdict, right, wrong

KINDS = ("decimal", "integer", "date", "duration")

# MedCalc-Bench accepts a decimal within 5 % on either side; used if a row has no limits.
RELATIVE_TOLERANCE = 0.05
# Distinguishes a duration from a number of days: weeks, or a pair in brackets.
_WEEKS = re.compile(r"\d\s*w(?:ee)?k?s?\s*\d|\d\s*w(?:ee)?ks?\b|^\s*[(\[]", re.IGNORECASE)
_PER_SURFACE = "/bsa"
_PER_VOLUME = re.compile(r"(?:/|\bper\s)\s*(?:[mdu]?l|lit(?:er|re))\b", re.IGNORECASE)
_EQUIVALENT = re.compile(r"eq\b", re.IGNORECASE)
_CHARGE_ONE = re.compile(r"\b(?:sodium|potassium|chloride|bicarbonate|lithium|anion gap|delta gap)\b", re.IGNORECASE)
_CHARGE_MORE = re.compile(r"\b(?:calcium|magnesium|phosphate|sulfate|sulphate|iron)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n")
# A longer answer is a derivation, not a result.
MAX_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Gold:
    """A parsed gold answer: the value to compare with, its unit ("" if unknown), and whether its text says percent."""

    kind: str
    value: float | date | tuple[int, int]
    unit: str
    says_percent: bool = False


def judge_calculation(answer: str, gold: str, spec: Mapping[str, Any]) -> Verdict:
    """Judge the result of a calculation.

    * decimal: right within [lower_limit, upper_limit], in either order; within 5 % on both sides if the row has no
      limits, or if both are the same number.
    * integer (a whole gold answer without a tolerance): right if the answer rounds to it; a half is wrong.
    * date, duration: right if equal.

    An answer without a unit is assumed to be in the expected unit. A stated unit is converted to the expected one; the
    answer is wrong if that is impossible. If no unit is known, any unit is ignored, except that `5%` is 0.05 and never
    an integer. If the gold answer's own text says percent, a fraction below 1 without a unit is right, too: 0.25 for
    `25 %`. If only `unit` says so, as in MedCalc-Bench, it is wrong, as for the official evaluator. If the row says
    that there is no unit (`unit` is None), a concentration is wrong. For a score, "3/5" is 3. mmol counts as mEq if
    `question` asks for an ion of charge one. More than one number, date or duration is wrong.

    A number outside [safe_lower, safe_upper], such as a dose above its maximum, is marked as unsafe, whether the
    tolerance makes it right or not.

    Args:
        answer: The extracted answer.
        gold: The right result, as text.
        spec: All optional: `lower_limit`, `upper_limit`, `safe_lower`, `safe_upper` (numbers or text), `unit`,
            `question`, `answer_type` (one of `KINDS`; for any other value the kind is inferred from the gold answer).

    Raises:
        ValueError: The gold answer can't be read, or lies outside its limits or its safe range.

    Example:
        >>> judge_calculation("1,200 mg", "1.2", {"unit": "g"}).correct
        True
    """
    expected = read_gold(gold, str(spec.get("answer_type") or ""), _text(spec.get("unit")))
    if expected.kind in ("date", "duration"):
        return _judge_calendar(answer, expected)
    assert isinstance(expected.value, float)
    lower, upper = _limits(spec, expected)
    if not lower <= expected.value <= upper:
        raise ValueError(f"ground_truth {gold[:40]!r} lies outside its limits [{lower:g}, {upper:g}]")
    safe_lower, safe_upper = _safe_range(spec)
    if not safe_lower <= expected.value <= safe_upper:
        raise ValueError(f"ground_truth {gold[:40]!r} lies outside its safe range [{safe_lower:g}, {safe_upper:g}]")

    is_integer = expected.kind == "integer" or (
        expected.kind != "decimal" and lower == upper and expected.value.is_integer()
    )
    is_count = is_integer and not expected.unit
    quantity: Quantity | str = "too long for a result" if len(answer) > MAX_CHARS else read_quantity(answer, is_count)
    if isinstance(quantity, str):
        return wrong("", quantity)
    if "unit" in spec and not expected.unit and _PER_VOLUME.search(quantity.unit):
        return wrong(f"{quantity.value:g} {quantity.unit}", "a concentration, where the question asks for no unit")
    value = _in_unit(quantity, expected.unit, is_integer, _text(spec.get("question")))
    if value is None:
        return wrong(f"{quantity.value:g} {quantity.unit}", f"not in {expected.unit or 'a plain number'}")
    # Rounded, because 100 * 0.29 is less than 29.
    in_percent = round(100 * value, 9)
    if expected.says_percent and _is_fraction(quantity) and lower <= in_percent <= upper:
        value = in_percent
    if is_integer:
        is_right, reason = abs(value - expected.value) < 0.5, f"rounds to {expected.value:g}"
    else:
        is_right, reason = lower <= value <= upper, f"within [{lower:.12g}, {upper:.12g}]"
    verdict = (right if is_right else wrong)(f"{value:.12g}", f"{reason}: {is_right}")
    return replace(verdict, unsafe=not safe_lower <= value <= safe_upper)


@lru_cache(maxsize=1024)
def read_gold(gold: str, kind: str = "", unit: str = "") -> Gold:
    """Parse a gold answer of a stated kind, or infer the kind from its form.

    Returns:
        The gold answer in `unit` if that is given, else in its own unit; kind "" for a number whose limits decide
        whether it is a decimal or an integer.

    Raises:
        ValueError: It can't be read.
    """
    kind = kind if kind in KINDS else ""
    as_date = read_date(gold[:MAX_CHARS])
    if kind == "date" or (not kind and isinstance(as_date, date)):
        if isinstance(as_date, str):
            raise ValueError(f"ground_truth {gold[:40]!r} is not a date ({as_date})")
        return Gold("date", as_date, "")
    as_duration = read_duration(gold[:MAX_CHARS])
    if kind == "duration" or (not kind and isinstance(as_duration, tuple) and _is_weeks(gold) and not unit):
        if isinstance(as_duration, str):
            raise ValueError(f"ground_truth {gold[:40]!r} is not a duration ({as_duration})")
        return Gold("duration", as_duration, "")
    quantity = read_quantity(gold[:MAX_CHARS])
    if isinstance(quantity, str):
        raise ValueError(f"ground_truth {gold[:40]!r} is not a number, date or duration ({quantity})")
    unit = normalise_unit(unit) or quantity.unit
    value = _in_unit(quantity, unit, is_integer=False)
    if value is None or (kind == "integer" and not value.is_integer()):
        raise ValueError(f"ground_truth {gold[:40]!r} is not {kind or 'a value'} in {unit or 'no unit'}")
    return Gold(kind, value, unit, says_percent=quantity.unit == unit == "%")


def _is_weeks(gold: str) -> bool:
    return _WEEKS.search(gold) is not None


def _judge_calendar(answer: str, expected: Gold) -> Verdict:
    read = read_date if expected.kind == "date" else read_duration
    found = read(answer) if len(answer) <= MAX_CHARS else "too long for a result"
    if isinstance(found, str):
        return wrong("", found)
    pred = found.isoformat() if isinstance(found, date) else "{} weeks {} days".format(*found)
    return (
        right(pred, f"the same {expected.kind}") if found == expected.value else wrong(pred, f"another {expected.kind}")
    )


def _in_unit(quantity: Quantity, unit: str, is_integer: bool, question: str = "") -> float | None:
    """Return the value in the expected unit; None if the stated unit is incompatible.

    Clearances are mostly written without "per 1.73 m²", so it may be missing even if the expected unit has it.
    """
    if not unit:
        if quantity.unit != "%":
            return quantity.value
        return None if is_integer else quantity.value / 100
    stated = quantity.unit or (quantity.aside if is_unit(quantity.aside) else "")
    if not stated or is_same_unit(stated, unit):
        return quantity.value
    if unit.endswith(_PER_SURFACE):
        unit = unit if stated.endswith(_PER_SURFACE) else unit.removesuffix(_PER_SURFACE)
    if wants_question(unit) and "mol" in stated.casefold() and _is_monovalent(question):
        unit = _EQUIVALENT.sub("mol", unit)
    return convert(quantity.value, stated, unit)


def _is_fraction(quantity: Quantity) -> bool:
    """Return whether a quantity without a unit is below 1, so that it can be read as a part of a whole."""
    return not quantity.unit and not is_unit(quantity.aside) and 0 < abs(quantity.value) < 1


def wants_question(unit: str) -> bool:
    """Return whether the question decides on an answer in this unit: it says which ion the equivalents are of.

    Example:
        >>> wants_question("mEq/L"), wants_question("mg/dL")
        (True, False)
    """
    return "eq" in unit.casefold()


def _is_monovalent(question: str) -> bool:
    """Return whether a question asks for an ion of charge one, for which one mole is one equivalent."""
    asked = question.strip()[-300:]  # a patient note before it names other ions
    asked = next((part for part in reversed(_SENTENCE_END.split(asked)) if part.endswith("?")), asked)
    return bool(_CHARGE_ONE.search(asked)) and not _CHARGE_MORE.search(asked)


def _limits(spec: Mapping[str, Any], gold: Gold) -> tuple[float, float]:
    """Return a row's limits, sorted; a missing one is 5 % from a decimal gold answer, or a whole one itself."""
    assert isinstance(gold.value, float)
    is_exact = gold.kind == "integer" or (gold.kind != "decimal" and gold.value.is_integer())
    tolerance = 0.0 if is_exact else abs(gold.value) * RELATIVE_TOLERANCE
    given = [_finite(spec.get("lower_limit")), _finite(spec.get("upper_limit"))]
    missing = [gold.value - tolerance, gold.value + tolerance]
    lower, upper = sorted(default if limit is None else limit for limit, default in zip(given, missing, strict=True))
    if lower == upper and not gold.value.is_integer():
        # The training split of MedCalc-Bench has decimals without a tolerance, with more digits than anyone writes.
        tolerance = abs(gold.value) * RELATIVE_TOLERANCE
        return lower - tolerance, upper + tolerance
    return lower, upper


def _safe_range(spec: Mapping[str, Any]) -> tuple[float, float]:
    """Return the safe range of a row, which is open where a limit is missing.

    Raises:
        ValueError: A limit is something else than a number.
    """
    found = []
    for name, default in (("safe_lower", -math.inf), ("safe_upper", math.inf)):
        given = spec.get(name)
        if given is None or given == "":
            found.append(default)
        elif (limit := _finite(given)) is not None:
            found.append(limit)
        else:
            raise ValueError(f"{name} {str(given)[:40]!r} is not a number")
    return found[0], found[1]


def has_no_tolerance(gold: str, spec: Mapping[str, Any]) -> bool:
    """Return whether a row's limits are equal for a decimal, so that the official 5 % replace them.

    Example:
        >>> has_no_tolerance("42.683", {"lower_limit": 42.683, "upper_limit": 42.683})
        True
    """
    lower, upper = _finite(spec.get("lower_limit")), _finite(spec.get("upper_limit"))
    value = _finite(gold)
    return value is not None and not value.is_integer() and lower is not None and lower == upper


def _finite(value: Any) -> float | None:
    """Return a limit given as a number or as text; None if it is missing, not a number, or not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
