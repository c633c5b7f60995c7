"""What the trainer adds to rewards: components with a weight in the configuration.

The reward that validation reports is without them, so that runs with other weights can be compared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from reward_score.evidence import ANSWER_GAIN
from reward_score.reasoning import CONSISTENT, REASONING
from verl_medu1.rollout.names import PERCEPTION

# Component -> the key of its weight.
KEYS = {
    ANSWER_GAIN: "episodes.answer_gain_weight",
    PERCEPTION: "scoring.perception.weight",
    CONSISTENT: "scoring.reasoning.consistency_weight",
    REASONING: "scoring.reasoning.rubric_weight",
}


def weights_of_terms(config: DictConfig) -> dict[str, float]:
    """Return the weight of each component that has one above 0."""
    found = {name: OmegaConf.select(config, key) for name, key in KEYS.items()}
    return {name: float(weight) for name, weight in found.items() if weight}


def added_terms(
    samples: Sequence[Mapping[str, Any]], is_padding: Sequence[bool], weights: Mapping[str, float]
) -> torch.Tensor:
    """Return what is added to the reward of each response: the weighted sum of components; 0 for padding.

    A component that is None could not be measured, and counts 0. That must be so for all responses to a question, or
    for none (`verl_medu1.rollout.answer_gain`): then it is the same for a whole group.

    Args:
        samples: components of each of B responses.
        is_padding: rows that are no responses.
        weights: of `weights_of_terms`.

    Returns:
        (B,).

    Raises:
        RuntimeError: the rewards of a response come without a component, or with one that is not finite.

    Example:
        >>> added_terms([{"answer_gain": 0.5}, {"answer_gain": None}, {}], [False, False, True], {"answer_gain": 2.0})
        tensor([1., 0., 0.])
    """
    total = torch.zeros(len(samples))
    for name, weight in weights.items():
        total += weight * _component(name, samples, is_padding)
    return total


def _component(name: str, samples: Sequence[Mapping[str, Any]], is_padding: Sequence[bool]) -> torch.Tensor:
    if any(name not in sample and not padding for sample, padding in zip(samples, is_padding, strict=True)):
        raise RuntimeError(
            f"{KEYS[name]} is above 0, and a reward comes without {name}, which our reward manager adds; take it, or "
            f"set {KEYS[name]}=0"
        )
    values = [0.0 if padding else sample[name] for sample, padding in zip(samples, is_padding, strict=True)]
    found = torch.tensor([0.0 if value is None else float(value) for value in values])
    if not found.isfinite().all():
        raise RuntimeError(
            f"{name} is not finite, because the rollout's model gives log-probs that are not; look at the weights, or "
            f"set {KEYS[name]}=0"
        )
    return found
