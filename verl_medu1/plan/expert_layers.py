"""What layers with experts add to a rank: parameters, activations and bytes of the token dispatch.

The layers are megatron-core's MoELayer with its all-to-all dispatcher and no token dropped: a token's copies, one for
each of its experts, go to the expert parallel ranks that have these experts, and come back. How many copies a rank
receives depends on the router. Each rank is planned as the one that receives `expert_imbalance` times its share
(assumptions.yaml).
"""

from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.experts import Experts
from verl_medu1.plan.settings import Settings


def expert_weights(model: Architecture, layers: int, ep: int = 1, etp: int = 1) -> int:
    """Return the weights of the experts' matrices on one rank.

    3 h f of each expert, with f its SwiGLU width: the experts are shared out over EP ranks, and an expert is split over
    expert tensor parallel (ETP) ranks (megatron/core/transformer/moe/experts.py).

    Args:
        model: dimensions.
        layers: of the rank that have experts.
        ep, etp: expert and expert tensor parallel size.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> expert_weights(find_architecture("Qwen3-30B-A3B"), 48, ep=8)
        3623878656
    """
    if model.experts is None:
        return 0
    return layers * model.experts.count // ep * 3 * model.hidden * model.experts.ffn // etp


def router_weights(model: Architecture, layers: int) -> int:
    """Return the weights of the routers on one rank: h for each expert of a layer, on every rank.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> router_weights(find_architecture("Qwen3-30B-A3B"), 48)
        12582912
    """
    return 0 if model.experts is None else layers * model.experts.count * model.hidden


def active_expert_weights(model: Architecture, layers: int, tp: int) -> float:
    """Return the experts' weights that a rank multiplies with for each token of its tensor parallel group.

    3 h f k a layer, over the TP ranks, each of which routes its share of the tokens: by the operations, an expert on
    another rank costs this rank nothing, and its own experts cost it as much for others.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> active_expert_weights(find_architecture("Qwen3-30B-A3B"), 48, 2)
        905969664.0
    """
    if model.experts is None:
        return 0.0
    return expert_weights(model, layers) / model.experts.count * model.experts.active / tp


def inactive_weights(model: Architecture) -> int:
    """Return the weights that a token does not pass through: those of the experts that it is not sent to.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> inactive_weights(find_architecture("Qwen3-30B-A3B"))
        27179089920
    """
    if model.experts is None:
        return 0
    each = expert_weights(model, model.experts.layers) // model.experts.count
    return (model.experts.count - model.experts.active) * each


def sent_copies(experts: Experts, settings: Settings) -> float:
    """Return the copies that a rank sends of a token of a micro-batch: k / s, for k experts a token.

    With sequence parallelism each of the s tensor parallel ranks routes its own tokens.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> sent_copies(find_architecture("Qwen3-30B-A3B").experts, Settings(tp=2))
        4.0
    """
    return experts.active / settings.sequence_split


def received_copies(experts: Experts, settings: Settings) -> float:
    """Return the copies that a rank's experts compute for each token of its micro-batch, on the busiest rank.

    As many as it sends times the imbalance, if experts are on several ranks; expert tensor parallel ranks gather each
    other's (megatron/core/transformer/moe/token_dispatcher.py, MoEAlltoAllTokenDispatcher.dispatch_postprocess).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> received_copies(find_architecture("Qwen3-30B-A3B").experts, Settings(tp=2))
        8.0
    """
    imbalance = assumptions().expert_imbalance if settings.ep > 1 else 1.0
    return sent_copies(experts, settings) * imbalance * settings.expert_tp


def router_bytes(experts: Experts, settings: Settings) -> float:
    """Return the bytes that the router and the permutation of tokens keep, per token of a micro-batch.

    For each token and expert: a weight (4 bytes; 2 is the least), whether it is chosen, and two entries of Transformer
    Engine's table of rows (transformer_engine/pytorch/permutation.py, row_id_map).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> router_bytes(find_architecture("Qwen3-30B-A3B").experts, Settings(tp=2))
        832.0
    """
    return experts.count * (4 + 1 + 2 * 4) / settings.sequence_split


def expert_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes that a layer's experts keep, per token of a micro-batch, beside the router's input.

    For each copy that the rank receives, with f the width of an expert and e the expert tensor parallel size:

    | kept | elements |
    |---|---|
    | input of fc1, in the order of experts | h |
    | output of fc1, and of SwiGLU times the expert's weight, the input of fc2 | 3 f / e |
    | intermediate values of SwiGLU, unless fused | 3 f / e |

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> expert_bytes(find_architecture("Qwen3-30B-A3B"), Settings(tp=2, etp=1))
        54080.0
    """
    assert model.experts
    width = 4 if settings.dtype == "float32" else 2
    to_matrix = 1 if settings.fp8 else width
    columns = model.experts.ffn / settings.expert_tp
    swiglu = columns * ((2 if settings.activation_fusion else 5) * width + to_matrix)
    copies = received_copies(model.experts, settings)
    return copies * (model.hidden * to_matrix + swiglu) + router_bytes(model.experts, settings)


def passing_expert_bytes(model: Architecture, settings: Settings) -> float:
    """Return the bytes that a layer's experts take for a time when they are computed again, per token of a micro-batch.

    | there at a time | elements |
    |---|---|
    | copies before they are sent | h each |
    | and as they arrive, if experts are on several ranks; gathered once more with expert tensor parallelism | h each |
    | what the experts give, one by one and together | 2 h for each copy that they compute |

    As megatron-core's own layers take it, found with `medu1 rehearse` (docs/plan.md). Transformer Engine's experts give
    all copies at once, and need h for each less.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> passing_expert_bytes(find_architecture("Qwen3-30B-A3B"), Settings(tp=2, etp=1, ep=8))
        90112.0
    """
    assert model.experts
    width = 4 if settings.dtype == "float32" else 2
    received = received_copies(model.experts, settings)
    arrivals = received / settings.expert_tp * ((settings.ep > 1) + (settings.expert_tp > 1))
    return (sent_copies(model.experts, settings) + arrivals + 2 * received) * model.hidden * width


def dispatch_volume(model: Architecture, settings: Settings) -> float:
    """Return the bytes that a rank sends in one layer's dispatch and combination, per token of a micro-batch.

    A copy goes to its expert and back, b h each way, and stays on the rank in one of EP cases; expert tensor parallel
    ranks gather the received copies, and scatter the sums. The weights of the experts, a number a copy, are left out.
    Source: megatron/core/transformer/moe/token_dispatcher.py, MoEAlltoAllTokenDispatcher.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen3-30B-A3B")
        >>> dispatch_volume(model, Settings(tp=2, etp=1, ep=8)), dispatch_volume(model, Settings())
        (28672.0, 0.0)
    """
    assert model.experts
    width, etp = 4 if settings.dtype == "float32" else 2, settings.expert_tp
    sent = sent_copies(model.experts, settings) * (settings.ep - 1) / settings.ep
    gathered = received_copies(model.experts, settings) * (etp - 1) / etp
    return 2 * (sent + gathered) * model.hidden * width
