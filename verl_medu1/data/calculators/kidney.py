"""Kidney function of adults. The formulas do not validate values, which are within the ranges of measures.py."""

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.measures import AGE, CREATININE, SEX, WEIGHT


def creatinine_clearance(age: float, sex: str, weight: float, creatinine: float) -> float:
    """Creatinine clearance in mL/min: (140 - age) x weight (kg) / (72 x creatinine (mg/dL)), x 0.85 for women.

    The weight is the actual one.

    Source: Cockcroft and Gault, Nephron 1976.
    Inputs: age 18-95 years, sex, weight 45-130 kg, creatinine 0.5-6 mg/dL.

    Example:
        >>> creatinine_clearance(40, "male", 72, 1.0)
        100.0
    """
    return (140 - age) * weight / (72 * creatinine) * (0.85 if sex == "female" else 1.0)


# Knot of the creatinine in mg/dL, exponent below it, factor.
_CKD_EPI = {"female": (0.7, -0.241, 1.012), "male": (0.9, -0.302, 1.0)}


def gfr_ckd_epi_2021(age: float, sex: str, creatinine: float) -> float:
    """Estimated GFR in mL/min/1.73 m^2: 142 x min(c/k, 1)^a x max(c/k, 1)^-1.200 x 0.9938^age, x 1.012 for women.

    c is the creatinine in mg/dL; k is 0.7 for women and 0.9 for men, a is -0.241 and -0.302.

    Source: Inker et al., N Engl J Med 2021.
    Inputs: age 18-95 years, sex, creatinine 0.5-6 mg/dL.

    Example:
        >>> round(gfr_ckd_epi_2021(50, "male", 0.9), 1)
        104.0
    """
    knot, exponent, factor = _CKD_EPI[sex]
    ratio = creatinine / knot
    return 142 * min(ratio, 1) ** exponent * max(ratio, 1) ** -1.2 * 0.9938**age * factor


def gfr_mdrd(age: float, sex: str, creatinine: float) -> float:
    """Estimated GFR in mL/min/1.73 m^2: 175 x creatinine (mg/dL)^-1.154 x age^-0.203, x 0.742 for women.

    The factor for race is left out, as laboratories do today.

    Source: Levey et al., Ann Intern Med 2006.
    Inputs: age 18-95 years, sex, creatinine 0.5-6 mg/dL.

    Example:
        >>> round(gfr_mdrd(50, "male", 1.0), 1)
        79.1
    """
    return 175 * creatinine**-1.154 * age**-0.203 * (0.742 if sex == "female" else 1.0)


def _clearance_working(age: float, sex: str, weight: float, creatinine: float) -> str:
    women = " x 0.85" if sex == "female" else ""
    return f"CrCl = (140 - {age:g}) x {weight:.6g} / (72 x {creatinine:.6g}){women}"


def _ckd_epi_working(age: float, sex: str, creatinine: float) -> str:
    knot, exponent, factor = _CKD_EPI[sex]
    power = exponent if creatinine < knot else -1.2
    women = f" x {factor}" if sex == "female" else ""
    return f"GFR = 142 x ({creatinine:.6g} / {knot})^{power} x 0.9938^{age:g}{women}"


def _mdrd_working(age: float, sex: str, creatinine: float) -> str:
    women = " x 0.742" if sex == "female" else ""
    return f"GFR = 175 x {creatinine:.6g}^-1.154 x {age:g}^-0.203{women}"


CALCULATORS = (
    Calculator(
        "cockcroft_gault",
        "creatinine clearance (Cockcroft-Gault, actual body weight)",
        (AGE, SEX, WEIGHT, CREATININE),
        creatinine_clearance,
        _clearance_working,
        unit="mL/min",
    ),
    Calculator(
        "ckd_epi_2021",
        "estimated GFR (CKD-EPI 2021, creatinine)",
        (AGE, SEX, CREATININE),
        gfr_ckd_epi_2021,
        _ckd_epi_working,
        unit="mL/min/1.73 m^2",
    ),
    Calculator(
        "mdrd",
        "estimated GFR (MDRD with the factor 175, no race term)",
        (AGE, SEX, CREATININE),
        gfr_mdrd,
        _mdrd_working,
        unit="mL/min/1.73 m^2",
    ),
)
