"""The result types: a scorer's verdict on an answer, and the keys of a scored response."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from reward_score.item_results import ItemResult


@dataclass(frozen=True, slots=True)
class Verdict:
    """A scorer's verdict on one answer.

    Attributes:
        correct: Whether the answer is right.
        similarity: How close it is, in [0, 1]; 1.0 or 0.0 for answers that are either right or wrong.
        pred: The answer as it was read, in canonical form, so that equal answers give equal strings.
        reason: The reason for the verdict, in a few words.
        unsafe: Whether the answer lies outside the row's safe range, right or wrong.
        items: What was decided of each item of the row's checklist; () without one, and for an answer that is refused
            as a whole.
    """

    correct: bool
    similarity: float
    pred: str
    reason: str
    unsafe: bool = False
    items: tuple[ItemResult, ...] = ()


def right(pred: str, reason: str) -> Verdict:
    """Return the verdict on a right answer, with similarity 1.0."""
    return Verdict(True, 1.0, pred, reason)


def wrong(pred: str, reason: str) -> Verdict:
    """Return the verdict on a wrong answer, with similarity 0.0; `pred` is "" if no answer could be read."""
    return Verdict(False, 0.0, pred, reason)


class Score(TypedDict):
    """A scored response; the keys are the same for every input, and floats are finite.

    score: the reward that the scheme computes from the verdict. acc: 1.0 if the answer is right in any format.
    format: 1.0 if the response is well-formed. similarity: see `Verdict`. error: 1.0 if the row could not be scored
    for a reason other than the response (unknown source, unreadable gold answer, failing scorer).
    unsafe: 1.0 if the answer lies outside the row's safe range. pred, reason: see `Verdict`. answer_type: of the data
    source, "" if that is unknown. checklist_items: which items of the row's checklist are true of the answer
    (`reward_score.item_results`), "" without any.
    """

    score: float
    acc: float
    format: float
    similarity: float
    error: float
    unsafe: float
    pred: str
    answer_type: str
    reason: str
    checklist_items: str


def lacks_verdict(components: Mapping[str, Any]) -> bool:
    """Return whether a scored response has no verdict, because a judge or a reader failed: its score means nothing.

    Example:
        >>> lacks_verdict({"score": 0.0, "judge_failed": 1.0}), lacks_verdict({"score": 0.0})
        (True, False)
    """
    return bool(components.get("judge_failed") or components.get("reader_failed"))
