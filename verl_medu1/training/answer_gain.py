"""What the rewards get for `episodes.answer_gain_weight`: how much an environment has helped to the right answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from reward_score.evidence import ANSWER_GAIN


def gains(samples: Sequence[Mapping[str, Any]], is_padding: Sequence[bool]) -> torch.Tensor:
    """Return the gain of each response; 0 for padding, and for questions on which it can't be measured.

    It can be measured on all responses to a question, or on none (`verl_medu1.rollout.answer_gain`), so that this 0 is
    the same for a whole group.

    Args:
        samples: components of each of B responses.
        is_padding: rows that are no responses.

    Returns:
        (B,), in nats per token.

    Raises:
        RuntimeError: the rewards of a response come without a gain, or with one that is not finite.

    Example:
        >>> gains([{"answer_gain": 0.5}, {"answer_gain": None}, {}], [False, False, True]).tolist()
        [0.5, 0.0, 0.0]
    """
    if any(ANSWER_GAIN not in sample and not padding for sample, padding in zip(samples, is_padding, strict=True)):
        raise RuntimeError(
            f"episodes.answer_gain_weight is above 0, and a reward comes without {ANSWER_GAIN}, which our reward "
            "manager adds; take it, or set episodes.answer_gain_weight=0"
        )
    values = [0.0 if padding else sample[ANSWER_GAIN] for sample, padding in zip(samples, is_padding, strict=True)]
    found = torch.tensor([0.0 if value is None else float(value) for value in values])
    if not found.isfinite().all():
        raise RuntimeError(
            f"{ANSWER_GAIN} is not finite, because the rollout's model gives log-probs that are not; look at the "
            "weights, or set episodes.answer_gain_weight=0"
        )
    return found
