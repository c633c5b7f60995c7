"""Reads a single number with its unit from a short text, without `eval`."""

import math
import re
from dataclasses import dataclass
from itertools import islice

from reward_score.stated import is_no_value, with_digits
from reward_score.text import plain, unwrapped

_NUMBER = re.compile(
    r"""
    (?<![\w.^]) (?<!\d,) (?<![A-Za-z^][-+])  # not inside a list, a name or a power: CHA2DS2, m2, CURB-65, m^-2
    (?P<sign>[-+]\s*)?
    (?: (?P<dotted>[1-9]\d{0,2}(?:\.\d{3})+,\d+)                    # 1.200,5
      | (?P<grouped>[1-9]\d{0,2}(?:(?:,\d{3})+|(?:[ ']\d{3})+)(?:\.\d+)?)  # 1,200  1 200.5
      | (?P<comma>\d+,\d{1,2}|0,\d+)(?!,)                           # 25,2
      | (?P<point>\d+(?:\.\d+)?|\.\d+)
    ) (?!\d|[.,]\d)
    (?: [eE](?P<exponent>[-+]?\d{1,4})(?![\w.]) )?
    (?: \s*[x\u00d7*\u00b7]\s*10\s*(?:\^\s*\(?(?P<power>[-+]?\d{1,4})\)?|(?P<power_e>[-+]\d{1,4})) )?
    (?: \s*\^\s*(?P<raised>[-+]?\d{1,4}) )?
    """,
    re.VERBOSE,
)
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_OUT_OF = re.compile(
    r"(?:points?\s+)?\bout\s+of\s+(?:a\s+)?(?:(?:possible|maximum|max)\s+)?\d+|(?<=\d)\s+of\s+\d+(?![\d.,%])"
)
_FRACTION = re.compile(
    r"(?<![\d./,^])(?:(\d{1,15})\s+)?(\d{1,15}(?:\.\d{1,15})?)\s*/\s*(\d{1,15}(?:\.\d{1,15})?)(?![\d./,])"
)
_PER_BODY_SURFACE = re.compile(
    r"(?:/|\bper\b)\s*\(?\s*1\.73(?:\s*m\s*\^?\s*2)?\)?"
    r"|\s?[\u00b7*]?\s?(?:\b1\.73\s*m\s*\^?\s*-2|\(1\.73\s*m\s*\^?\s*2\)\s*\^?\s*-1)\b",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"\b(?:minus|negative)\s+(?=[\d.])", re.IGNORECASE)
