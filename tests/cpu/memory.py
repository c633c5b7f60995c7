"""Bytes of a rank's tensors by their storages: what the planner counts, whatever the allocator takes besides."""

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import torch

from tests.cpu.small_engine import batch
from verl_medu1.plan import expert_layers
from verl_medu1.plan.activations import in_flight, peaks, rank_groups
from verl_medu1.plan.adapters import layer_adapters
from verl_medu1.plan.architecture import Architecture, find_architecture
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.memory import gradient_bytes, rank_optimizer_bytes, weight_bytes
from verl_medu1.plan.parameters import rank_parameters, stage_layers
from verl_medu1.plan.settings import Settings

ROWS = (16,) * 8  # of equal length, so that each micro-batch of two has as many tokens
PARTS = ("weights", "gradients", "optimizer", "activations")


def _storages(tensors: Iterable[torch.Tensor]) -> dict[int, int]:
    """Address -> bytes; views of one buffer count once."""
    return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}


def _resident(engine: Any) -> dict[str, dict[int, int]]:
    parameters = [parameter for module in engine.module for parameter in module.parameters()]
    weights = _storages(parameters)
    gradients = _storages(parameter.main_grad for parameter in parameters if parameter.requires_grad)
    adams = [part.optimizer for part in getattr(engine.optimizer, "chained_optimizers", [engine.optimizer])]
    of_adam = _storages(
        tensor
        for adam in adams
        for group in adam.param_groups
        for parameter in group["params"]
        for tensor in (parameter, *adam.state[parameter].values())
        if tensor.numel() > 1  # a step is a number
    )
    # In float32 the optimizer's parameters are views of the model's.
    optimizer = {at: size for at, size in of_adam.items() if at not in weights}
    return {"weights": weights, "gradients": gradients, "optimizer": optimizer}


class _Held:
    """A tensor that autograd keeps."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


@contextmanager
def _peak_of_kept(resident: set[int]) -> Iterator[list[int]]:
    """The most bytes that autograd keeps at a time for backward, without the storages that are there anyway."""
    holders: dict[int, int] = {}
    sizes: dict[int, int] = {}
    peak = [0]

    def release(at: int) -> None:
        holders[at] -= 1
        if not holders[at]:
            del holders[at], sizes[at]

    def keep(tensor: torch.Tensor) -> _Held:
        held = _Held(tensor)
        if tensor.is_nested:  # has no storage of its own; its values, a number for each token, come by themselves
            return held
        storage = tensor.untyped_storage()
        at = storage.data_ptr()
        if at not in resident:
            holders[at], sizes[at] = holders.get(at, 0) + 1, storage.nbytes()
            weakref.finalize(held, release, at)
            peak[0] = max(peak[0], sum(sizes.values()))
        return held

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held.tensor):
        yield peak


def measure(engine: Any) -> dict[str, int]:
    """Bytes of weights, gradients, optimizer and, at their peak over the pass of ROWS, of activations.

    Args:
        engine: that has made a step.
    """
    from verl.workers.utils.losses import sft_loss

    resident = _resident(engine)
    with engine.train_mode():
        engine.optimizer_zero_grad()
        with _peak_of_kept({at for part in resident.values() for at in part}) as peak:
            engine.forward_backward_batch(batch(0, ROWS), partial(sft_loss, config=None))
    return {**{name: sum(sizes.values()) for name, sizes in resident.items()}, "activations": peak[0]}


def of_torch(model: Architecture, tp: int = 1, is_frozen: bool = False) -> float:
    """Bytes that a layer of the CPU path keeps of a token beside what the planner counts, in float32.

    torch's RMSNorm keeps its normalised input, unless its weight is frozen, and a number for each token (and head);
    GPUs run a kernel that does not.
    """
    kept = 2 * (model.hidden * (not is_frozen) + 1) / tp
    if model.qk_norm:
        kept += (model.heads / tp + rank_groups(model.groups, tp)) * (model.head_dim * (not is_frozen) + 1)
    return 4 * kept


def predicted(model: Architecture, settings: Settings) -> list[dict[str, float]]:
    """The planner's bytes of each stage's ranks, in float32, with what only the CPU path keeps.

    Its attention goes row by row and puts the rows together: what attention gives is there twice, if the projection
    keeps its input. With LoRA the first layer's input is not kept: the embedding is frozen, so it needs no gradient.
    """
    is_frozen = settings.adapter_rank > 0
    stages = stage_layers(model.layers, settings.pp, settings.first_layers, settings.last_layers)
    parts = rank_parameters(
        model, settings.tp, stages, settings.ep, settings.expert_tp, layer_adapters(model, settings, settings.tp)
    )
    balanced = replace(assumptions(), expert_imbalance=1.0)  # `compared` takes the mean of the ranks
    with patch.object(expert_layers, "assumptions", lambda: balanced):
        kept = peaks(model, settings, stages)
    layer = of_torch(model, settings.tp, is_frozen)
    if not is_frozen or "linear_proj" in settings.lora_targets:
        layer += 4 * model.heads * model.head_dim / settings.tp
    first = 4 * model.hidden / settings.sequence_split if is_frozen else 0
    tokens = settings.micro_batch_tokens
    return [
        {
            "weights": weight_bytes(parts[stage], settings),
            "gradients": gradient_bytes(parts[stage].trained, settings),
            "optimizer": rank_optimizer_bytes(parts[stage], settings),
            "activations": kept[stage].kept
            + tokens
            * (stages[stage] * layer - (first if stage == 0 else 0))
            * in_flight(stage, settings.pp, settings.vpp, settings.mini_batch)
            + (tokens * 4 * (model.hidden * (not is_frozen) + 1) / settings.tp if stage == settings.pp - 1 else 0),
        }
        for stage in range(settings.pp)
    ]


def settings_of_engine(engine: dict[str, Any], world: int) -> Settings:
    """The planner's settings of an engine that makes a step of ROWS."""
    transformer = engine.get("override_transformer_config", {})
    return Settings(
        gpus_per_node=world,
        tp=engine.get("tensor_model_parallel_size", 1),
        pp=engine.get("pipeline_model_parallel_size", 1),
        ep=engine.get("expert_model_parallel_size", 1),
        etp=engine.get("expert_tensor_parallel_size"),
        vpp=engine.get("virtual_pipeline_model_parallel_size"),
        first_layers=transformer.get("num_layers_in_first_pipeline_stage"),
        dtype="float32",
        token_limit=2 * ROWS[0],
        mini_batch=len(ROWS) // 2,  # micro-batches
        n=1,
    )


def compared(
    model: Path, engine: dict[str, Any], ranks: Sequence[dict[str, int]]
) -> Iterator[tuple[str, float, float]]:
    """Part by part and rank by rank, what was predicted and what was measured."""
    settings = settings_of_engine(engine, len(ranks))
    stages = predicted(find_architecture(str(model)), settings)
    # Megatron counts pipeline stages outermost.
    stage_of = [rank * settings.pp // len(ranks) for rank in range(len(ranks))]
    for stage, measured in zip(stage_of, ranks, strict=True):
        for part in PARTS:
            found: float = measured[part]
            if part == "activations" and settings.ep > 1:
                # How many tokens come to a rank's experts is the router's choice.
                found = mean(other[part] for other, same in zip(ranks, stage_of, strict=True) if same == stage)
            yield part, stages[stage][part], found
