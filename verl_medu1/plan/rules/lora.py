"""Checks LoRA's rank, scale and target modules; part of `layout.find_violations`."""

import re
from collections.abc import Iterator

from verl_medu1.exit import Problem
from verl_medu1.plan.adapters import COLUMN_PARALLEL, matrices, peft_matrices
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.rules.sizes import divisors, nearest
from verl_medu1.plan.settings import ALL_LINEAR, KEYS, Settings

MOST_IN_VLLM = 512  # vllm/config/lora.py, MaxLoRARanks
# Megatron-Bridge's names for the parts of a matrix that megatron-core fuses (peft/canonical_lora.py).
CANONICAL = ("linear_q", "linear_k", "linear_v", "linear_fc1_gate", "linear_fc1_up")


def lora_violations(settings: Settings, model: Architecture | None) -> Iterator[Problem]:
    """Yield what is wrong with LoRA's settings, one sentence each; of the keys that the engine reads.

    Example:
        >>> [found.about for found in lora_violations(Settings(tp=8, lora_rank=12), None)]
        ['actor_rollout_ref.model.lora.rank']
    """
    is_bridge = settings.strategy == "megatron"
    rank, rank_key = settings.adapter_rank, KEYS["lora_rank" if is_bridge else "peft_rank"]
    if rank < 0:
        yield Problem(rank_key, f"{rank_key} is {rank}; give a whole number of at least 1, or 0 to train all weights.")
    if rank <= 0:
        return
    name = "lora_alpha" if is_bridge else "peft_alpha"
    alpha = getattr(settings, name)
    if alpha <= 0:
        key = KEYS[name]
        yield Problem(key, f"{key} is {alpha}, with which an adapter adds nothing; give a number above 0, such as 32.")
    if not settings.lora_merge and rank > MOST_IN_VLLM:
        merge = KEYS["lora_merge"]
        yield Problem(
            rank_key,
            f"{rank_key} is {rank}, and vLLM takes adapters of a rank up to {MOST_IN_VLLM}; lower it, or set {merge} "
            "to true.",
        )
    if model and model.experts:
        yield Problem(
            rank_key,
            f"{rank_key} is {rank}, and LoRA of a model with experts was never tried here; set it to 0 to train all "
            "weights.",
        )
    elif model and model.ffn:
        yield from _target_violations(settings, model, rank_key)
    if is_bridge:
        yield from _bridge_violations(settings, rank_key)
    elif settings.peft_excluded:
        yield from _pattern_violations(settings.peft_excluded)


def _named(settings: Settings) -> tuple[str, list[str]]:
    """The key of the target modules, and their names; none for all."""
    if settings.strategy == "megatron":
        return KEYS["lora_targets"], list(settings.lora_targets)
    given = settings.peft_targets
    if isinstance(given, str):
        return KEYS["peft_targets"], [] if given == ALL_LINEAR else [given]
    return KEYS["peft_targets"], list(given)


def _target_violations(settings: Settings, model: Architecture, rank_key: str) -> Iterator[Problem]:
    """Check that each target is a matrix of the model: both engines leave out a name that no module has."""
    known, (key, named) = matrices(model, settings), _named(settings)
    if not (settings.lora_targets if settings.strategy == "megatron" else settings.peft_targets):
        yield Problem(key, f"{key} is empty, so that nothing is trained; choose from {', '.join(known)}.")
    valid = [*known, *(CANONICAL if settings.lora_type == "canonical_lora" else ())]
    if settings.strategy != "megatron":
        valid += ["embed_tokens", "lm_head"]
    # A name with a wildcard is Bridge's, one with a dot or sign a pattern of peft's: they name modules layer by layer.
    unknown = [name for name in named if name not in valid and name.replace("_", "").isalnum()]
    if unknown:
        other = " (those are names of FSDP2)" if set(unknown) <= set(peft_matrices(model)) else ""
        yield Problem(
            key,
            f"{key} has {', '.join(unknown)}{other}, which no module of the model is called; choose from "
            f"{', '.join(known)}.",
        )
    used = [sides for name, sides in known.items() if not named or name in named]
    smallest = min((min(sides) for sides in used), default=0)
    if smallest and settings.adapter_rank >= smallest:
        yield Problem(
            rank_key,
            f"{rank_key} is {settings.adapter_rank}, and a target module has only {smallest} inputs or outputs; lower "
            "it, or set it to 0 to train all weights.",
        )


def _pattern_violations(excluded: str) -> Iterator[Problem]:
    try:
        re.compile(excluded)
    except re.error as error:
        key = KEYS["peft_excluded"]
        yield Problem(key, f"{key} is {excluded!r}, which is no pattern ({error}); give one such as '.*visual.*'.")


def _bridge_violations(settings: Settings, rank_key: str) -> Iterator[Problem]:
    rank, tp = settings.lora_rank, settings.tp
    # ParallelLinearAdapter splits A by its rows beside a matrix that is split by its outputs.
    if rank % tp and any(name in COLUMN_PARALLEL for name in settings.lora_targets):
        valid = [tp * size for size in divisors(64)]
        yield Problem(
            rank_key,
            f"{rank_key} is {rank}, which {KEYS['tp']} ({tp}) does not divide, and its ranks share A's rows; near it "
            f"are {nearest(valid, rank)}.",
        )
    if settings.fp8:
        key = KEYS["fp8"]
        yield Problem(
            key,
            f"{key} is {settings.fp8!r} with {rank_key}={rank}, and Megatron-Bridge's adapters are in bfloat16 beside "
            "matrices in FP8, which nobody has tried here; set precision=bf16, or the rank to 0.",
        )
