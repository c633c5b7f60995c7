"""Doses of steroids and fluids. The formulas do not validate values, which are within the ranges of the table below."""

from dataclasses import replace
from functools import wraps

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.inputs import Choice, Number
from verl_medu1.data.calculators.measures import AGE, WEIGHT

# Doses in mg with the same anti-inflammatory effect.
EQUIVALENT_DOSES = {
    "hydrocortisone": 20.0,
    "cortisone": 25.0,
    "prednisone": 5.0,
    "prednisolone": 5.0,
    "methylprednisolone": 4.0,
    "triamcinolone": 4.0,
    "dexamethasone": 0.75,
}


def equivalent_dose(steroid: str, dose: float, planned_steroid: str) -> float:
    """Dose in mg of another glucocorticoid: dose (mg) x equivalent dose of the new one / that of the old one.

    Published tables differ on two drugs: some have 0.6 mg of dexamethasone, so the question states 0.75; betamethasone,
    with 0.6 or 0.75, is left out.

    Source: GlobalRPH, Corticosteroid Converter (table of equivalent doses).
    Inputs: two steroids of `EQUIVALENT_DOSES`, 4-40 mg.

    Example:
        >>> equivalent_dose("prednisone", 20, "dexamethasone")
        3.0
    """
    return dose * EQUIVALENT_DOSES[planned_steroid] / EQUIVALENT_DOSES[steroid]


def maintenance_fluid(weight: float) -> float:
    """Maintenance fluid in mL/h: 4 for each of the first 10 kg, 2 for each of the next 10, 1 for each kg above 20.

    Source: Holliday and Segar, Pediatrics 1957.
    Inputs: weight of a child, 8-60 kg.

    Example:
        >>> maintenance_fluid(25)
        65
    """
    return 4 * min(weight, 10) + 2 * min(max(weight - 10, 0), 10) + max(weight - 20, 0)


@wraps(maintenance_fluid)
def _fluid_of_child(age: float, weight: float) -> float:
    """The age is only for the note and for `is_consistent`."""
    return maintenance_fluid(weight)


def _equivalent_working(steroid: str, dose: float, planned_steroid: str) -> str:
    old, new = EQUIVALENT_DOSES[steroid], EQUIVALENT_DOSES[planned_steroid]
    return f"{old:g} mg of {steroid} equal {new:g} mg of {planned_steroid}: {dose:g} x {new:g} / {old:g}"


def _fluid_working(age: float, weight: float) -> str:
    terms = [f"4 x {min(weight, 10):.6g}"]
    if weight > 10:
        terms.append(f"2 x {min(weight - 10, 10):.6g}")
    if weight > 20:
        terms.append(f"1 x {weight - 20:.6g}")
    return f"Rate = {' + '.join(terms)}"


_STEROIDS = tuple(EQUIVALENT_DOSES)

CALCULATORS = (
    Calculator(
        "steroid_conversion",
        "equivalent daily dose of the planned steroid (by glucocorticoid potency; "
        "dexamethasone 0.75 mg = prednisone 5 mg)",
        (Choice("steroid", _STEROIDS), Number("dose", "mg", 4, 40), Choice("planned_steroid", _STEROIDS)),
        equivalent_dose,
        _equivalent_working,
        unit="mg",
        decimals=3,
        is_consistent=lambda steroid, dose, planned_steroid: steroid != planned_steroid,
    ),
    Calculator(
        "maintenance_fluid",
        "hourly maintenance fluid (4-2-1 rule)",
        (replace(AGE, low=1, high=14), replace(WEIGHT, low=8, high=60)),
        _fluid_of_child,
        _fluid_working,
        unit="mL/h",
        # A plausible weight for a child of this age.
        is_consistent=lambda age, weight: 2 * age + 5 <= weight <= 4 * age + 10,
    ),
)
