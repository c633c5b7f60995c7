"""Must-not-miss diagnoses: an answer must not exclude one that nothing was asked about."""

from collections.abc import Mapping
from typing import Any

from reward_score.response import parse_response
from reward_score.score import compute_score

# Key of an episode's facts: the diagnoses, as an answer would name them, of which no question was asked.
UNASKED = "unasked"
# What makes other answers right than the one that is compared with.
_OF_THE_GOLD = ("aliases", "checklist", "facts")


def without_gold(extra_info: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a row's extra_info without what says which answers are right, to compare with another answer."""
    return {key: value for key, value in (extra_info or {}).items() if key not in _OF_THE_GOLD}


def excludes_unasked(
    data_source: str,
    response: str,
    extra_info: Mapping[str, Any] | None,
    facts: Mapping[str, Any],
    right_answer: str | None = None,
) -> bool:
    """Return whether a response answers, and its answer is another than a diagnosis that nothing was asked about.

    Whether an answer is that diagnosis is up to the scorer of the data source. A right answer is the gold answer, in
    whatever words. A response without an answer excludes nothing.

    Args:
        data_source: of the row.
        response: the model's last turn.
        extra_info: of the row.
        facts: of the episode.
        right_answer: the gold answer, if the response was found right.

    Example:
        >>> said, facts = "<think>a</think><answer>migraine</answer>", {"unasked": ["meningitis"]}
        >>> excludes_unasked("own-open_ended", said, {}, facts), excludes_unasked("own-open_ended", said, {}, {})
        (True, False)
        >>> excludes_unasked("own-open_ended", said.replace("migraine", "Meningitis"), {}, facts)
        False
    """
    unasked = facts.get(UNASKED) or ()
    if not unasked or not parse_response(response).answer:
        return False
    found = None if right_answer is None else right_answer.strip().casefold()
    others = [diagnosis for diagnosis in unasked if diagnosis.strip().casefold() != found]
    info = without_gold(extra_info)
    return any(not compute_score(data_source, response, diagnosis, info)["acc"] for diagnosis in others)
