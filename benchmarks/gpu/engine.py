"""verl's Megatron engine alone on one GPU, without Ray's processes and vLLM: the first figures of a new machine.

    python benchmarks/gpu/engine.py                    # Qwen2.5-7B's width, four layers, random weights, BF16
    python benchmarks/gpu/engine.py --precision fp8    # the same in FP8; compares itself with what is there
    python benchmarks/gpu/engine.py --machine cpu      # the same code in float32, very small

A run is one process, one precision and one attention backend (Transformer Engine reads its choice once in a process).
Its steps, in this order, each with a JSON file in OUT/PRECISION-BACKEND as soon as it ends:

    machine     versions, driver, and whether Transformer Engine can be imported
    rules       what `medu1 plan` checks before a start; a run that they refuse ends here
    weights     a random model in OUT/model, unless an earlier run has written it
    reference   log-probabilities of Hugging Face's model, in float32 and in the run's own precision
    model       the engine is made: Megatron-Bridge, layers, optimizer
    log_probs   the engine's log-probabilities beside the reference, and beside those of other runs in OUT
    update      tokens per second, peak memory beside the plan
    imports     the distributions that were imported, with their versions

A step that is done is skipped, so that the same command goes on after an interruption. docs/gpu.md says in which order
to run them and when to stop.
"""

import functools
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from device import NARROW, Machine, Precision, device, versions
from model import require_same, write_random_model
from results import DONE, FAILED, Result, read, step
from rows import batch_of, distance, token_rows
from table import PEAK_MEASURED, PEAK_PREDICTED, Column, markdown, planned_peak

from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.exit import raise_all
from verl_medu1.machine.gpus import GIB, GPU
from verl_medu1.machine.machine import this_machine
from verl_medu1.plan.architecture import Architecture, find_architecture
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.verdict import build

if TYPE_CHECKING:
    import torch

MODEL = "Qwen2.5-7B-Instruct"
STEPS = ("machine", "rules", "weights", "reference", "model", "log_probs", "update", "imports")
ACTOR, TRANSFORMER = "actor_rollout_ref.actor", "actor_rollout_ref.actor.megatron.override_transformer_config"
RATE = "update, tokens/s"


class Attention(StrEnum):
    """megatron-core's names of Transformer Engine's backends."""

    flash = "flash"
    fused = "fused"
    unfused = "unfused"


@dataclass(frozen=True)
class Sizes:
    """Of the model and of the batches.

    Attributes:
        layers: of the model.
        compared: tokens of each row whose log-probabilities are compared; no two alike, so that they are packed.
        longest: tokens of a row of an update; two of them are a micro-batch.
        rows: of an update.
    """

    layers: int
    compared: Sequence[int]
    longest: int
    rows: int


# On the GPU two of the longest rows are a micro-batch, as in the recipes.
SIZES = {
    Machine.gpu: Sizes(4, (512, 37, 256, 129, 64, 400, 8, 333), 6144, 8),
    Machine.cpu: Sizes(2, (32, 7, 16, 9, 24, 5, 3, 12), 64, 4),
}


def overrides_of(machine: Machine, precision: Precision, attention: Attention | None, sizes: Sizes, out: Path) -> list:
    """Arguments of `medu1 train`: the GPU recipes' base on one device."""
    keys: dict[str, Any] = {
        "machine": machine.value,
        "base": "medical_rl",
        "precision": precision.value,
        "actor_rollout_ref.model.path": out / "model",
        "data.max_prompt_length": sizes.longest // 4,
        "data.max_response_length": sizes.longest - sizes.longest // 4,
        "data.train_batch_size": sizes.rows,
        "actor_rollout_ref.rollout.n": 1,
        "actor_rollout_ref.rollout.max_model_len": sizes.longest,
        f"{ACTOR}.ppo_mini_batch_size": sizes.rows,
        f"{ACTOR}.ppo_max_token_len_per_gpu": 2 * sizes.longest,
        f"{ACTOR}.megatron.tensor_model_parallel_size": 1,
        f"{ACTOR}.optim.total_training_steps": 1000,
        "trainer.nnodes": 1,
        "trainer.n_gpus_per_node": 1,
    }
    if machine == Machine.cpu:
        # There is nowhere else to put them.
        keys |= {f"{ACTOR}.megatron.param_offload": "false", f"{ACTOR}.megatron.optimizer_offload": "false"}
    if attention:
        keys[f"{TRANSFORMER}.attention_backend"] = attention.value
    return [f"{key}={value}" for key, value in keys.items()]


