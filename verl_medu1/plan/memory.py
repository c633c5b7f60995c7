"""Bytes of one rank in each phase of a step: training, log-probs, weight sync, generation."""

from collections.abc import Sequence
from dataclasses import dataclass

from verl_medu1.plan.activations import Peak, layer_bytes, logit_bytes, peaks
from verl_medu1.plan.adapters import layer_adapters
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.parameters import Parts, largest_tensor, rank_parameters, stage_layers
from verl_medu1.plan.rollout import Rollout
from verl_medu1.plan.settings import Settings

BYTES = {"float32": 4, "fp32": 4, "bfloat16": 2, "bf16": 2, "float16": 2, "fp16": 2}
PHASES = ("training", "log-probabilities", "weight sync", "generation")


@dataclass(frozen=True)
class RankMemory:
    """The memory of a rank of one pipeline stage.

    Attributes:
        stage: number of the pipeline stage.
        layers: layers of the stage.
        parameters: of the rank.
        phases: phase -> part -> bytes.
    """

    stage: int
    layers: int
    parameters: Parts
    phases: dict[str, dict[str, float]]

    def total(self, phase: str) -> float:
        """Return the bytes of a phase."""
        return sum(self.phases[phase].values())


def weight_bytes(parts: Parts, settings: Settings) -> float:
    """Return the bytes of a rank's weights, frozen ones and adapters among them: 2 per parameter (4 in float32).

    With FP8, Transformer Engine also keeps quantised copies of the matrices, by row and by column: 2 bytes more per
    weight of theirs (derived from its caching of weights; verl/utils/megatron_utils.py frees them as _fp8_workspaces).

    Example:
        >>> weight_bytes(Parts(1000, 10, 100, 0), Settings(fp8="hybrid"))
        4220
    """
    return BYTES[settings.dtype] * parts.total + (2 * (parts.linear + parts.experts) if settings.fp8 else 0)


def gradient_width(settings: Settings) -> int:
    """Return the bytes per element of the gradients, also when they are exchanged: 4, or 2 with main_grads_dtype=bf16.

    Source: verl/workers/engine/megatron/transformer_impl.py (grad_reduce_in_fp32) and
    megatron/core/distributed/distributed_data_parallel.py (grad_dtype).
    """
    return BYTES[settings.main_grads_dtype] if settings.precision_aware else 4


def gradient_bytes(parameters: int, settings: Settings) -> float:
    """Return the bytes of a rank's gradient buffer, which is not sharded.

    Args:
        parameters: that are trained: megatron-core's buffer has no room for frozen ones (DistributedDataParallel).
        settings: of the run.

    Example:
        >>> gradient_bytes(1000, Settings(precision_aware=True, main_grads_dtype="bf16"))
        2000
    """
    return gradient_width(settings) * parameters


def optimizer_bytes(parameters: int, settings: Settings, ranks: int | None = None) -> float:
    """Return the bytes of Adam on one rank: a float32 copy of the weights and two moments, 12 per parameter.

    The distributed optimizer shards it over DP x CP, or over `ranks` (arXiv 1910.02054, stage 1). Float32 weights need
    no copy: 8. The precision-aware optimizer keeps the moments in the configured dtypes. Of a bfloat16 weight's float32
    copy it keeps only the 16 bits that the weight lacks, unless fp8_recipe is set to anything but delayed
    (megatron/core/optimizer/optimizer_config.py, store_param_remainders).

    Args:
        parameters: that are trained.
        settings: of the run.

    Example:
        >>> optimizer_bytes(1000, Settings(gpus_per_node=4))
        3000.0
    """
    copy = 0 if settings.dtype == "float32" else 4
    first = second = 4
    if settings.precision_aware:
        first, second = BYTES[settings.exp_avg_dtype], BYTES[settings.exp_avg_sq_dtype]
        if settings.dtype == "bfloat16" and settings.optimizer_fp8_recipe in (None, "delayed"):
            copy = 2
    if not settings.distributed_optimizer:
        ranks = 1
    elif ranks is None:
        ranks = settings.dp * settings.cp
    return (copy + first + second) * parameters / ranks


def rank_optimizer_bytes(parts: Parts, settings: Settings) -> float:
    """Return the bytes of Adam on one rank: experts have an optimizer of their own, sharded over their own ranks.

    Source: megatron/core/optimizer/__init__.py, get_megatron_optimizer (filter_fn, expt_dp).

    Example:
        >>> rank_optimizer_bytes(Parts(800, 0, 0, 0, experts=100), Settings(gpus_per_node=8, ep=4))
        1800.0
    """
    if parts.adapters:
        return optimizer_bytes(parts.adapters, settings)
    experts = optimizer_bytes(parts.experts, settings, settings.expert_dp)
    return optimizer_bytes(parts.shared, settings) + experts


