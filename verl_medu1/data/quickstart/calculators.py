"""Clinical calculations of the quickstart: small inputs, an exact gold and a worked explanation each."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

# MedCalc-Bench's tolerance for results that are no whole score.
TOLERANCE = Fraction(1, 20)


@dataclass(frozen=True)
class Calculation:
    """A question of the quickstart with its solution.

    Attributes:
        inputs: the numbers it was made from; held-out questions have inputs that no training question has.
        question: the question.
        value: the exact result.
        is_score: a whole score must be met exactly, any other result within 5 %.
        unit: unit of the result, or None.
        formula: what the calculation does, in words.
        short: the calculation in one line.
        steps: the calculation step by step.
        check: the calculation done another way.
    """

    inputs: tuple[int | str, ...]
    question: str
    value: Fraction
    is_score: bool
    unit: str | None
    formula: str
    short: str
    steps: str
    check: str


def decimal(value: Fraction) -> str:
    """A number with at most one decimal, halves up.

    Example:
        >>> decimal(Fraction(280, 3)), decimal(Fraction(12))
        ('93.3', '12')
    """
    tenths = int(value * 10 + Fraction(1, 2))
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"


def _running_sum(points: Sequence[int]) -> str:
    total, steps = points[0], []
    for point in points[1:]:
        steps.append(f"{total}+{point}={total + point}.")
        total += point
    return " ".join(steps)


def _sum_score(
    inputs: tuple[int | str, ...], question: str, formula: str, points: Sequence[int], listed: str = ""
) -> Calculation:
    total = sum(points)
    return Calculation(
        inputs=inputs,
        question=question,
        value=Fraction(total),
        is_score=True,
        unit=None,
        formula=formula,
        short=f"{'+'.join(map(str, points))}={total}.",
        steps=f"{listed} {_running_sum(points)}".strip(),
        check=_running_sum(points[::-1]),
    )


def glasgow_coma_scale(rng: random.Random) -> Calculation:
    """Glasgow Coma Scale: eye (1-4) + verbal (1-5) + motor (1-6). Teasdale and Jennett, Lancet 1974."""
    points = (rng.randint(1, 4), rng.randint(1, 5), rng.randint(1, 6))
    eye, verbal, motor = points
    stem = f"Eye response {eye}, verbal response {verbal}, motor response {motor}."
    return _sum_score(points, f"{stem} Glasgow Coma Scale?", "Glasgow adds eye, verbal and motor.", points)


def apgar(rng: random.Random) -> Calculation:
    """Apgar score: five signs of 0-2 points each. Apgar, Curr Res Anesth Analg 1953."""
    points = tuple(rng.randint(0, 2) for _ in range(5))
    signs = ("Colour", "pulse", "grimace", "activity", "breathing")
    stem = ", ".join(f"{sign} {point}" for sign, point in zip(signs, points, strict=True))
    return _sum_score(points, f"{stem}. Apgar score?", "Apgar adds five signs.", points)


def curb65(rng: random.Random) -> Calculation:
    """CURB-65: one point each for confusion, urea > 7 mmol/L, rate >= 30/min, low pressure, age >= 65. Thorax 2003.

    Low pressure is a systolic value below 90 mmHg (the diastolic criterion is left out of the question).
    """
    confusion = rng.choice(("yes", "no"))
    urea, rate = rng.choice((4, 5, 6, 9, 10, 12)), rng.choice((16, 18, 24, 32, 34, 36))
    pressure, age = rng.choice((80, 85, 110, 120, 130, 140)), rng.choice((40, 50, 60, 70, 75, 80))
    points = (int(confusion == "yes"), int(urea > 7), int(rate >= 30), int(pressure < 90), int(age >= 65))
    stem = f"Confusion {confusion}, urea {urea}, rate {rate}, systolic {pressure}, age {age}."
    names = ("confusion", "urea", "rate", "systolic", "age")
    listed = ", ".join(f"{name} {point}" for name, point in zip(names, points, strict=True))
    inputs = (confusion, urea, rate, pressure, age)
    return _sum_score(inputs, f"{stem} CURB-65?", f"{listed}.", points)


def mean_arterial_pressure(rng: random.Random) -> Calculation:
    """Mean arterial pressure: (systolic + 2 * diastolic) / 3, in mmHg."""
    diastolic = rng.randrange(50, 105, 5)
    pulse = rng.randrange(20, 85, 5)
    systolic = diastolic + pulse
    value = Fraction(systolic + 2 * diastolic, 3)
    third, result = decimal(Fraction(pulse, 3)), decimal(value)
    return Calculation(
        inputs=(systolic, diastolic),
        question=f"Blood pressure {systolic}/{diastolic}. Mean arterial pressure in mmHg?",
        value=value,
        is_score=False,
        unit="mmHg",
        formula="mean is diastolic plus a third of the pulse pressure.",
        short=f"{diastolic} + {pulse} / 3 = {result}.",
        steps=f"{systolic} - {diastolic} = {pulse}. {pulse} / 3 = {third}. {diastolic} + {third} = {result}.",
        check=f"2 x {diastolic} = {2 * diastolic}. {2 * diastolic} + {systolic} = {systolic + 2 * diastolic}. "
        f"{systolic + 2 * diastolic} / 3 = {result}.",
    )


def anion_gap(rng: random.Random) -> Calculation:
    """Anion gap: sodium - (chloride + bicarbonate), in mmol/L."""
    sodium, bicarbonate = rng.randint(130, 149), rng.randint(10, 29)
    chloride = rng.randint(95, 105)
    gap = sodium - chloride - bicarbonate
    if gap < 4:
        return anion_gap(rng)
    both = chloride + bicarbonate
    return Calculation(
        inputs=(sodium, chloride, bicarbonate),
        question=f"Sodium {sodium}, chloride {chloride}, bicarbonate {bicarbonate}. Anion gap in mmol/L?",
        value=Fraction(gap),
        is_score=False,
        unit="mmol/L",
        formula="the gap is sodium less chloride and bicarbonate.",
        short=f"{sodium} - {both} = {gap}.",
        steps=f"{chloride} + {bicarbonate} = {both}. {sodium} - {both} = {gap}.",
        check=f"{sodium} - {chloride} = {sodium - chloride}. {sodium - chloride} - {bicarbonate} = {gap}.",
    )


def corrected_calcium(rng: random.Random) -> Calculation:
    """Calcium corrected for albumin: calcium + 0.8 * (4 - albumin), in mg/dL. Payne, BMJ 1973."""
    calcium, albumin = Fraction(rng.randint(70, 100), 10), Fraction(rng.randrange(15, 40, 5), 10)
    missing = 4 - albumin
    change = missing * Fraction(4, 5)
    result = calcium + change
    return Calculation(
        inputs=(decimal(calcium), decimal(albumin)),
        question=f"Calcium {decimal(calcium)} mg/dL, albumin {decimal(albumin)} g/dL. Corrected calcium in mg/dL?",
        value=result,
        is_score=False,
        unit="mg/dL",
        formula="add 0.8 for each gram of albumin below 4.",
        short=f"{decimal(calcium)} + 0.8 x {decimal(missing)} = {decimal(result)}.",
        steps=f"4 - {decimal(albumin)} = {decimal(missing)}. 0.8 x {decimal(missing)} = {decimal(change)}. "
        f"{decimal(calcium)} + {decimal(change)} = {decimal(result)}.",
        check=f"{decimal(result)} - {decimal(change)} = {decimal(calcium)}.",
    )


CALCULATORS: dict[str, Callable[[random.Random], Calculation]] = {
    "glasgow_coma_scale": glasgow_coma_scale,
    "apgar": apgar,
    "curb65": curb65,
    "mean_arterial_pressure": mean_arterial_pressure,
    "anion_gap": anion_gap,
    "corrected_calcium": corrected_calcium,
}
