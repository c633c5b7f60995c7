"""What an answer costs besides its computation: seconds of a rollout of 8, 64 and 512 short answers.

    python benchmarks/answer_cost.py --model MODEL --data DIR [--steps 8] [key=value ...]

MODEL and DIR are a small model and its questions (`medu1 model tiny`, `medu1 prepare --source quickstart`). Trains the
quickstart with answers of a few tokens, so that nearly all of the time is their way from the agent loop to vLLM, the
reward worker and TransferQueue. Prints a Markdown table: the rollout of a step (`timing_s/gen`, until all answers are
there and scored), n steps, median and range, and the line through the medians (least squares): seconds of a rollout
without answers, and milliseconds for each answer. Needs an idle machine.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from measure import measure_or_exit
from turn_cost import rollouts

QUESTIONS, ANSWERS = (1, 8, 64), 8


def table(seconds: Mapping[int, Sequence[float]]) -> str:
    """A row for each number of answers, and below it the line through the medians.

    Example:
        >>> print(table({8: [1.0, 1.2, 1.1], 64: [2.5]}))
        | answers | n | seconds, median (range) |
        |---|---|---|
        | 8 | 3 | 1.10 (1.00 to 1.20) |
        | 64 | 1 | 2.50 (2.50 to 2.50) |
        <BLANKLINE>
        0.90 s, and 25.0 ms for each answer.
    """
    medians = {answers: statistics.median(values) for answers, values in seconds.items()}
    slope, start = np.polyfit(list(medians), list(medians.values()), 1)
    rows = [
        f"| {answers} | {len(values)} | {medians[answers]:.2f} ({min(values):.2f} to {max(values):.2f}) |"
        for answers, values in seconds.items()
    ]
    head = "| answers | n | seconds, median (range) |\n|---|---|---|"
    return "\n".join([head, *rows, "", f"{start:.2f} s, and {1000 * slope:.1f} ms for each answer."])


def main(
    context: typer.Context,
    model: Annotated[Path, typer.Option(help="Model folder.")],
    data: Annotated[Path, typer.Option(help="Data folder made by `medu1 prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for runs and logs; it must not exist.")] = Path(
        "outputs/answer-cost"
    ),
    tokens: Annotated[int, typer.Option(help="Tokens of an answer at most.", min=1)] = 8,
    steps: Annotated[int, typer.Option(help="Steps of each run.")] = 8,
    skip: Annotated[int, typer.Option(help="First steps that are not measured.", min=1)] = 2,
) -> None:
    """Run one training for each number of answers, one after the other, and print the table."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    if steps <= skip:
        raise SystemExit(f"--steps is {steps}; give more than {skip}, which are not measured.")
    out.mkdir(parents=True)
    seconds: dict[int, Sequence[float]] = {}
    for questions in QUESTIONS:
        run = out / str(questions * ANSWERS)
        keys = {
            "run_dir": run,
            "data.train_files": data / "train.parquet",
            "data.val_files": data / "test.parquet",
            "data.train_batch_size": questions,
            "data.max_response_length": tokens,
            "actor_rollout_ref.model.path": model,
            "actor_rollout_ref.actor.ppo_mini_batch_size": questions,
            "actor_rollout_ref.rollout.n": ANSWERS,
            "algorithm.length_penalty.where": "off",
            "trainer.total_training_steps": steps,
            "trainer.save_freq": -1,
        }
        overrides = [*(f"{key}={value}" for key, value in keys.items()), *context.args]
        command = [sys.executable, "-m", "verl_medu1.cli.app", "train", "recipe=quickstart", *overrides]
        measure_or_exit(command, str(run.with_suffix(".log")))
        seconds[questions * ANSWERS] = rollouts(run, skip)
    typer.echo(table(seconds))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(main)
    app()
