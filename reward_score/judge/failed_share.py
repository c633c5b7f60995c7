"""The share of a judge's questions that got no verdict: too many of them end the run or the command."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# The share is taken over this many of the latest questions, or all of a larger batch, and not before there are this
# many.
WINDOW, LEAST = 1000, 20


class TooManyFailures(RuntimeError):
    """The judge gave no verdict on more than the allowed share of its latest questions."""


class FailedShare:
    """The share of the judge's latest questions that got no verdict.

    Args:
        limit: Largest share, `scoring.judge.max_failed_share`.
        least: With fewer questions there is no share.
    """

    def __init__(self, limit: float, least: int = LEAST) -> None:
        self._limit, self._least = limit, least
        self._latest: list[bool] = []

    def add(self, scores: Sequence[Mapping[str, Any]]) -> None:
        """Count the responses that the judge was asked about.

        Args:
            scores: Scored responses (`reward_score.judge.JudgedScore`), or their components.

        Raises:
            TooManyFailures: More than the limit of the latest got no verdict.
        """
        asked = [sample for sample in scores if sample.get("judge_asked")]
        self._latest += [bool(sample["judge_failed"]) for sample in asked]
        self._latest = self._latest[-max(WINDOW, len(asked)) :]
        failed, number = sum(self._latest), len(self._latest)
        if number < self._least or failed <= self._limit * number:
            return
        reasons = Counter(str(sample.get("reason")) for sample in asked if sample["judge_failed"]).most_common(3)
        why = "; ".join(f"{reason}: {times}" for reason, times in reasons)
        raise TooManyFailures(
            f"the judge gave no verdict on {failed} of the latest {number} answers, and "
            f"scoring.judge.max_failed_share is {self._limit:g} ({why}); see that its server answers, then run the "
            "same command again"
        )
