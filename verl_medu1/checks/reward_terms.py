"""Checks components that the trainer adds to rewards, times a weight; part of the checks of those that measure them."""

import math
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.rewards import NUMERIC_COMPONENTS


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def weight_violations(config: DictConfig, key: str, component: str, to_measure: str) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with the weight of a component.

    Args:
        config: composed.
        key: of the weight.
        component: its name.
        to_measure: the setting with which it is measured, if it is not; "" if it is.
    """
    weight, algorithm = OmegaConf.select(config, key), config.algorithm
    named = {
        "gdpo_reward_keys": algorithm.gdpo_reward_keys or (),
        "filter_groups.metric": (algorithm.filter_groups.metric,),
    }
    for name, components in named.items():
        if to_measure and component in components:
            yield f"algorithm.{name} names {component!r}, and nothing measures it; set {to_measure}."
    if weight is None:
        return
    if not is_number(weight) or weight < 0:
        yield f"{key} is {weight!r}; it must be a number of at least 0, or null."
    elif weight and to_measure:
        yield f"{key} is {weight:g}, and nothing measures {component}; set {to_measure}."
    elif weight and algorithm.adv_estimator == "medu1_gdpo":
        named_too = f" and name {component} in algorithm.gdpo_reward_keys"
        way_out = named_too if component in NUMERIC_COMPONENTS else ", or take another estimator"
        yield (
            f"{key} is {weight:g}, and algorithm.adv_estimator=medu1_gdpo looks at components only; set {key}=0"
            f"{way_out}."
        )
