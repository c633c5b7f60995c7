"""Parameters of LoRA's adapters: A of rank x inputs and B of outputs x rank beside a frozen matrix (arXiv 2106.09685).

Under Megatron the adapters are Megatron-Bridge's (megatron/bridge/peft/lora.py), under FSDP2 peft's.
"""

import re
from collections.abc import Sequence

from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.parameters import total_parameters
from verl_medu1.plan.settings import ALL_LINEAR, Settings
from verl_medu1.plan.vision import tower_matrices

# Bridge's names of the matrices whose outputs are split by TP; the inputs of the other two are.
COLUMN_PARALLEL = ("linear_qkv", "linear_fc1")


def bridge_matrices(model: Architecture) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of a layer's matrices, by megatron-core's names.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> bridge_matrices(find_architecture("Qwen2.5-7B-Instruct"))["linear_qkv"]
        (3584, 4608)
    """
    queries, pair = model.heads * model.head_dim, 2 * model.groups * model.head_dim
    return {
        "linear_qkv": (model.hidden, queries + pair),
        "linear_proj": (queries, model.hidden),
        "linear_fc1": (model.hidden, 2 * model.ffn),
        "linear_fc2": (model.ffn, model.hidden),
    }


def peft_matrices(model: Architecture) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of a layer's matrices, by transformers' names.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> sorted(peft_matrices(find_architecture("Qwen3-8B")))
        ['down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj']
    """
    hidden, queries, keys = model.hidden, model.heads * model.head_dim, model.groups * model.head_dim
    ends = {"o_proj": (queries, hidden), "down_proj": (model.ffn, hidden)}
    if model.model_type == "phi3":
        return {"qkv_proj": (hidden, queries + 2 * keys), "gate_up_proj": (hidden, 2 * model.ffn), **ends}
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "gate_proj": (hidden, model.ffn),
        "up_proj": (hidden, model.ffn),
        **ends,
    }


def matrices(model: Architecture, settings: Settings) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of a layer's matrices, by the names of the engine's LoRA."""
    return bridge_matrices(model) if settings.strategy == "megatron" else peft_matrices(model)


def targets(model: Architecture, settings: Settings) -> Sequence[str]:
    """Return the names of a layer's matrices that have an adapter; none without LoRA.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> targets(find_architecture("Qwen3-8B"), Settings(lora_rank=8, lora_targets=["linear_qkv"]))
        ['linear_qkv']
    """
    if not settings.adapter_rank:
        return []
    named = settings.lora_targets if settings.strategy == "megatron" else settings.peft_targets
    known = matrices(model, settings)
    return list(known) if named == ALL_LINEAR else [name for name in known if name in named]


def layer_adapters(model: Architecture, settings: Settings, tp: int = 1) -> int:
    """Return the parameters of one layer's adapters: the sum of r (inputs + outputs) over the matrices, divided by TP.

    Under TP, B is split by its outputs, and A by its rows (its rank) beside a matrix that is split by its outputs, by
    its inputs beside one that is split by its inputs (megatron/bridge/peft/utils.py, ParallelLinearAdapter).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> 28 * layer_adapters(model, Settings(lora_rank=16), tp=2)
        17776640
    """
    known = matrices(model, settings)
    return sum(settings.adapter_rank * sum(known[name]) // tp for name in targets(model, settings))


def tower_targets(model: Architecture, settings: Settings) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of the tower's matrices that have an adapter, by their names in the whole model.

    As peft decides: a name of `target_modules` is the whole name or the end of it, and a matrix whose whole name
    `exclude_modules` matches has none (peft/tuners/tuners_utils.py, check_target_module_exists).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-VL-3B-Instruct")
        >>> everywhere = Settings(strategy="fsdp2", peft_rank=8)
        >>> len(tower_targets(model, everywhere))
        162
        >>> tower_targets(model, Settings(strategy="fsdp2", peft_rank=8, peft_excluded=".*visual.*"))
        {}
    """
    if model.vision is None or settings.strategy == "megatron" or not settings.peft_rank:
        return {}
    targeted, excluded = settings.peft_targets, settings.peft_excluded
    return {
        name: sides
        for name, sides in tower_matrices(model.vision).items()
        if (targeted == ALL_LINEAR or any(f".{name}".endswith(f".{target}") for target in targeted))
        and not (excluded and re.fullmatch(excluded, name))
    }


def trained_parameters(model: Architecture, settings: Settings) -> int:
    """Return the number of parameters of the whole model that are trained: all, or with LoRA the adapters'.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> f"{trained_parameters(find_architecture('Qwen2.5-7B-Instruct'), Settings(lora_rank=16)):,}"
        '35,553,280'
    """
    if not settings.adapter_rank:
        return total_parameters(model)
    of_tower = sum(settings.adapter_rank * sum(sides) for sides in tower_targets(model, settings).values())
    return model.layers * layer_adapters(model, settings) + of_tower
