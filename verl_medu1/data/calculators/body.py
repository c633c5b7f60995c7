"""Body size and blood pressure. The formulas do not validate values, which are within the ranges of measures.py."""

import math
from dataclasses import replace

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.measures import DIASTOLIC, HEIGHT, SEX, SYSTOLIC, WEIGHT, is_blood_pressure

CM_PER_INCH = 2.54


def body_mass_index(weight: float, height: float) -> float:
    """Body mass index in kg/m^2: weight (kg) / (height (cm) / 100)^2.

    Source: Keys et al., J Chronic Dis 1972.
    Inputs: weight 45-130 kg, height 148-200 cm.

    Example:
        >>> round(body_mass_index(70, 175), 2)
        22.86
    """
    return weight / (height / 100) ** 2


def body_surface_area(weight: float, height: float) -> float:
    """Body surface area in m^2: square root of weight (kg) x height (cm) / 3600.

    Source: Mosteller, N Engl J Med 1987.
    Inputs: weight 45-130 kg, height 148-200 cm.

    Example:
        >>> body_surface_area(80, 180)
        2.0
    """
    return math.sqrt(weight * height / 3600)


def mean_arterial_pressure(systolic: float, diastolic: float) -> float:
    """Mean arterial pressure in mm Hg: one third of the systolic plus two thirds of the diastolic pressure.

    Source: DeMers and Wachs, StatPearls (Physiology, Mean Arterial Pressure) 2023.
    Inputs: systolic 80-200 mm Hg, diastolic 40-120 mm Hg, at least 20 mm Hg apart.

    Example:
        >>> round(mean_arterial_pressure(120, 80), 1)
        93.3
    """
    return (systolic + 2 * diastolic) / 3


def ideal_body_weight(height: float, sex: str) -> float:
    """Ideal body weight in kg: 50 for men, 45.5 for women, plus 2.3 for each inch of height (cm / 2.54) above 60.

    Source: Devine, Drug Intell Clin Pharm 1974.
    Inputs: height 153-200 cm; sex.

    Example:
        >>> round(ideal_body_weight(177.8, "male"), 1)
        73.0
    """
    return (45.5 if sex == "female" else 50.0) + 2.3 * (height / CM_PER_INCH - 60)


def adjusted_body_weight(weight: float, height: float, sex: str) -> float:
    """Adjusted body weight in kg: ideal weight + 0.4 x (actual weight (kg) - ideal weight).

    Source: Bauer et al., Eur J Clin Pharmacol 1983.
    Inputs: weight 60-160 kg, above the ideal weight; height 153-200 cm; sex.

    Example:
        >>> round(adjusted_body_weight(100, 177.8, "male"), 1)
        83.8
    """
    ideal = ideal_body_weight(height, sex)
    return ideal + 0.4 * (weight - ideal)


def _ideal_working(height: float, sex: str) -> str:
    start = "45.5" if sex == "female" else "50"
    return f"Ideal body weight = {start} + 2.3 x ({height / CM_PER_INCH:.6g} in - 60)"


def _adjusted_working(weight: float, height: float, sex: str) -> str:
    ideal = f"{ideal_body_weight(height, sex):.6g}"
    return f"{_ideal_working(height, sex)} = {ideal} kg. Adjusted = {ideal} + 0.4 x ({weight:.6g} - {ideal})"


# The formula for the ideal weight counts inches above five feet.
_TALL = replace(HEIGHT, low=153)

BODY_MASS_INDEX = Calculator(
    "bmi",
    "body mass index (BMI)",
    (WEIGHT, HEIGHT),
    body_mass_index,
    lambda weight, height: f"BMI = weight / height^2 = {weight:.6g} / {height / 100:.6g}^2",
    unit="kg/m^2",
    decimals=2,
)
CALCULATORS = (
    BODY_MASS_INDEX,
    Calculator(
        "bsa",
        "body surface area (Mosteller)",
        (WEIGHT, HEIGHT),
        body_surface_area,
        lambda weight, height: f"BSA = sqrt(weight x height / 3600) = sqrt({weight:.6g} x {height:.6g} / 3600)",
        unit="m^2",
        decimals=3,
    ),
    Calculator(
        "map",
        "mean arterial pressure",
        (SYSTOLIC, DIASTOLIC),
        mean_arterial_pressure,
        lambda systolic, diastolic: f"MAP = (systolic + 2 x diastolic) / 3 = ({systolic:g} + 2 x {diastolic:g}) / 3",
        unit="mm Hg",
        is_consistent=is_blood_pressure,
    ),
    Calculator(
        "ibw", "ideal body weight (Devine)", (_TALL, SEX), ideal_body_weight, _ideal_working, unit="kg", decimals=2
    ),
    Calculator(
        "abw",
        "adjusted body weight (Devine's ideal weight and 0.4 of the excess)",
        (replace(WEIGHT, low=60, high=160), _TALL, SEX),
        adjusted_body_weight,
        _adjusted_working,
        unit="kg",
        decimals=2,
        is_consistent=lambda weight, height, sex: weight > ideal_body_weight(height, sex),
    ),
)
