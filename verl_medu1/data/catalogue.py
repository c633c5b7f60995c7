"""A catalogue of examinations: what may be ordered, at which price, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Key of a row's `extra_info.environment`.
EXAMINATIONS = "examinations"
HIGHEST_PRICE = 1e12


@dataclass(frozen=True)
class Examination:
    """One examination of one patient: its name, what it costs, in any unit, and its result."""

    name: str
    price: float
    result: str


def read_catalogue(given: object) -> dict[str, Examination]:
    """Return the examinations of a row by their names in lower case.

    Args:
        given: {name: {"price": number from 0 to `HIGHEST_PRICE`, "result": text}}.

    Raises:
        ValueError: what is wrong with it, to end a sentence.

    Example:
        >>> read_catalogue({"Chest X-ray": {"price": 30, "result": "clear"}})["chest x-ray"].price
        30.0
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError("no examinations")
    found: dict[str, Examination] = {}
    for name, entry in given.items():
        key = str(name).strip().casefold()
        price: Any = entry.get("price") if isinstance(entry, Mapping) else None
        result = entry.get("result") if isinstance(entry, Mapping) else None
        if not key or key in found:
            raise ValueError(f"an examination {str(name)!r} without a name of its own")
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price <= HIGHEST_PRICE:
            wanted = f"which is no number from 0 to {HIGHEST_PRICE:g}"
            raise ValueError(f"an examination {name!r} with the price {str(price)[:40]!r}, {wanted}")
        if not isinstance(result, str) or not result.strip():
            raise ValueError(f"an examination {name!r} without a text as its result")
        found[key] = Examination(str(name).strip(), float(price), result.strip())
    return found


def listed(examinations: Mapping[str, Examination]) -> str:
    """Return what a prompt says of a catalogue: names and prices, and no result.

    Example:
        >>> listed(read_catalogue({"CT": {"price": 200, "result": "clear"}, "CRP": {"price": 2.5, "result": "high"}}))
        'Examinations: CT 200, CRP 2.5.'
    """
    return f"Examinations: {', '.join(f'{one.name} {one.price:.15g}' for one in examinations.values())}."