class Run:
    """One precision with one attention backend."""

    def __init__(
        self, config: Any, model: Architecture, card: GPU, machine: Machine, sizes: Sizes, updates: int, folder: Path
    ) -> None:
        self.config, self.model, self.card, self.sizes, self.updates = config, model, card, sizes, updates
        self.settings = settings_in(config)
        self.gpu, self.folder, self.out = machine == Machine.gpu, folder, folder.parent
        self.where = "cuda" if self.gpu else "cpu"
        self.dtype = self.settings.dtype

    @functools.cached_property
    def engine(self) -> Any:
        """verl's engine, initialised as a worker of verl does it (verl/workers/engine_workers.py, init_model)."""
        if (made := read(self.folder, "model")) and made.status == FAILED:
            raise RuntimeError("there is no engine; see the step model")
        import torch.distributed
        import verl.workers.engine.megatron.transformer_impl  # noqa: F401  (registers the engine)
        from verl.utils.config import omega_conf_to_dataclass
        from verl.workers.engine import EngineRegistry

        if self.gpu:
            torch.cuda.set_device(0)
        if not torch.distributed.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if self.gpu else "gloo"
            torch.distributed.init_process_group(backend, store=torch.distributed.HashStore(), rank=0, world_size=1)
        actor = omega_conf_to_dataclass(self.config.actor_rollout_ref.actor)
        model = omega_conf_to_dataclass(self.config.actor_rollout_ref.model)
        actor.engine.use_dynamic_bsz = True
        actor.engine.use_remove_padding = model.use_remove_padding
        engine = EngineRegistry.new(
            model_type="language_model",
            backend="megatron",
            model_config=model,
            engine_config=actor.engine,
            optimizer_config=actor.optim,
            checkpoint_config=actor.checkpoint,
        )
        engine.initialize()
        return engine

    def machine(self, result: Result) -> None:
        """Record what this machine has; on a GPU import Transformer Engine, without which Megatron-Bridge fails."""
        import torch
        import verl  # noqa: F401  (loads the plugin, as a training does)

        result.facts |= {"versions": versions(), "device": self.card.name, "memory, GiB": self.card.memory_gib}
        if not self.gpu:
            return
        asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        result.facts["nvidia-smi"] = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
        result.facts |= {"CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
        # Of two installed versions the first on the path is in use.
        installed = reversed(list(metadata.distributions()))
        result.facts["NVIDIA's packages"] = {
            found.name: found.version for found in installed if found.name.startswith("nvidia-")
        }
        try:
            import transformer_engine.pytorch

            result.facts["Transformer Engine"] = transformer_engine.__version__
        finally:
            loaded = Path("/proc/self/maps").read_text().split()
            result.facts["cuBLAS, loaded"] = sorted({name for name in loaded if "libcublas" in name})

    def rules(self, _: Result) -> None:
        """Ask the rules for layouts, with what this machine has.

        Raises:
            ValueError: a rule refuses the run.
        """
        raise_all(find_violations(self.settings, self.model, this_machine()))

    def weights(self, result: Result) -> None:
        """Write the model that all runs of this folder share."""
        if not (self.out / "model").exists():
            write_random_model(self.model, ["a few words"] * 50, self.out / "model", self.dtype, self.where)

    def _reference(self, dtype: str) -> "list[torch.Tensor]":
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.out / "model", dtype=getattr(torch, dtype)).to(self.where)
        found = []
        with torch.no_grad():
            for row in token_rows(self.sizes.compared, self.model.vocabulary):
                tokens = row.to(self.where)
                log_probs = torch.log_softmax(model(tokens[None]).logits[0].float(), -1)
                found.append(log_probs[:-1].gather(-1, tokens[1:, None])[:, 0].cpu())
        return found

    def reference(self, result: Result) -> None:
        """What the engine is compared with, and how far Hugging Face's model in the run's precision is from it."""
        import torch

        exact, own = self._reference("float32"), self._reference(self.dtype)
        torch.save(exact, self.folder / "reference.pt")
        mean, largest = distance(own, exact)
        result.figures[f"log-prob, Hugging Face in {self.dtype} less float32, mean"] = mean
        result.figures[f"log-prob, Hugging Face in {self.dtype} less float32, largest"] = largest

    def made(self, result: Result) -> None:
        """Make the engine and count its parameters."""
        found = sum(parameter.numel() for module in self.engine.module for parameter in module.parameters())
        planned = build(self.model, self.card, self.settings).ranks[0].parameters.total
        result.figures |= {"parameters": found, "parameters, planned": planned}
        result.facts["transformer"] = {
            name: str(getattr(self.engine.tf_config, name))
            for name in ("attention_backend", "fp8", "fp8_recipe", "gradient_accumulation_fusion", "apply_rope_fusion")
        }
        result.facts["modules"] = str(self.engine.module[0]).splitlines()

    def log_probs(self, result: Result) -> None:
        """Compare the engine's log-probabilities before any update."""
        import torch

        rows = token_rows(self.sizes.compared, self.model.vocabulary)
        engine, batch = self.engine, batch_of(rows, 2 * self.sizes.longest, self.where)
        with engine.eval_mode():
            output = engine.infer_batch(batch, loss_function=None)
        ours = [row[:-1].detach().float().cpu() for row in output["model_output"]["log_probs"].unbind()]
        torch.save(ours, self.folder / "log_probs.pt")
        others = {path.parent.name: path for path in sorted(self.out.glob("*/log_probs.pt"))}
        others.pop(self.folder.name)
        named = {"Hugging Face in float32": self.folder / "reference.pt", **others}
        for name, path in named.items():
            mean, largest = distance(ours, torch.load(path))
            result.figures |= {f"log-prob, less {name}, mean": mean, f"log-prob, less {name}, largest": largest}

    def update(self, result: Result) -> None:
        """Make updates, the first two of which compile and warm up, and take the median of the others."""
        from functools import partial

        from verl.utils.device import get_torch_device
        from verl.workers.utils.losses import sft_loss

        engine, accelerator = self.engine, get_torch_device()
        rows = token_rows([self.sizes.longest] * self.sizes.rows, self.model.vocabulary)
        accelerator.reset_peak_memory_stats()
        seconds, losses = [], []
        with engine.train_mode():
            for _ in range(2 + self.updates):
                batch = batch_of(rows, 2 * self.sizes.longest, self.where)
                accelerator.synchronize()
                start = time.monotonic()
                output = engine.train_batch(batch, loss_function=partial(sft_loss, config=None))
                accelerator.synchronize()
                seconds.append(time.monotonic() - start)
                losses.append(float(sum(output["loss"])))
        tokens = self.sizes.longest * self.sizes.rows
        result.figures[RATE] = tokens / statistics.median(seconds[2:])
        result.facts |= {"seconds": seconds, "losses": losses, "tokens": tokens}
        result.figures[PEAK_PREDICTED] = planned_peak(build(self.model, self.card, self.settings))
        if self.gpu:
            result.figures[PEAK_MEASURED] = accelerator.max_memory_allocated() / GIB
        else:
            result.reasons[PEAK_MEASURED] = "nothing counts allocations on the CPU."

    def imports(self, result: Result) -> None:
        """List the distributions of all imported modules."""
        owners = metadata.packages_distributions()
        modules = {name.partition(".")[0] for name in sys.modules}
        names = sorted({owner for module in modules for owner in owners.get(module, ())})
        result.facts |= {name: metadata.version(name) for name in names}


