"""`medu1 quickstart`: the whole way from questions to a report, as a row of ordinary medu1 commands."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import IO, Annotated

import typer

from verl_medu1.run.relevant import relevant_lines
from verl_medu1.run.start import VERBOSE
from verl_medu1.run.steps import minutes
from verl_medu1.run_folder.names import AFTER, BEFORE, CHECKPOINTS, LOGS, REPORT

# The commands with their own console (verl_medu1/run).
TRAINING = ("sft", "train")


class Engine(StrEnum):
    """verl's names of the training engines: Megatron, and the data-parallel one (FSDP2)."""

    megatron = "megatron"
    dp = "dp"


def _layout(engine: Engine, tp: int, pp: int) -> list[str]:
    """Overrides of the recipe; an impossible layout is refused here, before the minutes of the warm-up."""
    if engine == Engine.dp:
        return ["model_engine=dp"]
    from verl_medu1.models.tiny import HEADS, LAYERS

    for option, size, name, number in (("--tp", tp, "attention heads", HEADS), ("--pp", pp, "layers", LAYERS)):
        if size < 1 or number % size:
            choices = ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)
            raise ValueError(f"{option} is {size}, which does not divide the model's {number} {name}; use {choices}.")
    key = "actor_rollout_ref.actor.megatron"
    return [
        f"{key}.tensor_model_parallel_size={tp}",
        f"{key}.pipeline_model_parallel_size={pp}",
        f"trainer.n_gpus_per_node={max(2, tp * pp)}",
    ]


def _commands(
    out: Path, layout: list[str], seed: int, demonstrations: int | None, overrides: list[str]
) -> Iterator[tuple[str, list[str]]]:
    """What is done next, and the arguments of the medu1 command that does it."""
    from verl_medu1.run_folder.checkpoints import holds_lora, newest_model

    data, model = str(out / "data"), str(out / "model")
    held_out = ["--data", f"{data}/test.parquet", "--samples", "4"]
    if any(override.startswith(("scoring.judge.", "judge=")) for override in overrides):
        # The model before has no run with a judge: rules score both.
        held_out += ["--judge", "none"]
    rows = ["--seed", str(seed), *(["--warmup", str(demonstrations)] if demonstrations is not None else [])]
    yield "questions of three answer types", ["prepare", "--source", "quickstart", *rows, "--out", data]
    yield "a small Qwen2, at random", ["model", "tiny", "--data", data, "--seed", str(seed), "--out", model]
    files = f"data.train_files={data}/warmup.parquet"
    yield (
        "warm-up on worked answers",
        ["sft", "recipe=quickstart", f"run_dir={out}/warmup", f"model.path={model}", files],
    )
    warm = str(newest_model(out / "warmup"))
    before, after = str(out / BEFORE), str(out / AFTER)
    yield "evaluation before", ["eval", "--model", warm, *held_out, "--out", before]
    keys = [f"run_dir={out}", f"actor_rollout_ref.model.path={warm}", f"data.seed={seed + 1}"]
    yield "reinforcement learning", ["train", "recipe=quickstart", *keys, *layout, *overrides]
    if holds_lora(out / CHECKPOINTS):
        trained = str(out / "exported")
        yield "adapters and model in one", ["export", str(out), "--out", trained]
    else:
        trained = str(newest_model(out))
    yield "evaluation after", ["eval", "--model", trained, *held_out, "--out", after]
    yield "before and after", ["compare", before, after]
    yield "report", ["report", str(out)]


def _medu1(*arguments: str, stdout: int | IO[str] | None = None, stderr: IO[str] | None = None) -> int:
    """Exit code of a medu1 command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "verl_medu1.cli.app", *arguments], stdout=stdout, stderr=stderr
    ).returncode


def _run(arguments: list[str], log: Path) -> None:
    """Run a medu1 command. A training shows its own console; of the others what concerns the user is shown.

    Their stderr has the warnings of other packages, and an evaluation's tables come with the comparison: they go to
    `log`, whose relevant lines are shown if the command fails.
    """
    if arguments[0] in TRAINING:
        code = _medu1(*arguments)
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            code = _medu1(*arguments, stdout=file if arguments[0] == "eval" else None, stderr=file)
        if code:
            with log.open(errors="replace") as lines:
                typer.echo("\n".join([*relevant_lines(lines), f"medu1: {log} has all that was printed."]), err=True)
    if code:
        raise typer.Exit(code)


def quickstart(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Further KEY=VALUE settings for `medu1 train`.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is written.")] = Path("outputs/quickstart"),
    engine: Annotated[Engine, typer.Option(help="Training engine: megatron, or dp (FSDP2).")] = Engine.megatron,
    tp: Annotated[int, typer.Option(help="Tensor-parallel size of Megatron.")] = 2,
    pp: Annotated[int, typer.Option(help="Pipeline-parallel size of Megatron.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed for the questions, the model and the order of the rows.")] = 0,
    demonstrations: Annotated[
        int | None, typer.Option(min=100, help="Number of demonstrations in the warm-up.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show everything that the trainings print.")] = False,
) -> None:
    """Train a small model from nothing on this machine, through the production stack, and report what it learned."""
    layout = _layout(engine, tp, pp)
    if overrides:
        # Report a wrong key now, not after the warm-up.
        composed = _medu1("train", "recipe=quickstart", *layout, *overrides, "--cfg", "job", stdout=subprocess.DEVNULL)
        if composed:
            raise typer.Exit(composed)
    if out.exists():
        kept = next(name for n in count(1) if not (name := out.with_name(f"{out.name}-{n}")).exists())
        out.rename(kept)
        typer.echo(f"{out} existed; it is {kept} now.")
    started = time.monotonic()
    for title, arguments in _commands(out, layout, seed, demonstrations, overrides or []):
        typer.secho(f"[{minutes(time.monotonic() - started)}] {title}\n$ medu1 {shlex.join(arguments)}", bold=True)
        if verbose and arguments[0] in TRAINING:
            arguments = [*arguments, VERBOSE]
        _run(arguments, out / LOGS / f"{re.sub(r'[^a-z0-9]+', '-', title.lower())}.log")
    typer.secho(f"[{minutes(time.monotonic() - started)}] done; the report is {out / REPORT}", bold=True)
