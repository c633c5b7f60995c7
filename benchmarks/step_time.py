"""One GRPO step of ours beside one of TRL's (1.16, in one process): same model, rows, lengths and reward, one run.

    pip install --no-deps --target TRL trl==1.16.0
    python benchmarks/step_time.py --trl TRL --model MODEL --data DIR [--recipe quickstart] [key=value ...]

Prints a Markdown table: seconds per step, and where ours go. Needs an idle machine. TRL has a folder of its own: verl
0.9.1 imports from an installed TRL what TRL 1.16 no longer has.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from measure import measure_or_exit, seconds_between_logs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# verl's timers of a step, in its order.
PHASES = {
    "gen": "rollout and reward",
    "old_log_prob": "log-probabilities",
    "adv": "advantage",
    "update_actor": "update",
    "update_weights": "weight sync",
}


def ours(run: Path, command: list[str], skip: int) -> tuple[dict[str, float], float]:
    """Median seconds of a step and of its phases after the first `skip` steps, and the peak memory in GiB."""
    measured = measure_or_exit(command, str(run.with_suffix(".log")))
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()

    def median(tag: str) -> float:
        return statistics.median(event.value for event in events.Scalars(tag)[skip:])

    logged = events.Tags()["scalars"]
    seconds = {name: median(f"timing_s/{timer}") for timer, name in PHASES.items() if f"timing_s/{timer}" in logged}
    step = statistics.median(seconds_between_logs(run / "tensorboard")[skip - 1 :])
    return {"step": step, **seconds, "the rest": step - sum(seconds.values())}, measured.peak_gib


def main(
    context: typer.Context,
    trl: Annotated[Path, typer.Option(help="Folder of `pip install --no-deps --target FOLDER trl==1.16.0`.")],
    model: Annotated[Path, typer.Option(help="Model folder.")],
    data: Annotated[Path, typer.Option(help="Data folder made by `medu1 prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for runs and logs; it must not exist.")] = Path("outputs/step-time"),
    recipe: Annotated[str, typer.Option(help="Our recipe; KEY=VALUE arguments change it.")] = "quickstart",
    prompts: Annotated[int, typer.Option(help="Number of questions in a step.")] = 8,
    answers: Annotated[int, typer.Option(help="Number of answers to each question.")] = 4,
    response: Annotated[int, typer.Option(help="Maximum answer length in tokens.")] = 32,
    micro: Annotated[int | None, typer.Option(help="Answers in a micro-batch of TRL's update. Default: all.")] = None,
    steps: Annotated[int, typer.Option(help="Number of steps of each trainer.")] = 10,
    skip: Annotated[int, typer.Option(help="Number of first steps that are not measured.", min=1)] = 3,
    threads: Annotated[int, typer.Option(help="Number of threads of TRL's process.")] = os.cpu_count() or 1,
) -> None:
    """Time both trainers, one after the other."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    if not (trl / "trl").is_dir():
        raise SystemExit(f"--trl {trl} has no trl; fill it with `pip install --no-deps --target {trl} trl==1.16.0`.")
    out.mkdir(parents=True)
    lr = 1e-5
    command = [sys.executable, str(Path(__file__).with_name("trl_step.py"))]
    for name, value in {"model": model, "data": data / "train.parquet", "out": out / "trl", "lr": lr}.items():
        command += [f"--{name}", str(value)]
    sizes = {"prompts": prompts, "answers": answers, "response": response, "micro": micro or prompts * answers}
    for name, number in (sizes | {"steps": steps}).items():
        command += [f"--{name}", str(number)]
    environment = os.environ | {
        "PYTHONPATH": str(trl.resolve()),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
    }
    with open(out / "trl.log", "w") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
    if done.returncode:
        raise SystemExit(f"TRL ended with exit code {done.returncode}; see {out / 'trl.log'}.")
    trl_seconds = statistics.median(json.loads(done.stdout.splitlines()[-1])[skip:])

    run = out / "ours"
    keys = {
        "run_dir": run,
        "data.train_files": data / "train.parquet",
        "data.val_files": data / "test.parquet",
        "data.train_batch_size": prompts,
        "data.max_response_length": response,
        "actor_rollout_ref.model.path": model,
        "actor_rollout_ref.actor.ppo_mini_batch_size": prompts,
        "actor_rollout_ref.actor.optim.lr": lr,
        "actor_rollout_ref.rollout.n": answers,
        "trainer.total_training_steps": steps,
        "trainer.save_freq": -1,
    }
    overrides = [f"{key}={value}" for key, value in keys.items()] + context.args
    seconds, peak = ours(run, [sys.executable, "-m", "verl_medu1.run.train", f"recipe={recipe}", *overrides], skip)
    typer.echo(f"| {model.name}, {prompts} x {answers} answers of {response} tokens | seconds | share |\n|---|---|---|")
    typer.echo(f"| TRL, {threads} threads | {trl_seconds:.2f} | |")
    for name, value in seconds.items():
        typer.echo(f"| ours, {name} | {value:.2f} | {value / seconds['step']:.0%} |")
    typer.echo(f"| ours / TRL | {seconds['step'] / trl_seconds:.2f} | |\n| ours, peak memory, GiB | {peak:.1f} | |")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(main)
    app()
