"""The QT interval corrected to a heart rate of 60. The formulas do not validate values; the table has their ranges."""

import math
from dataclasses import replace

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.inputs import Number
from verl_medu1.data.calculators.measures import HEART_RATE


def qtc_bazett(qt: float, heart_rate: float) -> float:
    """Corrected QT interval in ms: QT (ms) / square root of RR, where RR = 60 / heart rate (beats/min) in seconds.

    Source: Bazett, Heart 1920.
    Inputs: QT 320-520 ms, heart rate 45-120 beats/min.

    Example:
        >>> round(qtc_bazett(400, 75), 1)
        447.2
    """
    return qt / math.sqrt(60 / heart_rate)


def qtc_fridericia(qt: float, heart_rate: float) -> float:
    """Corrected QT interval in ms: QT (ms) / cube root of RR, where RR = 60 / heart rate (beats/min) in seconds.

    Source: Fridericia, Acta Med Scand 1920.
    Inputs: QT 320-520 ms, heart rate 45-120 beats/min.

    Example:
        >>> round(qtc_fridericia(400, 75), 1)
        430.9
    """
    return qt / (60 / heart_rate) ** (1 / 3)


def qtc_framingham(qt: float, heart_rate: float) -> float:
    """Corrected QT interval in ms: QT (ms) + 154 x (1 - RR), RR = 60 / heart rate (beats/min) in seconds.

    Source: Sagie et al., Am J Cardiol 1992.
    Inputs: QT 320-520 ms, heart rate 45-120 beats/min.

    Example:
        >>> round(qtc_framingham(400, 75), 1)
        430.8
    """
    return qt + 154 * (1 - 60 / heart_rate)


def qtc_hodges(qt: float, heart_rate: float) -> float:
    """Corrected QT interval in ms: QT (ms) + 1.75 x (heart rate (beats/min) - 60).

    Source: Hodges et al., J Am Coll Cardiol 1983.
    Inputs: QT 320-520 ms, heart rate 45-120 beats/min.

    Example:
        >>> qtc_hodges(400, 80)
        435.0
    """
    return qt + 1.75 * (heart_rate - 60)


def _rr(heart_rate: float) -> str:
    return f"RR = 60 / {heart_rate:g} = {60 / heart_rate:.6g} s"


_INPUTS = (Number("qt", "ms", 320, 520), replace(HEART_RATE, high=120))

CALCULATORS = (
    Calculator(
        "qtc_bazett",
        "corrected QT interval (Bazett)",
        _INPUTS,
        qtc_bazett,
        lambda qt, heart_rate: f"{_rr(heart_rate)}. QTc = QT / sqrt(RR) = {qt:g} / sqrt({60 / heart_rate:.6g})",
        unit="ms",
    ),
    Calculator(
        "qtc_fridericia",
        "corrected QT interval (Fridericia)",
        _INPUTS,
        qtc_fridericia,
        lambda qt, heart_rate: f"{_rr(heart_rate)}. QTc = QT / RR^(1/3) = {qt:g} / {60 / heart_rate:.6g}^(1/3)",
        unit="ms",
    ),
    Calculator(
        "qtc_framingham",
        "corrected QT interval (Framingham)",
        _INPUTS,
        qtc_framingham,
        lambda qt, heart_rate: (
            f"{_rr(heart_rate)}. QTc = QT + 154 x (1 - RR) = {qt:g} + 154 x (1 - {60 / heart_rate:.6g})"
        ),
        unit="ms",
    ),
    Calculator(
        "qtc_hodges",
        "corrected QT interval (Hodges)",
        _INPUTS,
        qtc_hodges,
        lambda qt, heart_rate: f"QTc = QT + 1.75 x (heart rate - 60) = {qt:g} + 1.75 x ({heart_rate:g} - 60)",
        unit="ms",
    ),
)
