"""Hydra's source of configuration files, on libyaml's parser: reading YAML in Python is half of composing."""

from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader


class _Loader(yaml.cyaml.CParser, get_yaml_loader()):  # type: ignore[misc]
    """OmegaConf's rules (1e-6 is a number, a key comes once) on libyaml's parser, as yaml.CSafeLoader is made."""

    def __init__(self, stream: Any) -> None:
        yaml.cyaml.CParser.__init__(self, stream)
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)


class LibyamlSource(FileConfigSource):
    """Files of a folder, as `file://`."""

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


def register() -> str:
    """Make the source known to Hydra.

    Returns:
        Its scheme.
    """
    Plugins.instance().register(LibyamlSource)
    return LibyamlSource.scheme()
