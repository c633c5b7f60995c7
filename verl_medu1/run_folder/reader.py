"""Reads what a run has written so far. Any part may be missing or half written: the run may still be in progress."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from verl_medu1.run_folder import evaluations
from verl_medu1.run_folder.configuration import read_configuration
from verl_medu1.run_folder.evaluations import Sample
from verl_medu1.run_folder.names import AFTER, BEFORE, CONFIG, EVALUATIONS, ROLLOUTS, TENSORBOARD, VALIDATION
from verl_medu1.run_folder.progress import FILE_NAME as PROGRESS_FILE
from verl_medu1.run_folder.progress import Progress

Series = dict[int, float]  # value by step


@dataclass(frozen=True)
class Evaluation:
    """What `medu1 eval` wrote."""

    summary: dict[str, Any]
    samples: list[Sample]


@dataclass
class Run:
    """The parts of a run folder; `missing` has one sentence for each missing part."""

    path: Path
    scalars: dict[str, Series] = field(default_factory=dict)
    rollouts: dict[int, Path] = field(default_factory=dict)
    validation: dict[int, Path] = field(default_factory=dict)
    before: Evaluation | None = None
    after: Evaluation | None = None
    config: DictConfig | None = None
    progress: str | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """The last step for which there is any data; 0 if there is none."""
        return max([*self.rollouts, *(max(series) for series in self.scalars.values() if series)], default=0)

    @property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """The summaries of "before" and "after", as far as they exist."""
        evaluations = {"before": self.before, "after": self.after}
        return {label: evaluation.summary for label, evaluation in evaluations.items() if evaluation is not None}

    @property
    def model(self) -> dict[str, Any]:
        """`path`, `architecture` and `parameters` of the model, as far as an evaluation or the configuration says."""
        for summary in self.summaries.values():
            return summary["model"]
        path = OmegaConf.select(self.config, "actor_rollout_ref.model.path") if self.config is not None else None
        return {"path": path, "architecture": None, "parameters": None}


def read_scalars(folder: Path) -> dict[str, Series]:
    """Read TensorBoard scalars by tag and step; if a resumed run wrote a step twice, the later value counts.

    Args:
        folder: folder with event files, to which a run may still be writing.
    """
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={SCALARS: 0}).Reload()
    scalars = {}
    for tag in accumulator.Tags()["scalars"]:
        events = sorted(accumulator.Scalars(tag), key=lambda event: event.wall_time)
        scalars[tag] = dict(sorted({event.step: event.value for event in events}.items()))
    return scalars


def _read_evaluation(folder: Path) -> Evaluation | None:
    if not (folder / evaluations.SUMMARY).is_file() or not (folder / evaluations.SAMPLES).is_file():
        return None
    return Evaluation(*evaluations.read_evaluation(folder))


def _dumps(folder: Path) -> dict[int, Path]:
    """Return verl's rollout dumps, `<step>.jsonl`, by step."""
    return dict(sorted((int(file.stem), file) for file in folder.glob("*.jsonl") if file.stem.isdecimal()))


def read_progress(folder: Path) -> str | None:
    """Return what a run last reported, and when; None if it never reported."""
    if not (folder / PROGRESS_FILE).is_file():
        return None
    last = Progress(folder).read()
    when = datetime.datetime.fromtimestamp(float(last["time"])).strftime("%Y-%m-%d %H:%M:%S")
    return f"step {last['step']}, {last['phase']}, {when}"


def read_run(path: Path) -> Run:
    """Read a run folder: `tensorboard/`, `rollouts/<step>.jsonl`, `validation/<step>.jsonl`, `eval/before`,
    `eval/after`, `config.yaml`.

    Raises:
        ValueError: the folder does not exist or has none of these, or one of its files can't be read.
    """
    if not path.is_dir():
        raise ValueError(f"RUN_DIR {path} is not a folder; give the run_dir of a training.")
    run = Run(path, progress=read_progress(path))
    if (path / TENSORBOARD).is_dir():
        run.scalars = read_scalars(path / TENSORBOARD)
    run.rollouts, run.validation = _dumps(path / ROLLOUTS), _dumps(path / VALIDATION)
    run.before = _read_evaluation(path / BEFORE)
    run.after = _read_evaluation(path / AFTER)
    if (path / CONFIG).is_file():
        run.config = read_configuration(path / CONFIG)
    parts = {
        f"{TENSORBOARD}/ has no scalars: there are no curves.": run.scalars,
        f"{ROLLOUTS}/ has no step: there are no training samples.": run.rollouts,
        f"{BEFORE} has no evaluation: nothing is known of the model before training.": run.before,
        f"{AFTER} has no evaluation: nothing is known of the model after training.": run.after,
        f"{CONFIG} is not there: the settings are not known.": run.config,
    }
    run.missing = [sentence for sentence, part in parts.items() if not part]
    if len(run.missing) == len(parts):
        raise ValueError(
            f"RUN_DIR {path} has no {TENSORBOARD}/, {ROLLOUTS}/, {EVALUATIONS}/ or {CONFIG}; "
            "give the run_dir of a training."
        )
    return run
