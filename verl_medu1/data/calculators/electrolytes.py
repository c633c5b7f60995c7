"""Electrolytes, osmolality and water. The formulas do not validate values, which are within the ranges given below."""

from dataclasses import replace

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.measures import (
    AGE,
    ALBUMIN,
    BICARBONATE,
    CALCIUM,
    CHLORIDE,
    GLUCOSE,
    SEX,
    SODIUM,
    UREA_NITROGEN,
    WEIGHT,
)

# Normal values used by the formulas, in mEq/L, mEq/L and g/dL.
NORMAL_GAP, NORMAL_BICARBONATE, NORMAL_ALBUMIN = 12, 24, 4.0


def anion_gap(sodium: float, chloride: float, bicarbonate: float) -> float:
    """Anion gap in mEq/L without potassium: sodium - (chloride + bicarbonate), each in mEq/L.

    Source: Emmett and Narins, Medicine 1977.
    Inputs: sodium 120-160, chloride 85-120, bicarbonate 8-35 mEq/L.

    Example:
        >>> anion_gap(140, 104, 24)
        12
    """
    return sodium - (chloride + bicarbonate)


def corrected_anion_gap(sodium: float, chloride: float, bicarbonate: float, albumin: float) -> float:
    """Anion gap in mEq/L at a normal albumin: anion gap + 2.5 x (4.0 - albumin (g/dL)).

    Source: Figge et al., Crit Care Med 1998.
    Inputs: as `anion_gap`; albumin 1.5-5 g/dL. The normal albumin of 4.0 is that of MedCalc-Bench; Figge has 4.4.

    Example:
        >>> corrected_anion_gap(140, 104, 24, 2.0)
        17.0
    """
    return anion_gap(sodium, chloride, bicarbonate) + 2.5 * (NORMAL_ALBUMIN - albumin)


def delta_gap(sodium: float, chloride: float, bicarbonate: float) -> float:
    """Delta gap in mEq/L: anion gap - 12, the normal one.

    Source: Rastegar, J Am Soc Nephrol 2007.
    Inputs: as `anion_gap`, with a gap above 12.

    Example:
        >>> delta_gap(140, 104, 14)
        10
    """
    return anion_gap(sodium, chloride, bicarbonate) - NORMAL_GAP


def delta_ratio(sodium: float, chloride: float, bicarbonate: float) -> float:
    """Delta ratio: delta gap / (24 - bicarbonate), each in mEq/L, 24 being the normal bicarbonate.

    Source: Rastegar, J Am Soc Nephrol 2007.
    Inputs: as `delta_gap`, with a bicarbonate of 8-22 mEq/L.

    Example:
        >>> delta_ratio(140, 104, 14)
        1.0
    """
    return delta_gap(sodium, chloride, bicarbonate) / (NORMAL_BICARBONATE - bicarbonate)


def corrected_calcium(calcium: float, albumin: float) -> float:
    """Calcium in mg/dL at a normal albumin: calcium (mg/dL) + 0.8 x (4.0 - albumin (g/dL)).

    The factor 0.8 is the one in textbooks; Payne et al., Br Med J 1973, have calcium + 4.0 - albumin.

    Source: MDCalc, Calcium Correction for Hypoalbuminemia; MedCalc-Bench has the same.
    Inputs: calcium 6.5-13 mg/dL, albumin 1.5-5 g/dL.

    Example:
        >>> corrected_calcium(8.0, 2.0)
        9.6
    """
    return calcium + 0.8 * (NORMAL_ALBUMIN - albumin)


def serum_osmolality(sodium: float, urea_nitrogen: float, glucose: float) -> float:
    """Calculated osmolality in mOsm/kg: 2 x sodium (mEq/L) + urea nitrogen (mg/dL) / 2.8 + glucose (mg/dL) / 18.

    Source: Smithline and Gardner, JAMA 1976.
    Inputs: sodium 120-160 mEq/L, urea nitrogen 5-90 mg/dL, glucose 60-600 mg/dL.

    Example:
        >>> serum_osmolality(140, 14, 90)
        290.0
    """
    return 2 * sodium + urea_nitrogen / 2.8 + glucose / 18


def body_water_fraction(age: float, sex: str) -> float:
    """Litres of water per kg of an adult's weight: 0.6 for men and 0.5 for women; from 65 years on 0.5 and 0.45.

    Source: Adrogué and Madias, N Engl J Med 2000; the age is that of MedCalc-Bench, they say "elderly".

    Example:
        >>> body_water_fraction(70, "female")
        0.45
    """
    if age >= 65:
        return 0.45 if sex == "female" else 0.5
    return 0.5 if sex == "female" else 0.6


def free_water_deficit(age: float, sex: str, weight: float, sodium: float) -> float:
    """Free water deficit in L: body water (a fraction of the weight in kg) x (sodium (mEq/L) / 140 - 1).

    Source: Adrogué and Madias, N Engl J Med 2000.
    Inputs: age 18-95 years, sex, weight 45-130 kg, sodium 146-170 mEq/L.

    Example:
        >>> round(free_water_deficit(40, "male", 70, 154), 2)
        4.2
    """
    return body_water_fraction(age, sex) * weight * (sodium / 140 - 1)


