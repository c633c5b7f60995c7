"""A recipe's settings, composed as `medu1 train` does, without importing verl."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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
    """Settings of a recipe, and what its actor_rollout_ref.model.path is; see `compose_config`."""
    config = compose_config(overrides)
    with _in_a_sentence():
        return settings_in(config), str(config.actor_rollout_ref.model.path)


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """What Hydra and OmegaConf find wrong becomes a ValueError of one line."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ValueError(f"the recipe can't be composed: {' '.join(lines)}") from None


def compose_config(overrides: Sequence[str]) -> "DictConfig":
    """The configuration of a recipe, without importing verl, which takes seconds.

    Args:
        overrides: as `medu1 train` takes them, such as ["recipe=quickstart", "trainer.nnodes=2"].

    Raises:
        ValueError: verl is not installed, or the configuration can't be composed.
    """
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from verl_medu1.config.recipes import recipe_names, register_recipes

    # All of them only where Hydra has to list them.
    named = {override.removeprefix("recipe=") for override in overrides} & set(recipe_names())
    register_recipes(only=named or None)
    GlobalHydra.instance().clear()
    with _in_a_sentence(), initialize_config_module("verl_medu1.config", version_base="1.3"):
        return compose("medu1", overrides=list(overrides))
