"""Composed recipes: each is composed once in a process, which takes Hydra a third of a second."""

from functools import cache

from omegaconf import DictConfig

from verl_medu1.config.compose import compose_config


@cache
def composed(*overrides: str) -> DictConfig:
    """The configuration that `medu1 train` has with these arguments; change only a copy of it."""
    return compose_config(overrides)
