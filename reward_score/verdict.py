"""The result types: what a scorer says about an answer, and the keys of a scored response."""

from dataclasses import dataclass
from typing import TypedDict


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scorer says about one answer.

    Attributes:
        correct: Whether the answer is right.
        similarity: How close it is, in [0, 1]; 1.0 or 0.0 for answers that are either right or wrong.
        pred: The answer as it was read, in one canonical form, so that equal answers give equal strings.
        reason: Why it was judged so, in a few words.
    """

    correct: bool
    similarity: float
    pred: str
    reason: str


def right(pred: str, reason: str) -> Verdict:
    """A right answer of a type that knows only right and wrong."""
    return Verdict(True, 1.0, pred, reason)


def wrong(pred: str, reason: str) -> Verdict:
    """A wrong answer; `pred` is "" where no answer could be read."""
    return Verdict(False, 0.0, pred, reason)


class Score(TypedDict):
    """The one set of keys of every scored response; floats are finite.

    score: the reward that the scheme makes of the verdict. acc: 1.0 if the answer is right, whatever the format.
    format: 1.0 if the response is well-formed. similarity: see `Verdict`. error: 1.0 if the row could not be scored
    through no fault of the response (unknown source, gold answer that can't be read, scorer that failed).
    pred, reason: see `Verdict`. answer_type: of the data source, "" if that is unknown.
    """

    score: float
    acc: float
    format: float
    similarity: float
    error: float
    pred: str
    answer_type: str
    reason: str
