"""Inputs of a calculation: how a value is drawn, printed in a note, and passed to the formula."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from reward_score.units import convert

DATE_FORMATS = ("%m/%d/%Y", "%Y-%m-%d", "%B %d, %Y", "%d %b %Y")
_FIRST_DAY, _NUM_DAYS = date(2005, 1, 1), 365 * 20


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that a note may print instead of the formula's.

    Attributes:
        name: the unit as printed.
        decimals: number of decimals printed.
        factor: (number, unit) to multiply with to get the dimension of the formula's unit: the molar mass of a
            substance, or its equivalents per mole; None if the dimensions are the same.
    """

    name: str
    decimals: int
    factor: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A drawn input.

    Attributes:
        value: the formula's argument: the printed value in the formula's unit.
        text: the text printed in the note; for a `Choice` the option's name, whose phrases are in notes.yaml.
        conversion: the conversion step, such as "68 in = 172.72 cm"; "" if there is none.
    """

    value: Any
    text: str
    conversion: str = ""


@dataclass(frozen=True)
class Number:
    """A measured value, uniform over the printable values in its range.

    Attributes:
        name: the formula's argument, and the key of the phrases in notes.yaml.
        unit: the formula's unit; "" for a ratio.
        low: smallest value in that unit.
        high: largest value.
        decimals: number of decimals printed in that unit.
        others: units that a note may print instead, each as likely as the formula's.
    """

    name: str
    unit: str
    low: float
    high: float
    decimals: int = 0
    others: tuple[Unit, ...] = ()

    def draw(self, rng: random.Random, earlier: Mapping[str, Finding]) -> Finding:
        """Draw a number and format it; `earlier` findings are ignored.

        Example:
            >>> Number("sodium", "mEq/L", 140, 140).draw(random.Random(0), {}).text
            '140 mEq/L'
        """
        place = rng.randrange(len(self.others) + 1)
        unit, low, high = _printable(self)[place]
        number = f"{rng.randint(low, high) / 10**unit.decimals:.{unit.decimals}f}"
        text = f"{number} {unit.name}".rstrip()
        if place == 0:
            return Finding(float(number), text)
        value = self.in_formula_unit(float(number), unit)
        return Finding(value, text, f"{text} = {value:.6g} {self.unit}")

    def in_formula_unit(self, value: float, unit: Unit) -> float:
        """Convert a value in one of the `others` to the formula's unit.

        Example:
            >>> height = Number("height", "cm", 140, 200, 0, (Unit("in", 0),))
            >>> height.in_formula_unit(68.0, height.others[0])
            172.72
        """
        number, factor_unit = unit.factor or (1.0, "")
        converted = convert(value * number, _product(unit.name, factor_unit), self.unit)
        assert converted is not None, f"{self.name}: {unit.name} can't be converted to {self.unit}"
        return converted


@dataclass(frozen=True)
class Choice:
    """One of several equally likely findings; notes.yaml has the phrases of each option."""

    name: str
    options: tuple[str | bool, ...] = (True, False)

    def draw(self, rng: random.Random, earlier: Mapping[str, Finding]) -> Finding:
        """Draw an option; `earlier` findings are ignored.

        Example:
            >>> Choice("sex", ("female",)).draw(random.Random(0), {}).value
            'female'
        """
        option = rng.choice(self.options)
        return Finding(option, str(option))


@dataclass(frozen=True)
class Day:
    """A date in one of `DATE_FORMATS`: within a period of twenty years, or some days after an earlier finding."""

    name: str
    after: str = ""
    low: int = 0
    high: int = _NUM_DAYS

    def draw(self, rng: random.Random, earlier: Mapping[str, Finding]) -> Finding:
        """Draw a date, `low` to `high` days after the finding named by `after`.

        Example:
            >>> Day("visit", "last_period", 7, 7).draw(random.Random(0), {"last_period": Finding(date(2024, 1, 1), "")})
            Finding(value=datetime.date(2024, 1, 8), text='08 Jan 2024', conversion='')
        """
        start = earlier[self.after].value if self.after else _FIRST_DAY
        day = start + timedelta(days=rng.randint(self.low, self.high))
        return Finding(day, day.strftime(rng.choice(DATE_FORMATS)))


Input = Number | Choice | Day


@cache
def _printable(number: Number) -> list[tuple[Unit, int, int]]:
    """Return, for each unit, the smallest and largest numbers in the range, counted in its last decimal."""
    found = []
    for unit in (Unit(number.unit, number.decimals), *number.others):
        low, high = number.low, number.high
        if unit in number.others:
            # Every conversion is linear, with an offset for temperatures.
            offset = number.in_formula_unit(0.0, unit)
            slope = number.in_formula_unit(1.0, unit) - offset
            low, high = (low - offset) / slope, (high - offset) / slope
        scale = 10**unit.decimals
        # Round to nine digits, so that 96.8 degF counts as within a range that begins at 36.0 degC.
        found.append((unit, math.ceil(round(low * scale, 9)), math.floor(round(high * scale, 9))))
    return found


def _product(unit: str, factor: str) -> str:
    """Multiply two units of the form "a/b".

    Example:
        >>> _product("umol/L", "g/mol")
        'umol g/L/mol'
    """
    if not factor:
        return unit
    top, _, below = unit.partition("/")
    factor_top, _, factor_below = factor.partition("/")
    return f"{top} {factor_top}/{below}/{factor_below}"
