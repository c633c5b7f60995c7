"""Recipes as Hydra's config group `recipe`: `recipe=<folder name>`.

A recipe can be based on another, whose name is then the first of its `defaults`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from verl_medu1.extensions import RECIPES, added, load
from verl_medu1.machine.gpus import known_gpus
from verl_medu1.verl_compat import config_folder

# Files in a recipe's folder: settings of `medu1 train`, of the warm-up before it, and the stages of `medu1 pipeline`.
TRAIN, SFT, PIPELINE = "recipe.yaml", "sft.yaml", "pipeline.yaml"
# The primary configuration in verl_medu1/config of those that Hydra composes.
PRIMARY = {TRAIN: "medu1", SFT: "sft"}
# model_engine -> the node below actor and ref that this engine alone reads.
ENGINE_NODES = {"megatron": "megatron", "dp": "fsdp_config"}


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


def gpu_in_name(recipe: str) -> str | None:
    """Return the kind of GPU that a recipe's name states, as `medu1 plan --gpu` takes it; None if it states none.

    Example:
        >>> gpu_in_name("qwen2.5-7b-lora-1x1l40s-tp1-pp1"), gpu_in_name("quickstart")
        ('l40s-48', None)
    """
    kinds = {gpu.partition("-")[0]: gpu for gpu in known_gpus()}
    found = re.search(rf"-\d+x\d+({'|'.join(kinds)})(-|$)", recipe)
    return kinds[found[1]] if found else None


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
    for name in names:  # grows: a recipe may build on another
        # OmegaConf's YAML, in which 1e-6 is a number.
        recipe: Any = OmegaConf.to_container(OmegaConf.create(folders[name].joinpath(file).read_text()))
        names += [parent for parent in _parents(recipe) if parent in folders and parent not in names]
        for engine, settings in _split_by_engine(recipe).items():
            _store("recipe_on", f"{name}_{engine}", settings)
        _store("recipe", name, recipe)


def _parents(recipe: Mapping[str, Any]) -> list[str]:
    """Return the recipes on which this one builds.

    Example:
        >>> _parents({"defaults": ["quickstart", "_self_", {"override /base": "medical_rl"}]})
        ['quickstart']
    """
    named = [entry.rpartition("/")[2] for entry in recipe.get("defaults", []) if isinstance(entry, str)]
    return [name for name in named if name != "_self_"]


def _split_by_engine(recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take what only one engine reads out of a recipe, and return it by engine; the other engine would refuse it.

    It builds on the same part of the recipes on which this one builds.

    Example:
        >>> mine = {"defaults": ["quickstart"], "actor_rollout_ref": {"actor": {"megatron": {"dtype": "float32"}}}}
        >>> _split_by_engine(mine)["megatron"]["actor_rollout_ref"]
        {'actor': {'megatron': {'dtype': 'float32'}}}
        >>> mine["actor_rollout_ref"], _split_by_engine(mine)["dp"]["defaults"]
        ({'actor': {}}, ['quickstart_dp', '_self_'])
    """
    roles = recipe.get("actor_rollout_ref", {})
    found = {}
    for engine, node in ENGINE_NODES.items():
        own = {role: {node: roles[role].pop(node)} for role in ("actor", "ref") if node in roles.get(role, {})}
        defaults = [*(f"{parent}_{engine}" for parent in _parents(recipe)), "_self_"]
        found[engine] = {"defaults": defaults, "actor_rollout_ref": own}
    return found


def _store(group: str, name: str, settings: dict[str, Any]) -> None:
    ConfigStore.instance().store(
        group=group, name=name, node=OmegaConf.create(settings), package="_global_", provider="verl-medu1 recipes"
    )