def gather_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes of the weight sync: the bucket, and the largest tensor twice, gathered and converted.

    Megatron-Bridge merges LoRA in float32, in which gate is there three times: as it is, what the adapter adds, and
    their sum, beside gate and up as they were gathered. Without merging, the first sync still sends all weights, and
    later ones the adapters alone. Derived from megatron/bridge/models/conversion/param_mapping.py and peft_bridge.py
    (_merge_single_adapter_weight), and verl/workers/rollout/vllm_rollout/bucketed_weight_transfer.py.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> round(gather_bytes(find_architecture("Qwen2.5-7B-Instruct"), Settings()) / 2**30, 2)
        4.03
    """
    is_megatron = settings.strategy == "megatron"
    width = BYTES[settings.dtype if is_megatron else settings.model_dtype]
    has_merge = is_megatron and settings.adapter_rank and settings.lora_merge
    merging = model.hidden * model.ffn * (2 * width + 3 * BYTES["float32"]) if has_merge else 0
    return settings.bucket_mib * 2**20 + max(2 * largest_tensor(model) * width, merging)


def ranks_of(model: Architecture, settings: Settings, rollout: Rollout) -> list[RankMemory]:
    """Return the memory of each pipeline stage's ranks, phase by phase.

    In training, the whole trainer is on the GPU. Offloading moves weights and gradients, or the optimizer, off the GPU
    for the other phases; weights come back for the sync. vLLM sleeps in training unless free_cache_engine is off.
    During the sync it holds its weights, and in generation it uses gpu_memory_utilization of the memory.

    Args:
        model: dimensions.
        settings: a layout without violations (rules/layout.py).
        rollout: vLLM's memory on a GPU.
    """
    stages = stage_layers(model.layers, settings.pp, settings.first_layers, settings.last_layers)
    adapters = layer_adapters(model, settings, settings.tp)
    parts = rank_parameters(model, settings.tp, stages, settings.ep, settings.expert_tp, adapters)
    kept = peaks(model, settings, stages)
    return [
        RankMemory(stage, stages[stage], parts[stage], _phases(model, settings, rollout, parts[stage], kept[stage]))
        for stage in range(settings.pp)
    ]


def _phases(
    model: Architecture,
    settings: Settings,
    rollout: Rollout,
    parts: Parts,
    peak: Peak,
) -> dict[str, dict[str, float]]:
    activations, logits = peak.parts
    weights, gradients = weight_bytes(parts, settings), gradient_bytes(parts.trained, settings)
    optimizer = rank_optimizer_bytes(parts, settings)
    reference = BYTES[settings.dtype] * parts.total if settings.has_reference else 0.0
    always = {"reserve": float(assumptions().reserve)}
    if reference and not settings.reference_offload:
        always["reference"] = reference
    asleep = 0.0 if settings.free_cache else rollout.total
    resident = {
        "gradients": 0.0 if settings.param_offload else gradients,
        "optimizer": 0.0 if settings.optimizer_offload else optimizer,
    }
    tokens = settings.micro_batch_tokens
    return {
        "training": {
            "weights": weights,
            "gradients": gradients,
            "optimizer": optimizer,
            "activations": activations,
            "logits": logits,
            "vLLM": asleep,
            **always,
        },
        "log-probabilities": {
            "weights": weights,
            **resident,
            "activations": tokens * layer_bytes(model, settings),  # one layer at a time: no backward pass follows
            "logits": tokens * logit_bytes(model, settings, False) if peak.logits else 0.0,
            "vLLM": asleep,
            **always,
        },
        "weight sync": {
            "weights": weights,
            **resident,
            "gathering": gather_bytes(model, settings),
            "vLLM": rollout.weights if settings.free_cache else rollout.total,
            **always,
        },
        "generation": {
            "weights": 0.0 if settings.param_offload else weights,
            **resident,
            "vLLM": rollout.total,
            **always,
        },
    }


def peak_of(ranks: Sequence[RankMemory]) -> tuple[RankMemory, str]:
    """Return the rank and phase that need the most memory."""
    return max(((rank, phase) for rank in ranks for phase in PHASES), key=lambda found: found[0].total(found[1]))
