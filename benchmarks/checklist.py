"""A checklist as reward: what a small model learns to say, and not to say, on generated discharge advice.

    python benchmarks/checklist.py [--seed 0 --seed 1 --seed 2]

For each seed, prepares the advice, warms a model up and trains it. Prints a Markdown table of held-out answers before
and after, with a paired test over questions. A run that is there already, with the same settings, is not repeated.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from trainings import answers, train, warm_up

from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.names import VALIDATION

HEAD = "| seed | reward before | after | all items before | after | a must-not before | after | p |"


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/checklist"),
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train and compare."""
    typer.echo(f"{HEAD}\n{'|---' * 8}|")
    for number in seed or [0, 1, 2]:
        folder = out / str(number)
        keys = warm_up(folder, number, source="quickstart-advice")
        keys |= {"trainer.val_before_train": "true", "trainer.test_freq": "${trainer.total_training_steps}"}
        keys |= {"trainer.save_freq": -1}
        train(folder / "trained", keys, *(settings or []), recipe="advice-cpu")
        held_out = answers(folder / "trained", VALIDATION)
        # By question, for verl writes them in the order in which they were finished.
        before, after = (
            sorted(held_out[step], key=lambda row: row["input"]) for step in (min(held_out), max(held_out))
        )
        cells = []
        for figure in (
            lambda rows: [row["score"] for row in rows],
            lambda rows: [row["acc"] for row in rows],
            lambda rows: [row["reason"].startswith("must not") for row in rows],
        ):
            cells += [f"{np.mean(figure(rows)):.2f}" for rows in (before, after)]
        test = paired_difference(*(np.array([row["score"] for row in rows]) for rows in (before, after)))
        typer.echo(f"| {number} | {' | '.join(cells)} | {test.p_value:.2g} |")


if __name__ == "__main__":
    typer.run(main)
