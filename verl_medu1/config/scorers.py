"""Which scorers a configuration uses, and with which judge."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

# `reward.custom_reward_function.path` of our own scorers; verl wants a function beside a pool of reward models.
OUR_SCORERS = "pkg://reward_score"
# `scoring.judge.base_url` of a judge in verl's pool of reward models (config/judge/pool.yaml).
POOL = "pool"


def uses_our_scorers(config: DictConfig) -> bool:
    """Whether `reward_score` scores the answers, and not a function of the user's own."""
    return config.reward.custom_reward_function.path in (None, OUR_SCORERS)


def judge_values(config: DictConfig, pool_address: str | None) -> dict[str, Any] | None:
    """Return `scoring.judge` as plain values, for `JudgeSettings.read`; None if no judge is configured.

    Args:
        config: composed configuration of a training run.
        pool_address: HOST:PORT of verl's router, which replaces the word "pool"; None before the pool runs.
    """
    values: Any = OmegaConf.to_container(config.scoring.judge, resolve=True)
    if values["base_url"] is None:
        return None
    if values["base_url"] == POOL:
        values["base_url"] = f"http://{pool_address or POOL}/v1"
    return dict(values)
