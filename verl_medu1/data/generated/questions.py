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


def _sum_score(question: str, names: tuple[str, ...], points: tuple[int, ...]) -> Solved:
    total = sum(points)
    parts = ", ".join(f"{name} {point}" for name, point in zip(names, points, strict=True))
    added, backwards = ("+".join(map(str, order)) for order in (points, points[::-1]))
    return Solved(
        Example(
            "quickstart-calc",
            "",
            "calculation",
            question,
            str(total),
            lower_limit=float(total),
            upper_limit=float(total),
        ),
        {
            "brief": f"{added}={total}",
            "worked": f"{parts}: {added}={total}",
            "checked": f"{parts}: {added}={total}. Check: {backwards}={total}",
        },
    )


def glasgow_coma_scale(rng: random.Random) -> Solved:
    """Glasgow Coma Scale: eye (1-4) + verbal (1-5) + motor (1-6). Teasdale and Jennett, Lancet 1974."""
    points = (rng.randint(1, 4), rng.randint(1, 5), rng.randint(1, 6))
    question = f"Eye {points[0]}, verbal {points[1]}, motor {points[2]}. Glasgow Coma Scale?"
    return _sum_score(question, ("eye", "verbal", "motor"), points)


def crb65(rng: random.Random) -> Solved:
    """CRB-65: a point each for confusion, fast breathing, low pressure, age of 65 or more. Lim et al., Thorax 2003."""
    points = tuple(rng.randint(0, 1) for _ in range(4))
    signs = zip(("Confusion", "fast breathing", "low pressure", "over 65"), points, strict=True)
    stem = ", ".join(f"{sign} {'yes' if point else 'no'}" for sign, point in signs)
    return _sum_score(f"{stem}. CRB-65?", ("confusion", "breathing", "pressure", "age"), points)


def _hash(text: str, seed: int) -> int:
    return zlib.crc32(f"{seed} {text}".encode())


def calculation(held_out: bool, seed: int, rng: random.Random) -> Solved:
    """A clinical score; a fifth of all inputs is held out."""
    while True:
        solved = rng.choice((glasgow_coma_scale, crb65))(rng)
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
