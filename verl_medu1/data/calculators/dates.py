"""Dates of a pregnancy. The formulas do not validate values, which are within the ranges of the table below."""

from dataclasses import replace
from datetime import date, timedelta

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.inputs import Choice, Day, Number
from verl_medu1.data.calculators.measures import AGE

_DATE = "%m/%d/%Y"


def gestational_age(last_period: date, visit: date) -> tuple[int, int]:
    """Gestational age in weeks and days since the first day of the last menstrual period.

    Source: ACOG Committee Opinion 700, Obstet Gynecol 2017.
    Inputs: the two dates, 21-293 days apart.

    Example:
        >>> gestational_age(date(2024, 1, 1), date(2024, 3, 4))
        (9, 0)
    """
    return divmod((visit - last_period).days, 7)


def due_date(last_period: date, cycle: float) -> date:
    """Expected date of delivery: 280 days after the last period began, plus one per day of cycle length above 28.

    Source: Baskett and Nagele, BJOG 2000 (Naegele's rule); the correction by the cycle is that of MedCalc-Bench.
    Inputs: the date, a cycle of 21-35 days.

    Example:
        >>> due_date(date(2011, 9, 17), 21)
        datetime.date(2012, 6, 16)
    """
    return last_period + timedelta(days=280 + int(cycle) - 28)


def _age_working(last_period: date, visit: date) -> str:
    days = (visit - last_period).days
    return f"From {last_period:{_DATE}} to {visit:{_DATE}} are {days} days; {days} / 7"


def _due_working(last_period: date, cycle: float) -> str:
    return f"Due date = {last_period:{_DATE}} + 280 days + ({cycle:g} - 28) days"


_LAST_PERIOD = Day("last_period")
_PREGNANT = (replace(AGE, high=42), Choice("sex", ("female",)))

GESTATIONAL_AGE = Calculator(
    "gestational_age",
    "gestational age on the day of the visit, by the last menstrual period",
    (_LAST_PERIOD, Day("visit", "last_period", 21, 293)),
    gestational_age,
    _age_working,
    "duration",
    context=_PREGNANT,
)
CALCULATORS = (
    GESTATIONAL_AGE,
    Calculator(
        "due_date",
        "due date by Naegele's rule, corrected for the length of the cycle",
        (_LAST_PERIOD, Number("cycle", "days", 21, 35)),
        due_date,
        _due_working,
        "date",
        context=_PREGNANT,
    ),
)
