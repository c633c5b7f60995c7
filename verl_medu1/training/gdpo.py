"""GDPO under verl's V1 trainer, which hands an estimator none of the components that GDPO normalises one by one."""

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
    """The components of a batch, in the order of its rows, for the estimators called inside."""
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
    """verl's GDPO (arXiv 2601.05242) on the components that `algorithm.gdpo_reward_keys` names.

    Each component is normalised in its group, and their weighted sum over the batch
    (`algorithm.gdpo_reward_weights`, equal by default).

    Args:
        token_level_rewards: (B, T) rewards; GDPO takes their place by the components.
        response_mask: (B, T), 1 on the response's tokens.
        index: (B,) question of each row.
        config: verl's `algorithm`.

    Returns:
        Advantages and returns, (B, T) each.

    Raises:
        KeyError: a component that the scorer does not return; `checks.py` refuses it before the start.
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
        # Where verl looks for the last token of a response: the mask of the response alone, behind a prompt of none.
        batch={"prompts": response_mask[:, :0], "attention_mask": response_mask},
    )
