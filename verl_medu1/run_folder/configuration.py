"""The configuration of a run, config.yaml, as claim.py writes it."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError


def read_configuration(file: Path) -> DictConfig:
    """Read the config.yaml of a run.

    Raises:
        ValueError: it can't be read, or is no YAML mapping.
    """
    way_out = "copy it from the run again, or remove it"
    try:
        config = OmegaConf.load(file)
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise ValueError(f"{file} can't be read ({str(error).splitlines()[0]}); {way_out}.") from None
    if not isinstance(config, DictConfig):
        raise ValueError(f"{file} is not the configuration of a run; {way_out}.")
    return config
