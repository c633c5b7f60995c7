"""Processor time of a validation's metrics: verl's statistics of every component, and what is done in their place.

    python benchmarks/validation.py outputs/quickstart/validation/32.jsonl [--repeats 5]

The file is what a run kept of a validation, with several answers to each question.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from verl.trainer.ppo import metric_utils

from verl_medu1.run_folder.evaluations import read_jsonl
from verl_medu1.training.validation_metrics import component_means, resampled
from verl_medu1.verl_compat.resampling import kept_by_pattern

# What verl's dump adds to the components.
OF_THE_DUMP = ("input", "output", "gts", "step", "uid")


def main(
    dump: Annotated[Path, typer.Argument(help="A file of a run's folder `validation`.", show_default=False)],
    repeats: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
) -> None:
    """Measure both, and print a table."""
    rows = read_jsonl(dump)
    infos = {name: [row[name] for row in rows] for name in rows[0] if name not in OF_THE_DUMP}
    infos["reward"] = infos["score"]
    questions = [str(row["row_id"]) for row in rows]
    sources = ["all"] * len(rows)

    def every_component() -> None:
        metric_utils.process_validation_metrics(sources, questions, infos)

    def reward_and_accuracy() -> None:
        metric_utils.process_validation_metrics(sources, questions, resampled(infos))
        component_means(sources, questions, infos)

    own = metric_utils.bootstrap_metric.__wrapped__
    numeric = sum(not isinstance(values[0], str) for values in infos.values())
    typer.echo(f"{len(set(questions))} questions, {len(rows)} answers, {numeric} numeric components")
    typer.echo("| statistics of | s, median | least | most |\n|---|---|---|---|")
    for name, measured, draw in (
        ("every component", every_component, lambda: own),
        ("reward and accuracy", reward_and_accuracy, lambda: own),
        ("reward and accuracy, alike questions once", reward_and_accuracy, lambda: kept_by_pattern(own)),
    ):
        seconds = []
        for _ in range(repeats):
            metric_utils.bootstrap_metric = draw()  # with nothing kept
            seconds.append(_seconds(measured))
        cells = (f"{value:.2f}" for value in (median(seconds), min(seconds), max(seconds)))
        typer.echo(f"| {name} | {' | '.join(cells)} |")


def _seconds(measured: Callable[[], None]) -> float:
    start = time.process_time()
    measured()
    return time.process_time() - start


if __name__ == "__main__":
    typer.run(main)