# "Percentage points" measure a difference, so they stay another unit.
_PERCENT = re.compile(r"\s*\b(?:percent|per\s+cent|pct|percentage(?!\s+points?\b))\b\.?", re.IGNORECASE)
_UNIT_END = re.compile(
    r"[,;:()\"']|[.?!](?:\s|$)|\s-+\s|\b(?:for|in|at|on|as|is|was|based|using|which|and|or|this|that|the|of|with|so)\b",
    re.IGNORECASE,
)
_COMPOUND_UNIT = re.compile(r"[A-Za-z\u00b0]{1,12}(?:/[A-Za-z]{1,12}(?:\^?\d)?){1,3}")
# A number in the name of a value: "10-year risk", "eGFR (CKD-EPI 2021)", "on day 3", "class 4".
_LABEL_NUMBER = re.compile(
    r"\b\d+-(?=[A-Za-z])|\([^()\d]*\b(?:19|20)\d\d\b[^()\d]*\)"
    r"|\b(?:day|hour|visit|class|category|tier|grade|stage|step)\s+\d+\b(?!\s*[:=])",
    re.IGNORECASE,
)
# An explanation after a value: the value before it is the result.
_BEHIND = re.compile(
    r"(?<=[\w%.])\s*\((?!\s*[A-Za-z\u00b0%/\u00b7^\d]*\))[^()]*\)|[,;]?\s*\b(?:i\.\s?e\.|that\s+is,|because\b|since\b).*$"
)
_PLUS_MINUS = re.compile(r"\s*\u00b1\s*\d+(?:[.,]\d+)?")
# Units written as words that the general rules don't cover.
_IN_WORDS = (
    (re.compile(r"\bsq(?:uare)?\.?\s*m(?:et(?:er|re)s?)?\b", re.IGNORECASE), "m^2"),
    (re.compile(r"\b(?:millimet(?:er|re)s?|mm)\s+of\s+(?:mercury|hg)\b", re.IGNORECASE), "mmHg"),
)
_ASIDE = re.compile(r"\s*[(\[,]\s*([A-Za-z\u00b0%]{1,24})\b")
# The limits that a value is compared with: "72 (normal >60)", "24.2 (overweight is >= 25)".
_BEHIND_LIMITS = re.compile(
    r"\([^()]*(?:\b(?:normal|reference|maximum|max|range)\b|[<>\u2264\u2265]\s*\d)[^()]*\)", re.IGNORECASE
)
_SCORE = re.compile(r"(?<![\d./,^])(\d{1,3})\s*/\s*\d{1,3}(?![\d./,])")
_OPERATOR = re.compile(r"(?<=[\d)])\s*[+*\u00d7x/-]\s*[(\d]")
_SCALE = {"hundred": 1e2, "thousand": 1e3, "k": 1e3, "million": 1e6, "billion": 1e9}


# A text that repeats its number more often is not a result; the limit keeps the time linear.
MAX_MENTIONS = 8


@dataclass(frozen=True, slots=True)
class Quantity:
    """A finite number, its unit as text ("" if none, "%" for a percentage), and a word in brackets after it."""

    value: float
    unit: str
    aside: str = ""


def read_quantity(text: str, is_count: bool = False) -> Quantity | str:
    """Return the only quantity that a text states, or a sentence that says why there is none.

    Accepted: `1,200`, `1 200`, `1.200,5`, `25,2`, `-3`, `2.5e3`, `2.5 x 10^3`, `126/5`, `1 1/2`, `25%`, `3 out of 5`,
    `approximately 25 mL/min`, `25 ± 1 mL/min`, `25 kg·m⁻²`, `BMI = 81 / 1.8^2 = 25` and `25 = 81 / 1.8^2` (the side
    that is a value), `25 (81 / 1.8^2)` (the value before a bracket), `10-year risk: 5.3%`, `1.2 million`, `two`.
    A comma before exactly three digits separates thousands; any other comma inside a number is a decimal comma.
    Refused, because ambiguous: several different numbers, ranges, bounds (`< 5`), denials, infinity.

    Args:
        text: The answer.
        is_count: Whether to read `n/m` as n, as in a score ("4/9 points"), rather than as a fraction.

    Example:
        >>> read_quantity("CrCl is about 1,200.5 mL/min")
        Quantity(value=1200.5, unit='mL/min', aside='')
    """
    if _PLAIN_NUMBER.fullmatch(text):
        return Quantity(float(text), "")
    text = normalise_unit(unwrapped(text)).replace("<=", "\u2264").replace(">=", "\u2265").replace("!=", "\u2260")
    text = _NEGATIVE.sub("-", _OUT_OF.sub(" ", with_digits(text)))
    if is_no_value(_without_behind(text, _BEHIND_LIMITS)):
        return "a bound or a denial, not a value"
    text = _PLUS_MINUS.sub("", text)
    if is_count:
        text = _SCORE.sub(r"\1", text)
    text = _value_side(_without_label_numbers(_without_behind(text, _BEHIND)))
    fractions = [_from_fraction(text, match) for match in islice(_FRACTION.finditer(text), MAX_MENTIONS)]
    rest = _FRACTION.sub(" ", text) if fractions else text
    numbers = [_from_number(rest, match) for match in islice(_NUMBER.finditer(rest), MAX_MENTIONS)]
    found = set(fractions + numbers)
    quantities = {quantity for quantity in found if quantity is not None}
    if not quantities or None in found:
        return "no finite number"
    if len(fractions) + len(numbers) >= MAX_MENTIONS:
        return "several numbers"
    if len({quantity.value for quantity in quantities}) > 1:
        return "several numbers"
    units = {quantity.unit for quantity in quantities} - {""} or set(_COMPOUND_UNIT.findall(text))
    asides = {quantity.aside for quantity in quantities} - {""}
    if len(units) > 1 or len(asides) > 1:
        return "several units"
    return Quantity(quantities.pop().value, "".join(units), "".join(asides))


