"""Checks FP8, fused kernels and the optimizer's precision against model and machine; part of `layout.find_violations`.

Sources of the rules: for hardware, Transformer Engine (transformer_engine/pytorch/quantization.py and its installation
guide); for sizes, its assert_dim_for_fp8_exec; for recipes, verl's docs/low_precision/fp8.md and megatron-core's
TransformerConfig.
"""

from collections.abc import Iterator

from verl_medu1.exit import Problem
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.rules.sizes import divisors, nearest, tensor_sizes
from verl_medu1.plan.settings import KEYS, Settings

FORMATS = ("hybrid", "e4m3")
# FP8 recipe -> lowest compute capability, the first one that is too new, oldest CUDA.
RECIPES: dict[str, tuple[tuple[int, int], tuple[int, int] | None, tuple[int, int] | None]] = {
    "blockwise": ((9, 0), None, (12, 9)),
    "delayed": ((8, 9), None, None),
    "tensorwise": ((8, 9), None, None),
    "mxfp8": ((10, 0), (12, 0), None),
}
# Side of a block of the rollout's weights (verl/workers/rollout/vllm_rollout/vllm_async_server.py,
# vLLMHttpServer._apply_quantization).
ROLLOUT_BLOCK = 128
# Scales are powers of two by default; the rollout's kernels use arbitrary float32 scales.
BLOCK_SCALES = "NVTE_FP8_BLOCK_SCALING_FP32_SCALES"


def precision_violations(settings: Settings, model: Architecture | None, machine: Machine) -> Iterator[Problem]:
    """Yield what is wrong with number formats and fused kernels, one sentence each.

    Example:
        >>> wrong = Settings(fp8="hybrid", fp8_recipe="tensorwise")
        >>> [found.about for found in precision_violations(wrong, None, Machine(capability=(8, 0)))]
        ['actor_rollout_ref.actor.megatron.override_transformer_config.fp8_recipe']
    """
    yield from _optimizer_violations(settings)
    if settings.strategy == "megatron" and settings.device != "cpu":
        yield from _kernel_violations(settings, machine)
    key = KEYS["cp"]
    if settings.cp > 1 and settings.device == "cpu":
        yield Problem(key, f"{key} is {settings.cp}, and {KEYS['device']} is 'cpu', where it can be 1 only.")
    if settings.fp8:
        yield from _fp8_violations(settings, model, machine)
    if settings.rollout_quantization == "fp8" and model:
        yield from _rollout_violations(settings, model)


def _kernel_violations(settings: Settings, machine: Machine) -> Iterator[Problem]:
    """Check that there are the kernels without which Megatron-Bridge's models on GPUs don't start.

    Read in Megatron-Bridge 0.5.1: it imports Transformer Engine (peft/lora_layers.py), and unless the configuration
    says otherwise it fuses the accumulation of gradients wherever that import works (utils/fusions.py). megatron-core's
    output layer takes this only with Apex (tensor_parallel/layers.py). For attention, megatron-core 0.18.2
    (models/common/language_module/language_module.py, _set_attention_backend) and Transformer Engine 2.15
    (pytorch/attention/dot_product_attention/utils.py, get_attention_backend).
    """
    key = KEYS["strategy"]
    if machine.transformer_engine is False:
        yield Problem(
            key,
            f"{key} is 'megatron', and Transformer Engine can't be imported here, which Megatron-Bridge needs on GPUs; "
            "`make install-gpu` installs it.",
        )
    key, fuses = KEYS["accumulation_fusion"], settings.accumulation_fusion
    if fuses is None:
        fuses = machine.transformer_engine
    if fuses and machine.apex is False:
        said = "not set, so that Megatron-Bridge turns it on" if settings.accumulation_fusion is None else "True"
        yield Problem(
            key,
            f"{key} is {said}, and NVIDIA Apex's kernels can't be imported (PyPI's apex is another project); set it to "
            "false, or build Apex from source.",
        )
    key = KEYS["attention"]
    if settings.attention == "local":
        yield Problem(
            key,
            f"{key} is 'local', with which megatron-core turns all of Transformer Engine's attention off, and "
            "Megatron-Bridge's layers have no other; set it to fused.",
        )
    if settings.attention == "unfused" and settings.cp > 1:
        yield Problem(
            key,
            f"{key} is 'unfused', which has no context parallelism, and {KEYS['cp']} is {settings.cp}; set it to "
            "fused.",
        )
    if settings.attention == "flash" and machine.flash_attn is False:
        yield Problem(
            key,
            f"{key} is 'flash', and flash-attn is not installed, without which Transformer Engine has no attention "
            "left; set it to fused, or install flash-attn.",
        )


def _rollout_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    """Check that vLLM can split quantised matrices into whole blocks (its validate_fp8_block_shape)."""
    key, size = KEYS["rollout_tp"], settings.rollout_tp
    columns = model.ffn
    if model.experts:
        columns = model.experts.ffn
        size = 1 if settings.rollout_ep > 1 else size  # whole experts on each GPU
    if columns % (ROLLOUT_BLOCK * size):
        valid = [other for other in tensor_sizes(model) if columns % (ROLLOUT_BLOCK * other) == 0]
        way_out = f"near it are {nearest(valid, size)}" if valid else f"set {KEYS['rollout_quantization']} to null"
        yield Problem(
            key,
            f"{key} is {size}, which cuts the feed-forward layer's {columns} columns within a block of "
            f"{ROLLOUT_BLOCK}, and {KEYS['rollout_quantization']} is fp8; {way_out}.",
        )


