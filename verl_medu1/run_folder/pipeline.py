"""pipeline.json: the stages of a pipeline, and the arguments and inputs with which each began.

It does not say which stages are done: `state_of` looks at what each has written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verl_medu1.data.storage import training_rows
from verl_medu1.run_folder.checkpoints import newest_step
from verl_medu1.run_folder.configuration import read_configuration
from verl_medu1.run_folder.names import CHECKPOINTS, CONFIG
from verl_medu1.run_folder.progress import FILE_NAME, Progress
from verl_medu1.run_folder.whole_file import replace_file

PIPELINE = "pipeline.json"
# The commands that train: their folder is a run's. The others' folder appears when it is whole.
TRAINING = ("sft", "train")
DONE, WAITS = "done", "waits"


@dataclass(frozen=True)
class Stage:
    """One command of a pipeline.

    Attributes:
        name: of the stage.
        command: of medu1.
        arguments: of the command, with the folder that it writes.
        folder: what it writes: a run's folder, or a model's.
        needs: names of the earlier stages whose models it reads.
    """

    name: str
    command: str
    arguments: tuple[str, ...]
    folder: Path
    needs: tuple[str, ...] = ()


def job_folder(run_dir: Path, stage: Stage) -> Path:
    """Return where a job of a stage writes its file, its attempts and its output.

    A training's is the run's folder. Any other stage's folder must not exist before it is whole.

    Example:
        >>> str(job_folder(Path("out"), Stage("merged", "merge", (), Path("out/merged"))))
        'out/jobs/merged'
    """
    return stage.folder if stage.command in TRAINING else run_dir / "jobs" / stage.name


def state_of(stage: Stage) -> str:
    """Return how a stage stands, as its own folder says: DONE, WAITS, or how far it is.

    A training is done when the checkpoint of its last step is whole. Any other stage is done when its folder is there,
    which appears last.

    Raises:
        ValueError: the configuration or the data of a training that has begun can't be read.
    """
    if stage.command not in TRAINING:
        return DONE if stage.folder.is_dir() else WAITS
    if not (stage.folder / CONFIG).is_file():
        return WAITS
    steps, saved = _steps_of_run(stage.folder), newest_step(stage.folder / CHECKPOINTS) or 0
    return DONE if saved >= steps else f"saved step {saved} of {steps}"


def _steps_of_run(run: Path) -> int:
    config = read_configuration(run / CONFIG)
    if config.trainer.total_training_steps is None and (run / FILE_NAME).is_file():
        # Only the trainer knows how many rows data.filter_overlong_prompts leaves; it reports the steps once it does.
        if steps := Progress(run).read()["steps"]:
            return int(steps)
    return total_steps(config)


def total_steps(config: Any) -> int:
    """Return how many steps a run of `medu1 train` or `medu1 sft` takes; each epoch drops an incomplete last batch.

    Args:
        config: of the run.

    Raises:
        ValueError: its length is that of its data, which can't be read.
    """
    if config.trainer.total_training_steps is not None:
        return int(config.trainer.total_training_steps)
    try:
        rows = training_rows(config)
    except OSError as error:
        raise ValueError(f"data.train_files can't be read ({error}), by which the length of the run goes.") from None
    samples = config.data.get("train_max_samples", -1)
    rows = min(rows, samples) if samples > 0 else rows
    return rows // int(config.data.train_batch_size) * int(config.trainer.total_epochs)


def write_stages(run_dir: Path, stages: Sequence[Stage], inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write pipeline.json.

    Args:
        run_dir: folder of the pipeline, which exists.
        stages: all its stages, in order.
        inputs: of the stages that have begun, by their names.
    """
    plain = [{**asdict(stage), "folder": str(stage.folder), "inputs": inputs.get(stage.name)} for stage in stages]
    replace_file(run_dir / PIPELINE, [json.dumps(plain, indent=2) + "\n"])


def read_stages(run_dir: Path) -> tuple[list[Stage], dict[str, dict[str, Any]]]:
    """Return the stages of a pipeline's folder, and the inputs of those that have begun; nothing if it has none.

    Raises:
        ValueError: pipeline.json is something else.
    """
    file = run_dir / PIPELINE
    if not file.is_file():
        return [], {}
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        stages = [
            Stage(row["name"], row["command"], tuple(row["arguments"]), Path(row["folder"]), tuple(row["needs"]))
            for row in rows
        ]
        return stages, {row["name"]: row["inputs"] for row in rows if row["inputs"] is not None}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not the list of a pipeline's stages ({error}); choose another run_dir.") from None