def normalise_unit(text: str) -> str:
    """Normalise the units in a text: `%` for percent, `/bsa` for "per 1.73 m²" of body surface.

    Example:
        >>> normalise_unit("mL/min/1.73 m²")
        'mL/min/bsa'
    """
    text = plain(text)
    for pattern, unit in _IN_WORDS:
        text = pattern.sub(unit, text)
    return _PERCENT.sub("%", _PER_BODY_SURFACE.sub("/bsa", text))


def _value_side(text: str) -> str:
    """Return the side of an equation that is a plain number; the last side with a number if there is none."""
    sides = [side for side in re.split("[=\u2248]", text) if _NUMBER.search(side)]
    if len(sides) < 2:
        return sides[0] if sides else text
    values = [side for side in sides if not _is_expression(side)]
    if not values:
        return sides[-1]
    # A value at either end is the result; if both ends are values they must agree, which the caller checks.
    return " ; ".join(side for side in (sides[0], sides[-1]) if side in values) or values[-1]


def _is_expression(side: str) -> bool:
    return len(list(islice(_NUMBER.finditer(side), 2))) > 1 or _OPERATOR.search(side) is not None


def _without_behind(text: str, pattern: re.Pattern[str]) -> str:
    """Remove what matches a pattern after the first number of a text."""
    first = _NUMBER.search(_LABEL_NUMBER.sub(lambda label: " " * len(label[0]), text))
    if not first:
        return text
    end = first.end()
    return pattern.sub(lambda behind: " " if behind.start() >= end else behind[0], text)


def _without_label_numbers(text: str) -> str:
    """Remove the numbers that belong to the name of a value."""
    return _LABEL_NUMBER.sub(" ", text)


def _from_number(text: str, match: re.Match[str]) -> Quantity | None:
    if match["dotted"]:
        digits = match["dotted"].replace(".", "").replace(",", ".")
    elif match["grouped"]:
        digits = match["grouped"].replace(",", "").replace(" ", "").replace("'", "")
    else:
        digits = (match["comma"] or match["point"]).replace(",", ".")
    value = float(f"{digits}e{match['exponent'] or match['power'] or match['power_e'] or 0}")
    if match["raised"]:
        if value != 10.0:
            return None
        value = float(f"1e{match['raised']}")
    if (match["sign"] or "").startswith("-"):
        value = -value
    return _with_unit(value, text[match.end() :])


def _from_fraction(text: str, match: re.Match[str]) -> Quantity | None:
    denominator = float(match[3])
    if not denominator:
        return None
    value = float(match[1] or 0) + float(match[2]) / denominator
    before = text[: match.start()].rstrip()
    return _with_unit(-value if before.endswith("-") else value, text[match.end() :])


def _with_unit(value: float, tail: str) -> Quantity | None:
    end = _UNIT_END.search(tail)
    unit = (tail[: end.start()] if end else tail).strip(" .*_-")
    first, _, rest = unit.partition(" ")
    if first.casefold() in _SCALE:
        value, unit = value * _SCALE[first.casefold()], rest
    if unit.startswith("%"):
        unit = "%"
    aside = _ASIDE.match(tail)
    return Quantity(value, unit, aside[1] if aside else "") if math.isfinite(value) else None
