"""Checks whether reshardable checkpoints work with the layout; part of `layout.find_violations`."""

from collections.abc import Iterator
from math import lcm

from verl_medu1.exit import Problem
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.parameters import layer_linear, layer_small, stage_layers
from verl_medu1.plan.settings import KEYS, Settings

ALIGNED = 128  # elements; a bucket of gradients is padded to a multiple of this and of the ranks that share it


def checkpoint_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    """Check for a tied embedding that a reshardable checkpoint would save shifted.

    An embedding that two stages share has its own bucket. Buckets are padded
    (megatron/core/distributed/param_and_grad_buffer.py, _pad_end_of_bucket_if_needed), but the gathered optimizer state
    is not (megatron/core/optimizer/distrib_optimizer.py, get_parameter_state_dp_zero), and parameters are sliced out of
    it at their padded offsets. If there is padding before it, the embedding is sliced wrongly, without an error.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> settings = Settings(gpus_per_node=6, pp=2, reshardable=True)
        >>> [found.about for found in checkpoint_violations(settings, find_architecture("Qwen2.5-3B-Instruct"))]
        ['actor_rollout_ref.actor.megatron.dist_ckpt_optim_fully_reshardable']
    """
    if not (settings.reshardable and settings.distributed_optimizer and model.tied and settings.pp > 1):
        return
    tp, ranks = settings.tp, settings.dp * settings.cp
    first = stage_layers(model.layers, settings.pp, settings.first_layers, settings.last_layers)[0]
    # On the first stage the bucket of its layers comes before the embedding; on the last the embedding comes first.
    layers = first // (settings.vpp or 1) * (layer_linear(model, tp) + layer_small(model, tp))
    table = model.vocabulary * model.hidden // tp
    if any(size % lcm(ALIGNED, ranks) for size in (layers, table)):
        key = KEYS["reshardable"]
        yield Problem(
            key,
            f"{key} is True, and {layers} parameters of a stage or the {table} of the tied embedding fill no whole "
            f"buckets of {ALIGNED} on {ranks} ranks, so that megatron-core would save the embedding shifted; set it "
            f"to false, or {KEYS['pp']} to 1.",
        )
