"""What our trainer adds to a step of verl's, in runs that are there already.

python benchmarks/step_ratio.py outputs/quickstart
"""

import statistics
from pathlib import Path
from typing import Annotated

import typer
from measure import seconds_between_logs

from verl_medu1.run_folder.reader import read_scalars
from verl_medu1.training.metrics import ADDED_TIME


def step_ratio(folder: Path) -> float:
    """A step of ours over what it takes without what we add, by the trainer's own timer; the median over the steps.

    Unlike two runs beside each other, it does not depend on a processor that changes its speed.

    Args:
        folder: the run's TensorBoard files.
    """
    added = list(read_scalars(folder)[f"timing_s/{ADDED_TIME}"].values())[1:]
    return statistics.median(
        step / (step - ours) for step, ours in zip(seconds_between_logs(folder), added, strict=True)
    )


def main(run: Annotated[list[Path], typer.Argument(help="Run folder of `medu1 train`.")]) -> None:
    """Print the ratio of each run."""
    for folder in run:
        if not (folder / "tensorboard").is_dir():
            raise SystemExit(f"{folder} has no folder tensorboard; give the folder of a run of `medu1 train`.")
        typer.echo(f"{folder}: {step_ratio(folder / 'tensorboard'):.3f}")


if __name__ == "__main__":
    typer.run(main)
