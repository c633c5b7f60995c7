"""Composed recipes: each is composed once in a process, which takes Hydra half a second."""

from functools import cache

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from verl_medu1.config.recipes import register_recipes


@cache
def composed(*overrides: str) -> DictConfig:
    """The configuration that `medu1 train` has with these arguments; change only a copy of it."""
    register_recipes()
    GlobalHydra.instance().clear()
    with initialize_config_module("verl_medu1.config", version_base="1.3"):
        return compose("medu1", overrides=list(overrides))