def corrected_sodium(sodium: float, glucose: float) -> float:
    """Sodium in mEq/L at a normal glucose: sodium (mEq/L) + 0.024 x (glucose (mg/dL) - 100).

    Source: Hillier et al., Am J Med 1999.
    Inputs: sodium 120-160 mEq/L, glucose 150-800 mg/dL.

    Example:
        >>> corrected_sodium(130, 600)
        142.0
    """
    return sodium + 0.024 * (glucose - 100)


def _gap_working(sodium: float, chloride: float, bicarbonate: float) -> str:
    return f"Anion gap = sodium - (chloride + bicarbonate) = {sodium:g} - ({chloride:g} + {bicarbonate:g})"


def _corrected_gap_working(sodium: float, chloride: float, bicarbonate: float, albumin: float) -> str:
    gap = anion_gap(sodium, chloride, bicarbonate)
    working = _gap_working(sodium, chloride, bicarbonate)
    return f"{working} = {gap:g} mEq/L. Corrected = {gap:g} + 2.5 x (4.0 - {albumin:.6g})"


def _delta_working(sodium: float, chloride: float, bicarbonate: float) -> str:
    gap = anion_gap(sodium, chloride, bicarbonate)
    return f"{_gap_working(sodium, chloride, bicarbonate)} = {gap:g} mEq/L. Delta gap = {gap:g} - 12"


def _ratio_working(sodium: float, chloride: float, bicarbonate: float) -> str:
    delta = delta_gap(sodium, chloride, bicarbonate)
    working = _delta_working(sodium, chloride, bicarbonate)
    return f"{working} = {delta:g} mEq/L. Delta ratio = {delta:g} / (24 - {bicarbonate:g})"


def _deficit_working(age: float, sex: str, weight: float, sodium: float) -> str:
    fraction = body_water_fraction(age, sex)
    return f"Deficit = {fraction} x weight x (sodium / 140 - 1) = {fraction} x {weight:.6g} x ({sodium:g} / 140 - 1)"


_GAP_INPUTS = (SODIUM, CHLORIDE, BICARBONATE)


def _has_wide_gap(sodium: float, chloride: float, bicarbonate: float) -> bool:
    return NORMAL_GAP < anion_gap(sodium, chloride, bicarbonate) <= 40


def _has_gap(sodium: float, chloride: float, bicarbonate: float, albumin: float = NORMAL_ALBUMIN) -> bool:
    return 2 <= anion_gap(sodium, chloride, bicarbonate) <= 40


CALCULATORS = (
    Calculator(
        "anion_gap",
        "anion gap (without potassium)",
        _GAP_INPUTS,
        anion_gap,
        _gap_working,
        unit="mEq/L",
        is_consistent=_has_gap,
    ),
    Calculator(
        "corrected_anion_gap",
        "albumin-corrected anion gap (without potassium; normal albumin 4.0 g/dL)",
        (*_GAP_INPUTS, ALBUMIN),
        corrected_anion_gap,
        _corrected_gap_working,
        unit="mEq/L",
        decimals=2,
        is_consistent=_has_gap,
    ),
    Calculator(
        "delta_gap",
        "delta gap (anion gap without potassium, less a normal gap of 12 mEq/L)",
        _GAP_INPUTS,
        delta_gap,
        _delta_working,
        unit="mEq/L",
        is_consistent=_has_wide_gap,
    ),
    Calculator(
        "delta_ratio",
        "delta ratio (rise of the anion gap above 12 mEq/L over the fall of bicarbonate below 24 mEq/L)",
        (SODIUM, CHLORIDE, replace(BICARBONATE, high=22)),
        delta_ratio,
        _ratio_working,
        decimals=3,
        is_consistent=_has_wide_gap,
    ),
    Calculator(
        "corrected_calcium",
        "albumin-corrected calcium (calcium + 0.8 x (4.0 - albumin in g/dL))",
        (CALCIUM, ALBUMIN),
        corrected_calcium,
        lambda calcium, albumin: f"Corrected calcium = {calcium:.6g} + 0.8 x (4.0 - {albumin:.6g})",
        unit="mg/dL",
        decimals=2,
    ),
    Calculator(
        "serum_osmolality",
        "serum osmolality (2 x sodium + urea nitrogen / 2.8 + glucose / 18)",
        (SODIUM, UREA_NITROGEN, GLUCOSE),
        serum_osmolality,
        lambda sodium, urea_nitrogen, glucose: (
            f"Osmolality = 2 x {sodium:g} + {urea_nitrogen:.6g} / 2.8 + {glucose:.6g} / 18"
        ),
        unit="mOsm/kg",
    ),
    Calculator(
        "free_water_deficit",
        "free water deficit (target sodium 140 mEq/L; body water 0.6 of the weight in men and 0.5 in women, "
        "0.5 and 0.45 from 65 years)",
        (AGE, SEX, WEIGHT, replace(SODIUM, low=146, high=170)),
        free_water_deficit,
        _deficit_working,
        unit="L",
        decimals=3,
    ),
    Calculator(
        "corrected_sodium",
        "sodium corrected for glucose (Hillier, 2.4 mEq/L for each 100 mg/dL above 100)",
        (replace(SODIUM, high=150), replace(GLUCOSE, low=150, high=800)),
        corrected_sodium,
        lambda sodium, glucose: f"Corrected sodium = {sodium:g} + 0.024 x ({glucose:.6g} - 100)",
        unit="mEq/L",
        decimals=2,
    ),
)
