"""A recipe's settings, composed as `medu1 train` does, without importing verl."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from verl_medu1.config.keys import nearest, unknown_key_sentence, unknown_key_violations
from verl_medu1.config.recipes import PRIMARY, TRAIN, recipe_names, register_recipes
from verl_medu1.exit import raise_all
from verl_medu1.plan.settings import Settings, settings_of

if TYPE_CHECKING:
    from omegaconf import DictConfig


def settings_in(config: "DictConfig") -> Settings:
    """The settings in a composed configuration, key by key: resolving all of it takes as long as composing it."""
    from omegaconf import OmegaConf

    def value_of(key: str) -> Any:
        value = OmegaConf.select(config, key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    return settings_of(value_of)


def compose_recipe(overrides: Sequence[str]) -> tuple[Settings, str]:
    """Settings of a recipe, and what its actor_rollout_ref.model.path is; see `compose_config`.

    Raises:
        ValueError: also for a key that nobody reads.
    """
    config = compose_config(overrides)
    raise_all(unknown_key_violations(config))
    with composition_in_a_sentence():
        return settings_in(config), str(config.actor_rollout_ref.model.path)


def compose_config(overrides: Sequence[str], stage: str = TRAIN) -> "DictConfig":
    """The configuration of a recipe, without importing verl, which takes seconds.

    Args:
        overrides: as `medu1 train` takes them, such as ["recipe=quickstart", "trainer.nnodes=2"].
        stage: TRAIN, or SFT for what `medu1 sft` takes.

    Raises:
        ValueError: verl is not installed, or the configuration can't be composed.
    """
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    # All of them only where Hydra has to list them.
    named = {override.removeprefix("recipe=") for override in overrides} & set(recipe_names(stage))
    register_recipes(stage, only=named or None)
    GlobalHydra.instance().clear()
    with composition_in_a_sentence(stage), initialize_config_module("verl_medu1.config", version_base="1.3"):
        return compose(PRIMARY[stage], overrides=list(overrides))


@contextmanager
def composition_in_a_sentence(stage: str = TRAIN) -> Iterator[None]:
    """What Hydra and OmegaConf find wrong becomes a ValueError of one line."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(_sentence(str(error), stage)) from None


def _sentence(said: str, stage: str) -> str:
    """What Hydra says of a wrong name, in our words; other things in its own."""
    if match := re.match(r"Could not override '([^']+)'", said):
        return unknown_key_sentence(match[1], stage)
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'\s+Available options in '[^']*':\n((?:\t.*\n?)+)", said):
        group, name, options = match[1], match[2], match[3].split()
        near, every = nearest(name, options), ", ".join(options)
        return f"{group} is {name!r}, which does not exist; near it are {near}; all: {every}."
    return f"the recipe can't be composed: {' '.join(said.split())}"
