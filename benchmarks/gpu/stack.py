"""BF16 and FP8 on one GPU, through the whole stack, as one table: speed, memory beside the plan, agreement.

    python benchmarks/gpu/stack.py --precision bf16  # one GPU: Qwen2.5-7B's dimensions, six layers, random weights
    python benchmarks/gpu/stack.py --precision fp8   # the second column
    python benchmarks/gpu/stack.py --machine cpu     # the same way in float32, very small

Each precision is a run of `medu1 train` on generated questions, and each figure is what verl logs of it. Its column is
a JSON file in OUT as soon as the run ends; the table shows all columns that are there, and a precision that has one is
not run again. What a rule of `medu1 plan` refuses here does not start. Needs an idle machine.
"""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from device import NARROW, Machine, Precision, device, versions
from model import require_same, write_random_model
from results import DONE, FAILED, Result, read, step
from table import Column, column_of, markdown

from verl_medu1.config.compose import compose_recipe
from verl_medu1.exit import in_one_sentence, raise_all
from verl_medu1.machine.gpus import GPU
from verl_medu1.machine.machine import this_machine
from verl_medu1.models.tiny import read_warmup_texts
from verl_medu1.plan.architecture import Architecture, find_architecture
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.verdict import Plan, build
from verl_medu1.run_folder.reader import read_scalars

MEDU1 = [sys.executable, "-m", "verl_medu1.cli.app"]


@dataclass(frozen=True)
class Sizes:
    """Of the model and of a step."""

    layers: int
    questions: int
    answers: int
    response: int
    token_limit: int


SIZES = {Machine.gpu: Sizes(6, 32, 16, 1024, 8192), Machine.cpu: Sizes(2, 4, 2, 32, 1024)}
PROMPT = 256  # tokens; the generated questions are shorter


def overrides_of(machine: Machine, sizes: Sizes, out: Path, steps: int) -> list[str]:
    """What all precisions have in common: the GPU recipes' base on one device."""
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    keys = {
        "machine": machine.value,
        "base": "medical_rl",
        "data.train_files": out / "data" / "train.parquet",
        "data.val_files": out / "data" / "test.parquet",
        "data.mixture.by": "null",
        "data.train_batch_size": sizes.questions,
        "data.max_prompt_length": PROMPT,
        "data.max_response_length": sizes.response,
        "actor_rollout_ref.model.path": out / "model",
        f"{actor}.ppo_mini_batch_size": sizes.questions,
        f"{actor}.ppo_max_token_len_per_gpu": sizes.token_limit,
        f"{actor}.megatron.tensor_model_parallel_size": 1,
        f"{rollout}.n": sizes.answers,
        f"{rollout}.max_model_len": PROMPT + sizes.response,
        # Answers of random weights have no end of their own.
        f"{rollout}.ignore_eos": "true",
        # Trainer and rollout are compared.
        "algorithm.rollout_correction.bypass_mode": "false",
        "trainer.nnodes": 1,
        "trainer.n_gpus_per_node": 1,
        "trainer.total_training_steps": steps,
        "trainer.save_freq": -1,
        "trainer.test_freq": -1,
        "trainer.val_before_train": "false",
        # Waiting does not count as generation.
        "trainer.v1.sampler.poll_interval": 0.1,
    }
    if machine == Machine.cpu:
        # There is nowhere else to put them.
        keys |= {f"{actor}.megatron.param_offload": "false", f"{actor}.megatron.optimizer_offload": "false"}
    return [f"{key}={value}" for key, value in keys.items()]


def say(text: str) -> None:
    """Show how far it is."""
    typer.echo(text, err=True)


def medu1(log: Path, *arguments: str) -> None:
    """Run a command, its output in a file.

    Raises:
        RuntimeError: the command failed.
    """
    say(f"$ medu1 {arguments[0]} ...")
    with log.open("a") as file:
        done = subprocess.run([*MEDU1, *arguments], stdout=file, stderr=file)
    if done.returncode:
        raise RuntimeError(f"medu1 {arguments[0]} ended with exit code {done.returncode}; see {log}.")


