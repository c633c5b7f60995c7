"""Checks the settings of the judge; part of `scoring_violations`."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from verl_medu1.config.scorers import OUR_SCORERS, POOL, judge_values
from verl_medu1.machine.processors import is_size


def judge_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with `scoring.judge`."""
    values = judge_values(config, None)
    yield from _pool_violations(config)
    if values is None and config.scoring.judge.when == "always":
        yield (
            "scoring.judge.when is 'always', and scoring.judge.base_url is null, so that nobody is asked; name the "
            "judge's address, or leave scoring.judge.when out."
        )
    if values is not None:
        yield from settings_violations(values)


def settings_violations(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with the settings of a judge that is on."""
    from reward_score.judge.check_result import check_violations
    from reward_score.judge.settings import JudgeSettings

    mistakes = JudgeSettings.mistakes(values) or list(check_violations(JudgeSettings.read(values)))
    yield from (f"scoring.judge.{mistake}." for mistake in mistakes)
    if find_spec("openai") is None:
        yield "scoring.judge.base_url is set, and the package openai is missing; `pip install verl-medu1[judge]`."


def _pool_violations(config: DictConfig) -> Iterator[str]:
    """Check what a judge in verl's pool of reward models needs, and that it is asked."""
    pool, address = config.reward.reward_model, config.scoring.judge.base_url
    is_ours = config.reward.custom_reward_function.path == OUR_SCORERS
    if address != POOL:
        if pool.enable and is_ours:
            yield (
                f"reward.reward_model.enable is true, and scoring.judge.base_url is {address!r}, so that nothing asks "
                "the pool; leave out judge=pool, or scoring.judge.base_url."
            )
    elif not pool.enable or not pool.enable_resource_pool or not is_ours:
        yield f"scoring.judge.base_url is {POOL!r}, without verl's pool of reward models; set judge=pool instead."
    elif pool.model_path is None or not Path(pool.model_path).expanduser().is_dir():
        yield f"reward.reward_model.model_path is {pool.model_path!r}; give the folder of the judge's model."
    elif pool.rollout.free_cache_engine:
        yield (
            "reward.reward_model.rollout.free_cache_engine is true, and verl never wakes a pool that it has put to "
            "sleep; set it to false."
        )
    else:
        yield from _pool_size_violations(pool)


def _pool_size_violations(pool: DictConfig) -> Iterator[str]:
    """Check that the pool's GPUs are a whole number of servers, which verl asserts after Ray has started."""
    names = ("n_gpus_per_node", "nnodes", "rollout.tensor_model_parallel_size")
    gpus, nodes, parts = (OmegaConf.select(pool, name) for name in names)
    wrong = {name: value for name, value in zip(names, (gpus, nodes, parts), strict=True) if not is_size(value)}
    for name, value in wrong.items():
        yield f"reward.reward_model.{name} is {value!r}; it must be a whole number of at least 1."
    if not wrong and gpus * nodes % parts:
        yield (
            f"reward.reward_model.rollout.tensor_model_parallel_size is {parts}, which does not divide the pool's "
            f"{gpus * nodes} GPUs; raise reward.reward_model.n_gpus_per_node, or lower it."
        )
