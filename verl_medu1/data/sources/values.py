"""Free-text answers that are a value: "About 420 mL." or, as a sentence, "The expression evaluates to 63."

The limits are those of the value as it is written, not the 5 % of MedCalc-Bench: a pH of 7.4 is not one of 7.1.
"""

import re
from dataclasses import dataclass

from reward_score.quantity import read_quantity
from reward_score.text import plain

_NUMBER = r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s*[x\u00d7]\s*10\s*\^?\s*[-+]?\d+)?"
# A closed list, because a unit library reads units in ordinary words and ordinals: "2nd" as nanodays.
_UNIT = (
    r"%|percent|\u00b0(?:\s?[CF])?|degrees?(?:\s(?:Celsius|Fahrenheit))?"
    r"|(?:k|m|mc|u|n)?g|(?:kilo|milli|micro)?grams?|[mdu]?L|[md]l|(?:milli)?lit(?:er|re)s?"
    r"|[kcmun]?m|(?:kilo|centi|milli|micro|nano)?met(?:er|re)s?|[cm]?m\^?2"
    r"|seconds?|sec|minutes?|min|hours?|hrs?|days?|weeks?|months?|years?|mm\s?Hg|k?Pa|m?V|Hz|k?cal|k?J|bpm|k?Da"
    r"|(?:m?g|mcg|kg|mEq|mmol|mOsm|m[lL]|IU|cells)/(?:d?L|mL|kg|day|hr?|min|m\^?2)"
)
_ABOUT = r"(?i:(?:about|approximately|around|roughly)\s+|~\s*)?"
_VALUE = re.compile(rf"{_ABOUT}(?P<value>(?P<number>{_NUMBER})\s*(?P<unit>{_UNIT})?)")
# "... is 9", "... evaluates to 63", "= 5": the value ends the sentence.
_STATED = re.compile(
    r"(?:\b(?:is|are|was|were|equals|(?:evaluates|simplifies|equal|amounts|comes)\s+to)|=)\s*:?\s+", re.IGNORECASE
)
_HOW_MANY = re.compile(r"\bhow many ([a-z]+(?: [a-z]+)?)\b", re.IGNORECASE)
# Allows for the rounding of a converted unit.
_CONVERSION = 0.001


@dataclass(frozen=True)
class Value:
    """A value and the inclusive limits of a right answer.

    Attributes:
        text: the value with its unit.
        unit: its unit; None if it has none.
        limits: half a unit of its last digit to either side; (None, None) for a whole number without a unit, which
            must be met exactly.
    """

    text: str
    unit: str | None
    limits: tuple[float | None, float | None]


def read_value(answer: str, question: str) -> Value | None:
    """Return the value that an answer consists of, or ends with; None if the answer says anything else.

    Args:
        answer: one sentence, or less.
        question: its "how many ..." says which word behind a number is not a unit but what was counted.

    Example:
        >>> read_value("The expression evaluates to 63.", "9 * 7 =")
        Value(text='63', unit=None, limits=(None, None))
        >>> read_value("About 7.4", "What is the pH?").limits
        (7.35, 7.45)
        >>> read_value("Type 2 diabetes", "What is it?")
    """
    text = plain(answer).rstrip(" .")
    for counted in _HOW_MANY.findall(question):
        text = re.sub(rf"(?<=\d) {counted}$", "", text, flags=re.IGNORECASE)
        text = re.sub(r"^.*\b(?:have|has|are)\s+(?:a total of\s+)?(?=\d+$)", "", text, flags=re.IGNORECASE)
    *_, last = _STATED.split(text)
    found = _VALUE.fullmatch(last)
    quantity = read_quantity(found["value"]) if found else ""
    if not found or isinstance(quantity, str):
        return None
    return Value(found["value"].strip(), found["unit"], _limits(quantity.value, found["number"], found["unit"]))


def _limits(value: float, number: str, unit: str | None) -> tuple[float | None, float | None]:
    """Return the limits of a value; a scientific number has those of its mantissa's last digit."""
    mantissa = re.split(r"[x\u00d7]", number)[0].strip().replace(",", "")
    if value.is_integer() and "." not in mantissa:
        return (None, None) if unit is None else _around(value, abs(value) * _CONVERSION)
    decimals = len(mantissa.partition(".")[2])
    scale = abs(value / float(mantissa)) if float(mantissa) else 1.0
    return _around(value, 0.5 * 10.0**-decimals * scale)


def _around(value: float, margin: float) -> tuple[float, float]:
    return float(f"{value - margin:.12g}"), float(f"{value + margin:.12g}")
