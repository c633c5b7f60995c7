"""The share of an environment's calls that failed: too many of them end a training or an evaluation."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

# The share is taken over this many of the latest responses with a call, and not before there are so many.
WINDOW, LEAST = 1000, 20


class FailedCalls:
    """The share of the latest calls that an environment could not answer.

    Args:
        limit: largest share, `episodes.max_failed_share`.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._latest: deque[tuple[float, float]] = deque(maxlen=WINDOW)

    def add(self, responses: Sequence[Mapping[str, Any]]) -> None:
        """Count the calls of responses, given by their components; those without an environment have none.

        Raises:
            RuntimeError: more than the limit of the latest failed.
        """
        self._latest.extend((sample["calls"], sample["failed_calls"]) for sample in responses if sample.get("calls"))
        if len(self._latest) < LEAST:
            return
        calls, failed = (int(sum(values)) for values in zip(*self._latest, strict=True))
        if failed > self._limit * calls:
            raise RuntimeError(
                f"the environment failed in {failed} of its latest {calls} calls, and episodes.max_failed_share is "
                f"{self._limit:g}; see that its servers answer, then run the same command again"
            )
