"""GDPO under verl's V1 trainer, which does not pass the reward components that GDPO normalises to an estimator."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from verl.trainer.ppo.core_algos import compute_gdpo_outcome_advantage, register_adv_est

_COMPONENTS: ContextVar[Sequence[dict[str, Any]]] = ContextVar("components of the batch whose advantages are computed")


@contextmanager
def delivered(components: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Make the components of a batch, in row order, available to the estimators called inside the context."""
    token = _COMPONENTS.set(components)
    try:
        yield
    finally:
        _COMPONENTS.reset(token)


@register_adv_est("medu1_gdpo")
def gdpo(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray,
    config: DictConfig,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run verl's GDPO (arXiv 2601.05242) on the components that `algorithm.gdpo_reward_keys` names.

    Each component is normalised within its group; their weighted sum (`algorithm.gdpo_reward_weights`, equal by
    default) is then normalised over the batch.

    Args:
        token_level_rewards: (B, T) rewards; GDPO uses the components instead.
        response_mask: (B, T), 1 on the response's tokens.
        index: (B,) question of each row.
        config: verl's `algorithm`.

    Returns:
        Advantages and returns, (B, T) each.

    Raises:
        KeyError: the scorer does not return a component; `checks/` refuses such a run before it starts.
    """
    components = _COMPONENTS.get()
    keys = list(config.gdpo_reward_keys)
    by_name = {key: np.array([sample[key] for sample in components], dtype=np.float32) for key in keys}
    return compute_gdpo_outcome_advantage(
        token_level_rewards=token_level_rewards,
        response_mask=response_mask,
        index=index,
        config=config,
        non_tensor_batch=by_name,
        # verl finds the last token of a response in these two: an empty prompt, and the response's own mask.
        batch={"prompts": response_mask[:, :0], "attention_mask": response_mask},
    )
