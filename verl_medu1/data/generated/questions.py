"""The quickstart's questions with worked answers, drawn at random and split into training and held-out ones."""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from verl_medu1.data.example import Example

# Three lengths of reasoning. Each begins with its conclusion, so that correctness and length are independent decisions
# of the model, and no length is easier than another.
STYLES = ("brief", "worked", "detailed")
LETTERS = "ABCD"


@dataclass(frozen=True)
class Solved:
    """A question with reasoning for the right answer and for wrong ones.

    Attributes:
        example: the question; its row_id is set when it becomes a row.
        reasoning: answer -> style -> reasoning that leads to this answer; includes the gold answer.
    """

    example: Example
    reasoning: Mapping[str, Mapping[str, str]]


@cache
def facts() -> dict[str, Any]:
    """Return the content of facts.yaml."""
    return yaml.safe_load(Path(__file__).with_name("facts.yaml").read_text(encoding="utf-8"))


# The qSOFA score, one point per finding: finding -> its short name. Source: Singer et al., JAMA 2016.
QSOFA = {"confusion": "confusion", "fast breathing": "breathing", "low pressure": "pressure"}


def calculation(rng: random.Random) -> Solved:
    """Draw a question about a score: one point for each of three findings that is present."""
    present = {finding: rng.random() < 0.5 for finding in QSOFA}
    findings = ", ".join(f"{finding} {'yes' if there else 'no'}" for finding, there in present.items())
    question = rng.choice(facts()["score_questions"]).format(findings=findings)
    points = [(QSOFA[finding], int(there)) for finding, there in present.items()]
    gold = sum(present.values())
    limit = float(gold)
    example = Example("quickstart-calc", "", "calculation", question, str(gold), (), limit, limit)
    return Solved(example, {str(total): _sum_in_words(points, total) for total in range(len(QSOFA) + 1)})


def _sum_in_words(points: Sequence[tuple[str, int]], total: int) -> dict[str, str]:
    numbers = [str(point) for _, point in points]
    forwards = f"{'+'.join(numbers)}={total}"
    return {
        "brief": forwards,
        "worked": f"{forwards}, {'+'.join(numbers[::-1])}={total}",
        "detailed": f"{forwards}: {', '.join(f'{finding} {point}' for finding, point in points)}, so {total}",
    }


def multiple_choice(rng: random.Random) -> Solved:
    """Draw a question about the organ that an illness affects."""
    organs = facts()["organs"]
    organ = rng.choice(list(organs))
    illness = rng.choice(organs[organ])
    question = rng.choice(facts()["organ_questions"]).format(illness=illness)
    options = tuple(zip(LETTERS, organs, strict=True))
    letter = LETTERS[list(organs).index(organ)]
    return Solved(
        Example("quickstart-mcq", "", "multiple_choice", question, letter, options=options),
        {letter: _organ_in_words(illness, organ, letter) for letter, organ in options},
    )


def _organ_in_words(illness: str, organ: str, letter: str) -> dict[str, str]:
    brief = f"{organ} {letter}"
    fact = f"{brief}, {illness} is an illness of the {organ}"
    return {
        "brief": brief,
        "worked": fact,
        "detailed": f"{fact}. Check: {illness} is of the {organ}, {organ} is option {letter}, so {letter}",
    }


def open_ended(rng: random.Random) -> Solved:
    """Draw a question about the nutrient whose deficiency causes an illness."""
    deficiencies = facts()["deficiencies"]
    illness, nutrient = rng.choice(list(deficiencies.items()))
    question = rng.choice(facts()["deficiency_questions"]).format(illness=illness)
    return Solved(
        Example("quickstart-open", "", "open_ended", question, nutrient),
        {nutrient: _lack_in_words(illness, nutrient) for nutrient in deficiencies.values()},
    )


def _lack_in_words(illness: str, nutrient: str) -> dict[str, str]:
    fact = f"{nutrient}, {illness} is a lack of {nutrient}"
    return {
        "brief": nutrient,
        "worked": fact,
        "detailed": f"{fact}. Check: a lack of {nutrient} causes {illness}, so {nutrient}",
    }


KINDS: tuple[Callable[[random.Random], Solved], ...] = (calculation, multiple_choice, open_ended)


def draw_questions(held_out: bool, seed: int, rng: random.Random) -> Iterator[Solved]:
    """Yield questions of one split endlessly, the three answer types in turn. A fifth of all texts is held out.

    Example:
        >>> next(draw_questions(False, 0, random.Random(0))).example.data_source
        'quickstart-calc'
    """
    while True:
        for kind in KINDS:
            solved = kind(rng)
            while _is_held_out(solved, seed) != held_out:
                solved = kind(rng)
            yield solved


def _is_held_out(solved: Solved, seed: int) -> bool:
    return zlib.crc32(f"{seed} {solved.example.question}".encode()) % 5 == 0
