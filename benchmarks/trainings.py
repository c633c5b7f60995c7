"""The trainings of a small model that benchmarks compare: one warm-up for each seed, one run for each setting.

A warm-up or run that is there already, with the same settings, is not repeated, so that an interrupted benchmark goes
on where it was.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer
from measure import measure_or_exit

from verl_medu1.run_folder.checkpoints import TRACKER, newest_model
from verl_medu1.run_folder.names import ROLLOUTS, VALIDATION

DONE = "done.json"
# Held-out questions are answered this often, each time sampled as in training.
HELD_OUT_SAMPLES = 4
SAMPLED = {
    "actor_rollout_ref.rollout.val_kwargs.n": HELD_OUT_SAMPLES,
    "actor_rollout_ref.rollout.val_kwargs.do_sample": "true",
    "actor_rollout_ref.rollout.val_kwargs.temperature": 1.0,
}
# Arguments of `warm_up` for a model that sees: pictures, asked with options and open-ended.
IMAGES = {"source": "quickstart-images", "recipe": "images-cpu", "model": "tiny-vl", "files": "_both"}
# Benchmarks on them share a warm-up.
IMAGES_OUT = Path("outputs/images-both")


def medu1(log: Path, *arguments: str) -> None:
    """Run a medu1 command; its output goes to a file."""
    measure_or_exit([sys.executable, "-m", "verl_medu1.cli.app", *arguments], str(log))


def warm_up(
    folder: Path,
    seed: int,
    *prepare: str,
    source: str = "quickstart",
    recipe: str = "quickstart",
    model: str = "tiny",
    files: str = "",
) -> dict[str, Any]:
    """Prepare generated questions and warm a new model up on them.

    Args:
        folder: of this seed; gets `data`, `model`, `warmup` and `log.txt`.
        seed: of questions and model.
        prepare: further options of `medu1 prepare`.
        source: of the questions.
        recipe: of the warm-up.
        model: the command of `medu1 model` that makes it.
        files: what the names of the source's files end with: `train`, `test` and `warmup`, and then this.

    Returns:
        The keys of `medu1 train` that name the model and its questions, and the order of the rows.
    """
    data, warmup, log = folder / "data", folder / "warmup", folder / "log.txt"
    train, test, demonstrations = (data / f"{name}{files}.parquet" for name in ("train", "test", "warmup"))
    if not (warmup / "checkpoints" / TRACKER).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        medu1(log, "prepare", "--source", source, *prepare, "--seed", str(seed), "--out", str(data))
        medu1(log, "model", model, "--data", str(demonstrations), "--seed", str(seed), "--out", str(folder / "model"))
        keys = {"run_dir": warmup, "model.path": folder / "model", "data.train_files": demonstrations}
        medu1(log, "sft", f"recipe={recipe}", *(f"{key}={value}" for key, value in keys.items()))
    return {
        "data.train_files": train,
        "data.val_files": test,
        "actor_rollout_ref.model.path": newest_model(warmup),
        "data.seed": seed + 1,
    }


def train(run: Path, settings: Mapping[str, Any], *overrides: str, recipe: str = "quickstart") -> None:
    """Train a recipe once with these keys; nothing is done if the folder has this run already."""
    arguments = [f"{key}={value}" for key, value in {"run_dir": run, **settings}.items()] + list(overrides)
    done = run / DONE
    if not done.is_file() or json.loads(done.read_text()) != arguments:
        typer.echo(f"training {run}", err=True)
        shutil.rmtree(run, ignore_errors=True)
        medu1(run.with_name(f"{run.name}.log"), "train", f"recipe={recipe}", *arguments)
        done.write_text(json.dumps(arguments))


def answers(run: Path, part: str = ROLLOUTS) -> dict[int, list[dict[str, Any]]]:
    """Read the answers of each step that a run kept: those of the training (`rollouts`) or of its validation."""
    assert part in (ROLLOUTS, VALIDATION)
    return {
        int(file.stem): [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for file in sorted((run / part).glob("*.jsonl"), key=lambda path: int(path.stem))
    }


def of_questions(rows: list[dict[str, Any]], figure: str) -> dict[str, float]:
    """The mean of a figure over the answers to each question, in a fixed order of questions."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["row_id"], []).append(float(row[figure]))
    return {question: float(np.mean(values)) for question, values in sorted(found.items())}
