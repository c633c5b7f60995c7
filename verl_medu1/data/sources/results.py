"""Reads the gold answer of a calculation and its limits, without guessing at numbers.

A comma may be a decimal sign or separate thousands: 1,370 is 1370 in one file and 1.37 in another. So a number with a
comma is refused. A limit that is not a number is refused too, unless the gold answer is a date or a duration.
"""

import math
import re
from typing import Any

from reward_score.calculation import read_gold
from reward_score.calendar_time import read_date
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import FieldError, is_empty, shown, text

Limits = tuple[float | None, float | None]

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_LIKE_A_DATE = re.compile(r"\d\s*/\s*\d")
_COMMA = re.compile(r"\d,\d|(?<!\S),\d")
_POINT = "a number has a decimal point and no comma"


def gold_result(record: Record, field: str) -> str:
    """Return the gold answer: a number, a date MM/DD/YYYY, or a duration such as ('17 weeks', '6 days').

    Raises:
        FieldError: the field is empty, a date that does not exist, or a number with a comma.

    Example:
        >>> gold_result({"answer": 22.857}, "answer")
        '22.857'
    """
    gold = text(record, field)
    if _is_calendar(gold):
        return gold
    if _LIKE_A_DATE.search(gold) and isinstance(reason := read_date(gold), str):
        raise FieldError(field, f"holds {reason}", "it must be a date MM/DD/YYYY")
    if _COMMA.search(gold):
        raise FieldError(field, "has a comma in its number", _POINT)
    return gold


def limits(record: Record, lower: str, upper: str, gold: str) -> Limits:
    """Return the inclusive limits of a right answer; (None, None) without limits or for a date or duration.

    Args:
        record: the record.
        lower: field of the smallest right value.
        upper: field of the largest.
        gold: the gold answer.

    Raises:
        FieldError: a limit is not a number, only one is given, or the lower one is above the upper one.

    Example:
        >>> limits({"low": "21.7", "high": 24}, "low", "high", "22.857")
        (21.7, 24.0)
    """
    if _is_calendar(gold):
        return None, None
    low, high = limit(record.get(lower), lower), limit(record.get(upper), upper)
    if low is None and high is None:
        return None, None
    if low is None or high is None:
        raise FieldError(lower if low is None else upper, "is empty", "a result has both limits or none")
    if low > high and low > 0:
        raise FieldError(lower, f"is {low:g} and {upper} is {high:g}", "the lower one is above the upper one")
    # For a negative value, the published limits of 5 % to either side are in reverse order.
    return min(low, high), max(low, high)


def limit(value: Any, field: str) -> float | None:
    """Return a limit as a number; None if the field is empty.

    Raises:
        FieldError: It is not a finite number.

    Example:
        >>> limit("21.7", "safe_upper"), limit("", "safe_upper")
        (21.7, None)
    """
    if is_empty(value):
        return None
    if isinstance(value, str):
        stripped = value.strip()
        if not _NUMBER.fullmatch(stripped):
            raise FieldError(field, f"holds {shown(stripped)}", f"it must be a number; {_POINT}")
        value = float(stripped)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(field, f"holds {shown(value)}", "it must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FieldError(field, "is not finite", "it must be a number")
    return number


def _is_calendar(gold: str) -> bool:
    try:
        return read_gold(gold).kind in ("date", "duration")
    except ValueError:
        return False