@contextmanager
def output_in(log: Path) -> Iterator[Callable[[str], None]]:
    """Send this process's output to a file, also that of libraries; what is shown goes to both."""
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, error = os.dup(1), os.dup(2)
    with log.open("a") as file, os.fdopen(error, "w", closefd=False) as shown:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)

        def say(text: str) -> None:
            print(text, file=shown, flush=True)
            print(text, flush=True)

        try:
            yield say
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(terminal, 1)
            os.dup2(error, 2)


def column_in(folder: Path) -> Column:
    """A run as a column of the table."""
    column = Column(folder.name)
    for name in STEPS:
        if found := read(folder, name):
            column.figures |= found.figures
            column.reasons |= found.reasons
            if found.status != DONE:
                column.reasons[name] = found.error or f"{found.status}; the process ended during it."
    return column


def table_of(out: Path) -> str:
    """All runs of a folder side by side."""
    columns = [column_in(path.parent) for path in sorted(out.glob("*/machine.json"))]
    rows = list(dict.fromkeys(row for column in columns for row in column.figures))
    return markdown(columns, rows)


def main(
    precision: Annotated[Precision, typer.Option(help="The precision; one in each run.")] = Precision.bf16,
    machine: Annotated[
        Machine, typer.Option(help="gpu, or cpu for the same code on a very small model.")
    ] = Machine.gpu,
    attention: Annotated[
        Attention | None, typer.Option(help="Attention backend.  [default: that of the recipes]")
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Number of layers.  [default: 4, cpu 2]", min=1)] = None,
    updates: Annotated[int, typer.Option(help="Updates that are measured, after two that are not.", min=1)] = 4,
    out: Annotated[Path, typer.Option(help="Folder for model, results and logs; goes on with what is there.")] = Path(
        "outputs/gpu-engine"
    ),
) -> None:
    """Make the engine, compare its log-probabilities, and measure updates; print the table of all runs in OUT."""
    sizes = SIZES[machine]
    model = replace(find_architecture(MODEL), layers=layers or sizes.layers)
    if machine == Machine.cpu:
        model = replace(model, **NARROW)
    config = compose_config(overrides_of(machine, precision, attention, sizes, out))
    # What verl hands to its workers; torch and Transformer Engine read it when they are imported.
    os.environ.update({name: str(value) for name, value in config.ray_kwargs.ray_init.runtime_env.env_vars.items()})
    # The model is a local folder, and the machine may have no network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    card = device(machine)
    backend = config.actor_rollout_ref.actor.megatron.override_transformer_config.attention_backend
    folder = out / f"{precision.value}-{backend}"
    if (out / "model").exists():
        require_same(model, out / "model")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(config, model, card, machine, sizes, updates, folder)
    with output_in(folder / "log.txt") as say:
        work = (run.machine, run.rules, run.weights, run.reference, run.made, run.log_probs, run.update, run.imports)
        results = []
        for name, do in zip(STEPS, work, strict=True):
            results.append(step(folder, name, do, say))
            if name == "rules" and results[-1].status == FAILED:
                break
            gc.collect()
            if run.gpu:
                import torch

                torch.cuda.empty_cache()
    typer.echo(f"{MODEL}'s {'width' if run.gpu else 'kind'}, {model.layers} layers; {card.name}.\n\n{table_of(out)}")
    if failed := [result.name for result in results if result.status == FAILED]:
        raise SystemExit(f"failed: {', '.join(failed)}; see {folder / 'log.txt'}.")


if __name__ == "__main__":
    typer.run(main)
