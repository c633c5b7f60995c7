"""Activations that transformers' models keep for the backward pass under FSDP2, in bytes per rank.

Derived from transformers 5.9.0 (models/qwen2/modeling_qwen2.py and its likes) and peft (tuners/lora/layer.py).
"""

from verl_medu1.plan.adapters import targets
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.memory import BYTES
from verl_medu1.plan.settings import Settings

LOG_SUM_EXP = 4  # bytes that attention keeps per token and head


def layer_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes that one layer keeps per token.

    Elements have b bytes, those of the gathered weights:

    | kept | bytes |
    |---|---|
    | inputs of both norms, in float32 | 8 h |
    | both norms before they are scaled, if their weights are trained | 2 h b |
    | outputs of the norms: inputs of qkv, and of gate and up | 2 h b |
    | query, key and value for attention, and its log-sums | (q + 2 g) d b + 4 q |
    | query and key before their norms, if there are any, likewise | (q + g) d (4 + b) |
    | output of attention, input of the projection | q d b |
    | gate, its SiLU, up, and their product, the input of down | 4 f b |

    sdpa needs the output of attention in another order once more. With LoRA the norms' outputs and the product are kept
    only for the adapters that take them, with r elements between A and B.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> layer_bytes(find_architecture("Qwen2.5-7B-Instruct"), Settings(strategy="fsdp2"))
        225392.0
    """
    width, adapted = BYTES[settings.gathered_dtype], targets(model, settings)
    trains_all = not settings.adapter_rank
    queries, keys = model.heads * model.head_dim, model.groups * model.head_dim

    def feeds(*names: str) -> bool:
        """Whether a tensor is kept for the gradient of one of these matrices' weights or adapters."""
        return trains_all or any(name in adapted for name in names)

    kept = 8.0 * model.hidden + trains_all * 2 * model.hidden * width
    kept += feeds("q_proj", "k_proj", "v_proj", "qkv_proj") * model.hidden * width
    kept += feeds("gate_proj", "up_proj", "gate_up_proj") * model.hidden * width
    kept += (queries + 2 * keys) * width + LOG_SUM_EXP * model.heads
    if model.qk_norm:
        kept += (queries + keys) * (4 + trains_all * width)
    kept += queries * width
    if not settings.attn_implementation.startswith("flash") and feeds("o_proj"):
        kept += queries * width
    kept += (3 + feeds("down_proj")) * model.ffn * width
    return kept + len(adapted) * settings.adapter_rank * width


def kept_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes that a micro-batch keeps at the end of the forward pass, without its logits.

    With gradient checkpointing a layer keeps its input alone, h elements. The last norm keeps what a layer's norm does.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> round(kept_bytes(model, Settings(strategy="fsdp2", token_limit=12288)) / 2**30, 2)
        2.62
    """
    width, trains_all = BYTES[settings.gathered_dtype], not settings.adapter_rank
    each = model.hidden * width if settings.gradient_checkpointing else layer_bytes(model, settings)
    last = 4 * model.hidden + trains_all * 2 * model.hidden * width
    return settings.micro_batch_tokens * (model.layers * each + last)


def logit_bytes(model: Architecture, settings: Settings, is_training: bool) -> float:
    """Return the bytes per token of the logits and of what is computed from them: V elements of b bytes each time.

    With flash-attn, whose kernel writes the gradient into the logits: 1, or 2 if the entropy needs the logits again;
    the entropy adds its softmax and a product: 2. Without flash-attn: 4 for the logits, their log-softmax, and two
    gradients. Rows that are not packed are there once more, without their padding. verl always computes the entropy
    along with the old log-probs. Derived from verl/utils/torch_functional.py (logprobs_from_logits,
    entropy_from_logits) and verl/workers/engine/fsdp/transformer_impl.py (prepare_model_outputs).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> logit_bytes(model, Settings(strategy="fsdp2"), True), logit_bytes(model, Settings(strategy="fsdp2"), False)
        (304128, 912384)
    """
    if settings.fused_logits:
        return 0
    entropy = settings.entropy or settings.entropy_coefficient != 0
    copies = 1 + entropy if settings.attn_implementation.startswith("flash") else 4
    if not is_training:
        copies, entropy = 1, True
    copies += not settings.packed
    return (copies + 2 * entropy) * model.vocabulary * BYTES[settings.gathered_dtype]
