"""Checks FSDP2's groups, offloading and attention; part of `layout.find_violations`."""

from collections.abc import Iterator

from verl_medu1.exit import Problem
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.rules.sizes import divisors, nearest, tensor_sizes
from verl_medu1.plan.settings import KEYS, Settings


def fsdp_violations(settings: Settings, model: Architecture | None, machine: Machine) -> Iterator[Problem]:
    """Yield what is wrong with FSDP2's groups, offloading and attention, one sentence each.

    Example:
        >>> [found.about for found in fsdp_violations(Settings(strategy="fsdp2", fsdp_size=3), None, Machine())]
        ['actor_rollout_ref.actor.fsdp_config.fsdp_size']
    """
    key, size, workers = KEYS["fsdp_size"], settings.fsdp_size, settings.gpus
    # A size of at least the workers, or below 0, is one group of all (verl's create_device_mesh).
    if size == 0 or (0 < size < workers and workers % size):
        yield Problem(
            key,
            f"{key} is {size}, which does not divide the {workers} workers of {KEYS['nodes']} x "
            f"{KEYS['gpus_per_node']}; near it are {nearest(divisors(workers), size)}, and -1 is all.",
        )
    ulysses = settings.ulysses
    if model and ulysses not in tensor_sizes(model):
        # verl/models/transformers/monkey_patch.py, apply_monkey_patch.
        key = KEYS["ulysses"]
        yield Problem(
            key,
            f"{key} is {ulysses}, which must divide the model's {model.heads} attention heads, and divide its "
            f"{model.groups} key-value heads or be a multiple of them; near it are "
            f"{nearest(tensor_sizes(model), ulysses)}.",
        )
    if settings.offload_policy and (settings.fsdp_param_offload or settings.fsdp_optimizer_offload):
        name = "fsdp_param_offload" if settings.fsdp_param_offload else "fsdp_optimizer_offload"
        key, other = KEYS[name], KEYS["offload_policy"]
        yield Problem(key, f"{key} is True, and {other} is True, with which verl ignores it; set one of them to false.")
    if settings.dynamic and not settings.packed and settings.device != "cpu":
        # verl/workers/engine/fsdp/transformer_impl.py, prepare_model_inputs: to the longest of the micro-batch.
        key, other = KEYS["dynamic"], KEYS["packed"]
        yield Problem(
            key,
            f"{key} is True, and {other} is False, with which verl pads the rows of a micro-batch, so that one of "
            f"{settings.token_limit} tokens can become many times as large; set {key} to false, and "
            f"{KEYS['micro_batch']} to a number of rows.",
        )
    key, attention = KEYS["attn_implementation"], settings.attn_implementation
    if settings.device != "cpu" and machine.flash_attn is False and attention.startswith("flash_attention"):
        yield Problem(
            key, f"{key} is {attention!r}, and flash-attn is not installed; add ++{key}=sdpa, or install flash-attn."
        )
