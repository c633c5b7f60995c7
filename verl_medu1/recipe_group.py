"""Recipes as Hydra's config group `recipe`: `recipe=<folder name>`."""

from collections.abc import Iterable
from importlib import resources

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

# What a recipe's folder may hold: settings of `medu1 train`, and of the supervised stage before it.
TRAIN, SFT = "recipe.yaml", "sft.yaml"


def recipe_names(file: str = TRAIN) -> list[str]:
    """Names of the installed recipes: the folders of recipes/ that hold such a file.

    Example:
        >>> "quickstart" in recipe_names()
        True
    """
    folders = resources.files("verl_medu1.recipes").iterdir()
    return sorted(folder.name for folder in folders if folder.joinpath(file).is_file())


def register_recipes(file: str = TRAIN, names: Iterable[str] | None = None) -> None:
    """Make recipes selectable, all where no names are given; Hydra lists the choices when a name is wrong."""
    for name in recipe_names(file) if names is None else names:
        text = resources.files("verl_medu1.recipes").joinpath(name, file).read_text()
        ConfigStore.instance().store(
            group="recipe", name=name, node=OmegaConf.create(text), package="_global_", provider="verl-medu1 recipes"
        )
