"""Questions of a benchmark that stand in documents, where a search would find them with their answers.

`verl_medu1.data.duplicates` compares two questions of about the same length; a document may be much longer than the
question in it. So what counts is the share of the question's word trigrams that the document has.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verl_medu1.data.example import Example
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.words import all_words

# Least share of a question's trigrams. No other text in 1,000 abstracts has more than 0.31 of a question's
# (docs/retrieval.md); copies with a word in ten replaced have about 0.73.
THRESHOLD = 0.6
# Shorter questions must stand in the document with all their trigrams: three words more or less make another question.
LONG_QUESTION = 15
# Still shorter ones, such as "Which of these is true?", are no sign of anything.
SHORTEST_QUESTION = 6


@dataclass(frozen=True, slots=True)
class Found:
    """A question that stands in a document: ids of both, and the share of its trigrams that the document has."""

    document: str
    data_source: str
    row_id: str
    share: float


@dataclass
class QuestionFinder:
    """Finds questions in documents.

    A question of which `needed` of n trigrams must occur has at least one of any n - needed + 1 of them in the
    document. Its rarest are looked up, and the share of the questions found so is counted: none is missed.

    Args:
        examples: questions of a benchmark.

    Attributes:
        found: what `look` has found so far.
        too_short: questions with fewer than `SHORTEST_QUESTION` words, which are not looked for.

    Example:
        >>> question = "Which drug, given by mouth, stops the bleeding of a known carrier of haemophilia?"
        >>> finder = QuestionFinder([Example("MedQA", "7", "open_ended", question, "none")])
        >>> finder.look(Document("a", "Exam", f"1. {question.upper()} Answer: none."))
        >>> finder.found
        [Found(document='a', data_source='MedQA', row_id='7', share=1.0)]
    """

    examples: Sequence[Example]
    found: list[Found] = field(default_factory=list)
    too_short: int = 0

    def __post_init__(self) -> None:
        self._trigrams: list[frozenset[str]] = []
        self._needed: list[int] = []
        for example in self.examples:
            words = all_words(example.question)
            trigrams, needed = frozenset(_trigrams(words)), 0
            if len(words) < SHORTEST_QUESTION:
                self.too_short += 1
            else:
                needed = math.ceil(len(trigrams) * (THRESHOLD if len(words) >= LONG_QUESTION else 1))
            self._trigrams.append(trigrams)
            self._needed.append(needed)
        number = Counter(trigram for trigrams in self._trigrams for trigram in trigrams)
        self._by_trigram: dict[str, list[int]] = {}
        for place, (trigrams, needed) in enumerate(zip(self._trigrams, self._needed, strict=True)):
            rarest = sorted(trigrams, key=lambda trigram: (number[trigram], trigram))
            for trigram in rarest[: len(rarest) - needed + 1] if needed else ():
                self._by_trigram.setdefault(trigram, []).append(place)

    def look(self, document: Document) -> None:
        """Add to `found` the questions that stand in a document, in the order of the examples."""
        present = set(_trigrams(all_words(f"{document.title}\n{document.text}")))
        places = {place for trigram in present for place in self._by_trigram.get(trigram, ())}
        for place in sorted(places):
            trigrams, example = self._trigrams[place], self.examples[place]
            shared = len(trigrams & present)
            if shared >= self._needed[place]:
                share = shared / len(trigrams)
                self.found.append(Found(document.id, example.data_source, example.row_id, share))


def _trigrams(words: Sequence[str]) -> Iterable[str]:
    return map(" ".join, zip(words, words[1:], words[2:], strict=False))


def write_found(path: Path, found: Iterable[Found]) -> None:
    """Write a CSV file: a line for each question in a document, with ids alone."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["document", "data_source", "row_id", "share"])
        writer.writerows((one.document, one.data_source, one.row_id, f"{one.share:.3f}") for one in found)
