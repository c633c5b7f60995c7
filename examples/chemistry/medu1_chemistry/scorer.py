"""Right is every equation of the given species with smallest whole coefficients that keeps each kind of atom."""

import re
from collections import Counter
from collections.abc import Mapping
from math import gcd
from typing import Any

from reward_score import AnswerType, Source, Verdict
from reward_score.verdict import right, wrong

SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
TERM = re.compile(r"([1-9]\d{0,3})?\s*((?:[A-Z][a-z]?\d{0,3})+)", re.ASCII)


def read(equation: str) -> tuple[Counter[str], Counter[str]] | None:
    """Coefficients by formula, left and right; None if it is not an equation."""
    sides = [Counter[str](), Counter[str]()]
    halves = re.split("->|→|=", equation.translate(SUBSCRIPTS)[:500])
    for side, half in zip(sides, halves, strict=False):
        for term in map(TERM.fullmatch, map(str.strip, half.split("+"))):
            if term is None:
                return None
            side[term[2]] += int(term[1] or 1)
    return (sides[0], sides[1]) if len(halves) == 2 else None


def atoms(side: Counter[str]) -> Counter[str]:
    """How many atoms of each element a side has."""
    count = Counter[str]()
    for formula, coefficient in side.items():
        for element, number in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
            count[element] += coefficient * int(number or 1)
    return count


def judge_equation(answer: str, gold: str, spec: Mapping[str, Any]) -> Verdict:
    """Judges an answer by what it says; the gold equation only names the species."""
    wanted, found = read(gold), read(answer)
    if wanted is None:
        raise ValueError("the gold answer is not an equation")
    if found is None:
        return wrong("", "no equation")
    pred = " -> ".join(" + ".join(f"{n} {formula}" for formula, n in sorted(side.items())) for side in found)
    if [set(side) for side in found] != [set(side) for side in wanted]:
        return wrong(pred, "other species")
    if atoms(found[0]) != atoms(found[1]):
        return wrong(pred, "not balanced")
    smallest = gcd(*found[0].values(), *found[1].values()) == 1
    return right(pred, "balanced") if smallest else wrong(pred, "not the smallest coefficients")


SCORERS = [AnswerType("chemical_equation", judge_equation), Source("combustion", "chemical_equation")]
