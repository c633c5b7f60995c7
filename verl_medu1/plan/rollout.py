"""Memory of the colocated vLLM: its weights, its KV cache, and how many responses it generates at once."""

from dataclasses import dataclass

from verl_medu1.machine.gpus import GIB
from verl_medu1.plan.activations import rank_groups
from verl_medu1.plan.adapters import layer_adapters
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.expert_layers import expert_weights, router_weights
from verl_medu1.plan.parameters import layer_linear, layer_small
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.vision import most_tokens, tower_matrices, tower_parameters

VOCABULARY_MULTIPLE = 64  # vllm/model_executor/layers/vocab_parallel_embedding.py, DEFAULT_VOCAB_PADDING_SIZE
# vLLM on the CPU: the variable with the GiB of its KV cache, and the default (vllm/envs.py).
CPU_CACHE, CPU_CACHE_GIB = "VLLM_CPU_KVCACHE_SPACE", 4


@dataclass(frozen=True)
class Rollout:
    """Memory of one rank of vLLM.

    Attributes:
        replicas: copies of the engine over all GPUs.
        weights: bytes of the weights.
        work: bytes of vLLM's own activations, logits, graphs and buffers, at most.
        cache: bytes left for the KV cache; negative if weights and work exceed vLLM's share of the memory.
        total: bytes of all of these while vLLM is awake.
        token: bytes of one token's keys and values.
        tokens: tokens that the KV cache of a replica holds.
        concurrency: responses of full length that a replica can generate at once, at most max_num_seqs.
    """

    replicas: int
    weights: float
    work: float
    cache: float
    total: float
    token: float
    tokens: int
    concurrency: int


def rollout_weights(model: Architecture, settings: Settings) -> float:
    """Return the bytes of vLLM's weights on one rank.

    Matrices are split by TP and take one byte per weight with FP8; key and value heads are replicated if TP exceeds the
    groups; norms and routers are replicated; the vocabulary is padded to a multiple of 64. LoRA that is not merged into
    the weights is there besides. Experts are split by TP, or with expert parallelism, whose size is TP then, each GPU
    has as many whole ones: the same bytes. A tower's matrices are split by TP, too, and never FP8. Source:
    vllm/model_executor/layers/linear.py (QKVParallelLinear), fused_moe/layer.py and vocab_parallel_embedding.py.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> round(rollout_weights(find_architecture("Qwen2.5-7B-Instruct"), Settings()) / 2**30, 1)
        14.2
    """
    tp, width = settings.rollout_tp, 4 if settings.rollout_dtype == "float32" else 2
    repeated = (rank_groups(model.groups, tp) - model.groups / tp) * 2 * model.head_dim
    matrices = model.layers * (layer_linear(model, tp) + model.hidden * repeated)
    matrices += expert_weights(model, model.layers, ep=tp)
    small = model.layers * layer_small(model, tp) + model.hidden + router_weights(model, model.layers)
    rows = -(-model.vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    tables = (1 if model.tied else 2) * rows * model.hidden / tp
    adapters = 0 if settings.lora_merge else model.layers * layer_adapters(model, settings, tp)
    matrices *= 1 if settings.rollout_quantization == "fp8" else width
    return matrices + (small + tables + adapters + _tower_weights(model, tp)) * width


def _tower_weights(model: Architecture, tp: int) -> float:
    if model.vision is None:
        return 0.0
    split = sum(inputs * outputs for inputs, outputs in tower_matrices(model.vision).values())
    return tower_parameters(model.vision) - split + split / tp


def encoder_bytes(model: Architecture, settings: Settings) -> tuple[float, float]:
    """Return the bytes that vLLM's tower takes for a time, and those of the cache of what it has seen.

    When it starts, vLLM shows the tower as many of the largest images that its processor lets through as
    max_num_batched_tokens holds, and at least one, and keeps what it says of them while it runs the language model
    (vllm/v1/worker/gpu_model_runner.py, profile_run; multimodal/encoder_budget.py). Per patch: pixel values, a block's
    input and norm, and the feed-forward layer's inputs and product.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> [round(size / 2**30, 2) for size in encoder_bytes(find_architecture("Qwen2.5-VL-7B-Instruct"), Settings())]
        [1.71, 0.11]
    """
    if (vision := model.vision) is None:
        return 0.0, 0.0
    width, most = 4 if settings.rollout_dtype == "float32" else 2, most_tokens(vision)
    tokens = most * max(1, settings.max_num_batched_tokens // most)
    columns = (3 if vision.gated else 2) * vision.ffn / settings.rollout_tp
    passing = tokens * vision.merge**2 * (vision.pixel_values + 2 * vision.hidden + columns) * width
    return passing, float(tokens * vision.output * (1 + len(vision.deepstack)) * width)


def token_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes of one token's keys and values on one rank: 2 layers g d b (arXiv 2309.06180, section 3).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> token_bytes(find_architecture("Qwen2.5-7B-Instruct"), Settings())
        57344
    """
    width = 4 if settings.rollout_dtype == "float32" else 2
    if settings.kv_dtype and settings.kv_dtype.startswith("fp8"):
        width = 1
    return 2 * model.layers * rank_groups(model.groups, settings.rollout_tp) * model.head_dim * width


def work_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes that vLLM uses in addition to weights and KV cache; vLLM itself measures them when it starts.

    Derived: inputs and intermediate values of the widest layer for max_num_batched_tokens, with experts those of a
    token's copies (vllm/model_executor/layers/fused_moe/fused_moe.py, intermediate_cache13 and 2); float32 logits and
    probabilities for max_num_seqs, and the overhead of assumptions.yaml. A tower's are there before those of the layers
    (`encoder_bytes`).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> round(work_bytes(find_architecture("Qwen2.5-7B-Instruct"), Settings()) / 2**30, 1)
        2.8
    """
    width = 4 if settings.rollout_dtype == "float32" else 2
    layer = (2 * model.hidden + 3 * model.ffn / settings.rollout_tp) * width
    if model.experts:
        columns = model.experts.ffn / (settings.rollout_tp if settings.rollout_ep == 1 else 1)
        layer += model.experts.active * (max(model.hidden, 2 * columns) + columns) * width
    logits = 2 * 4 * model.vocabulary
    overhead = assumptions().vllm_overhead_gib * GIB
    seeing, seen = encoder_bytes(model, settings)
    return max(settings.max_num_batched_tokens * layer, seeing) + seen + settings.max_num_seqs * logits + overhead


def rollout_of(model: Architecture, settings: Settings, memory: int) -> Rollout:
    """Return vLLM's memory on a GPU of this size: the KV cache is gpu_memory_utilization of it, minus weights and work.

    On the CPU the size of the KV cache is set directly, by VLLM_CPU_KVCACHE_SPACE.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> found = rollout_of(find_architecture("Qwen2.5-7B-Instruct"), Settings(utilization=0.6), 80 * 2**30)
        >>> found.tokens, found.concurrency
        (581364, 113)
    """
    weights, work, token = rollout_weights(model, settings), work_bytes(model, settings), token_bytes(model, settings)
    total = settings.utilization * memory
    if settings.device == "cpu":
        total = weights + work + float(settings.environment.get(CPU_CACHE, CPU_CACHE_GIB)) * GIB
    cache = total - weights - work
    tokens = max(0, int(cache / token))
    return Rollout(
        replicas=max(1, settings.gpus // settings.rollout_tp),
        weights=weights,
        work=work,
        cache=cache,
        total=total,
        token=token,
        tokens=tokens,
        concurrency=min(settings.max_num_seqs, tokens // settings.longest),
    )