def next_run(out: Path, precision: Precision) -> Path:
    """A new folder for each start, so that what an interrupted one has left stays to be read."""
    return next(run for number in count(1) if not (run := out / f"{precision.value}-{number}").exists())


def plan_of(arguments: Sequence[str], model: Architecture, card: GPU) -> Plan:
    """Plan a run.

    Raises:
        ValueError: a rule refuses it, or it does not fit.
    """
    settings, _ = compose_recipe(arguments)
    raise_all(find_violations(settings, model, this_machine()))
    plan = build(model, card, settings)
    raise_all(plan.problems)
    return plan


def columns_in(out: Path) -> list[Column]:
    """The columns that are there."""
    found = [result for precision in Precision if (result := read(out, precision.value))]
    return [Column(result.name, result.figures, result.reasons) for result in found if result.status == DONE]


def main(
    context: typer.Context,
    precision: Annotated[Precision, typer.Option(help="The precision; one in each run.")] = Precision.bf16,
    machine: Annotated[
        Machine, typer.Option(help="gpu, or cpu for the same code on a very small model.")
    ] = Machine.gpu,
    model: Annotated[str, typer.Option(help="Listed model, or model folder, whose dimensions are used.")] = (
        "Qwen2.5-7B-Instruct"
    ),
    layers: Annotated[int | None, typer.Option(help="Number of layers.  [default: 6, cpu 2]", min=1)] = None,
    steps: Annotated[int, typer.Option(help="Number of steps in each run.", min=2)] = 6,
    skip: Annotated[int, typer.Option(help="Number of first steps that are not measured.", min=1)] = 2,
    out: Annotated[
        Path, typer.Option(help="Folder for data, model, runs, logs and results; goes on with what is there.")
    ] = Path("outputs/gpu"),
) -> None:
    """Train in one precision, and print the table of all that are done; key=value arguments change the run."""
    if skip >= steps:
        raise SystemExit(f"--skip is {skip}, which leaves none of {steps} --steps; lower it.")
    card, sizes = device(machine), SIZES[machine]
    found = replace(find_architecture(model), layers=layers or sizes.layers, name=model)
    if machine == Machine.cpu:
        found = replace(found, **NARROW)
    if (out / "model").exists():
        require_same(found, out / "model")
    arguments = [*overrides_of(machine, sizes, out, steps), *context.args, f"precision={precision.value}"]
    with in_one_sentence():
        plan = plan_of(arguments, found, card)
    out.mkdir(parents=True, exist_ok=True)

    def data(_: Result) -> None:
        rows = ["--train", str(max(64, sizes.questions * steps)), "--warmup", "256"]
        medu1(out / "prepare.log", "prepare", "--source", "quickstart", *rows, "--out", str(out / "data"))

    def weights(result: Result) -> None:
        if (out / "model").exists():
            return
        texts = read_warmup_texts(out / "data")
        where = "cuda" if machine == Machine.gpu else "cpu"
        # In a process of its own: this one is to leave all of the GPU to the runs.
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            made = other.submit(write_random_model, found, texts, out / "model", plan.settings.dtype, where)
            result.figures["parameters"] = made.result()

    def run(result: Result) -> None:
        folder = next_run(out, precision)
        medu1(out / f"{precision.value}.log", "train", *arguments, f"run_dir={folder}")
        column = column_of(precision.value, read_scalars(folder / "tensorboard"), plan, skip)
        result.figures, result.reasons = column.figures, column.reasons
        result.facts |= {"dtype": plan.settings.dtype, "versions": versions(), "arguments": arguments}

    for name, do in {"data": data, "weights": weights, precision.value: run}.items():
        if (result := step(out, name, do, say)).status == FAILED:
            raise SystemExit(f"{name} failed: {result.error}")
    about = ", ".join(f"{package} {version}" for package, version in versions().items())
    typer.echo(
        f"{model}, {found.layers} layers; {card.name}, {card.memory_gib:.1f} GiB; {about}.\n{sizes.questions} x "
        f"{sizes.answers} answers of {sizes.response} tokens, medians of steps {skip + 1} to {steps}.\n"
    )
    typer.echo(markdown(columns_in(out)))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(main)
    app()
