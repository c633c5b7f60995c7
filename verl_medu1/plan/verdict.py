"""The plan of one run, and whether it fits, fits with changes, or does not fit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from verl_medu1.exit import raise_all
from verl_medu1.machine.gpus import GIB, GPU
from verl_medu1.machine.machine import Machine
from verl_medu1.plan import fsdp
from verl_medu1.plan.adapters import matrices
from verl_medu1.plan.architecture import Architecture, NotPlanned, require_planned
from verl_medu1.plan.communication import Communication, communication_of
from verl_medu1.plan.memory import PHASES, RankMemory, peak_of, ranks_of
from verl_medu1.plan.rollout import Rollout, rollout_of
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.settings import ALL_LINEAR, KEYS, Settings

ROUND = 1024  # tokens of a micro-batch are proposed in multiples of this


@dataclass(frozen=True)
class Plan:
    """What a run needs on each GPU.

    Attributes:
        model: dimensions.
        gpu: kind of GPU.
        settings: of the run.
        ranks: memory of each pipeline stage's ranks.
        rollout: vLLM's memory.
        communication: of a rank of the stage with the most parameters.
    """

    model: Architecture
    gpu: GPU
    settings: Settings
    ranks: list[RankMemory]
    rollout: Rollout
    communication: Communication

    @property
    def problems(self) -> list[str]:
        """What does not fit, one sentence each; empty if everything fits."""
        return list(_problems(self))


@dataclass(frozen=True)
class Verdict:
    """Whether a run fits.

    Attributes:
        word: "fits", "fits with these changes" or "does not fit".
        changes: key -> value of the changes that make it fit.
        changed: the plan with the changes; None if there are none.
        problems: what does not fit without changes.
    """

    word: str
    changes: dict[str, object]
    changed: Plan | None
    problems: list[str]


def plan_of(model: Architecture, gpu: GPU, settings: Settings) -> Plan:
    """Plan the memory, rollout and communication of a run.

    Raises:
        NotPlanned: the memory of the model, or of its training, can't be planned.
        ValueError: the layout is wrong; one sentence for each violation.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> from verl_medu1.machine.gpus import find_gpu
        >>> settings = Settings(tp=2, pp=2, recompute="full", utilization=0.6)
        >>> plan_of(find_architecture("Qwen2.5-7B-Instruct"), find_gpu("h100-80"), settings).problems
        []
    """
    require_planned(model)
    machine = Machine(capability=gpu.capability)
    raise_all(find_violations(settings, model, machine))
    require_planned_training(settings, model)
    return build(model, gpu, settings)


def require_planned_training(settings: Settings, model: Architecture) -> None:
    """Raise NotPlanned, with the reason, if the formulas do not describe how the model is trained.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> require_planned_training(Settings(strategy="fsdp"), find_architecture("Qwen3-8B"))
        Traceback (most recent call last):
            ...
        verl_medu1.plan.architecture.NotPlanned: actor_rollout_ref.actor.strategy is 'fsdp'; planned are megatron and \
