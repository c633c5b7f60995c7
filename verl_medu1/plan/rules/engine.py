"""Refuses settings of the engine that is not chosen; part of `layout.find_violations`.

verl reads them with the other engine alone, and says nothing of some: with Megatron's LoRA rank, FSDP2 trains all
weights.
"""

from collections.abc import Iterator
from typing import Any

from verl_medu1.exit import Problem
from verl_medu1.plan.settings import FSDP, KEYS, MEGATRON, MODEL, OPTIMIZER, Settings

OF_MEGATRON = (f"{MEGATRON}.", f"{MODEL}.lora.", f"{OPTIMIZER}.", KEYS["reference_offload"])
OF_FSDP = (f"{FSDP}.", f"{MODEL}.lora_", KEYS["peft_targets"], KEYS["ulysses"])
# Fields of Megatron and FSDP2 that mean the same.
SAME = (
    ("lora_rank", "peft_rank"),
    ("lora_alpha", "peft_alpha"),
    ("lora_targets", "peft_targets"),
    ("cp", "ulysses"),
    ("param_offload", "fsdp_param_offload"),
    ("optimizer_offload", "fsdp_optimizer_offload"),
)
MEANS = {**dict(SAME), **{theirs: ours for ours, theirs in SAME}}


def engine_violations(settings: Settings) -> Iterator[Problem]:
    """Yield what is set and not read, one sentence each.

    Example:
        >>> [found.sentence for found in engine_violations(Settings(strategy="fsdp2", tp=2))]
        ['actor_rollout_ref.actor.megatron.tensor_model_parallel_size is 2, which FSDP2 does not read; leave it out, \
or set model_engine=megatron.']
    """
    is_megatron = settings.strategy == "megatron"
    others, engine, other = (OF_FSDP, "Megatron", "dp") if is_megatron else (OF_MEGATRON, "FSDP2", "megatron")
    unset = Settings()
    for name, key in KEYS.items():
        value = getattr(settings, name)
        # Both engines read lora.merge.
        if name == "lora_merge" or not key.startswith(others) or _is_same(value, getattr(unset, name)):
            continue
        way_out = f"set {KEYS[MEANS[name]]}, or" if name in MEANS else "leave it out, or set"
        yield Problem(key, f"{key} is {value}, which {engine} does not read; {way_out} model_engine={other}.")


def _is_same(value: Any, other: Any) -> bool:
    """Whether two settings are equal; a list of a configuration and a tuple of the defaults may be."""
    return list(value) == list(other) if isinstance(other, tuple) else bool(value == other)
