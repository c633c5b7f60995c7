"""Free-text answers that are a value: "About 420 mL." or, as a sentence, "The expression evaluates to 63."

The limits are those of the value as it is written, not the 5 % of MedCalc-Bench: a pH of 7.4 is not one of 7.1.
"""

import re
from dataclasses import dataclass

from reward_score.quantity import read_quantity
from reward_score.text import plain

_NUMBER = r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s*[x\u00d7]\s*10\s*\^?\s*[-+]?\d+)?"
_DIGITS = r"\d+(?:,\d{3})*(?:\.\d+)?"
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
# "vol. 2" and "C.H. Walters" end no sentence.
_NEXT_SENTENCE = re.compile(r"(?<!\b[A-Z])[.!?;]\s+[A-Z(\\]|\n")
_QUANTITY = (
    r"(?:value|score|dose|dosage|rate|ratio|number|percentage|percent|proportion|fraction|probability|chance|likelihood|risk"
    r"|age|volume|concentration|molarity|pressure|temperature|pH|pI|pKa|mass|weight|length|height|width|depth|distance"
    r"|speed|velocity|duration|time|amount|sum|total|mean|median|average|variance|deviation|index|gap|clearance|prevalence"
    r"|incidence|sensitivity|specificity|logarithm|limit|area|density|frequency|count|cost|price|energy|power|force"
    r"|wavelength|half-life|osmolality|osmolarity|result)s?\b"
)
_WORDS = r"(?:(?!(?:of|in|for|at|to|with|on|from|that|which)\b)[\w'-]+\s+){0,4}?"
_ASKS_NUMBER = re.compile(
    rf"\bhow (?:many|much|long|old|far|fast|tall|often)\b|\b(?:calculate|compute|evaluate)\b|=\s*\??\s*\Z"
    rf"|\bwhat(?:'s| is| are| was| were| will be| would be| should be)?\s+{_WORDS}{_QUANTITY}"
    rf"|\b(?:determine|find|estimate)\s+{_WORDS}{_QUANTITY}",
    re.IGNORECASE,
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
    """Return the value that an answer consists of, or states as its only one; None if the answer says anything else.

    A sentence is a value only if its question asks for a number, and if its other numbers are the question's. A
    percentage is one only if the question asks for percent.

    Args:
        answer: the published answer.
        question: its "how many ..." says which word behind a number is not a unit but what was counted.

    Example:
        >>> read_value("The expression evaluates to 63.", "9 * 7 =")
        Value(text='63', unit=None, limits=(None, None))
        >>> read_value("About 7.4", "What is the pH?").limits
        (7.35, 7.45)
        >>> read_value("Hypothyroidism, because the TSH is 12.", "What is the most likely diagnosis?")
    """
    text = plain(answer).rstrip(" .")
    for counted in _HOW_MANY.findall(question):
        text = re.sub(rf"(?<=\d) {counted}$", "", text, flags=re.IGNORECASE)
        text = re.sub(r"^.*\b(?:have|has|are)\s+(?:a total of\s+)?(?=\d+$)", "", text, flags=re.IGNORECASE)
    *_, last = _STATED.split(text)
    if last != text and not _is_only_value(text.removesuffix(last), question):
        return None
    found = _VALUE.fullmatch(last)
    if found and found["unit"] in ("%", "percent") and not re.search("percent", question, re.IGNORECASE):
        return None
    quantity = read_quantity(found["value"]) if found else ""
    if not found or isinstance(quantity, str):
        return None
    return Value(found["value"].strip(), found["unit"], _limits(quantity.value, found["number"], found["unit"]))


def _is_only_value(before: str, question: str) -> bool:
    """Return whether the text before a value has no other one, and a single question asked for a number."""
    given = set(re.findall(_DIGITS, plain(question)))
    if question.count("?") > 1 or not _ASKS_NUMBER.search(question) or _NEXT_SENTENCE.search(before):
        return False
    return all(number in given for number in re.findall(_DIGITS, before))


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
