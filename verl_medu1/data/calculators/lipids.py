"""Lipids. The formula does not validate values, which are within the ranges of the table below."""

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.inputs import Number, Unit


def ldl_cholesterol(cholesterol: float, hdl: float, triglycerides: float) -> float:
    """LDL cholesterol in mg/dL: total cholesterol - HDL - triglycerides / 5, each in mg/dL.

    Source: Friedewald et al., Clin Chem 1972.
    Inputs: cholesterol 120-320, HDL 25-90, triglycerides 50-399 mg/dL (the formula fails from 400 on).

    Example:
        >>> ldl_cholesterol(200, 50, 150)
        120.0
    """
    return cholesterol - hdl - triglycerides / 5


# Molar masses in g/mol of cholesterol and of an average triglyceride.
_CHOLESTEROL_UNITS = (Unit("mmol/L", 2, (386.65, "g/mol")),)
_TRIGLYCERIDE_UNITS = (Unit("mmol/L", 2, (885.7, "g/mol")),)

CALCULATORS = (
    Calculator(
        "ldl",
        "LDL cholesterol (Friedewald)",
        (
            Number("cholesterol", "mg/dL", 120, 320, 0, _CHOLESTEROL_UNITS),
            Number("hdl", "mg/dL", 25, 90, 0, _CHOLESTEROL_UNITS),
            Number("triglycerides", "mg/dL", 50, 399, 0, _TRIGLYCERIDE_UNITS),
        ),
        ldl_cholesterol,
        lambda cholesterol, hdl, triglycerides: (
            f"LDL = cholesterol - HDL - triglycerides / 5 = {cholesterol:.6g} - {hdl:.6g} - {triglycerides:.6g} / 5"
        ),
        unit="mg/dL",
        is_consistent=lambda cholesterol, hdl, triglycerides: ldl_cholesterol(cholesterol, hdl, triglycerides) >= 30,
    ),
)
