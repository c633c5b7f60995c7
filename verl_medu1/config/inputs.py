"""What a stage of a pipeline reads: the content of its data and models, to see whether it has changed."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from verl_medu1.config.compose import compose_config
from verl_medu1.config.model_path import MODEL
from verl_medu1.config.recipes import SFT, TRAIN
from verl_medu1.data.storage import as_list, sha256
from verl_medu1.run_folder.checkpoints import newest_model, newest_step, step_folder
from verl_medu1.run_folder.claim import FILES, weights_of
from verl_medu1.run_folder.names import CHECKPOINTS
from verl_medu1.run_folder.pipeline import TRAINING, Stage


def inputs_of(stage: Stage) -> dict[str, Any]:
    """Return the content of what a stage reads: digests of files, and of a model's weights.

    Of a training these are the data and the model of its composed configuration, whoever names them, the recipe or an
    argument; and what further arguments name. Of any other command it is what its arguments name. A run's folder stands
    for its newest model.

    Returns:
        By key of the configuration, or argument. A data file that does not exist has None; a model that is no folder
        with weights has its name.

    Raises:
        ValueError: a run's folder has no model yet, or the configuration can't be composed.
    """
    found = _of_configuration(stage) if stage.command in TRAINING else {}
    for argument in stage.arguments:
        key, _, value = argument.partition("=")
        path = Path(value or argument).expanduser()
        if path == stage.folder or key.lstrip("+") in found:
            continue
        if path.is_file():
            found[argument] = sha256(path)
        elif path.is_dir():
            is_run = (path / CHECKPOINTS).is_dir()
            found[argument] = _weights_of_run(path, stage.command) if is_run else weights_of(path)
    return found


def _of_configuration(stage: Stage) -> dict[str, Any]:
    kind = SFT if stage.command == "sft" else TRAIN
    config = compose_config(stage.arguments, kind)
    found: dict[str, Any] = {}
    for key in FILES:
        files = [Path(name).expanduser() for name in as_list(OmegaConf.select(config, key))]
        found[key] = [sha256(file) if file.is_file() else None for file in files]
    model = str(OmegaConf.select(config, MODEL[kind]))
    return found | {MODEL[kind]: weights_of(Path(model).expanduser()) or model}


def _weights_of_run(run: Path, command: str) -> dict[str, Any]:
    if command != "export":
        return weights_of(newest_model(run))
    # An export makes the model of a run that has none yet: the checkpoint, by its step and the sizes of its files.
    step = newest_step(run / CHECKPOINTS)
    files = sorted(step_folder(run / CHECKPOINTS, step).rglob("*")) if step else []
    return {str(file.relative_to(run)): str(file.stat().st_size) for file in files if file.is_file()}
