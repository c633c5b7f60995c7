"""Questions that take two searches: a drug's class, then the dose of that class, in documents about invented names.

A model can't know the answer, and can't guess it: it must search for the drug, read its class, and search for that.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reward_score.evidence import JOINT, REASON, RETRIEVE
from reward_score.response import format_response
from verl_medu1.data.actions import search_turn
from verl_medu1.data.example import Example

SOURCE = "quickstart-lookup"
SYLLABLES = tuple(consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou")
# Drugs of the training questions, of the held-out ones, and of the demonstrations, with their classes.
TRAIN_DRUGS, TEST_DRUGS, DEMONSTRATED_DRUGS = 400, 90, 4000
DRUGS_PER_CLASS = 2
DOSES = range(10, 100)
QUESTIONS = (
    "Patient of {age} years. The dose of {drug}?",
    "Age {age}. How much {drug}?",
    "{age} years. What dose of {drug}?",
)
AGES = range(20, 90)
# What demonstrations do: search twice and answer, guess at once, or search for a wrong name on the way.
RIGHT_SHARE, GUESS_SHARE = 0.35, 0.4
# Demonstrations that read the dose in the prompt's documents; the others guess it.
READ_SHARE = 0.5

Turn = tuple[str, str]  # (role, text)


@dataclass(frozen=True)
class Drug:
    """An invented drug, the class that it belongs to, and that class's dose in mg."""

    name: str
    kind: str
    dose: int


@dataclass(frozen=True)
class Entry:
    """A document of the corpus."""

    id: str
    title: str
    text: str

    def shown(self) -> str:
        """Return the document as an environment shows it."""
        return f"{self.title}: {self.text}"


def draw_drugs(seed: int) -> tuple[list[Drug], list[Drug], list[Drug]]:
    """Draw the drugs of training, of the held-out questions and of the demonstrations.

    No name is in two of them. A class has two drugs, both in the same part.

    Example:
        >>> train, test, demonstrated = draw_drugs(0)
        >>> {drug.kind for drug in train} & {drug.kind for drug in test}
        set()
    """
    rng = random.Random(seed)
    sizes = (TRAIN_DRUGS, TEST_DRUGS, DEMONSTRATED_DRUGS)
    # In capitals, as no other word is: so the tokenizer learns their syllables, and no pieces across two of them.
    names = (name.upper() for name in draw_names(rng, sum(sizes) + sum(sizes) // DRUGS_PER_CLASS))
    parts = []
    for size in sizes:
        kinds = [(next(names), rng.choice(DOSES)) for _ in range(size // DRUGS_PER_CLASS)]
        parts.append([Drug(next(names), *kinds[place // DRUGS_PER_CLASS]) for place in range(size)])
    train, test, demonstrated = parts
    return train, test, demonstrated


def draw_names(rng: random.Random, number: int) -> Iterator[str]:
    """Return different names of three syllables."""
    found: dict[str, None] = {}
    while len(found) < number:
        found["".join(rng.choice(SYLLABLES) for _ in range(3))] = None
    return iter(found)


def documents(drugs: Sequence[Drug]) -> list[Entry]:
    """Return a document for each drug and for each class.

    Example:
        >>> [entry.shown() for entry in documents([Drug("ZOLMIRA", "TARVELI", 35)])]
        ['ZOLMIRA: is a drug of class TARVELI', 'TARVELI: of TARVELI give 35 mg']
    """
    # A class's own document has its name twice, so that a search for the class finds it before its drugs.
    found = {drug.kind: Entry(drug.kind, drug.kind, f"of {drug.kind} give {drug.dose} mg") for drug in drugs}
    return [Entry(drug.name, drug.name, f"is a drug of class {drug.kind}") for drug in drugs] + list(found.values())


def ask(drug: Drug, rng: random.Random) -> Example:
    """Draw a question about a drug's dose; its evidence is the two documents that say it."""
    question = rng.choice(QUESTIONS).format(drug=drug.name, age=rng.choice(AGES))
    dose = float(drug.dose)
    evidence = json.dumps({"evidence": [drug.name, drug.kind]})
    start = (SOURCE, "", "calculation", question, str(drug.dose))
    return Example(*start, lower_limit=dose, upper_limit=dose, unit="mg", environment=evidence)


def in_stages(drug: Drug, rng: random.Random) -> list[Example]:
    """Draw a question, and return it in the form of each of `reward_score.evidence.STAGES`.

    Example:
        >>> [form.question for form in in_stages(Drug("ZOLMIRA", "TARVELI", 35), random.Random(0))][0].split("\\n")[:2]
        ['ZOLMIRA: is a drug of class TARVELI', 'TARVELI: of TARVELI give 35 mg']
    """
    asked = ask(drug, rng)
    shown = "\n".join(entry.shown() for entry in documents([drug]))
    reading = replace(asked, stage=REASON, question=f"{shown}\n{asked.question}")
    return [reading, replace(asked, stage=RETRIEVE), replace(asked, stage=JOINT)]


def demonstrate_reading(drug: Drug, rng: random.Random) -> list[Turn]:
    """Draw the answer to a question with its documents, right or guessed."""
    dose = str(drug.dose if rng.random() < READ_SHARE else rng.choice(DOSES))
    return [("assistant", format_response(dose, dose))]


def demonstrate(drug: Drug, others: Sequence[Drug], rng: random.Random) -> list[Turn]:
    """Draw a dialogue after a question: a search for the drug, one for its class, an answer; or a flawed one.

    Args:
        drug: that the question asks about.
        others: drugs whose names may be searched for by mistake.
        rng: of the draws.

    Returns:
        The turns after the question; the last is the model's.
    """
    way, guess = rng.random(), str(rng.choice(DOSES))
    if way < GUESS_SHARE:
        return [("assistant", format_response(guess, guess))]
    first = second = drug
    if way >= GUESS_SHARE + RIGHT_SHARE:
        other = rng.choice(others)
        # The wrong name is the drug's or, half of the time, the class's.
        first, second = (other, other) if rng.random() < 0.5 else (drug, other)
    of_drug, _ = documents([first])
    _, of_class = documents([second])
    dose = str(second.dose)
    return [
        # After a space, as in the question and the document: its tokens are then the same, and copied one by one.
        ("assistant", search_turn(f" {first.name}")),
        ("user", of_drug.shown()),
        ("assistant", search_turn(f" {second.kind}")),
        ("user", of_class.shown()),
        ("assistant", format_response(dose, dose)),
    ]
