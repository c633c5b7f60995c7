"""Recipes as Hydra's config group `recipe`: `recipe=<folder name>`.

A recipe can be based on another, whose name is then the first of its `defaults`.
"""

from collections.abc import Collection, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from verl_medu1.extensions import RECIPES, added, load
from verl_medu1.verl_compat import config_folder

# Files in a recipe's folder: settings of `medu1 train`, of the warm-up before it, and the stages of `medu1 pipeline`.
TRAIN, SFT, PIPELINE = "recipe.yaml", "sft.yaml", "pipeline.yaml"
# The primary configuration in verl_medu1/config of those that Hydra composes.
PRIMARY = {TRAIN: "medu1", SFT: "sft"}


def _folders(file: str) -> Iterator[Traversable]:
    """Yield the recipe folders that have this file: in recipes/, and in packages that add recipes.

    docs/another-domain.md describes such packages.
    """
    packages = ["verl_medu1.recipes", *(load(entry_point) for entry_point in added(RECIPES).values())]
    for package in packages:
        yield from (folder for folder in resources.files(package).iterdir() if folder.joinpath(file).is_file())


def recipe_names(file: str = TRAIN) -> list[str]:
    """Return the names of the installed recipes, ours and those of other packages.

    Example:
        >>> "quickstart" in recipe_names()
        True
    """
    return sorted(folder.name for folder in _folders(file))


def recipe_text(name: str, file: str) -> str:
    """Return the text of a file in a recipe's folder.

    Example:
        >>> recipe_text("quickstart", TRAIN).splitlines()[1]
        'defaults:'
    """
    return next(folder.joinpath(file).read_text() for folder in _folders(file) if folder.name == name)


def register_recipes(file: str = TRAIN, only: Collection[str] | None = None) -> None:
    """Register recipes with Hydra, all or the named ones, and verl's configuration, on which they are based.

    Those that a named one builds on are registered, too. Hydra lists the registered ones when a name is wrong.

    Raises:
        ValueError: another package's recipes can't be loaded, or have a name that is taken.
    """
    config_folder.register()
    package = str(resources.files("verl_medu1"))
    OmegaConf.register_new_resolver("medu1_package", lambda: package, replace=True)
    folders: dict[str, Traversable] = {}
    for folder in _folders(file):
        if folder.name in folders:
            raise ValueError(f"two recipes are called {folder.name!r}; uninstall the package of one, or rename it.")
        folders[folder.name] = folder
    names = list(folders if only is None else folders.keys() & set(only))
    for name in names:  # grows: a recipe may be based on another
        node: Any = OmegaConf.create(folders[name].joinpath(file).read_text())
        ConfigStore.instance().store(
            group="recipe", name=name, node=node, package="_global_", provider="verl-medu1 recipes"
        )
        names.extend(base for base in map(str, node.get("defaults", ())) if base in folders and base not in names)
