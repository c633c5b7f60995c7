"""Definition of a calculation: its inputs, its formula, and the format and limits of its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import wraps
from typing import Any

from reward_score.calculation import RELATIVE_TOLERANCE
from verl_medu1.data.calculators.inputs import Input
from verl_medu1.data.calculators.measures import ADULT


def _always(**values: Any) -> bool:
    return True


@dataclass(frozen=True)
class Calculator:
    """A calculation.

    Attributes:
        name: its identifier.
        asked: its name in the question, including the variant.
        inputs: inputs of the formula, named like its arguments.
        formula: computes the result from the inputs; its docstring has source, units and an example.
        working: the formula with the numbers filled in, from the same inputs; "= result" is appended.
        kind: "decimal" (right within 5 % on either side), "score" (equal), "date" or "duration" (equal; weeks, days).
        unit: unit of a decimal; "" for a ratio.
        decimals: number of decimals of a written decimal.
        context: the patient's age and sex, which begin the note; if one is also an input, the input's definition is
            used.
        is_consistent: whether values are plausible together, such as a systolic pressure above the diastolic one.
    """

    name: str
    asked: str
    inputs: tuple[Input, ...]
    formula: Callable[..., Any]
    working: Callable[..., str]
    kind: str = "decimal"
    unit: str = ""
    decimals: int = 1
    context: tuple[Input, ...] = ADULT
    is_consistent: Callable[..., bool] = _always

    def is_usable(self, values: Mapping[str, Any]) -> bool:
        """Return whether values are plausible together and give a result that can be asked for.

        A decimal so close to zero that its tolerance is below its last digit can't: a rounded answer would be wrong.
        """
        if not self.is_consistent(**values):
            return False
        return self.kind != "decimal" or RELATIVE_TOLERANCE * abs(self.formula(**values)) >= 10.0**-self.decimals


def written(calculator: Calculator, result: Any) -> str:
    """Format a result as a gold answer, without its unit.

    Example:
        >>> from verl_medu1.data.calculators.dates import GESTATIONAL_AGE
        >>> written(GESTATIONAL_AGE, (17, 6))
        '17 weeks 6 days'
    """
    if calculator.kind == "date":
        assert isinstance(result, date)
        return result.strftime("%m/%d/%Y")
    if calculator.kind == "duration":
        return "{} weeks {} days".format(*result)
    return f"{result:g}" if calculator.kind == "score" else f"{result:.{calculator.decimals}f}"


def limits(calculator: Calculator, result: Any) -> tuple[float, float] | tuple[None, None]:
    """Return the smallest and largest right results, inclusive; None for dates and durations.

    Example:
        >>> from verl_medu1.data.calculators.body import BODY_MASS_INDEX
        >>> limits(BODY_MASS_INDEX, 20.0)
        (19.0, 21.0)
    """
    if calculator.kind not in ("decimal", "score"):
        return None, None
    tolerance = RELATIVE_TOLERANCE * abs(result) if calculator.kind == "decimal" else 0.0
    # Rounded to twelve digits, the limits are the same on every machine.
    return float(f"{result - tolerance:.12g}"), float(f"{result + tolerance:.12g}")


def points_score(
    name: str,
    asked: str,
    inputs: tuple[Input, ...],
    points: Callable[..., dict[str, float]],
    is_consistent: Callable[..., bool] = _always,
) -> Calculator:
    """Make a calculation that sums points.

    Args:
        name: see `Calculator`.
        asked: see `Calculator`.
        inputs: see `Calculator`.
        points: returns criterion -> points, from the inputs.
        is_consistent: see `Calculator`.
    """

    @wraps(points)
    def total(**values: Any) -> float:
        return sum(points(**values).values())

    def working(**values: Any) -> str:
        given = points(**values)
        named = ", ".join(f"{criterion} {number:g}" for criterion, number in given.items())
        return f"Points: {named}. Sum: {' + '.join(f'{number:g}' for number in given.values())}"

    return Calculator(name, asked, inputs, total, working, "score", is_consistent=is_consistent)
