"""Inputs shared by several calculations: ranges seen in adults, and the units in which laboratories report them."""

from typing import Any

from verl_medu1.data.calculators.inputs import Choice, Number, Unit

# Equivalents per mole of a monovalent ion.
_MONOVALENT = (Unit("mmol/L", 0, (1.0, "mEq/mmol")),)
SEX = Choice("sex", ("female", "male"))
AGE = Number("age", "years", 18, 95)
ADULT = (AGE, SEX)

WEIGHT = Number("weight", "kg", 45, 130, 1, (Unit("lb", 0),))
HEIGHT = Number("height", "cm", 148, 200, 0, (Unit("m", 2), Unit("in", 0)))
SYSTOLIC = Number("systolic", "mm Hg", 80, 200)
DIASTOLIC = Number("diastolic", "mm Hg", 40, 120)
HEART_RATE = Number("heart_rate", "beats/min", 45, 140)
TEMPERATURE = Number("temperature", "°C", 34.5, 40.5, 1, (Unit("°F", 1),))

SODIUM = Number("sodium", "mEq/L", 120, 160, 0, _MONOVALENT)
CHLORIDE = Number("chloride", "mEq/L", 85, 120, 0, _MONOVALENT)
BICARBONATE = Number("bicarbonate", "mEq/L", 8, 35, 0, _MONOVALENT)
# Molar masses in g/mol: creatinine, nitrogen of urea, glucose, calcium.
CREATININE = Number("creatinine", "mg/dL", 0.5, 6, 2, (Unit("umol/L", 0, (113.12, "g/mol")),))
UREA_NITROGEN = Number("urea_nitrogen", "mg/dL", 5, 90, 0, (Unit("mmol/L", 1, (28.014, "g/mol")),))
GLUCOSE = Number("glucose", "mg/dL", 60, 600, 0, (Unit("mmol/L", 1, (180.156, "g/mol")),))
CALCIUM = Number("calcium", "mg/dL", 6.5, 13, 1, (Unit("mmol/L", 2, (40.078, "g/mol")),))
ALBUMIN = Number("albumin", "g/dL", 1.5, 5, 1, (Unit("g/L", 0),))
BILIRUBIN = Number("bilirubin", "mg/dL", 0.3, 12, 1)
INR = Number("inr", "", 0.9, 4, 1)


def is_blood_pressure(systolic: float, diastolic: float, **others: Any) -> bool:
    """Return whether two pressures in mm Hg are plausible as one measurement."""
    return systolic - diastolic >= 20
