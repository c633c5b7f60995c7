"""Exact and near duplicates among questions, and between questions and benchmarks.

Two questions are near duplicates if the sets of their word trigrams have a Jaccard similarity of at least the
threshold. MinHash LSH proposes pairs, and each is verified on the sets themselves: what is reported is true, and about
one pair in 300 at the threshold is missed.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rensa import RMinHash, RMinHashLSH

from reward_score.text import unicode_plain
from verl_medu1.data.example import Example
from verl_medu1.data.tracking import tracked

THRESHOLD = 0.8
LOWEST_THRESHOLD = 0.5
# A shorter question, such as "Which of these is true?", says nothing without its options.
_LONG_QUESTION = 15
# Share of the pairs at the threshold that are missed.
_MISSED = 0.003
_MOST_ROWS = 6
_MOST_HASHES = 400
_CHUNK = 1024
# Words, and the symbols that are no punctuation of a sentence: of two rows of brackets one is not the other.
_WORD = re.compile(r"""[^\W_]+|[^\w\s.,;:!?'"*`~-]""")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Sketched:
    """An example as it is compared with others.

    Attributes:
        example: the question.
        exact: digest of the whole text but for case and white space, options in any order.
        words: what near duplicates are judged by: the question's words in lower case and, where it is short, each
            option's on a line of its own, so that the options' order does not matter.
        answer: what must agree between duplicates; "" for open-ended questions, whose answers are worded freely.
        numbers: those of a calculation or of a short multiple choice question, in order; with others it is another one.
        sketch: MinHash of the trigrams.
    """

    example: Example
    exact: bytes
    words: str
    answer: str
    numbers: tuple[str, ...]
    sketch: RMinHash


@dataclass(frozen=True, slots=True)
class Duplicate:
    """What a question repeats: the place of the one that is kept, and whether word for word."""

    of: int
    exact: bool


def _words(text: str) -> str:
    return " ".join(_WORD.findall(unicode_plain(text).casefold()))


def _list_trigrams(words: str) -> list[str]:
    trigrams: list[str] = []
    for line in words.split("\n"):
        tokens = line.split(" ")
        found = map(" ".join, zip(tokens, tokens[1:], tokens[2:], strict=False))
        trigrams += found if len(tokens) > 2 else [line]
    return trigrams


@lru_cache(maxsize=4096)
def _trigrams(words: str) -> frozenset[str]:
    return frozenset(_list_trigrams(words))


def similarity(first: Sketched, second: Sketched) -> float:
    """Exact Jaccard similarity of two questions' trigrams; 0 where the numbers that must agree differ.

    Example:
        >>> finder = DuplicateFinder()
        >>> first, second = finder.sketch([Example("q", str(n), "open_ended", "What is it?", "x") for n in (1, 2)])
        >>> similarity(first, second)
        1.0
    """
    if first.numbers != second.numbers:
        return 0.0
    left, right = _trigrams(first.words), _trigrams(second.words)
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def _bands(threshold: float) -> tuple[int, int]:
    """Number of bands and of hashes that miss few pairs at the threshold.

    The more rows a band has, the fewer pairs far below the threshold are proposed, and the more bands it takes.
    """
    for rows in range(_MOST_ROWS, 0, -1):
        agrees = min(threshold**rows, 0.99)
        bands = math.ceil(math.log(_MISSED) / math.log(1 - agrees))
        if rows * bands <= _MOST_HASHES:
            break
    return bands, rows * bands


class DuplicateFinder:
    """Finds duplicates; the same questions, threshold and seed give the same ones.

    Args:
        threshold: least Jaccard similarity of near duplicates, from 0.5 up to 1.
        seed: of the hashes; any whole number.

    Raises:
        ValueError: a threshold that is none.
    """

    def __init__(self, threshold: float = THRESHOLD, seed: int = 0) -> None:
        if not LOWEST_THRESHOLD <= threshold <= 1:
            raise ValueError(
                f"--duplicate-threshold is {threshold}; it must be at least {LOWEST_THRESHOLD} and at most 1."
            )
        self.threshold = threshold
        self._seed = seed % 2**64
        self._num_bands, self._num_perm = _bands(threshold)

    def sketch(self, examples: Sequence[Example]) -> list[Sketched]:
        """The examples as they are compared.

        Example:
            >>> DuplicateFinder().sketch([Example("q", "1", "open_ended", "What  is IT?", "x")])[0].words
            'what is it'
        """
        sketched = []
        for start in tracked(range(0, len(examples), _CHUNK), "hashing questions"):
            wordings = [_wording(example) for example in examples[start : start + _CHUNK]]
            trigrams = [_list_trigrams(words) for _, words in wordings]
            hashes = RMinHash.from_token_sets(trigrams, num_perm=self._num_perm, seed=self._seed)
            for example, (exact, words), minhash in zip(examples[start:], wordings, hashes, strict=False):
                sketched.append(Sketched(example, exact, words, _answer(example), _numbers(example), minhash))
        return sketched

    def within(self, rows: Sequence[Sketched]) -> dict[int, Duplicate]:
        """The rows that repeat an earlier one.

        Near duplicates must have the same answer: the same words with another question at their end are another
        exercise. Of questions about one patient note only those are duplicates that agree word for word.

        Args:
            rows: in the order of preference; the first of its kind is kept.

        Returns:
            place of a row that repeats another -> the row that it repeats.
        """
        index = self._index(rows)
        first: dict[bytes, int] = {}
        duplicates: dict[int, Duplicate] = {}
        for place, row in enumerate(tracked(rows, "looking for duplicates")):
            if row.exact in first:
                original = first[row.exact]
                duplicates[place] = duplicates.get(original, Duplicate(original, exact=True))
                continue
            first[row.exact] = place
            for other in sorted(index.query(row.sketch)):
                if other >= place:
                    break
                if other not in duplicates and self._repeats(row, rows[other]):
                    duplicates[place] = Duplicate(other, exact=False)
                    break
        return duplicates

    def across(self, rows: Sequence[Sketched], others: Sequence[Sketched]) -> dict[int, int]:
        """The rows that stand among others, such as a benchmark's, whatever the answer is there.

        Returns:
            place of a row -> the first of the others that it is like.
        """
        index = self._index(others)
        found = {}
        for place, row in enumerate(tracked(rows, "looking for known questions")):
            for other in sorted(index.query(row.sketch)):
                if similarity(row, others[other]) >= self.threshold:
                    found[place] = other
                    break
        return found

    def _repeats(self, row: Sketched, other: Sketched) -> bool:
        if row.answer != other.answer or (row.example.group and row.example.group == other.example.group):
            return False
        return similarity(row, other) >= self.threshold

    def _index(self, rows: Sequence[Sketched]) -> RMinHashLSH:
        index = RMinHashLSH(threshold=self.threshold, num_perm=self._num_perm, num_bands=self._num_bands)
        index.insert_many([row.sketch for row in rows])
        return index


def _wording(example: Example) -> tuple[bytes, str]:
    options = [text for _, text in example.options]
    whole = "\n".join(" ".join(text.casefold().split()) for text in [example.question, *sorted(options)])
    words = _words(example.question)
    if _is_short(words):
        words = "\n".join([words, *sorted(map(_words, options))])
    return hashlib.blake2b(whole.encode(), digest_size=16).digest(), words


def _is_short(words: str) -> bool:
    return words.count(" ") + 1 < _LONG_QUESTION


def _numbers(example: Example) -> tuple[str, ...]:
    """The numbers that must agree between duplicates.

    In a calculation that is all of them, and in a short question with options those of the question: "Which vitamin 1?"
    and "Which vitamin 2?" share nearly all their trigrams where the options are equal.
    """
    words = _words(example.question)
    counts = example.answer_type == "calculation" or (bool(example.options) and _is_short(words))
    return tuple(_NUMBER.findall(words)) if counts else ()


def _answer(example: Example) -> str:
    if example.answer_type == "open_ended":
        return ""
    return _words(dict(example.options).get(example.gold, example.gold))
