"""Questions of the quickstart with their demonstrations, drawn at random and split into training and held-out."""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from verl_medu1.data.example import Example
from verl_medu1.data.quickstart.calculators import CALCULATORS, TOLERANCE, decimal
from verl_medu1.data.quickstart.facts import Relation, relations

# Three lengths of reasoning; which one a demonstration has does not depend on the row's budget.
STYLES = ("brief", "worked", "checked")
LETTERS = "ABCD"
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Solved:
    """A question with its reasoning in each style.

    Attributes:
        example: the question; its row_id is set when it becomes a row.
        key: what the question is about; a key belongs either to training or to the held-out questions.
        reasoning: style -> reasoning that ends at the gold answer.
        answer: the answer as a demonstration gives it.
    """

    example: Example
    key: str
    reasoning: Mapping[str, str]
    answer: str


def calculation(rng: random.Random) -> Solved:
    """A calculation; its key is the calculator with the inputs."""
    name = rng.choice(sorted(CALCULATORS))
    result = CALCULATORS[name](rng)
    margin = 0 if result.is_score else abs(result.value) * TOLERANCE
    example = Example(
        data_source="quickstart-calc",
        row_id="",
        answer_type="calculation",
        question=result.question,
        gold=f"{float(result.value):.4g}",
        lower_limit=round(float(result.value - margin), 6),
        upper_limit=round(float(result.value + margin), 6),
        unit=result.unit,
    )
    reasoning = {
        "brief": f"Briefly: {result.short}",
        "worked": f"Step by step: {result.formula} {result.steps}",
        "checked": f"Carefully: {result.formula} {result.steps} Check: {result.check} The same result.",
    }
    return Solved(example, f"{name} {result.inputs}", reasoning, decimal(result.value))


def _contrast(relation: Relation, subject: str, rng: random.Random) -> list[str]:
    return rng.sample([other for other in relation.pairs if other != subject], k=len(LETTERS) - 1)


def multiple_choice(rng: random.Random) -> Solved:
    """A fact with three wrong options of its kind; its key is the fact with the options in their order."""
    name = rng.choice(sorted(relations()))
    relation = relations()[name]
    subject = rng.choice(sorted(relation.pairs))
    shown = [subject, *_contrast(relation, subject, rng)]
    rng.shuffle(shown)
    letter = LETTERS[shown.index(subject)]
    gold = relation.pairs[subject]
    example = Example(
        data_source="quickstart-mcq",
        row_id="",
        answer_type="multiple_choice",
        question=rng.choice(relation.asks).format(subject=subject),
        gold=letter,
        options=tuple((LETTERS[place], relation.pairs[other]) for place, other in enumerate(shown)),
    )
    wrong = [
        f"option {LETTERS[place]}: {relation.fact(other)}" for place, other in enumerate(shown) if other != subject
    ]
    found = f"{relation.fact(subject)}, so {gold} ({letter})."
    reasoning = {
        "brief": f"Briefly: {gold} ({letter}).",
        "worked": f"Step by step: the question is about {relation.topic}. Here {found}",
        "checked": f"Carefully: the question is about {relation.topic}. Here {found} "
        f"Check: {', '.join(wrong[:2])}. So option {letter} stays.",
    }
    return Solved(example, f"{name} {subject} {[relation.pairs[other] for other in shown]}", reasoning, letter)


def open_ended(rng: random.Random) -> Solved:
    """A fact asked for in words; its key is the fact with the wording."""
    name = rng.choice(sorted(relations()))
    relation = relations()[name]
    subject = rng.choice(sorted(relation.pairs))
    wording = rng.randrange(len(relation.asks))
    gold = relation.pairs[subject]
    example = Example(
        data_source="quickstart-open",
        row_id="",
        answer_type="open_ended",
        question=relation.asks[wording].format(subject=subject),
        gold=gold,
    )
    found = f"{relation.fact(subject)}, so the {relation.kind} is {gold}."
    others = ", ".join(relation.fact(other) for other in _contrast(relation, subject, rng)[:2])
    reasoning = {
        "brief": f"Briefly: the {relation.kind} is {gold}.",
        "worked": f"Step by step: the question is about {relation.topic}. Here {found}",
        "checked": f"Carefully: the question is about {relation.topic}. Here {found} Check: {others}. So {gold} stays.",
    }
    return Solved(example, f"{name} {subject} {wording}", reasoning, gold)


KINDS: tuple[Callable[[random.Random], Solved], ...] = (calculation, multiple_choice, open_ended)


def is_held_out(key: str, seed: int) -> bool:
    """Whether questions of this key are kept for the evaluation: a tenth of all keys, by their hash.

    Example:
        >>> is_held_out("apgar (0, 1, 2, 0, 1)", 1) in (True, False)
        True
    """
    return zlib.crc32(f"{seed} {key}".encode()) < HELD_OUT_SHARE * 2**32


def draw_questions(held_out: bool, seed: int, rng: random.Random) -> Iterator[Solved]:
    """Questions of one split without end, the three answer types in turn."""
    while True:
        for kind in KINDS:
            while True:
                solved = kind(rng)
                if is_held_out(solved.key, seed) == held_out:
                    yield solved
                    break
