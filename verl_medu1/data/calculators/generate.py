"""Generates calculations: a note and a question, the gold answer for the printed values, and a worked answer."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from verl_medu1.data.calculators.calculator import Calculator, limits, written
from verl_medu1.data.calculators.catalogue import CALCULATORS
from verl_medu1.data.calculators.inputs import Finding
from verl_medu1.data.calculators.notes import write_note
from verl_medu1.data.example import Example

DATA_SOURCE = "synthetic-calc"


@dataclass(frozen=True)
class Worked:
    """A question with its worked answer.

    Attributes:
        example: the question.
        calculator: name in the catalogue.
        findings: the inputs that the note states, by name.
        explanation: the steps with their numbers, ending with the gold answer.
    """

    example: Example
    calculator: str
    findings: dict[str, Finding]
    explanation: str


def generate(number: int, seed: int, formulas: Sequence[str] = ()) -> Iterator[Worked]:
    """Generate questions lazily, from all calculators in turn, or from some.

    Args:
        number: number of questions; with the same seed a smaller number gives the first of a larger one.
        seed: the same seed gives the same questions.
        formulas: names in the catalogue; none means all.

    Raises:
        ValueError: `number` is below 1, or there is no such formula.

    Example:
        >>> next(generate(1, 0)).example.unit
        'kg/m^2'
        >>> next(generate(1, 0, ["map"])).calculator
        'map'
    """
    if number < 1:
        raise ValueError(f"--source {DATA_SOURCE}={number} asks for no question; give at least 1.")
    if unknown := [name for name in formulas if name not in CALCULATORS]:
        raise ValueError(f"--source {DATA_SOURCE} has no formula {unknown[0]!r}; choose from {', '.join(CALCULATORS)}.")
    calculators = [CALCULATORS[name] for name in formulas or CALCULATORS]
    return _draw_all(number, calculators, random.Random(seed))


def _draw_all(number: int, calculators: Sequence[Calculator], rng: random.Random) -> Iterator[Worked]:
    for place in range(number):
        yield draw(calculators[place % len(calculators)], f"{DATA_SOURCE}/{place}", rng)


def draw(calculator: Calculator, row_id: str, rng: random.Random) -> Worked:
    """Draw one question for a calculator.

    The formula gets the values as printed in the note, so the gold answer matches the text.
    """
    findings = _draw_findings(calculator, rng)
    values = {name: finding.value for name, finding in findings.items()}
    while not calculator.is_usable(values):
        findings = _draw_findings(calculator, rng)
        values = {name: finding.value for name, finding in findings.items()}
    context = {item.name: item.draw(rng, {}) for item in calculator.context if item.name not in findings}
    question = write_note(calculator, context | findings, rng)
    result = calculator.formula(**values)
    gold = written(calculator, result)
    lower, upper = limits(calculator, result)
    unit = calculator.unit or None
    conversions = "".join(f"{finding.conversion}. " for finding in findings.values() if finding.conversion)
    return Worked(
        # Grouped by its text, a question drawn twice is never on both sides of a split.
        Example(DATA_SOURCE, row_id, "calculation", question, gold, (), lower, upper, unit, group=question),
        calculator.name,
        findings,
        f"{conversions}{calculator.working(**values)} = {gold}{f' {unit}' if unit else ''}.",
    )


def _draw_findings(calculator: Calculator, rng: random.Random) -> dict[str, Finding]:
    findings: dict[str, Finding] = {}
    for item in calculator.inputs:
        findings[item.name] = item.draw(rng, findings)
    return findings