def _optimizer_violations(settings: Settings) -> Iterator[Problem]:
    key = KEYS["precision_aware"]
    if settings.precision_aware and not settings.distributed_optimizer:
        yield Problem(key, f"{key} is True, which needs {KEYS['distributed_optimizer']}=true.")
    grads = KEYS["main_grads_dtype"]
    if not settings.precision_aware and settings.main_grads_dtype != "fp32":
        yield Problem(grads, f"{grads} is {settings.main_grads_dtype!r}, which needs {key}=true; or set it to fp32.")


def _fp8_violations(settings: Settings, model: Architecture | None, machine: Machine) -> Iterator[Problem]:
    key, recipe_key, recipe = KEYS["fp8"], KEYS["fp8_recipe"], settings.fp8_recipe
    if settings.device == "cpu":
        yield Problem(key, f"{key} is {settings.fp8!r}, and {KEYS['device']} is 'cpu', which has none; set it to null.")
        return
    if settings.fp8 not in FORMATS:
        yield Problem(key, f"{key} is {settings.fp8!r}; choose one of {', '.join(FORMATS)}, or null for none.")
    if model:
        yield from _size_violations(settings, model)
        yield from _expert_size_violations(settings, model)
    if recipe not in RECIPES:
        yield Problem(
            recipe_key,
            f"{recipe_key} is {recipe!r} with {key}={settings.fp8}; choose one of {', '.join(RECIPES)}.",
        )
        return
    yield from _hardware_violations(settings, machine)
    if recipe == "delayed" and settings.recompute == "selective" and "layernorm" in settings.recompute_modules:
        modules = KEYS["recompute_modules"]
        yield Problem(modules, f"{modules} has 'layernorm', which {recipe_key}=delayed excludes; leave it out.")
    if recipe != "blockwise":
        return
    if settings.optimizer_fp8_recipe != recipe:
        optimizer = KEYS["optimizer_fp8_recipe"]
        yield Problem(
            optimizer,
            f"{optimizer} is {settings.optimizer_fp8_recipe!r} with {recipe_key}=blockwise; set it to blockwise.",
        )
    value = settings.environment.get(BLOCK_SCALES)
    if str(value) != "1":
        variable = f"{KEYS['environment']}.{BLOCK_SCALES}"
        yield Problem(
            KEYS["environment"], f'{variable} is {value!r} with {recipe_key}=blockwise; set it to "1" for all workers.'
        )


def _version(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _hardware_violations(settings: Settings, machine: Machine) -> Iterator[Problem]:
    key, recipe = KEYS["fp8_recipe"], str(settings.fp8_recipe)
    least, too_new, cuda = RECIPES[recipe]
    if machine.capability and (machine.capability < least or (too_new and machine.capability >= too_new)):
        fits = [
            name
            for name, (low, high, _) in RECIPES.items()
            if low <= machine.capability and not (high and machine.capability >= high)
        ]
        way_out = f"choose one of {', '.join(fits)}" if fits else f"set {KEYS['fp8']} to null"
        below = f" and below {_version(too_new)}" if too_new else ""
        yield Problem(
            key,
            f"{key} is {recipe!r}, which needs compute capability {_version(least)} or more{below}, and the GPU has "
            f"{_version(machine.capability)}; {way_out}.",
        )
    if cuda and machine.cuda and machine.cuda < cuda:
        yield Problem(
            key,
            f"{key} is {recipe!r}, which needs CUDA {_version(cuda)} or more, and here is {_version(machine.cuda)}; "
            "choose tensorwise or delayed, or a newer CUDA.",
        )


def _sizes(model: Architecture, tp: int) -> list[tuple[float, int, str]]:
    """Return the sizes of the matrices' shards, and what they must be multiples of: last dimensions 16, others 8."""
    queries, pair = model.heads * model.head_dim, 2 * model.groups * model.head_dim
    return [
        (model.hidden, 16, "hidden columns"),
        (queries / tp, 16, "columns of the projection"),
        (model.ffn / tp, 16, "columns of the feed-forward layer"),
        ((queries + pair) / tp, 8, "rows of query, key and value"),
        (2 * model.ffn / tp, 8, "rows of gate and up"),
    ]


def _expert_size_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    """Check an expert's shard; megatron-core pads its tokens itself (moe/experts.py, TEGroupedMLP)."""
    key, etp = KEYS["etp"], settings.expert_tp
    if model.experts and model.experts.ffn / etp % 16:
        valid = [size for size in divisors(model.experts.ffn) if model.experts.ffn // size % 16 == 0]
        yield Problem(
            key,
            f"{key} is {etp}, with which a rank has {model.experts.ffn / etp:g} columns of an expert, and FP8 needs "
            f"multiples of 16; near it are {nearest(valid, etp)}.",
        )


def _size_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    key, tp = KEYS["tp"], settings.tp
    valid = [size for size in tensor_sizes(model) if not any(n % multiple for n, multiple, _ in _sizes(model, size))]
    for number, multiple, name in _sizes(model, tp):
        if number % multiple:
            way_out = f"near it are {nearest(valid, tp)}" if valid else f"set {KEYS['fp8']} to null"
            yield Problem(
                key,
                f"{key} is {tp}, with which a rank has {number:g} {name}, and FP8 needs multiples of {multiple}; "
                f"{way_out}.",
            )
