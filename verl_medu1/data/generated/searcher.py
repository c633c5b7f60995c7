"""Questions about doses that a frozen reader answers, from documents that a model searches and selects.

Each invented drug has another word for it. Two documents are needed where a question uses that word: the one that says
which drug it is, and the one with the drug's dose, which does not have the word; so the question itself finds only the
first. Where the question names the drug, it finds the dose, and searching on can only lose it.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from verl_medu1.data.actions import search_turn, stop_turn
from verl_medu1.data.example import Example
from verl_medu1.data.generated.lookup import AGES, DOSES, QUESTIONS, Entry, Turn, draw_names

SOURCE = "quickstart-searcher"
# Drugs of the training questions, of the held-out ones, and of the demonstrations.
TRAIN_DRUGS, TEST_DRUGS, DEMONSTRATED_DRUGS = 400, 100, 4000
# Of each 20 drugs this many are asked for by name: what naive retrieval gets right is 0.35.
NAMED, OUT_OF = 7, 20
# What demonstrations do: everything right, or stop after the first search; the others search for a wrong name.
RIGHT_SHARE, EARLY_SHARE = 0.35, 0.4


@dataclass(frozen=True)
class Drug:
    """An invented drug, another word for it, its dose in mg, and which of the two words its question uses."""

    name: str
    word: str
    dose: int
    is_named: bool

    @property
    def asked(self) -> str:
        """The word in the question."""
        return self.name if self.is_named else self.word


def draw_drugs(seed: int) -> tuple[list[Drug], list[Drug], list[Drug]]:
    """Draw the drugs of training, of the held-out questions and of the demonstrations; no word is in two of them.

    Example:
        >>> train, test, demonstrated = draw_drugs(0)
        >>> sum(drug.is_named for drug in test) / len(test)
        0.35
    """
    rng = random.Random(seed)
    sizes = (TRAIN_DRUGS, TEST_DRUGS, DEMONSTRATED_DRUGS)
    names = draw_names(rng, 2 * sum(sizes))
    train, test, demonstrated = (
        [Drug(next(names), next(names), rng.choice(DOSES), place % OUT_OF < NAMED) for place in range(size)]
        for size in sizes
    )
    return train, test, demonstrated


def documents(drugs: Sequence[Drug]) -> list[Entry]:
    """Return two documents for each drug.

    Example:
        >>> [entry.shown() for entry in documents([Drug("zolmira", "tarveli", 35, False)])]
        ['tarveli: is another word for zolmira', 'zolmira: of zolmira give 35 mg']
    """
    return [entry for drug in drugs for entry in (_of_word(drug), _of_drug(drug))]


def _of_word(drug: Drug) -> Entry:
    return Entry(drug.word, drug.word, f"is another word for {drug.name}")


def _of_drug(drug: Drug) -> Entry:
    # It has the name twice, so that a search for the name finds it before the other document.
    return Entry(drug.name, drug.name, f"of {drug.name} give {drug.dose} mg")


def needed(drug: Drug) -> list[Entry]:
    """Return the documents from which the drug's question can be answered, in the order in which they are found."""
    return [_of_drug(drug)] if drug.is_named else documents([drug])


def ask(drug: Drug, rng: random.Random) -> Example:
    """Draw a question about a drug's dose; its evidence is the documents that it can be answered from."""
    question = rng.choice(QUESTIONS).format(drug=drug.asked, age=rng.choice(AGES))
    dose, evidence = float(drug.dose), json.dumps({"evidence": [entry.id for entry in needed(drug)]})
    return Example(
        SOURCE,
        "",
        "calculation",
        question,
        str(drug.dose),
        lower_limit=dose,
        upper_limit=dose,
        unit="mg",
        environment=evidence,
    )


def demonstrate(drug: Drug, others: Sequence[Drug], rng: random.Random) -> list[Turn]:
    """Draw a dialogue after a question: searches until the dose is found, all selected; or a flawed one.

    Args:
        drug: that the question asks about.
        others: drugs whose words may be searched for by mistake.
        rng: of the draws.

    Returns:
        The turns after the question; the last is the model's.
    """
    way = rng.random()
    found = needed(drug)
    if way < EARLY_SHARE:
        found = found[:1]
    elif way >= EARLY_SHARE + RIGHT_SHARE:
        # Something else is found at the end.
        found = [*found[:-1], rng.choice(needed(rng.choice(others)))]
    turns = []
    for number, entry in enumerate(found, start=1):
        turns += [("assistant", search_turn(entry.title)), ("user", f"[{number}] {entry.shown()}")]
    return [*turns, ("assistant", stop_turn(range(1, len(found) + 1)))]
