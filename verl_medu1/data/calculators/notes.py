"""Writes patient notes: the findings of a calculation among irrelevant ones, and the question about them."""

import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from verl_medu1.data.calculators.calculator import Calculator
from verl_medu1.data.calculators.inputs import Finding, Number

# Measured values that no calculator uses, in the units and ranges of healthy adults.
DISTRACTORS = (
    Number("potassium", "mEq/L", 3.6, 5, 1),
    Number("haemoglobin", "g/dL", 13, 15.5, 1),
    Number("magnesium", "mg/dL", 1.7, 2.4, 1),
    Number("thyrotropin", "mIU/L", 0.5, 4, 2),
    Number("cell_volume", "fL", 82, 98),
    Number("phosphate", "mg/dL", 2.6, 4.4, 1),
)
MAX_SENTENCES, MAX_VALUES = 3, 2
ADULT_AGE = 18
_OPENING = ("age", "sex")


@cache
def phrases() -> Mapping[str, Any]:
    """Return the content of notes.yaml."""
    return yaml.safe_load(Path(__file__).with_name("notes.yaml").read_text(encoding="utf-8"))


def write_note(calculator: Calculator, findings: Mapping[str, Finding], rng: random.Random) -> str:
    """Write a patient note with every finding and up to five distractors, followed by the question.

    Args:
        calculator: the calculation to ask for.
        findings: its inputs and its context, by name.
        rng: chooses wordings, order and distractors.
    """
    age, sex = (findings[name] for name in _OPENING)
    sentences = [_sentence(name, finding, rng) for name, finding in findings.items() if name not in _OPENING]
    idle = [*phrases()["distractors"], *(phrases()["distractors_of_adults"] if age.value >= ADULT_AGE else ())]
    sentences += rng.sample(idle, rng.randrange(MAX_SENTENCES + 1))
    for number in rng.sample(DISTRACTORS, rng.randrange(MAX_VALUES + 1)):
        sentences.append(_sentence(number.name, number.draw(rng, {}), rng))
    rng.shuffle(sentences)
    opening = rng.choice(phrases()["openings"]).format(age=f"{age.value:g}", sex=sex.text)
    return f"{opening} {' '.join(sentences)}\n{_question(calculator, rng)}"


def _sentence(name: str, finding: Finding, rng: random.Random) -> str:
    options = phrases()["options"].get(name)
    if options is not None:
        return rng.choice(options[finding.value])
    return rng.choice(phrases()["values"][name]).format(value=finding.text)


def _question(calculator: Calculator, rng: random.Random) -> str:
    kind = "ratio" if calculator.kind == "decimal" and not calculator.unit else calculator.kind
    return rng.choice(phrases()["questions"][kind]).format(asked=calculator.asked, unit=calculator.unit)
