"""Searches the best layouts of a model on a number of GPUs, by estimated step time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from verl_medu1.exit import raise_all
from verl_medu1.machine.gpus import GPU
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import Architecture, require_planned
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.communication import forward_passes, rank_tokens
from verl_medu1.plan.expert_layers import active_expert_weights
from verl_medu1.plan.memory import RankMemory
from verl_medu1.plan.parameters import stage_layers
from verl_medu1.plan.rollout import rollout_of
from verl_medu1.plan.rules.engine import engine_violations
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.rules.sizes import divisors, tensor_sizes
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.plan.verdict import Plan, build, peak_share, require_planned_training

RECOMPUTE: tuple[dict[str, object], ...] = (
    {"recompute": None},
    {"recompute": "selective", "recompute_modules": ("layernorm", "mlp")},
    {"recompute": "full", "recompute_method": "uniform", "recompute_layers": 1},
)
MICRO_BATCHES = (1, 2, 4)  # longest sequences in a micro-batch
SHARES = (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)


@dataclass(frozen=True)
class Candidate:
    """A layout that fits.

    Attributes:
        plan: the plan with this layout.
        seconds: estimated time of a step without generation, for ranking only.
        reasons: arguments for it, one sentence each.
    """

    plan: Plan
    seconds: float
    reasons: tuple[str, ...]


def search(model: Architecture, gpu: GPU, settings: Settings, count: int = 5) -> list[Candidate]:
    """Find the fastest layouts that fit, one for each TP x PP x CP, and with experts EP.

    Args:
        model: dimensions.
        gpu: kind of all GPUs.
        settings: number of GPUs and sizes of a step. Layout, recomputation, micro-batch and vLLM's memory are searched;
            trainer and vLLM are offloaded while the other works.
        count: how many to return.

    Returns:
        The best first; empty if nothing fits.

    Raises:
        NotPlanned: the memory of the model, or of its training, can't be planned.
        ValueError: the engine is not Megatron, which alone has layouts to search; or settings of FSDP2 are set.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> from verl_medu1.machine.gpus import find_gpu
        >>> found = search(find_architecture("Qwen2.5-7B-Instruct"), find_gpu("h100-80"), Settings())
        >>> [best := found[0].plan.settings] and best.tp * best.pp * best.cp * best.dp
        8
    """
    require_planned(model)
    if settings.strategy != "megatron":
        raise ValueError(
            f"{KEYS['strategy']} is {settings.strategy!r}, and layouts are searched for Megatron alone; leave "
            "--search out, or set model_engine=megatron."
        )
    raise_all(engine_violations(settings))
    require_planned_training(settings, model)
    machine = Machine(capability=gpu.capability)
    colocated = replace(
        settings,
        param_offload=True,
        optimizer_offload=True,
        free_cache=True,
        activation_fusion=True,
        dynamic=True,
        vpp=None,
    )
    found = []
    for layout in _layouts(model, replace(colocated, rollout_tp=1)):
        if find_violations(layout, model, machine):
            continue
        plans = [plan for plan in _variants(model, gpu, layout) if not plan.problems]
        if plans:
            best = min(plans, key=lambda plan: (step_seconds(plan), -plan.rollout.tokens))
            found.append(Candidate(best, step_seconds(best), _reasons(best)))
    return sorted(found, key=lambda candidate: (candidate.seconds, peak_share(candidate.plan)))[:count]


def _layouts(model: Architecture, settings: Settings) -> Iterator[Settings]:
    """Yield layouts: TP within a node, PP that divides the layers (or with shorter ends), CP; DP is what remains."""
    gpus, node = settings.gpus, settings.gpus_per_node
    for tp in (size for size in tensor_sizes(model) if node % size == 0):
        for pp in (size for size in divisors(gpus // tp) if size <= model.layers):
            ends = _ends(model.layers, pp)
            if ends is None:
                continue
            for cp in divisors(gpus // (tp * pp)):
                if cp == 1 or settings.longest // cp >= assumptions().context_parallel_tokens:
                    layout = replace(settings, tp=tp, pp=pp, cp=cp, first_layers=ends[0], last_layers=ends[1])
                    layout = replace(layout, token_limit=_tokens(layout, 1))
                    yield from _with_experts(model, layout)


def _with_experts(model: Architecture, layout: Settings) -> Iterator[Settings]:
    """Yield a layout with each number of expert parallel ranks, whole experts on each."""
    if model.experts is None:
        yield layout
        return
    for ep in divisors(model.experts.count):
        if layout.gpus % (ep * layout.pp) == 0:
            yield replace(layout, ep=ep, etp=1)


def _ends(layers: int, pp: int) -> tuple[int | None, int | None] | None:
    """Return the layers of the first and last stage if PP does not divide them: about equal, fewer than in the middle.

    None if that is impossible.
    """
    if layers % pp == 0:
        return (None, None)
    middle = -(-layers // pp)
    rest = layers - (pp - 2) * middle
    if pp < 3 or rest < 2:
        return None
    ends = rest // 2, rest - rest // 2
    return ends if max(ends) <= middle and stage_layers(layers, pp, *ends) else None


def _tokens(settings: Settings, sequences: int) -> int:
    """Return the tokens of a rank's micro-batch of this many longest sequences, rounded up to a multiple of 1024."""
    return -(-sequences * settings.longest // (settings.cp * 1024)) * 1024


def _variants(model: Architecture, gpu: GPU, layout: Settings) -> Iterator[Plan]:
    for recompute in RECOMPUTE:
        if model.experts and recompute["recompute"] == "selective":
            recompute = recompute | {"recompute_modules": ("layernorm", "moe")}
        for sequences in MICRO_BATCHES:
            changed = replace(layout, **recompute, token_limit=_tokens(layout, sequences))  # type: ignore[arg-type]
            for share in SHARES:
                plan = build(model, gpu, _with_engines(model, gpu, replace(changed, utilization=share)))
                if not plan.problems:
                    yield plan
                    break


def _with_engines(model: Architecture, gpu: GPU, settings: Settings) -> Settings:
    """Choose the smallest TP for vLLM with which all responses of a step are generated at once, or else the most.

    If they all run at once anyway, more engines of a smaller TP communicate less.
    """
    most, chosen = 0, settings
    for size in tensor_sizes(model):
        if settings.gpus_per_node % size or model.ffn % size or (model.experts and model.experts.ffn % size):
            continue
        changed = replace(settings, rollout_tp=size)
        rollout = rollout_of(model, changed, gpu.memory)
        together = min(rollout.replicas * rollout.concurrency, settings.train_batch * settings.n)
        if together > most:
            most, chosen = together, changed
    return chosen


def step_seconds(plan: Plan) -> float:
    """Estimate the seconds of a step without generation, to rank layouts, not to predict run times.

    Compute: 2 floating-point operations forward per token and weight of a matrix that it passes through, twice that
    backward (arXiv 2001.08361, section 2.1), for the pipeline stage with the most such weights, at a fraction of peak
    FLOPS (assumptions.yaml), extended by the bubble (p - 1) / m (arXiv 2104.04473, section 2.2). Plus a fixed time for
    each layer of a micro-batch, and the communication over its link, without overlap. Attention's own operations are
    left out: every layout has as many.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> from verl_medu1.machine.gpus import find_gpu
        >>> model, gpu = find_architecture("Qwen2.5-7B-Instruct"), find_gpu("h100-80")
        >>> few, many = (build(model, gpu, Settings(nodes=nodes, tp=2, pp=2)) for nodes in (1, 8))
        >>> step_seconds(few) > step_seconds(many)
        True
    """
    settings, gpu, assumed = plan.settings, plan.gpu, assumptions()
    again = {"full": 1.0, "selective": 0.3, None: 0.0}[settings.recompute]
    passes = 3 + forward_passes(settings) + again
    tokens = rank_tokens(settings)
    peak = gpu.tflops_fp8 if settings.fp8 and gpu.tflops_fp8 else gpu.tflops_bf16
    weights = max(
        rank.parameters.linear
        + _output_weights(plan, rank)
        + active_expert_weights(plan.model, rank.layers, settings.tp)
        for rank in plan.ranks
    )
    work = 2 * weights * tokens * passes / (peak * 1e12 * assumed.model_flops_utilization)
    updates = max(1, settings.train_batch // settings.mini_batch)
    micro_batches = max(1.0, tokens / updates / settings.micro_batch_tokens)
    bubble = (settings.pp - 1) / micro_batches
    inside = gpu.nvlink_gb_s / 2 * 1e9 * assumed.link_efficiency
    outside = gpu.network_gb_s * 1e9 * assumed.link_efficiency
    is_inside = settings.gpus <= settings.gpus_per_node
    traffic = plan.communication
    over_nodes = inside if is_inside else outside
    near = inside if settings.tp * settings.cp <= settings.gpus_per_node else outside
    links = (
        traffic.tensor / inside
        + traffic.context / near
        + traffic.experts / (inside if settings.ep * settings.expert_tp <= settings.gpus_per_node else outside)
        + (traffic.pipeline + traffic.data + traffic.weight_sync) / over_nodes
    )
    launches = assumed.micro_batch_seconds * micro_batches * updates * (plan.model.layers / settings.pp) * passes
    return work * (1 + bubble) + links + launches


def _output_weights(plan: Plan, rank: RankMemory) -> int:
    """Return the weights of the output layer on a rank; with tied weights and a single stage it is the embedding."""
    is_embedding = plan.model.tied and plan.settings.pp == 1
    return rank.parameters.embedding if is_embedding else rank.parameters.output


def _reasons(plan: Plan) -> tuple[str, ...]:
    settings, traffic = plan.settings, plan.communication
    recompute = {
        "full": "activations are recomputed whole, which costs about a quarter more",
        "selective": "norms and the feed-forward layer are recomputed",
        None: "nothing is recomputed",
    }[settings.recompute]
    experts: tuple[str, ...] = ()
    if plan.model.experts:
        experts = (
            f"EP {settings.ep} leaves a rank {plan.model.experts.count // settings.ep} experts a layer, and sends "
            f"{traffic.experts / 1e9:,.0f} GB a rank and step to experts and back.",
        )
    return (
        *experts,
        f"TP {settings.tp} stays inside a node and moves {traffic.tensor / 1e9:,.0f} GB a rank and step over NVLink.",
        f"PP {settings.pp} x TP {settings.tp} leaves a rank {max(r.parameters.total for r in plan.ranks) / 1e9:.2f} "
        f"billion parameters; DP {settings.dp} splits the optimizer.",
        f"With micro-batches of {settings.token_limit:,} tokens {recompute}; the peak takes {peak_share(plan):.0%} of "
        "the memory.",
        f"vLLM has {plan.rollout.replicas} engines of TP {settings.rollout_tp}, each with {plan.rollout.tokens:,} "
        f"tokens of cache: {plan.rollout.concurrency} longest answers at once.",
    )
