"""Finds verl's configuration files without importing verl, which takes seconds."""

from importlib.util import find_spec
from pathlib import Path

from omegaconf import OmegaConf


def folder() -> str:
    """Return the folder of verl's configuration files.

    Raises:
        ValueError: verl is not installed.
    """
    found = find_spec("verl")
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            "verl is not installed, and a recipe stands on its configuration, for which `pip install --no-deps "
            "verl==0.9.1` is enough; without it `medu1 plan` takes --model and --gpus."
        )
    return str(Path(found.submodule_search_locations[0], "trainer", "config"))


def register() -> None:
    """Let our primary configurations refer to the folder as `file://${verl_configs:}`.

    Hydra's `pkg://verl.trainer.config` would import verl.

    Raises:
        ValueError: verl is not installed.
    """
    found = folder()
    OmegaConf.register_new_resolver("verl_configs", lambda: found, replace=True)
