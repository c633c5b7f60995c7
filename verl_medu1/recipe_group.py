"""Recipes as Hydra's config group `recipe`: `recipe=<folder name>`."""

from importlib import resources

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

FILE_NAME = "recipe.yaml"


def recipe_names() -> list[str]:
    """Names of the installed recipes: the folders of recipes/ that hold a recipe.yaml.

    Example:
        >>> "quickstart" in recipe_names()
        True
    """
    folders = resources.files("verl_medu1.recipes").iterdir()
    return sorted(folder.name for folder in folders if folder.joinpath(FILE_NAME).is_file())


def register_recipes() -> None:
    """Make each recipe selectable; Hydra lists the choices when a name is wrong."""
    for name in recipe_names():
        text = resources.files("verl_medu1.recipes").joinpath(name, FILE_NAME).read_text()
        ConfigStore.instance().store(
            group="recipe", name=name, node=OmegaConf.create(text), package="_global_", provider="verl-medu1 recipes"
        )
