"""Checks `algorithm.constraints`; part of `checks.run.check`."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from reward_score.must_ask import UNASKED
from verl_medu1.checks.rewards import OUR_MANAGER, OUR_TRAINER_MODES
from verl_medu1.config.constraints import REFERENCE_SURPRISAL, Constraint
from verl_medu1.config.keys import nearest
from verl_medu1.config.scorers import uses_our_scorers
from verl_medu1.rollout.names import EPISODE_LOOP

KEY, DEFAULTS = "algorithm.constraints", "algorithm.constraint_defaults"
# Environments whose rows name no diagnoses to be asked about (reward_score/must_ask.py).
WITHOUT_DIAGNOSES = ("search", "searcher")
# Components of our scorers, reward manager and trainer that a higher value of is worse -> the highest possible value.
COSTS = {
    "unsafe": 1.0,
    UNASKED: 1.0,
    "over_budget": 1.0,
    "budget_distance": math.inf,
    "length": math.inf,
    "counted_tokens": math.inf,
    REFERENCE_SURPRISAL: math.inf,
}
# Estimators that compare the answers to one question by nothing but their rewards, and give equal ones zero.
ESTIMATORS = ("grpo", "grpo_vectorized", "rloo", "rloo_vectorized", "medu1_gdpo")
NAME = re.compile(r"[\w-]+")


def constraint_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with `algorithm.constraints` or its defaults."""
    given, defaults = _plain(config.algorithm.constraints), _plain(config.algorithm.constraint_defaults)
    if given is None:
        return
    if not isinstance(given, dict) or not given or not isinstance(defaults, dict):
        example = "{brief: {cost: over_budget, limit: 0.05}}"
        yield f"{KEY} is {given!r}; give names with settings, such as {example}, or null for none."
        return
    yield from _beside_others(config)
    for name, values in given.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            yield f"{KEY} has the name {name!r}; use letters, digits, - and _, for it names metrics."
        elif not isinstance(values, dict):
            yield f"{KEY}.{name} is {values!r}; give it cost and limit, such as {{cost: over_budget, limit: 0.05}}."
        elif unknown := sorted(map(str, values.keys() - set(Constraint._fields))):
            yield f"{KEY}.{name}.{unknown[0]} is not a key; near it are {nearest(unknown[0], Constraint._fields)}."
        else:
            yield from _of_one(name, values, defaults, config)


def _beside_others(config: DictConfig) -> Iterator[str]:
    """Check the settings that decide whether a constraint can work at all."""
    algorithm, mode = config.algorithm, config.trainer.v1.trainer_mode
    if mode not in OUR_TRAINER_MODES:
        ours = " or ".join(OUR_TRAINER_MODES)
        yield f"trainer.v1.trainer_mode is {mode!r}, which leaves {KEY} out; use {ours}, or set {KEY}=null."
    if algorithm.adv_estimator not in ESTIMATORS:
        yield (
            f"algorithm.adv_estimator is {algorithm.adv_estimator!r}, and {KEY} needs one that compares the answers to "
            f"one question and gives equal ones nothing; choose one of {', '.join(ESTIMATORS)}, or set {KEY}=null."
        )
    if algorithm.filter_groups.enable:
        yield (
            f"algorithm.filter_groups.enable is true, which replaces questions whose answers earn the same before "
            f"{KEY} sees what they cost; set it to false, or set {KEY}=null."
        )


def _of_one(name: str, values: Mapping[str, Any], defaults: Mapping[str, Any], config: DictConfig) -> Iterator[str]:
    key, merged = f"{KEY}.{name}", {**defaults, **values}
    for needed in ("cost", "limit"):
        if needed not in values:
            yield f"{key} lacks {needed}; give it cost and limit, such as {{cost: over_budget, limit: 0.05}}."
            return
    cost, limit = values["cost"], values["limit"]
    module = config.reward.reward_manager.module.path if config.reward.reward_manager.source == "importlib" else None
    if not isinstance(cost, str):
        yield f"{key}.cost is {cost!r}; give the name of a component."
    elif cost not in COSTS and uses_our_scorers(config):
        yield f"{key}.cost is {cost!r}; our scorers have {', '.join(COSTS)}."
    elif cost == REFERENCE_SURPRISAL:
        if not (config.actor_rollout_ref.actor.use_kl_loss or config.algorithm.use_kl_in_reward):
            yield (
                f"{key}.cost is {cost!r}, and no reference model is loaded; set "
                "actor_rollout_ref.actor.use_kl_loss=true, with actor_rollout_ref.actor.kl_loss_coef=0 for the "
                "constraint alone."
            )
    elif cost == UNASKED and config.actor_rollout_ref.rollout.agent.default_agent_loop != EPISODE_LOOP:
        loop = "actor_rollout_ref.rollout.agent.default_agent_loop"
        yield f"{key}.cost is {cost!r}, and nobody is asked in one turn; set {loop}={EPISODE_LOOP}."
    elif cost == UNASKED and config.episodes.environment in WITHOUT_DIAGNOSES:
        environment = config.episodes.environment
        yield (
            f"{key}.cost is {cost!r}, and episodes.environment is {environment!r}, where it is always 0; take another "
            "environment, or leave the constraint out."
        )
    elif cost in COSTS and module is None:
        manager = config.reward.reward_manager.name
        yield f"{key}.cost is {cost!r}, and reward.reward_manager.name is {manager!r}; take {OUR_MANAGER}."
    most = COSTS.get(cost, math.inf) if isinstance(cost, str) else math.inf
    if not _is_number(limit) or (cost in COSTS and not 0 <= limit < most):
        bound = f" from 0 to below {most:g}" if math.isfinite(most) else " of at least 0" if cost in COSTS else ""
        yield f"{key}.limit is {limit!r}; it must be a number{bound}."
    for what in ("kp", "ki", "max"):
        value: Any = merged.get(what)
        if not _is_number(value) or value < 0 or (what != "kp" and value == 0):
            where = f"{key}.{what}" if what in values else f"{DEFAULTS}.{what}"
            yield f"{where} is {value!r}; it must be a number {'of at least 0' if what == 'kp' else 'above 0'}."
    yield from _of_sources(key, merged.get("sources"), config)


def _of_sources(key: str, sources: Any, config: DictConfig) -> Iterator[str]:
    from reward_score import known_sources

    if sources is None:
        return
    if not isinstance(sources, list) or not sources:
        yield f"{key}.sources is {sources!r}; give a list of data sources, or null for all."
    elif uses_our_scorers(config) and (unknown := [name for name in sources if name not in known_sources()]):
        known = ", ".join(known_sources())
        yield f"{key}.sources names {unknown[0]!r}, which is not a data source; known are {known}."


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node) if isinstance(node, DictConfig) else node


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
