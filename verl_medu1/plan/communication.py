"""Bytes that one rank sends and receives in a step.

Volumes are for the longest batch: every response as long as the limits allow.
"""

from dataclasses import dataclass

from verl_medu1.plan.activations import rank_groups
from verl_medu1.plan.adapters import targets
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.expert_layers import dispatch_volume
from verl_medu1.plan.memory import BYTES, gradient_width
from verl_medu1.plan.parameters import Parts, total_parameters
from verl_medu1.plan.settings import Settings


@dataclass(frozen=True)
class Communication:
    """Bytes of one rank in one step, by purpose."""

    tensor: float
    pipeline: float
    context: float
    data: float
    weight_sync: float
    experts: float = 0.0


def rank_tokens(settings: Settings) -> float:
    """Return the most tokens that a rank sees in one pass over a step's batch.

    Example:
        >>> rank_tokens(Settings(train_batch=128, n=8, prompt=1024, response=3072, gpus_per_node=8, tp=4))
        2097152.0
    """
    return settings.train_batch * settings.n * settings.longest / (settings.dp * settings.sequence_parts)


def forward_passes(settings: Settings) -> int:
    """Return the forward passes over the batch besides the update's: for old log-probs, and for the reference model.

    Example:
        >>> forward_passes(Settings(bypass=True)), forward_passes(Settings(kl_loss=True))
        (0, 2)
    """
    return (not settings.bypass) + settings.needs_reference


def communication_of(model: Architecture, settings: Settings, parts: Parts, layers: int) -> Communication:
    """Return what a rank of a stage sends and receives in a step.

    With T tokens; t, p, c, d the parallel sizes; s = t with sequence parallelism, else 1; b bytes per element, a of the
    gradients (memory.gradient_width); P parameters of the rank; u updates per step:

    | for | bytes | source |
    |---|---|---|
    | tensor | T layers h b (t - 1) / t (4 forward + 6 backward), 4 more to recompute | arXiv 2205.05198, section 4.2 |
    | tensor, LoRA | the same with 4 + n in each pass, n target modules | counted with `medu1 rehearse` |
    | pipeline | 2 T h b / s forward and backward, per boundary | arXiv 2104.04473, section 3.1 |
    | context | T layers 2 g d b (c - 1), twice that backward | arXiv 2310.01889 |
    | data | u P (a + b) (D - 1) / D, D = c d | arXiv 1910.02054, section 7 |
    | weight sync | b x parameters of the model, to every rank | derived, as in memory.gather_bytes |
    | experts | T layers x expert_layers.dispatch_volume, forward and backward, once more to recompute | derived |

    The 6 backward are the 4 of the forward pass plus gathering the inputs of qkv and fc1 again, which sequence
    parallelism alone does. A layer with experts has half of either: tokens don't gather for the experts. Experts are in
    the data row with ranks of their own (`Settings.expert_dp`). Frozen matrices need no inputs in the backward pass,
    and each adapter gathers or scatters h elements of a token once more in each pass. P are the parameters that are
    trained. Without the distributed optimizer the gradients are all-reduced: 2 a.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> communication_of(model, Settings(), Parts(0, 0, 0, 0), 28).tensor
        0.0
    """
    tokens, width = rank_tokens(settings), BYTES[settings.dtype]
    extra, again = forward_passes(settings), settings.recompute == "full"
    t, c = settings.tp, settings.cp
    forward = 4 + len(targets(model, settings))
    backward = 6 if settings.sequence_parallel and not settings.adapter_rank else forward
    collectives = forward * (1 + extra + again) + backward
    boundaries = 0 if settings.pp == 1 else 2  # a middle stage receives and sends
    if model.experts:
        collectives //= 2
    ranks, expert_ranks = settings.dp * c, settings.expert_dp
    shared = (parts.adapters or parts.shared) * (ranks - 1) / ranks
    if not parts.adapters:
        shared += parts.experts * (expert_ranks - 1) / expert_ranks
    dispatches = 2 + extra + again if model.experts else 0
    reduced = gradient_width(settings) * (1 if settings.distributed_optimizer else 2)
    gathered = width if settings.distributed_optimizer else 0
    updates = max(1, settings.train_batch // settings.mini_batch)
    return Communication(
        tensor=tokens * layers * model.hidden * width * (t - 1) / t * collectives,
        pipeline=boundaries * tokens * model.hidden * width / settings.sequence_split * (2 + extra),
        context=tokens * layers * 2 * rank_groups(model.groups, t) * model.head_dim * width * (c - 1) * (3 + extra),
        data=updates * shared * (reduced + gathered),
        weight_sync=float(width * total_parameters(model)),
        experts=tokens * layers * dispatch_volume(model, settings) * dispatches if dispatches else 0.0,
    )
