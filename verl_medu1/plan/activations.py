"""Activations that the forward pass keeps for the backward pass, in bytes per rank.

Korthikanti et al. (arXiv 2205.05198) count a GPT layer: s b h (34 + 5 a s / h) / t with sequence parallelism, and
2 s b h / t with full recomputation. Their layer has GELU of width 4 h, dropout, and attention scores in memory. The
counts here are derived in the same way for RMSNorm, SwiGLU, grouped-query attention, no dropout, and flash attention,
which keeps one number per token and head (arXiv 2205.14135) instead of the scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from verl_medu1.plan.adapters import COLUMN_PARALLEL, targets
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.expert_layers import expert_bytes, passing_expert_bytes
from verl_medu1.plan.settings import Settings

LOG_SUM_EXP = 4  # bytes that flash attention keeps per token and head


def rank_groups(groups: int, tp: int) -> int:
    """Return the key-value heads of one rank: at least one (megatron/core/transformer/attention.py).

    Example:
        >>> rank_groups(8, 4), rank_groups(2, 4)
        (2, 1)
    """
    return max(1, groups // tp)


def layer_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes that one layer keeps per token, with no or selective recomputation.

    Elements have b bytes; t is the tensor parallel size, and s the ranks that share what is between the matrices: t
    with sequence parallelism, else 1 (`Settings.sequence_split`).

    | kept | elements |
    |---|---|
    | inputs of both norms | 2 h / s |
    | outputs of both norms, inputs of qkv and fc1 | 2 h / s |
    | output of qkv, of which attention keeps the values | (q + 2 g) d / t |
    | query and key after rotary embedding, and its sines and cosines unless fused | (q + g) d / t + 4 d |
    | query before its norm, if it has one | q d / t |
    | output of attention, input of the projection | q d / t |
    | output of fc1, and of SwiGLU, the input of fc2 | 3 f / t |
    | intermediate values of SwiGLU, unless fused | 2 f / t |

    With LoRA a frozen matrix keeps no input (megatron/core/tensor_parallel/layers.py, linear_with_frozen_weight), and
    an adapter keeps its own: of qkv and fc1 the norm's output of all tokens, h, because it gathers it for itself; of
    fc2 f / t; and r elements between A and B (megatron/bridge/peft/utils.py, ParallelLinearAdapter).

    With FP8 the inputs of the four matrices take one byte. With attention_backend=unfused attention keeps its scores of
    the longest sequence, twice (Transformer Engine 2.15, UnfusedDotProductAttention: as the softmax gives them, and
    masked), instead of their log-sums. Selective recomputation does not keep attention's scores or log-sums
    (core_attn), the outputs of the norms (layernorm), or the outputs of fc1 and SwiGLU (mlp). A layer with experts
    keeps what `expert_layers.expert_bytes` counts in place of the last two rows, unless it recomputes them (moe).
    Derived; on the CPU it equals to the byte what megatron-core's layers without experts keep, except for what torch's
    RMSNorm adds (benchmarks/planner.py).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> layer_bytes(find_architecture("Qwen2.5-7B-Instruct"), Settings(tp=2))
        122424.0
    """
    tp, width = settings.tp, 4 if settings.dtype == "float32" else 2
    to_matrix = 1 if settings.fp8 else width
    modules = settings.recompute_modules if settings.recompute == "selective" else []
    feed_forward = "moe" if model.experts else "mlp"
    queries = model.heads * model.head_dim / tp
    pair = rank_groups(model.groups, tp) * model.head_dim
    between = model.hidden / settings.sequence_split
    adapted = targets(model, settings)
    kept = 2 * between * width  # inputs of the norms
    if settings.adapter_rank:
        again = ("linear_fc1", "linear_fc2") if "mlp" in modules else ()
        kept += sum(model.hidden * width for name in adapted if name in COLUMN_PARALLEL and name not in again)
        kept += sum(settings.adapter_rank * width for name in adapted if name not in again)
        kept += between * width if again else 0
    elif "layernorm" not in modules:
        kept += between * to_matrix  # output of the norm before attention
    if not settings.adapter_rank and ("layernorm" not in modules or feed_forward in modules):
        # Output of the norm before the MLP.
        kept += between * (width if feed_forward in modules else to_matrix)
    kept += (2 * queries + 3 * pair) * width
    if not settings.rope_fusion:
        kept += 4 * model.head_dim * width
    if model.qk_norm:
        kept += queries * width
    kept += queries * width
    if settings.fp8:
        kept += queries * to_matrix  # attention's output once more, quantised for the projection
    if "core_attn" not in modules:
        kept += model.heads / tp * (2 * settings.longest * width if settings.attention == "unfused" else LOG_SUM_EXP)
    if model.experts and "moe" not in modules:
        kept += expert_bytes(model, settings)
    if "mlp" not in modules:
        has_input = not settings.adapter_rank or "linear_fc2" in adapted
        kept += model.ffn / tp * ((2 if settings.activation_fusion else 4) * width + has_input * to_matrix)
    return kept


