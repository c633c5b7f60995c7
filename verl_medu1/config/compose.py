"""Composes a recipe's settings as `medu1 train` does, without importing verl."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING, Any

from verl_medu1.config.keys import nearest, unknown_key_sentence, unknown_key_violations
from verl_medu1.config.model_path import take_newest_model
from verl_medu1.config.recipes import PRIMARY, TRAIN, recipe_names, register_recipes
from verl_medu1.exit import raise_all
from verl_medu1.plan.settings import Settings, settings_of

if TYPE_CHECKING:
    from omegaconf import DictConfig


def settings_in(config: "DictConfig") -> Settings:
    """Read the settings from a composed configuration key by key: resolving all of it takes as long as composing it."""
    from omegaconf import OmegaConf

    def value_of(key: str) -> Any:
        value = OmegaConf.select(config, key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    return settings_of(value_of)


def compose_recipe(overrides: Sequence[str]) -> tuple[Settings, str]:
    """Return the settings of a recipe and its actor_rollout_ref.model.path; see `compose_config`.

    Raises:
        ValueError: as `compose_config`, and for a key that nothing reads.
    """
    config = compose_config(overrides)
    raise_all(unknown_key_violations(config))
    with composition_in_a_sentence():
        return settings_in(config), str(config.actor_rollout_ref.model.path)


def compose_config(overrides: Sequence[str], stage: str = TRAIN) -> "DictConfig":
    """Compose the configuration of a recipe without importing verl, which takes seconds.

    Args:
        overrides: arguments of `medu1 train`, such as ["recipe=quickstart", "trainer.nnodes=2"].
        stage: TRAIN, or SFT for the configuration of `medu1 sft`.

    Raises:
        ValueError: verl is not installed, or the configuration can't be composed.
    """
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    # If no known recipe is named, register all of them, so that Hydra can list them.
    named = {override.removeprefix("recipe=") for override in overrides} & set(recipe_names(stage))
    register_recipes(stage, only=named or None)
    GlobalHydra.instance().clear()
    require_choices(overrides)
    with composition_in_a_sentence(stage), initialize_config_module("verl_medu1.config", version_base="1.3"):
        config = compose(PRIMARY[stage], overrides=list(overrides))
        with suppress(ValueError):  # a run that has no model yet; the training says so when it starts
            take_newest_model(config, stage)
        return config


def require_choices(overrides: Sequence[str]) -> None:
    """Raise a ValueError if a group is set to null: Hydra refuses that with a sentence that does not name the group.

    Example:
        >>> require_choices(["run_dir=null", "lora=null"])
        Traceback (most recent call last):
            ...
        ValueError: lora is null, and null is no choice; leave it out, or name one.
    """
    groups = {"recipe", *(entry.name for entry in resources.files("verl_medu1.config").iterdir() if entry.is_dir())}
    for override in overrides:
        group, _, value = override.partition("=")
        if value == "null" and group in groups:
            raise ValueError(f"{group} is null, and null is no choice; leave it out, or name one.")


@contextmanager
def composition_in_a_sentence(stage: str = TRAIN) -> Iterator[None]:
    """Turn errors of Hydra and OmegaConf into a ValueError of one line."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(_sentence(str(error), stage)) from None


def _sentence(said: str, stage: str) -> str:
    """Rephrase Hydra's message about a wrong name; keep any other message."""
    if match := re.match(r"Could not override '([^']+)'", said):
        return unknown_key_sentence(match[1], stage)
    if match := re.search(r"Could not find '([^']+)/([^'/]*)'\s+Available options in '[^']*':\n((?:\t.*\n?)+)", said):
        group, name, options = match[1], match[2], match[3].split()
        near, every = nearest(name, options), ", ".join(options)
        return f"{group} is {name!r}, which does not exist; near it are {near}; all: {every}."
    return f"the recipe can't be composed: {' '.join(said.split())}"
