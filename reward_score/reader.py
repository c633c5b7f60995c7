"""Scores what another model, the reader, answers in place of the one that is trained: its gain over naive retrieval.

The trained model chooses documents, and a frozen reader answers the question from them. A row's `extra_info` then has
the reader's replies in `facts.reading` (verl_medu1/environments/searcher.py), and nothing that the trained model wrote
itself is scored.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from reward_score.verdict import Score

# Keys of `extra_info`: what an environment reports, and in it what the reader has replied.
FACTS, READING = "facts", "reading"


class Reading(TypedDict):
    """What a reader has replied, as an environment reports it.

    reader: its identity. answer: its reply with the documents that the trained model chose. naive_answer: its reply
    with those that the question itself finds. failed: why one of the two is missing; "" if none is. Replies have the
    form of a response (reward_score/response.py).
    """

    reader: str
    answer: str
    naive_answer: str
    failed: str


class ReaderScore(Score):
    """A scored reply of a reader; `acc`, `pred` and the like are about its reply with the chosen documents.

    reader_correct: 1.0 if that reply is right. naive_correct: 1.0 if the one by naive retrieval is. gain: the first
    less the second, which is the reward: 1.0, 0.0 or -1.0. reader_failed: 1.0 if a reply is missing; then nothing else
    has a meaning, and the trainer leaves the response out of its group.
    """

    reader_correct: float
    naive_correct: float
    gain: float
    reader_failed: float


def reading_of(extra_info: Any) -> Mapping[str, Any] | None:
    """Return the reader's replies of a row; None without a reader.

    Example:
        >>> replies = {"reader": "r", "answer": "a", "naive_answer": "b", "failed": ""}
        >>> reading_of({"facts": {"reading": replies}}) == replies, reading_of({"facts": {}}), reading_of(None)
        (True, None, None)
    """
    facts = extra_info.get(FACTS) if isinstance(extra_info, Mapping) else None
    reading = facts.get(READING) if isinstance(facts, Mapping) else None
    return reading if isinstance(reading, Mapping) and reading.keys() >= Reading.__required_keys__ else None


def score_reading(reading: Mapping[str, Any], score: Callable[[Any], Score]) -> ReaderScore:
    """Score a reader's replies: acc(reply with the chosen documents) - acc(reply with those of naive retrieval).

    Args:
        reading: The replies, see `Reading`.
        score: Scores a response to the same question; anything but a text is an error of the row.

    Returns:
        The score. A question that naive retrieval gets right can be lost, for -1.0.

    Example:
        >>> from reward_score import compute_score
        >>> replies = {"answer": "<answer>35</answer>", "naive_answer": "<answer>unknown</answer>", "failed": ""}
        >>> limits = {"lower_limit": 35, "upper_limit": 35}
        >>> found = score_reading(replies, lambda text: compute_score("quickstart-calc", text, "35", limits))
        >>> found["reader_correct"], found["naive_correct"], found["score"]
        (1.0, 0.0, 1.0)
    """
    if failed := reading.get("failed"):
        missing: Score = {**score(""), "score": 0.0, "acc": 0.0, "similarity": 0.0, "error": 1.0, "pred": ""}
        missing["reason"] = str(failed)[:300]
        return {**missing, "reader_correct": 0.0, "naive_correct": 0.0, "gain": 0.0, "reader_failed": 1.0}
    chosen, naive = score(reading.get("answer")), score(reading.get("naive_answer"))
    # 0 for a row that can't be scored: then no reply to it is right.
    gain = chosen["acc"] - naive["acc"]
    return {
        **chosen,
        "score": gain,
        "reader_correct": chosen["acc"],
        "naive_correct": naive["acc"],
        "gain": gain,
        "reader_failed": 0.0,
    }
