"""Exact and near duplicates among questions, and between questions and benchmarks.

Two questions are near duplicates if the Jaccard similarity of their sets of word trigrams reaches the threshold.
MinHash LSH proposes pairs, and each is verified on the sets themselves. So there are no false positives, and about one
pair in 300 at the threshold is missed.

A question about images is another question about other images, whatever its words. Images are the same if they look
so (`verl_medu1.data.images.likeness`). A training row with an image of a benchmark is found by the image alone.
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
from verl_medu1.data.images.likeness import LikenessIndex, looks_like, perceptual_hash
from verl_medu1.data.images.placeholders import without_placeholders
from verl_medu1.data.tracking import tracked

THRESHOLD = 0.8
LOWEST_THRESHOLD = 0.5
# A shorter question, such as "Which of these is true?", means nothing without its options.
_LONG_QUESTION = 15
# Share of pairs at the threshold that may be missed.
_MISSED = 0.003
_MOST_ROWS = 6
_MOST_HASHES = 400
_CHUNK = 1024
# Words, and symbols other than sentence punctuation, so that different rows of brackets stay different.
_WORD = re.compile(r"""[^\W_]+|[^\w\s.,;:!?'"*`~-]""")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Sketched:
    """An example, prepared for comparison with others.

    Attributes:
        example: the question.
        exact: digest of the whole text, ignoring case, white space and the order of the options, and of the images.
        words: text for finding near duplicates: the question's words in lower case and, if it is short, those of each
            option on a separate line, sorted so that the options' order does not matter.
        answer: must agree between duplicates; "" for open-ended questions, whose answers are worded freely.
        numbers: numbers of a calculation or a short multiple-choice question, in order; must agree between duplicates.
        sketch: MinHash of the trigrams; with images, of trigrams that no row without them has.
        pictures: perceptual hashes of its images.
    """

    example: Example
    exact: bytes
    words: str
    answer: str
    numbers: tuple[str, ...]
    sketch: RMinHash
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A duplicate: the position of the question that is kept, and whether the two agree word for word."""

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
    """Return the exact Jaccard similarity of two questions' trigrams; 0 if numbers that must agree differ.

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
    """Choose the numbers of bands and hashes so that few pairs at the threshold are missed.

    With more rows per band fewer pairs far below the threshold are proposed, but more bands are needed.
    """
    for rows in range(_MOST_ROWS, 0, -1):
        agrees = min(threshold**rows, 0.99)
        bands = math.ceil(math.log(_MISSED) / math.log(1 - agrees))
        if rows * bands <= _MOST_HASHES:
            break
    return bands, rows * bands


class DuplicateFinder:
    """Finds duplicates, deterministically for the same questions, threshold and seed.

    Args:
        threshold: minimum Jaccard similarity of near duplicates, from 0.5 to 1.
        seed: seed of the hashes; any whole number.

    Raises:
        ValueError: the threshold is out of range.
    """

    def __init__(self, threshold: float = THRESHOLD, seed: int = 0) -> None:
        if not LOWEST_THRESHOLD <= threshold <= 1:
            raise ValueError(
                f"--duplicate-threshold is {threshold}; it must be at least {LOWEST_THRESHOLD} and at most 1."
            )
        self.threshold = threshold
        self._seed = seed % 2**64
        self._num_bands, self._num_perm = _bands(threshold)
        # A file of questions has the same image many times.
        self._pictures: dict[bytes, int] = {}

    def sketch(self, examples: Sequence[Example]) -> list[Sketched]:
        """Prepare examples for comparison.

        Example:
            >>> DuplicateFinder().sketch([Example("q", "1", "open_ended", "What  is IT?", "x")])[0].words
            'what is it'
        """
        sketched = []
        for start in tracked(range(0, len(examples), _CHUNK), "hashing questions"):
            chunk = examples[start : start + _CHUNK]
            wordings = [_wording(example) for example in chunk]
            pictures = [tuple(map(self._picture, example.images)) for example in chunk]
            tokens = [
                [f"{hashes}{trigram}" for trigram in _list_trigrams(words)] if hashes else _list_trigrams(words)
                for (_, words), hashes in zip(wordings, pictures, strict=True)
            ]
            sketches = RMinHash.from_token_sets(tokens, num_perm=self._num_perm, seed=self._seed)
            for example, (exact, words), sketch, hashes in zip(chunk, wordings, sketches, pictures, strict=True):
                sketched.append(Sketched(example, exact, words, _answer(example), _numbers(example), sketch, hashes))
        return sketched

    def _picture(self, image: bytes) -> int:
        if image not in self._pictures:
            self._pictures[image] = perceptual_hash(image)
        return self._pictures[image]

    def within(self, rows: Sequence[Sketched]) -> dict[int, Duplicate]:
        """Find the rows that repeat an earlier one.

        Near duplicates must have the same answer, because the same vignette may end with another question. Questions
        about the same patient note are duplicates only if they agree word for word.

        Args:
            rows: in order of preference; the first row of each set of duplicates is kept.

        Returns:
            position of a row that repeats another -> the row that it repeats.
        """
        index, pictures = self._index(rows), LikenessIndex([row.pictures for row in rows])
        first: dict[bytes, int] = {}
        duplicates: dict[int, Duplicate] = {}
        for place, row in enumerate(tracked(rows, "looking for duplicates")):
            if row.exact in first:
                original = first[row.exact]
                duplicates[place] = duplicates.get(original, Duplicate(original, exact=True))
                continue
            first[row.exact] = place
            for other in pictures.rows_like(row.pictures) if row.pictures else sorted(index.query(row.sketch)):
                if other >= place:
                    break
                if other not in duplicates and self._repeats(row, rows[other]):
                    duplicates[place] = Duplicate(other, exact=False)
                    break
        return duplicates

    def across(self, rows: Sequence[Sketched], others: Sequence[Sketched]) -> dict[int, int]:
        """Find the rows that also occur among others, such as a benchmark's, even with another answer.

        A row with images occurs there if one of its images does, even with another question.

        Returns:
            position of a row -> position of the first of the others that it duplicates.
        """
        index, pictures = self._index(others), LikenessIndex([row.pictures for row in others])
        found = {}
        for place, row in enumerate(tracked(rows, "looking for known questions")):
            if row.pictures:
                if same := pictures.rows_like(row.pictures):
                    found[place] = same[0]
                continue
            for other in sorted(index.query(row.sketch)):
                if similarity(row, others[other]) >= self.threshold:
                    found[place] = other
                    break
        return found

    def _repeats(self, row: Sketched, other: Sketched) -> bool:
        if row.answer != other.answer or (row.example.group and row.example.group == other.example.group):
            return False
        if row.example.images != other.example.images and _words(row.example.gold) != _words(other.example.gold):
            return False  # what the answer depends on may be too small for a hash
        return _same_pictures(row, other) and similarity(row, other) >= self.threshold

    def _index(self, rows: Sequence[Sketched]) -> RMinHashLSH:
        index = RMinHashLSH(threshold=self.threshold, num_perm=self._num_perm, num_bands=self._num_bands)
        index.insert_many([row.sketch for row in rows])
        return index


def _wording(example: Example) -> tuple[bytes, str]:
    options = [text for _, text in example.options]
    whole = "\n".join(" ".join(text.casefold().split()) for text in [example.question, *sorted(options)])
    words = _words(without_placeholders(example.question))
    if _is_short(words):
        words = "\n".join([words, *sorted(map(_words, options))])
    images = b"".join(hashlib.sha256(image).digest() for image in example.images)
    return hashlib.blake2b(whole.encode() + images, digest_size=16).digest(), words


def _same_pictures(row: Sketched, other: Sketched) -> bool:
    alike = [looks_like(*pair) for pair in zip(row.pictures, other.pictures, strict=False)]
    return len(row.pictures) == len(other.pictures) and all(alike)


def _is_short(words: str) -> bool:
    return words.count(" ") + 1 < _LONG_QUESTION


def _numbers(example: Example) -> tuple[str, ...]:
    """Return the question's numbers if they must agree between duplicates, else ().

    They must in a calculation, and in a short question with options: with the same options, "Which vitamin 1?" and
    "Which vitamin 2?" share nearly all their trigrams.
    """
    words = _words(example.question)
    counts = example.answer_type == "calculation" or (bool(example.options) and _is_short(words))
    return tuple(_NUMBER.findall(words)) if counts else ()


def _answer(example: Example) -> str:
    if example.answer_type == "open_ended":
        return ""
    return _words(dict(example.options).get(example.gold, example.gold))