def stage_bytes(model: Architecture, settings: Settings, layers: int) -> tuple[float, float]:
    """Return the bytes that a stage's layers keep per token of a micro-batch in flight, and what recomputing adds once.

    Full recomputation keeps the input of each unit, h / s elements, and recomputes the layers of one unit at a time.
    With `uniform` a unit has N layers; `block` recomputes only the first N layers of the stage and keeps all
    activations of the others. Source: megatron/core/transformer/transformer_block.py, _checkpointed_forward.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> settings = Settings(tp=2, recompute="full", recompute_method="uniform", recompute_layers=1)
        >>> stage_bytes(model, settings, 28)
        (100352.0, 122424.0)
    """
    whole = layer_bytes(model, settings)
    if settings.recompute != "full":
        return layers * whole, 0
    width = 4 if settings.dtype == "float32" else 2
    entry = model.hidden / settings.sequence_split * width
    unit = settings.recompute_layers or 1
    if settings.recompute_method == "block":
        recomputed = min(unit, layers)
        return recomputed * entry + (layers - recomputed) * whole, whole if recomputed else 0
    return -(-layers // unit) * entry, min(unit, layers) * whole


def in_flight(stage: int, pp: int, vpp: int | None = None, micro_batches: int | None = None) -> float:
    """Return how many micro-batches' activations a stage holds at its peak, counted in whole stages.

    1F1B: p - i on stage i of p (arXiv 2104.04473, section 2.2). Interleaved with v chunks per stage: the pipeline fills
    with 2 (p - i - 1) + (v - 1) p chunks, and one more is running (megatron/core/pipeline_parallel/schedules.py,
    get_pp_rank_microbatches). At most the number of micro-batches.

    Example:
        >>> in_flight(0, 4), in_flight(3, 4), in_flight(0, 4, vpp=2)
        (4, 1, 5.5)
    """
    most = float("inf") if micro_batches is None else micro_batches
    if pp == 1 or not vpp or vpp == 1:
        return min(pp - stage, most)
    return min((2 * (pp - stage - 1) + (vpp - 1) * pp + 1) / vpp, most)


def logit_bytes(model: Architecture, settings: Settings, is_training: bool) -> float:
    """Return the bytes per token of the logits and of what is computed from them, on a rank of the last stage.

    V / t elements of 4 bytes. The softmax replaces the logits in place, and training adds their gradient: 8 bytes in
    all. The entropy adds a copy, its softmax and a product: 16. verl always computes the entropy along with the old
    log-probs, but in training only if a key says so. Fused kernels keep no logits. Derived from
    verl/workers/engine/megatron/transformer_impl.py (_lm_head_logits_processor), verl/utils/megatron/tensor_parallel.py
    and verl/trainer/ppo/v1/trainer_base.py.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> logit_bytes(model, Settings(tp=4), True), logit_bytes(model, Settings(tp=4), False)
        (304128.0, 608256.0)
    """
    if settings.fused_logits:
        return 0
    in_loss = settings.entropy or settings.entropy_coefficient != 0
    return (16 if in_loss or not is_training else 8) * model.vocabulary / settings.tp


def passing_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes that the backward pass of one layer takes for a time, beside all that was kept for it.

    With f the intermediate size, h' = h with sequence parallelism and 0 without, T the tokens of a micro-batch:

    | there at a time | elements a token |
    |---|---|
    | gradient of the residual stream | h / s |
    | megatron-core's buffer for gathered tensors | h' |
    | the larger of: two gradients in SwiGLU | 2 f / t |
    | and: gradients of fc2's output (gathered), input and weight | h' + f / t + h f / (t T) |

    With experts it is `expert_layers.passing_expert_bytes` instead. As megatron-core's own layers take it, found with
    `medu1 rehearse` (docs/plan.md). Transformer Engine's layers give gathered tensors back at once and need h' less.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> passing_bytes(model, Settings(tp=2, token_limit=12288)) / (12288 * 2)
        24320.0
    """
    tokens, width = settings.micro_batch_tokens, 4 if settings.dtype == "float32" else 2
    if model.experts:
        return tokens * passing_expert_bytes(model, settings)
    gathered = gathered_elements(model, settings)
    swiglu = 2 * model.ffn / settings.tp
    second = gathered + model.ffn / settings.tp + model.hidden * model.ffn / settings.tp / tokens
    return tokens * width * (model.hidden / settings.sequence_split + gathered + max(swiglu, second))


def gathered_elements(model: Architecture, settings: Settings) -> int:
    """Return the elements of a token's hidden state where a layer gathers it from the tensor parallel ranks.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> gathered_elements(model, Settings()), gathered_elements(model, Settings(tp=2))
        (0, 3584)
    """
    return model.hidden if settings.sequence_split > 1 else 0


@dataclass(frozen=True)
class Peak:
    """Bytes of a rank at the peak of training.

    Attributes:
        kept: for the backward pass, of all micro-batches in flight.
        layer: what the backward pass of a layer adds: its activations if they are recomputed, and what passes.
        gathered: what the output layer adds: its input, gathered.
        logits: and the logits.
    """

    kept: float
    layer: float
    gathered: float
    logits: float

    @property
    def parts(self) -> tuple[float, float]:
        """Activations and logits at the peak: where the logits are, or later, in a layer's backward pass.

        Example:
            >>> Peak(10, 5, 1, 9).parts, Peak(10, 5, 1, 2).parts
            ((11, 9), (15, 0.0))
        """
        if self.gathered + self.logits >= self.layer:
            return self.kept + self.gathered, self.logits
        return self.kept + self.layer, 0.0


def peaks(model: Architecture, settings: Settings, stages: Sequence[int]) -> list[Peak]:
    """Return what the ranks of each stage hold in training.

    The input and output of the final norm belong to the last stage: 2 h / s elements. With LoRA the output layer is
    frozen and keeps no input: h / s, and nothing gathered.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> [round(peak.kept / 2**30, 1) for peak in peaks(model, Settings(tp=2, pp=2, token_limit=8192), [14, 14])]
        [26.2, 13.1]
    """
    tokens, width = settings.micro_batch_tokens, 4 if settings.dtype == "float32" else 2
    samples = max(1, settings.mini_batch * settings.n // settings.dp)
    passing = passing_bytes(model, settings)
    found = []
    for stage, layers in enumerate(stages):
        each, once = stage_bytes(model, settings, layers)
        held = in_flight(stage, settings.pp, settings.vpp, samples)
        is_last = stage == len(stages) - 1
        end = (1 if settings.adapter_rank else 2) * model.hidden / settings.sequence_split * width if is_last else 0
        keeps_input = is_last and not settings.adapter_rank
        found.append(
            Peak(
                kept=tokens * (held * each + end),
                layer=tokens * once + passing,
                gathered=tokens * gathered_elements(model, settings) * width if keeps_input else 0.0,
                logits=tokens * logit_bytes(model, settings, True) if is_last else 0.0,
            )
        )
    return found