fsdp2.
    """
    key = KEYS["strategy"]
    if settings.strategy not in ("megatron", "fsdp2"):
        raise NotPlanned(f"{key} is {settings.strategy!r}; planned are megatron and fsdp2.")
    if model.experts and (settings.strategy != "megatron" or settings.adapter_rank):
        how = "LoRA" if settings.adapter_rank else "FSDP2"
        raise NotPlanned(f"model {model.name!r} has experts, and {how} of experts is not planned.")
    if model.vision and settings.strategy == "megatron":
        raise NotPlanned(
            f"model {model.name!r} sees images, and memory is planned for its training with FSDP2 alone "
            "(model_engine=dp); Megatron-Bridge has such models, and no run here has tried one."
        )
    if not settings.adapter_rank:
        return
    is_bridge = settings.strategy == "megatron"
    if is_bridge and settings.lora_type != "lora":
        raise NotPlanned(f"{KEYS['lora_type']} is {settings.lora_type!r}; planned is lora.")
    key, named = KEYS["lora_targets"], settings.lora_targets
    if not is_bridge:
        key, named = KEYS["peft_targets"], settings.peft_targets
    known = matrices(model, settings)
    if named != ALL_LINEAR and (isinstance(named, str) or not set(named) <= set(known)):
        raise NotPlanned(f"{key} is {named!r}; planned are lists of {', '.join(known)}.")
    if not is_bridge and (excluded := settings.peft_excluded):
        parts = [f"{part}.{name}" for name in known for part in ("self_attn", "mlp")]
        path = "model.language_model.layers" if model.vision else "model.layers"
        if any(re.fullmatch(excluded, f"{path}.{layer}.{part}") for layer in range(model.layers) for part in parts):
            key = KEYS["peft_excluded"]
            raise NotPlanned(f"{key} is {excluded!r}, which leaves out layers of the language model.")


def build(model: Architecture, gpu: GPU, settings: Settings) -> Plan:
    rollout = rollout_of(model, settings, gpu.memory)
    if settings.strategy != "megatron":
        ranks = fsdp.ranks_of(model, settings, rollout)
        return Plan(model, gpu, settings, ranks, rollout, fsdp.communication_of(model, settings))
    ranks = ranks_of(model, settings, rollout)
    widest = max(ranks, key=lambda rank: rank.parameters.total)
    communication = communication_of(model, settings, widest.parameters, widest.layers)
    return Plan(model, gpu, settings, ranks, rollout, communication)


def _problems(plan: Plan) -> Iterator[str]:
    memory = plan.gpu.memory
    for phase in PHASES:
        rank = max(plan.ranks, key=lambda rank: rank.total(phase))
        if rank.total(phase) > memory:
            yield (
                f"{phase} needs {rank.total(phase) / GIB:.1f} GiB on pipeline stage {rank.stage}, and a "
                f"{plan.gpu.name} has {plan.gpu.memory_gib}."
            )
    if plan.rollout.tokens < plan.settings.longest:
        yield (
            f"vLLM's cache holds {plan.rollout.tokens} tokens, and the longest answer with its prompt has "
            f"{plan.settings.longest}."
        )


def _needed_share(plan: Plan) -> float | None:
    """Return a gpu_memory_utilization with which the KV cache holds one longest sequence and generation fits, or None.

    vLLM gets what the trainer leaves free on the GPU during generation.
    """
    memory, rollout = plan.gpu.memory, plan.rollout
    resident = max(rank.total("generation") - rank.phases["generation"]["vLLM"] for rank in plan.ranks)
    most = int((memory - resident) / memory * 20) / 20
    least = (rollout.weights + rollout.work + rollout.token * plan.settings.longest) / memory
    return min(most, 0.9) if most >= least else None


def _steps(plan: Plan) -> Iterator[dict[str, object]]:
    """Yield changes in the order in which they are tried, cheapest first; each is added to those before it."""
    settings = plan.settings
    is_megatron = settings.strategy == "megatron"
    if not settings.free_cache:
        yield {"free_cache": True}
    prefix = "" if is_megatron else "fsdp_"
    for name in (f"{prefix}param_offload", f"{prefix}optimizer_offload"):
        if not getattr(settings, name):
            yield {name: True}
    if is_megatron:
        if not settings.activation_fusion and settings.recompute is None and settings.device != "cpu":
            yield {"activation_fusion": True}
        if settings.dp * settings.cp > 1 and not settings.distributed_optimizer:
            yield {"distributed_optimizer": True}
    if settings.dynamic:
        least = -(-settings.longest // settings.sequence_parts)
        for tokens in (settings.token_limit // 2, -(-least // ROUND) * ROUND):
            if least <= tokens < settings.token_limit:
                yield {"token_limit": tokens}
    if not is_megatron:
        if not settings.gradient_checkpointing:
            yield {"gradient_checkpointing": True}
        return
    if settings.recompute != "full":
        yield {"recompute": "full", "recompute_method": "uniform", "recompute_layers": 1}
    if not settings.precision_aware and settings.distributed_optimizer and settings.device != "cpu":
        yield {"precision_aware": True}


def verdict_of(plan: Plan) -> Verdict:
    """Decide whether a run fits, and if not, which changes would make it fit.

    Changes are added one after another until it fits: offload, fused SwiGLU, the distributed optimizer, smaller
    micro-batches, full recomputation, the precision-aware optimizer; each time, vLLM's share of the memory is adjusted
    if needed. Changes that turn out to be unnecessary are removed. The layout stays: `--search` proposes others.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> from verl_medu1.machine.gpus import find_gpu
        >>> model, gpu = find_architecture("Qwen2.5-7B-Instruct"), find_gpu("h100-80")
        >>> verdict_of(plan_of(model, gpu, Settings(tp=2, token_limit=32768))).word
        'fits with these changes'
    """
    if not plan.problems:
        return Verdict("fits", {}, None, [])
    steps = [{}, *_steps(plan)]
    fields: dict[str, object] = {}
    for step in steps:
        fields |= step
        found = _with_share(plan, fields)
        if found is not None:
            break
    else:
        return Verdict("does not fit", {}, None, plan.problems)
    # Remove what was not needed, the latest first, except for the last step, which was needed.
    for step in reversed(steps[1:-1]):
        without = {name: value for name, value in fields.items() if name not in step}
        if (fewer := _with_share(plan, without)) is not None:
            fields, found = without, fewer
    changed = found.settings
    names = [name for name in KEYS if getattr(changed, name) != getattr(plan.settings, name)]
    changes = {KEYS[name]: getattr(changed, name) for name in names}
    return Verdict("fits with these changes", changes, found, plan.problems)


def larger(settings: Settings, model: Architecture) -> str:
    """Say what may help a run that does not fit, whatever is changed; the end of a sentence.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> reads, sees = (find_architecture(f"Qwen2.5-{name}-Instruct") for name in ("7B", "VL-7B"))
        >>> larger(Settings(), reads), larger(Settings(strategy="fsdp2"), reads)
        ('try `medu1 plan --search`, or more GPUs', 'try more GPUs, or model_engine=megatron')
        >>> larger(Settings(strategy="fsdp2"), sees)  # with Megatron it is not planned
        'try more GPUs'
    """
    if settings.device == "cpu":
        return "try a smaller model, or shorter answers"
    if settings.strategy != "megatron":
        return "try more GPUs" if model.vision else "try more GPUs, or model_engine=megatron"
    return "try `medu1 plan --search`, or more GPUs"


def _with_share(plan: Plan, fields: dict[str, object]) -> Plan | None:
    """Return the plan with changed settings, with vLLM's share of memory adjusted if needed; None if it can't fit."""
    changed = build(plan.model, plan.gpu, replace(plan.settings, **fields))  # type: ignore[arg-type]
    if not changed.problems:
        return changed
    if (share := _needed_share(changed)) is None:
        return None
    changed = build(plan.model, plan.gpu, replace(changed.settings, utilization=share))
    return None if changed.problems else changed


def peak_share(plan: Plan) -> float:
    """Return the peak memory over all ranks and phases, as a fraction of the GPU's memory."""
    rank, phase = peak_of(plan.ranks)
    return rank.total(phase) / plan.gpu.memory
