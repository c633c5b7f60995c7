"""A checklist as reward: what a small model learns to say, and not to say, on generated discharge advice.

    python benchmarks/checklist.py [--seed 0 --seed 1 --seed 2] [--plot docs/methods/magic.svg]

For each seed, prepares the advice, warms a model up and trains it. Prints a Markdown table of the sampled answers to
held-out questions before and after, with a paired test over questions, and draws the reward by step. A run that is
there already, with the same settings, is not repeated.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from figures import draw_seeds
from trainings import SAMPLED, answers, of_questions, train, warm_up

from verl_medu1.evaluate.statistics import paired_difference
from verl_medu1.run_folder.names import VALIDATION

HEADS = ["seed", "reward before", "after", "difference", "p"]
HEADS += ["all items before", "after", "a must-not before", "after"]


def main(
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be repeated. Default: 0, 1 and 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and logs.")] = Path("outputs/checklist"),
    plot: Annotated[Path | None, typer.Option(help="SVG file to write.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Further KEY=VALUE settings for `medu1 train`.")] = None,
) -> None:
    """Train, compare and draw."""
    typer.echo(f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|")
    curves = {}
    for number in seed or [0, 1, 2]:
        folder = out / str(number)
        keys = warm_up(folder, number, source="quickstart-advice") | {
            "trainer.save_freq": -1,
            "trainer.val_before_train": "true",
            "trainer.test_freq": "${trainer.total_training_steps}",
            **SAMPLED,
        }
        train(folder / "trained", keys, *(settings or []), recipe="advice-cpu")
        curves[number] = [
            float(np.mean([row["score"] for row in rows])) for rows in answers(folder / "trained").values()
        ]
        held_out = answers(folder / "trained", VALIDATION)
        before, after = held_out[min(held_out)], held_out[max(held_out)]
        for row in (*before, *after):
            row["must not"] = row["reason"].startswith("must not")
        change = paired_difference(*(list(of_questions(rows, "score").values()) for rows in (before, after)))
        cells = [
            f"{np.mean([row[key] for row in rows]):.2f}"
            for key in ("score", "acc", "must not")
            for rows in (before, after)
        ]
        cells[2:2] = [f"{change.value:+.2f} ({change.low:+.2f} to {change.high:+.2f})", f"{change.p_value:.2g}"]
        typer.echo(f"| {number} | {' | '.join(cells)} |")
    if plot:
        draw_seeds(curves, "reward", plot)


if __name__ == "__main__":
    typer.run(main)
