"""Liver disease. The formulas do not validate values, which are within the ranges of the table below."""

import math
from dataclasses import replace

from verl_medu1.data.calculators.calculator import Calculator, points_score
from verl_medu1.data.calculators.inputs import Choice, Number
from verl_medu1.data.calculators.measures import AGE, ALBUMIN, BILIRUBIN, CREATININE, INR, SODIUM


def fib4(age: float, ast: float, alt: float, platelets: float) -> float:
    """FIB-4 index: age x AST (U/L) / (platelets (10^9/L) x square root of ALT (U/L)).

    Source: Sterling et al., Hepatology 2006.
    Inputs: age 18-95 years, AST 15-200 U/L, ALT 15-200 U/L, platelets 40-400 x 10^9/L.

    Example:
        >>> fib4(50, 40, 25, 200)
        2.0
    """
    return age * ast / (platelets * math.sqrt(alt))


def _ten_meld(creatinine: float, bilirubin: float, inr: float) -> float:
    total = 0.957 * math.log(min(max(creatinine, 1), 4)) + 0.378 * math.log(max(bilirubin, 1))
    return 10 * (total + 1.12 * math.log(max(inr, 1)) + 0.643)


def _lack(sodium: float) -> float:
    return 137 - min(max(sodium, 125), 137)


def _adjusted(meld: float, sodium: float) -> float:
    return meld + 1.32 * _lack(sodium) - 0.033 * meld * _lack(sodium) if meld > 11 else meld


def meld_na(creatinine: float, bilirubin: float, inr: float, sodium: float) -> int:
    """MELD-Na, a score from 6 to 40, of a patient not on dialysis.

    MELD = 10 x (0.957 ln(creatinine) + 0.378 ln(bilirubin) + 1.120 ln(INR) + 0.643), rounded; values below 1 count as 1
    and a creatinine above 4 mg/dL as 4. Above 11 it becomes MELD + 1.32 x (137 - Na) - 0.033 x MELD x (137 - Na), with
    sodium (mEq/L) clipped to 125-137; rounded, and at most 40.

    Source: OPTN Policy 9.1.D, 2016.
    Inputs: creatinine 0.5-6 mg/dL, bilirubin 0.3-12 mg/dL, INR 0.9-4, sodium 120-145 mEq/L.

    Example:
        >>> meld_na(2.0, 3.0, 1.5, 130)
        26
    """
    return min(round(_adjusted(round(_ten_meld(creatinine, bilirubin, inr)), sodium)), 40)


def _meld_working(creatinine: float, bilirubin: float, inr: float, sodium: float) -> str:
    kept, lack, meld = min(max(creatinine, 1), 4), _lack(sodium), round(_ten_meld(creatinine, bilirubin, inr))
    start = (
        f"Values below 1 count as 1. MELD = 10 x (0.957 x ln({kept:g}) + 0.378 x ln({max(bilirubin, 1):g}) "
        f"+ 1.120 x ln({max(inr, 1):g}) + 0.643) = {meld}."
    )
    if meld <= 11:
        return f"{start} It is not above 11, so sodium does not count: MELD-Na"
    adjusted = f"{meld} + 1.32 x {lack:g} - 0.033 x {meld} x {lack:g} = {_adjusted(meld, sodium):.6g}"
    return f"{start} With sodium: {adjusted}. Rounded and at most 40: MELD-Na"


def _is_clear_of_halves(creatinine: float, bilirubin: float, inr: float, sodium: float) -> bool:
    """Return whether no rounding in MELD-Na depends on the last digits of a logarithm or on how halves are rounded."""
    first = _ten_meld(creatinine, bilirubin, inr)
    return all(abs(number % 1 - 0.5) > 0.02 for number in (first, _adjusted(round(first), sodium)))


def child_pugh_points(
    bilirubin: float, albumin: float, inr: float, ascites: str, encephalopathy: str
) -> dict[str, float]:
    """Child-Pugh points, 5 to 15 in total.

    1, 2 or 3 for bilirubin < 2, 2-3, > 3 mg/dL; albumin > 3.5, 2.8-3.5, < 2.8 g/dL; INR < 1.7, 1.7-2.3, > 2.3;
    ascites none, slight, moderate; encephalopathy none, grade 1-2, grade 3-4.

    Pugh uses the prothrombin time in seconds; the INR replaced it later.

    Source: Pugh et al., Br J Surg 1973; with the INR: MSD Manual, Child-Turcotte-Pugh Scoring System.
    Inputs: bilirubin 0.3-12 mg/dL, albumin 1.5-5 g/dL, INR 0.9-4; the options of `_ASCITES` and `_ENCEPHALOPATHY`.

    Example:
        >>> sum(child_pugh_points(2.5, 3.0, 1.8, "slight", "none").values())
        9
    """
    return {
        "bilirubin": 1 + (bilirubin >= 2) + (bilirubin > 3),
        "albumin": 1 + (albumin <= 3.5) + (albumin < 2.8),
        "INR": 1 + (inr >= 1.7) + (inr > 2.3),
        "ascites": 1 + _ASCITES.index(ascites),
        "encephalopathy": 1 + _ENCEPHALOPATHY.index(encephalopathy),
    }


_ASCITES = ("none", "slight", "moderate")
_ENCEPHALOPATHY = ("none", "grade 1-2", "grade 3-4")

CALCULATORS = (
    Calculator(
        "fib4",
        "FIB-4 index",
        (
            AGE,
            Number("ast", "U/L", 15, 200),
            Number("alt", "U/L", 15, 200),
            Number("platelets", "x 10^9/L", 40, 400),
        ),
        fib4,
        lambda age, ast, alt, platelets: f"FIB-4 = {age:g} x {ast:g} / ({platelets:g} x sqrt({alt:g}))",
        decimals=3,
    ),
    Calculator(
        "meld_na",
        "MELD-Na score (OPTN 2016; not dialysed)",
        # Only in mg/dL: the score can depend on the last digit, and published molar masses are rounded differently.
        (replace(CREATININE, others=()), BILIRUBIN, INR, replace(SODIUM, high=145)),
        meld_na,
        _meld_working,
        "score",
        is_consistent=_is_clear_of_halves,
    ),
    points_score(
        "child_pugh",
        "Child-Pugh score (by INR; points)",
        (BILIRUBIN, ALBUMIN, INR, Choice("ascites", _ASCITES), Choice("encephalopathy", _ENCEPHALOPATHY)),
        child_pugh_points,
    ),
)
