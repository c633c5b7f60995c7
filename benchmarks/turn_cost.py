"""Seconds of a rollout whose responses have one, two or four turns, with equally many tokens of the model.

    python benchmarks/turn_cost.py --model MODEL --data DIR [--steps 12] [--reply 16] [key=value ...]

MODEL and DIR are a small model and its questions (`medu1 model tiny`, `medu1 prepare --source quickstart`). Trains the
quickstart with an agent loop that samples turns of fixed lengths and puts replies between them: the same number of
tokens of the model for each number of turns, and the replies on top. Prints a Markdown table: the rollout of a step
(`timing_s/gen`, until all responses are there and scored), n steps, median and range, and the median as a multiple of
one turn. A rollout of k turns should take at most k + 1 of one turn, as vLLM's cache of prefixes holds what was said.
Needs an idle machine.
"""

import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from measure import measure_or_exit

from verl_medu1.run_folder.names import METRICS

TURNS = (1, 2, 4)
HERE = Path(__file__).resolve().parent


def table(seconds: dict[int, Sequence[float]]) -> str:
    """The seconds of each number of turns as a Markdown table; one turn comes first.

    Example:
        >>> print(table({1: [2.0, 4.0, 3.0], 2: [4.5]}))
        | turns | n | seconds, median (range) | multiple of one turn | bound |
        |---|---|---|---|---|
        | 1 | 3 | 3.00 (2.00 to 4.00) | 1.00 | 2 |
        | 2 | 1 | 4.50 (4.50 to 4.50) | 1.50 | 3 |
    """
    one = statistics.median(seconds[min(seconds)])
    rows = [
        f"| {turns} | {len(values)} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) | "
        f"{statistics.median(values) / one:.2f} | {turns + 1} |"
        for turns, values in seconds.items()
    ]
    head = "| turns | n | seconds, median (range) | multiple of one turn | bound |\n|---|---|---|---|---|"
    return "\n".join([head, *rows])


def rollouts(run: Path, skip: int) -> list[float]:
    """The seconds of the rollout of each step after the first ones."""
    steps = [json.loads(line)["data"] for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    return [step["timing_s/gen"] for step in steps if "timing_s/gen" in step][skip:]


def main(
    context: typer.Context,
    model: Annotated[Path, typer.Option(help="Model folder.")],
    data: Annotated[Path, typer.Option(help="Data folder made by `medu1 prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for runs and logs; it must not exist.")] = Path("outputs/turn-cost"),
    tokens: Annotated[int, typer.Option(help="Tokens of the model in a response; a multiple of 4.", min=4)] = 256,
    reply: Annotated[int, typer.Option(help="Tokens of each reply.", min=1)] = 16,
    steps: Annotated[int, typer.Option(help="Steps of each run.")] = 12,
    skip: Annotated[int, typer.Option(help="First steps that are not measured.")] = 2,
    block: Annotated[int, typer.Option(help="Tokens of a block of vLLM's cache, which holds whole blocks.")] = 16,
) -> None:
    """Run one training for each number of turns, one after the other, and print the table."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    if tokens % max(TURNS) or steps <= skip:
        raise SystemExit(f"--tokens is {tokens} and --steps {steps}; give a multiple of {max(TURNS)}, and over {skip}.")
    out.mkdir(parents=True)
    # Ray's workers import the agent loop by its name.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    longest = tokens + (max(TURNS) - 1) * reply
    agent = "actor_rollout_ref.rollout.agent"
    seconds: dict[int, Sequence[float]] = {}
    for turns in TURNS:
        run = out / str(turns)
        keys = {
            "run_dir": run,
            "data.train_files": data / "train.parquet",
            "data.val_files": data / "test.parquet",
            "data.max_response_length": longest,
            "actor_rollout_ref.model.path": model,
            "actor_rollout_ref.rollout.max_model_len": 128 + longest,
            "actor_rollout_ref.rollout.enable_chunked_prefill": "false",
            "+actor_rollout_ref.rollout.engine_kwargs.vllm.block_size": block,
            f"{agent}.agent_loop_config_path": HERE / "turn_cost.yaml",
            f"{agent}.default_agent_loop": "fixed_turns",
            "algorithm.length_penalty.where": "off",
            "episodes.max_turns": turns,
            "episodes.max_turn_tokens": tokens // turns,
            "episodes.max_observation_tokens": reply,
            "trainer.total_training_steps": steps,
            "trainer.save_freq": -1,
        }
        overrides = [*(f"{key}={value}" for key, value in keys.items()), *context.args]
        command = [sys.executable, "-m", "verl_medu1.cli.app", "train", "recipe=quickstart", *overrides]
        measure_or_exit(command, str(run.with_suffix(".log")))
        seconds[turns] = rollouts(run, skip)
    typer.echo(f"{tokens} tokens of the model in a response, and {reply} of each reply between turns.\n")
    typer.echo(table(seconds))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(main)
    app()
