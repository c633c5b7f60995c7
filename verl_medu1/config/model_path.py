"""A run's folder as the model to train: its newest one, as `medu1 eval --model RUN` takes it."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from verl_medu1.config.recipes import SFT, TRAIN
from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.names import CHECKPOINTS

# Where each configuration names the model.
MODEL = {TRAIN: "actor_rollout_ref.model.path", SFT: "model.path"}


def take_newest_model(config: Any, stage: str) -> None:
    """Replace the folder of a run by the folder of its newest model; any other name of a model stays.

    Args:
        config: composed configuration, which is changed.
        stage: TRAIN or SFT.

    Raises:
        ValueError: the run has no model yet; the sentence begins with the key.

    Example:
        >>> config = OmegaConf.create({"model": {"path": "Qwen/Qwen2.5-7B-Instruct"}})
        >>> take_newest_model(config, SFT)
        >>> config.model.path
        'Qwen/Qwen2.5-7B-Instruct'
    """
    key = MODEL[stage]
    name = OmegaConf.select(config, key)
    folder = Path(str(name)).expanduser()
    if not (folder / CHECKPOINTS).is_dir() or (folder / "config.json").is_file():
        return
    try:
        OmegaConf.update(config, key, str(newest_model(folder)))
    except ValueError as error:
        raise ValueError(f"{key} is {str(name)!r}, a run without a model: {error}") from None
