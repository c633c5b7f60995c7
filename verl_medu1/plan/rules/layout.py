"""Checks a run's layout. Each violation is one sentence with key, value and the nearest valid values.

These are pure functions of plain settings; `checks.run.check` calls them before Ray starts, and so does `medu1 plan`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from verl_medu1.exit import Problem
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.parameters import stage_layers
from verl_medu1.plan.rules.batches import batch_violations
from verl_medu1.plan.rules.checkpoint import checkpoint_violations
from verl_medu1.plan.rules.engine import engine_violations
from verl_medu1.plan.rules.experts import expert_violations
from verl_medu1.plan.rules.fsdp import fsdp_violations
from verl_medu1.plan.rules.images import image_violations
from verl_medu1.plan.rules.lora import lora_violations
from verl_medu1.plan.rules.precision import precision_violations
from verl_medu1.plan.rules.sizes import divisors, nearest, tensor_sizes
from verl_medu1.plan.settings import KEYS, Settings

WORKERS = f"{KEYS['nodes']} x {KEYS['gpus_per_node']}"
POSITIVE = (
    "nodes", "gpus_per_node", "tp", "pp", "cp", "vpp", "first_layers", "last_layers", "ulysses", "train_batch",
    "mini_batch", "micro_batch", "n", "prompt", "response", "token_limit", "recompute_layers", "rollout_tp",
    "max_num_seqs", "max_num_batched_tokens", "bucket_mib", "ep", "etp", "rollout_ep", "images", "image_side",
)  # fmt: skip
# Sources: verl/workers/config/optimizer.py and engine.py (float32 is only for the CPU);
# megatron/core/transformer/transformer_config.py.
OPTIMIZER_DTYPES = ("fp32", "bf16", "float32", "bfloat16")
# verl/utils/torch_dtypes.py.
FSDP_DTYPES = (*OPTIMIZER_DTYPES, "fp16", "float16")
CHOICES = {
    "dtype": ("bfloat16", "float16", "float32"),
    "main_grads_dtype": OPTIMIZER_DTYPES,
    "exp_avg_dtype": OPTIMIZER_DTYPES,
    "exp_avg_sq_dtype": OPTIMIZER_DTYPES,
    "model_dtype": FSDP_DTYPES,
    "gathered_dtype": FSDP_DTYPES,
    "reduce_dtype": FSDP_DTYPES,
    "lora_type": ("lora", "vlm_lora", "canonical_lora", "dora"),
    "recompute": ("full", "selective"),
    "recompute_method": ("uniform", "block"),
    # What plan/expert_layers.py counts; it is verl's own choice, and the only one that its router replay knows.
    "dispatcher": ("alltoall",),
    "router_replay": ("disabled", "R2", "R3"),
    "attention": ("flash", "fused", "unfused", "local", "auto"),
}
# Type of a field -> the types of its values, and their name in messages.
KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((int,), "true or false"),
    bool | None: ((int,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    float | None: ((int, float), "a number"),
    str: ((str,), "a name"),
    str | None: ((str,), "a name"),
    Sequence[str]: ((list, tuple), "a list"),
    str | Sequence[str]: ((str, list, tuple), "all-linear or a list"),
    Mapping[str, str]: ((Mapping,), "names with their values"),
}


def find_violations(settings: Settings, model: Architecture | None, machine: Machine | None = None) -> list[Problem]:
    """Return everything that is wrong with a layout.

    Args:
        settings: of the run.
        model: dimensions; None skips the rules that need them.
        machine: what the machines can do; rules about unknown capabilities are skipped.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> wrong = Settings(tp=8, utilization=0.5)
        >>> print(find_violations(wrong, find_architecture("Qwen2.5-7B-Instruct"))[0].sentence)
        actor_rollout_ref.actor.megatron.tensor_model_parallel_size is 8, which does not divide the model's 28 \
attention heads; near it are 1, 2, 4.
    """
    # All other rules compute with these values.
    if found := list(value_violations(settings)):
        return found
    found += engine_violations(settings)
    found += _worker_violations(settings)
    if model:
        if settings.strategy == "megatron":
            found += _trainer_violations(settings, model)
        found += vllm_size_violations(KEYS["rollout_tp"], settings.rollout_tp, model)
        found += expert_violations(settings, model)
    found += batch_violations(settings, model)
    found += image_violations(settings, model)
    found += lora_violations(settings, model)
    rules = precision_violations if settings.strategy == "megatron" else fsdp_violations
    found += rules(settings, model, machine or Machine())
    return found


def value_violations(settings: Settings) -> Iterator[Problem]:
    """Yield values that are invalid for their key, whatever the other values are.

    Example:
        >>> [found.sentence for found in value_violations(Settings(exp_avg_dtype="fp8"))]
        ["actor_rollout_ref.actor.optim.exp_avg_dtype is 'fp8'; choose one of fp32, bf16, float32, bfloat16."]
    """
    for field in fields(Settings):
        key, value = KEYS[field.name], getattr(settings, field.name)
        if value is None and field.default is None:
            continue
        if field.name in POSITIVE:
            is_valid = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            way_out = "give a whole number of at least 1"
        elif field.name in CHOICES:
            is_valid = value in CHOICES[field.name]
            way_out = f"choose one of {', '.join(CHOICES[field.name])}"
        else:
            kinds, words = KINDS[field.type]
            is_valid, way_out = isinstance(value, kinds), f"give {words}"
        if not is_valid:
            said = "null" if value is None else repr(value)
            yield Problem(key, f"{key} is {said}; {way_out}{', or null' if field.default is None else ''}.")


def _worker_violations(settings: Settings) -> Iterator[Problem]:
    workers, size = settings.gpus, settings.model_parallel
    if workers % size:
        name, keys = "ulysses", KEYS["ulysses"]
        if settings.strategy == "megatron":
            name, keys = "tp", f"{KEYS['tp']} x pipeline_model_parallel_size x context_parallel_size"
        yield Problem(
            KEYS[name],
            f"{keys} is {size}, which does not divide the {workers} workers of {WORKERS}; near it are "
            f"{nearest(divisors(workers), size)}.",
        )
    key, size, node = KEYS["rollout_tp"], settings.rollout_tp, settings.gpus_per_node
    if workers % size:
        yield Problem(
            key,
            f"{key} is {size}, which does not divide the {workers} workers of {WORKERS}; near it are "
            f"{nearest(divisors(workers), size)}.",
        )
    elif node % size and size % node:
        yield Problem(
            key,
            f"{key} is {size}, with which an engine would stand across nodes of {node} workers; near it are "
            f"{nearest(divisors(node), size)}.",
        )
    if settings.rollout_executor == "uni" and size > 1:
        executor = KEYS["rollout_executor"]
        sentence = f"{executor} is 'uni', one process, with {size} tensor-parallel workers; set it to mp."
        yield Problem(executor, sentence)


def _trainer_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    whole = (*_split(model), (model.vocabulary, "rows of the vocabulary, which verl does not pad"))
    yield from _tensor_violations(KEYS["tp"], settings.tp, model, whole)
    stages = list(_stage_violations(settings, model))
    yield from stages
    if not stages:
        yield from _virtual_violations(settings, model)
        # This rule counts parameters.
        if model.unplanned is None:
            yield from checkpoint_violations(settings, model)


def vllm_size_violations(key: str, size: int, model: Architecture) -> Iterator[Problem]:
    """Yield what keeps vLLM from splitting a model and its tower into `size` parts; it pads the vocabulary itself."""
    whole = _split(model)
    if vision := model.vision:
        # vllm/model_executor/models/qwen2_5_vl.py and qwen3_vl.py.
        whole += (vision.heads, "attention heads that see"), (vision.ffn, "columns of the feed-forward layer that sees")
    return _tensor_violations(key, size, model, whole)


def _split(model: Architecture) -> tuple[tuple[int, str], ...]:
    return (model.heads, "attention heads"), (model.ffn, "columns of the feed-forward layer")


def _tensor_violations(key: str, size: int, model: Architecture, whole: Sequence[tuple[int, str]]) -> Iterator[Problem]:
    """Check that a tensor parallel size divides these numbers, and divides the groups or is a multiple of them."""
    valid = [fits for fits in tensor_sizes(model) if all(number % fits == 0 for number, _ in whole)]
    way_out = f"near it are {nearest(valid, size)}"
    for number, name in whole:
        if number % size:
            yield Problem(key, f"{key} is {size}, which does not divide the model's {number} {name}; {way_out}.")
    if model.groups % size and size % model.groups:
        yield Problem(
            key,
            f"{key} is {size}, neither a divisor nor a multiple of the model's {model.groups} key-value heads; "
            f"{way_out}.",
        )


def _is_split(layers: int, pp: int, first: int | None, last: int | None) -> bool:
    try:
        stage_layers(layers, pp, first, last)
    except ValueError:
        return False
    return True


def _stage_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    pp, first, last = settings.pp, settings.first_layers, settings.last_layers
    if pp == 1:
        for name in ("first_layers", "last_layers"):
            if getattr(settings, name) is not None:
                key, value = KEYS[name], getattr(settings, name)
                yield Problem(key, f"{key} is {value}, and {KEYS['pp']} is 1; set it to null.")
        return
    if _is_split(model.layers, pp, first, last):
        return
    if first is None and last is None:
        key = KEYS["pp"]
        yield Problem(
            key,
            f"{key} is {pp}, which does not divide the model's {model.layers} layers; choose one of "
            f"{nearest(divisors(model.layers), pp)}, or set override_transformer_config."
            "num_layers_in_first_pipeline_stage or num_layers_in_last_pipeline_stage.",
        )
        return
    # Suggest values for the one that is set; if both are, for the last, with the first as it is.
    name = "first_layers" if last is None else "last_layers"
    key, value = KEYS[name], getattr(settings, name)
    ends: Callable[[int], tuple[int | None, int | None]] = lambda n: (n, None) if last is None else (first, n)  # noqa: E731
    valid = [count for count in range(1, model.layers) if _is_split(model.layers, pp, *ends(count))]
    beside = f" beside {KEYS['first_layers']}={first}" if first is not None and last is not None else ""
    way_out = f"near it are {nearest(valid, value)}" if valid else f"set {KEYS['first_layers']} to null"
    yield Problem(
        key,
        f"{key} is {value}{beside}, which leaves the {pp} stages no even share of {model.layers} layers; {way_out}.",
    )


def _virtual_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    key, vpp = KEYS["vpp"], settings.vpp
    if vpp is None:
        return
    if settings.pp == 1:
        yield Problem(key, f"{key} is {vpp}, and {KEYS['pp']} is 1; set it to null.")
        return
    stages = stage_layers(model.layers, settings.pp, settings.first_layers, settings.last_layers)
    if any(layers % vpp for layers in stages):
        valid = [size for size in divisors(max(stages)) if all(layers % size == 0 for layers in stages)]
        counts = " and ".join(map(str, sorted(set(stages))))
        yield Problem(
            key,
            f"{key} is {vpp}, which does not divide the {counts} layers of a pipeline stage; near it are "
            f"{nearest(valid, vpp)}.",
        )
