"""Questions of the quickstart with their demonstrations, drawn at random and split into training and held-out."""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from verl_medu1.data.example import Example

# Three lengths of reasoning; which one a demonstration has does not depend on the row's budget.
STYLES = ("brief", "worked", "checked")
LETTERS = "ABCD"


@dataclass(frozen=True)
class Solved:
    """A question with its reasoning in each style.

    Attributes:
        example: the question; its row_id is set when it becomes a row.
        reasoning: style -> reasoning that ends at the gold answer.
    """

    example: Example
    reasoning: Mapping[str, str]


@cache
def facts() -> dict[str, Any]:
    """The content of facts.yaml."""
    return yaml.safe_load(Path(__file__).with_name("facts.yaml").read_text(encoding="utf-8"))


# Clinical scores of yes-or-no findings: name -> finding -> its short name and its points.
# CRB-65: Lim et al., Thorax 2003. qSOFA: Singer et al., JAMA 2016. CHADS2: Gage et al., JAMA 2001.
SCORES = {
    "CRB-65": {
        "Confusion": ("confusion", 1),
        "fast breathing": ("breathing", 1),
        "low pressure": ("pressure", 1),
        "over 65": ("age", 1),
    },
    "qSOFA": {"Confusion": ("confusion", 1), "fast breathing": ("breathing", 1), "low pressure": ("pressure", 1)},
    "CHADS2": {
        "Heart failure": ("failure", 1),
        "hypertension": ("hypertension", 1),
        "over 75": ("age", 1),
        "diabetes": ("diabetes", 1),
        "stroke": ("stroke", 2),
    },
}


def clinical_score(rng: random.Random) -> Solved:
    """A sum of points for the findings that are present."""
    name = rng.choice(list(SCORES))
    present = {finding: rng.random() < 0.5 for finding in SCORES[name]}
    question = ", ".join(f"{finding} {'yes' if there else 'no'}" for finding, there in present.items())
    points = [(short, worth * present[finding]) for finding, (short, worth) in SCORES[name].items()]
    numbers = [str(point) for _, point in points]
    total = sum(point for _, point in points)
    parts = ", ".join(f"{short} {point}" for short, point in points)
    return Solved(
        Example(
            "quickstart-calc",
            "",
            "calculation",
            f"{question}. {name}?",
            str(total),
            lower_limit=float(total),
            upper_limit=float(total),
        ),
        {
            "brief": f"{'+'.join(numbers)}={total}",
            "worked": f"{parts}: {'+'.join(numbers)}={total}",
            "checked": f"{parts}: {'+'.join(numbers)}={total}. Check: {'+'.join(numbers[::-1])}={total}",
        },
    )


def _hash(text: str, seed: int) -> int:
    return zlib.crc32(f"{seed} {text}".encode())


def calculation(held_out: bool, seed: int, rng: random.Random) -> Solved:
    """A clinical score; a fifth of all inputs is held out."""
    while True:
        solved = clinical_score(rng)
        if (_hash(solved.example.question, seed) % 5 == 0) == held_out:
            return solved


def _wording(wordings: Sequence[str], illness: str, held_out: bool, seed: int, rng: random.Random) -> str:
    """A question about an illness; of the wordings one is held out, another one for each illness."""
    kept = wordings[_hash(illness, seed) % len(wordings)]
    return (kept if held_out else rng.choice([w for w in wordings if w != kept])).format(illness=illness)


def multiple_choice(held_out: bool, seed: int, rng: random.Random) -> Solved:
    """The organ of an illness."""
    organs = facts()["organs"]
    organ = rng.choice(list(organs))
    illness = rng.choice(organs[organ])
    question = _wording(facts()["organ_questions"], illness, held_out, seed, rng)
    options = tuple(zip(LETTERS, organs, strict=True))
    letter = LETTERS[list(organs).index(organ)]
    fact = f"{illness} is an illness of the {organ}: {letter}"
    return Solved(
        Example("quickstart-mcq", "", "multiple_choice", question, letter, options=options),
        {
            "brief": f"{organ} {letter}",
            "worked": fact,
            "checked": f"{fact}. Check: {organ} is option {letter}, so {letter}",
        },
    )


def open_ended(held_out: bool, seed: int, rng: random.Random) -> Solved:
    """The nutrient whose lack causes an illness."""
    illness, nutrient = rng.choice(list(facts()["deficiencies"].items()))
    question = _wording(facts()["deficiency_questions"], illness, held_out, seed, rng)
    fact = f"{illness} is a lack of {nutrient}"
    return Solved(
        Example("quickstart-open", "", "open_ended", question, nutrient),
        {
            "brief": nutrient,
            "worked": fact,
            "checked": f"{fact}. Check: a lack of {nutrient} causes {illness}, so {nutrient}",
        },
    )


KINDS: tuple[Callable[[bool, int, random.Random], Solved], ...] = (calculation, multiple_choice, open_ended)


def draw_questions(held_out: bool, seed: int, rng: random.Random) -> Iterator[Solved]:
    """Questions of one split without end, the three answer types in turn.

    Example:
        >>> next(draw_questions(False, 0, random.Random(0))).example.data_source
        'quickstart-calc'
    """
    while True:
        for kind in KINDS:
            yield kind(held_out, seed, rng)
