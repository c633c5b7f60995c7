"""Converts between clinical units with pint, which is imported only at the first conversion."""

import re
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pint

# Units that pint lacks, or reads as something else. Equivalents, international units and osmoles convert only to
# themselves, because other conversions depend on the substance. `bsa` is 1.73 m^2, the standard body surface.
_DEFINITIONS = (
    "charge_equivalent = [charge_equivalent] = Eq = eq = equivalents",
    "international_unit = [international_unit] = IU",
    "enzyme_unit = [enzyme_unit] = U = units",
    "osmol = [osmotic_amount] = Osm = osm = osmoles",
    "morphine_milligram_equivalent = [morphine_equivalent] = MME",
    "heart_beat = [heart_beat] = beats = beat",
    "cell = [cell] = cells",
    "standard_body_surface = 1.73 * meter ** 2 = bsa",
)
_SPELLINGS = {
    "msec": "ms", "msecs": "ms", "sec": "s", "secs": "s", "min": "minute", "mins": "minute",
    "hrs": "hour", "hr": "hour", "h": "hour", "d": "day", "wk": "week", "wks": "week", "yr": "year", "yrs": "year",
    "mcg": "microgram", "ug": "microgram", "cc": "milliliter", "lb": "pound", "lbs": "pound", "ml": "milliliter",
    "dl": "deciliter", "bpm": "beats/minute", "mosm": "milliosmol", 
    "mosmol": "milliosmol", "mosmols": "milliosmol", "meq": "millicharge_equivalent", "mmhg": "mmHg",
    "kpa": "kilopascal",
    "\u00b0c": "degC", "\u00b0f": "degF", "celsius": "degC", "fahrenheit": "degF", "liters": "liter", "litres": "liter",
}  # fmt: skip
_POINTS = frozenset(("point", "points", "pts", "score"))
_FACTOR = re.compile(r"([A-Za-z\u00b0%]{1,24})\s*\^?\s*(-?[1-4])?")
_PER = re.compile(r"\s*/\s*|\s+per\s+")
_LOCK = threading.Lock()


def is_same_unit(unit: str, expected: str) -> bool:
    """Return whether two units have the same spelling, ignoring case, spaces, `^` and words such as "points".

    Example:
        >>> is_same_unit("kg / m^2", "kg/m2")
        True
    """
    return _key(unit) == _key(expected)


def is_unit(text: str) -> bool:
    """Return whether a text is a unit that can be converted.

    Example:
        >>> is_unit("mg"), is_unit("normal")
        (True, False)
    """
    return bool(text) and _conversion(text, text) is not None


def convert(value: float, unit: str, expected: str) -> float | None:
    """Convert a value, rounded to 12 digits; None if a unit is unknown or the dimensions differ.

    Example:
        >>> convert(0.5, "g", "mg")
        500.0
    """
    line = _conversion(unit, expected)
    return None if line is None else float(f"{line[0] * value + line[1]:.12g}")


def _key(unit: str) -> str:
    words = [word for word in unit.casefold().replace("^", "").split() if word not in _POINTS]
    return "".join(words)


@lru_cache(maxsize=1024)
def _conversion(unit: str, expected: str) -> tuple[float, float] | None:
    """Return slope and offset of the conversion, which is linear for every unit here."""
    source, target = _expression(unit), _expression(expected)
    if source is None or target is None:
        return None
    import pint

    with _LOCK:  # a pint registry is not thread-safe: it fills its caches without a lock
        registry = _registry()
        try:
            zero, one = (registry.Quantity(number, source).to(target).magnitude for number in (0.0, 1.0))
        except (pint.errors.PintError, ValueError, AttributeError):
            return None
    return one - zero, zero


def _expression(unit: str) -> str | None:
    """Rewrite a unit for pint; None unless it consists of factors with small powers, so pint never does arithmetic."""
    top, *below = _PER.split(unit.strip().replace("mm Hg", "mmHg").replace(" ^", "^"))
    parts: list[str] = []
    for group in (top, *below):
        factors = group.replace("\u00b7", " ").replace("*", " ").split()
        if not 1 <= len(factors) <= 3 or len(parts) > 4:
            return None
        matches = [_FACTOR.fullmatch(factor) for factor in factors]
        names = []
        for match in matches:
            if match is None or "%" in match[1]:
                return None
            name = _SPELLINGS.get(match[1].casefold(), match[1]) if match[1] not in ("M", "D", "H") else match[1]
            names.append(f"({name})**{match[2] or 1}")
        parts.append("*".join(names))
    return "/".join(f"({part})" for part in parts)


@lru_cache(maxsize=1)
def _registry() -> "pint.UnitRegistry":
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry(on_redefinition="ignore")
    for definition in _DEFINITIONS:
        registry.define(definition)
    return registry
