"""Our trainer beside verl's own synchronous one: what it computes with a length weight of 0, and what it costs.

    python benchmarks/bare_verl.py --model MODEL --data DIR [--recipe quickstart] [key=value ...]

Runs both on the same configuration, one after the other, `--pairs` times. Each answer has a seed of its own, so that
both trainers see the same answers as long as they do the same. Prints, as Markdown, the largest difference of each
figure over the steps, the median seconds of a step with and without the rollout (verl's own trainer looks for finished
rollouts every two seconds, ours as often as it is told; here both take two), and what our own timer says that we add.
Needs an idle machine.
"""

import statistics
import sys
from pathlib import Path
from typing import Annotated

import typer
from measure import measure_or_exit, seconds_between_logs
from step_ratio import step_ratio

from verl_medu1.run_folder.reader import Series, read_scalars

FIGURES = (
    "critic/score/mean",
    "critic/advantages/mean",
    "critic/advantages/max",
    "critic/advantages/min",
    "response_length/mean",
    "actor/pg_loss",
    "actor/grad_norm",
)
# What is timed: a step with all that lies between two log entries, less some of verl's timers; the first step is still
# starting up.
TIMES = {"all": (), "without rollout": ("timing_s/gen",)}
BARE, OURS = "sync", "medu1_sync"


def train(run: Path, mode: str, arguments: list[str]) -> dict[str, Series]:
    """The scalars of one run under a trainer of verl's V1, and `seconds`, from one log entry to the next."""
    command = [sys.executable, "-m", "verl_medu1.run.train", *arguments]
    command += [f"trainer.v1.trainer_mode={mode}", f"run_dir={run}"]
    run.parent.mkdir(parents=True, exist_ok=True)
    measure_or_exit(command, str(run.with_suffix(".log")))
    steps = dict(enumerate(seconds_between_logs(run / "tensorboard"), start=2))
    return {**read_scalars(run / "tensorboard"), "seconds": steps}


def main(
    context: typer.Context,
    model: Annotated[Path, typer.Option(help="Model folder.")],
    data: Annotated[Path, typer.Option(help="Data folder made by `medu1 prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for runs and logs; it must not exist.")] = Path("outputs/bare-verl"),
    recipe: Annotated[str, typer.Option(help="Our recipe; KEY=VALUE arguments change it.")] = "quickstart",
    steps: Annotated[int, typer.Option(help="Number of steps in each run.", min=2)] = 6,
    pairs: Annotated[int, typer.Option(help="Number of runs of each.", min=1)] = 2,
) -> None:
    """Compare both trainers."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    keys = {
        "data.train_files": data / "train.parquet",
        "data.val_files": data / "test.parquet",
        "actor_rollout_ref.model.path": model,
        "actor_rollout_ref.rollout.agent.default_agent_loop": "medu1_seeded",
        # Seeded answers on the CPU need prompts in one piece (GPUModelRunner._bookkeeping_sync).
        "actor_rollout_ref.rollout.enable_chunked_prefill": "false",
        # One update a step: the order in which answers finish, which is chance, plays no part then.
        "actor_rollout_ref.actor.ppo_mini_batch_size": "${data.train_batch_size}",
        "algorithm.length_penalty.weight": 0,
        "trainer.total_training_steps": steps,
        "trainer.save_freq": -1,
        "trainer.v1.sampler.poll_interval": 2.0,
        # verl's own trainer reports no progress to the watchdog.
        "watchdog.start_timeout_s": 10**6,
    }
    arguments = [f"recipe={recipe}", *(f"{key}={value}" for key, value in keys.items()), *context.args]
    runs: dict[str, list[dict[str, Series]]] = {BARE: [], OURS: []}
    for number in range(pairs):
        for mode in runs:
            runs[mode].append(train(out / f"{mode}-{number}", mode, arguments))

    typer.echo("| figure | verl, step 1 | ours, step 1 | verl, last | ours, last | largest difference |")
    typer.echo("|---|---|---|---|---|---|")
    for figure in FIGURES:
        first = [list(runs[mode][0][figure].values()) for mode in (BARE, OURS)]
        differences = max(
            abs(one - other)
            for pair in zip(*runs.values(), strict=True)
            for one, other in zip(*(run[figure].values() for run in pair), strict=True)
        )
        cells = " | ".join(f"{series[step]:.6g}" for step in (0, -1) for series in first)
        typer.echo(f"| {figure} | {cells} | {differences:.2g} |")

    typer.echo("\n| seconds of a step, median | verl | ours | ours / verl |\n|---|---|---|---|")
    for name, timers in TIMES.items():
        bare, ours = (
            statistics.median(
                total - sum(run[timer][step] for timer in timers)
                for run in runs[mode]
                for step, total in run["seconds"].items()
            )
            for mode in (BARE, OURS)
        )
        typer.echo(f"| {name} | {bare:.3f} | {ours:.3f} | {ours / bare:.3f} |")
    ratios = [step_ratio(out / f"{OURS}-{number}" / "tensorboard") for number in range(pairs)]
    typer.echo(f"\nBy our trainer's timer a step is {statistics.median(ratios):.3f} of what it is without our part.")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(main)
    app()
