"""Loads verl's configuration files for Hydra with libyaml: parsing YAML in Python takes half the time of composing."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader


class _Loader(yaml.cyaml.CParser, get_yaml_loader()):  # type: ignore[misc]
    """OmegaConf's rules (1e-6 is a number, keys are unique) on libyaml's parser, built like yaml.CSafeLoader."""

    def __init__(self, stream: Any) -> None:
        yaml.cyaml.CParser.__init__(self, stream)
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)


class LibyamlSource(FileConfigSource):
    """A folder of configuration files, like `file://`."""

    @staticmethod
    def scheme() -> str:
        return "libyaml"

    def load_config(self, config_path: str) -> ConfigResult:
        file = Path(self.path, self._normalize_file_name(config_path))
        if not file.is_file():
            raise ConfigLoadError(f"Config not found : {file}")
        text = file.read_text(encoding="utf-8")
        return ConfigResult(
            config=OmegaConf.create(yaml.load(text, Loader=_Loader) or {}),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=ConfigSource._get_header_dict(text),
        )


def folder() -> str:
    """Return the folder of verl's configuration files without importing verl, which takes seconds.

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
    """Let our primary configurations refer to verl's folder: `libyaml://${verl_configs:}`.

    Raises:
        ValueError: verl is not installed.
    """
    found = folder()
    Plugins.instance().register(LibyamlSource)
    OmegaConf.register_new_resolver("verl_configs", lambda: found, replace=True)
