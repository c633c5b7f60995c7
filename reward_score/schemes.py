"""Schemes: how a verdict becomes a reward."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reward_score.evidence import RETRIEVE, evidence_found
from reward_score.response import Response
from reward_score.verdict import Verdict

DEFAULT_SCHEME = "gated_binary"


@dataclass(frozen=True, slots=True)
class Sample:
    """The input of a scheme.

    Attributes:
        response: The parsed response.
        verdict: The scorer's verdict; wrong if there is no answer.
        info: The row's extra_info, of which `budget_mode` ("none", "exact" or "max"), `budget_tokens` (N), `stage` and
            `facts` (of an episode) are used.
        num_tokens: Response length L in tokens, None if the caller doesn't give it.
    """

    response: Response
    verdict: Verdict
    info: Mapping[str, Any] = field(default_factory=dict)
    num_tokens: int | None = None


Scheme = Callable[[Sample], float]


def gated_binary(sample: Sample) -> float:
    """Return 1.0 for a right answer in a well-formed response, else 0.0."""
    return float(sample.verdict.correct and sample.response.well_formed)


def gated_similarity(sample: Sample) -> float:
    """Return the similarity in [0, 1] in a well-formed response, else 0.0; binary except for open-ended answers."""
    return sample.verdict.similarity if sample.response.well_formed else 0.0


def accuracy(sample: Sample) -> float:
    """Return 1.0 for a right answer in any format, else 0.0."""
    return float(sample.verdict.correct)


def staged(sample: Sample) -> float:
    """Return what searches have found for a row of the stage "retrieve"; `gated_binary` for other rows.

    That is `evidence_found`, from 0 to 1, in a well-formed response, else 0.0. The answer of such a row does not
    count. After Med-R3 (arXiv 2507.23541), whose second stage rewards the recall of titles.

    Raises:
        ValueError: The row is of that stage, and it names no evidence and no gain was measured.
    """
    if sample.info.get("stage") != RETRIEVE:
        return gated_binary(sample)
    found = evidence_found(sample.info.get("facts") or {})
    if found is None:
        raise ValueError(
            f"scheme 'staged' needs evidence, or episodes.answer_gain, for a row of the stage {RETRIEVE!r}"
        )
    return found if sample.response.well_formed else 0.0


def release(sample: Sample) -> float:
    """Return the reward of the Med-U1 release (arXiv 2506.12307), in [-3, 3], for reproduction only.

    R = format (+1 or -1) + answer (+1 or -1) + length (`release_length`); without an answer R = format - 2. As
    published, wrong answers get the length term too. The scorers of this package judge the answers.

    Raises:
        ValueError: The row has a budget, and `num_tokens` is missing.

    Example: a wrong answer exactly on the budget earns as much as a right one 3000 tokens off it: 1.0.
    """
    form = 1.0 if sample.response.well_formed else -1.0
    if not sample.response.answer:
        return form - 2.0
    return form + (1.0 if sample.verdict.correct else -1.0) + _length_term(sample)


def _length_term(sample: Sample) -> float:
    mode = sample.info.get("budget_mode")
    if mode not in ("exact", "max"):
        return 0.0
    if sample.num_tokens is None:
        raise ValueError(
            "scheme 'release' needs num_tokens for a row with a budget: pass the response length in tokens"
        )
    return release_length(sample.num_tokens, int(sample.info["budget_tokens"]), mode)


def release_length(length: float, budget: float, mode: str) -> float:
    """Return the length term of the Med-U1 release (arXiv 2506.12307), in [-1, 1], for L tokens and a budget of N.

    clip(1 - |L - N| / 1500, -1, 1) for the mode "exact" and clip((N - L) / 500, -1, 1) for "max".

    Example:
        >>> release_length(1750, 1000, "exact"), release_length(750, 1000, "max")
        (0.5, 0.5)
    """
    term = 1.0 - abs(length - budget) / 1500 if mode == "exact" else (budget - length) / 500
    return min(1.0, max(-1.0, term))


SCHEMES: Mapping[str, Scheme] = {
    "gated_binary": gated_binary,
    "gated_similarity": gated_similarity,
    "accuracy": accuracy,
    "staged": staged,
    "release": release,
}


def find_scheme(name: str) -> Scheme:
    """Look up a scheme.

    Raises:
        ValueError: There is no scheme of that name.
    """
    if name not in SCHEMES:
        raise ValueError(f"scheme {str(name)[:80]!r} is unknown: use one of {', '.join(SCHEMES)}")
    return SCHEMES[name]
