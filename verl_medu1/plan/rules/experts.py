"""Checks experts against the layout, what Megatron-Bridge makes of them, and router replay; part of
`layout.find_violations`.
"""

from collections.abc import Iterator

from verl_medu1.exit import Problem
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.experts import Experts
from verl_medu1.plan.rules.sizes import divisors, nearest
from verl_medu1.plan.settings import KEYS, Settings


def expert_violations(settings: Settings, model: Architecture) -> Iterator[Problem]:
    """Yield what is wrong with the keys of experts, one sentence each; for Megatron and vLLM.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> wrong = Settings(nodes=3, ep=24, etp=1, train_batch=96, mini_batch=48)
        >>> [found.about for found in expert_violations(wrong, find_architecture("Qwen3-30B-A3B"))]
        ['actor_rollout_ref.actor.megatron.expert_model_parallel_size']
    """
    if model.experts is None:
        # The dimensions of experts of other model types are not known.
        if model.ffn:
            yield from _violations_without_experts(settings, model)
        return
    if settings.strategy == "megatron":
        if model.experts.layers < model.layers:
            yield Problem(
                "model",
                f"model {model.name!r} has layers without experts among the others, and Megatron-Bridge 0.5.1 would "
                "give every layer experts: another model would be trained; choose another one.",
            )
        yield from _layout_violations(settings, model.experts)
        yield from _router_violations(settings, model.experts)
        yield from _replay_violations(settings)
    yield from _rollout_violations(settings, model.experts)


def _violations_without_experts(settings: Settings, model: Architecture) -> Iterator[Problem]:
    for name, off in (("ep", 1), ("rollout_ep", 1), ("router_replay", "disabled"), ("rollout_routes", False)):
        key, value = KEYS[name], getattr(settings, name)
        if value != off:
            off = str(off).lower()
            yield Problem(key, f"{key} is {value!r}, and model {model.name!r} has no experts; set it to {off}.")


def _layout_violations(settings: Settings, experts: Experts) -> Iterator[Problem]:
    """Check the groups of ranks that experts are shared out over (megatron/core/parallel_state.py)."""
    key, ep, etp = KEYS["ep"], settings.ep, settings.expert_tp
    shared = [size for size in divisors(experts.count) if settings.gpus % (size * etp * settings.pp) == 0]
    if experts.count % ep:
        yield Problem(
            key, f"{key} is {ep}, which does not divide the model's {experts.count} experts; {_near(shared, ep)}."
        )
    elif settings.gpus % (ep * etp * settings.pp):
        yield Problem(
            key,
            f"{key} x expert_tensor_parallel_size ({etp}) x pipeline_model_parallel_size is {ep * etp * settings.pp}, "
            f"which does not divide the {settings.gpus} workers; {_near(shared, ep)}.",
        )
    key = KEYS["etp"]
    if experts.ffn % etp:
        valid = divisors(experts.ffn)
        said = etp if settings.etp else f"null, which means {KEYS['tp']}, {etp}"
        yield Problem(
            key, f"{key} is {said}, which does not divide an expert's {experts.ffn} columns; {_near(valid, etp)}."
        )
    if settings.tp > 1 and not settings.sequence_parallel:
        # megatron/core/transformer/moe/moe_layer.py, MoELayer.forward.
        key = KEYS["sequence_parallel"]
        yield Problem(
            key, f"{key} is False, and experts need it with {KEYS['tp']} above 1 ({settings.tp}); set it to true."
        )


def _near(valid: list[int], size: int) -> str:
    return f"near it are {nearest(valid, size)}" if valid else f"lower {KEYS['pp']}, or {KEYS['etp']}"


def _router_violations(settings: Settings, experts: Experts) -> Iterator[Problem]:
    """Check that Megatron's router computes what the model's own does.

    Megatron-Bridge 0.5.1 does not read norm_topk_prob (models/qwen/qwen3_moe_bridge.py sets moe_router_pre_softmax to
    False: the softmax is over the chosen experts, so that their weights add up to 1).
    """
    key = KEYS["pre_softmax"]
    if settings.pre_softmax == experts.normalised:
        wanted = str(not experts.normalised).lower()
        yield Problem(
            key,
            f"{key} is {settings.pre_softmax}, and the model's norm_topk_prob is {experts.normalised}, so that "
            f"Megatron would weigh its experts differently; set it to {wanted}.",
        )
    key = KEYS["capacity_factor"]
    if settings.capacity_factor is not None:
        yield Problem(
            key,
            f"{key} is {settings.capacity_factor}, with which the trainer drops tokens that vLLM computes; set it to "
            "null.",
        )


def _replay_violations(settings: Settings) -> Iterator[Problem]:
    """Check router replay as verl 0.9.1 has it.

    R2 records the experts when the trainer computes the old log-probabilities, and takes them again in the update
    (verl/workers/engine/megatron/transformer_impl.py, record_r2_routes). R3 takes those that vLLM chose, which it
    returns with `enable_return_routed_experts` (verl/workers/rollout/vllm_rollout/vllm_async_server.py).
    """
    mode, routes = KEYS["router_replay"], KEYS["rollout_routes"]
    if settings.router_replay == "R2" and settings.bypass:
        yield Problem(
            mode,
            f"{mode} is 'R2', which records experts with the old log-probabilities, and {KEYS['bypass']} is True, "
            "which skips them; set that to false.",
        )
    if settings.router_replay == "R3" and not settings.rollout_routes:
        yield Problem(routes, f"{routes} is False, and {mode} is 'R3', which replays vLLM's experts; set it to true.")
    if settings.router_replay != "R3" and settings.rollout_routes:
        yield Problem(
            routes, f"{routes} is True, and {mode} is {settings.router_replay!r}; set it to false, or that to R3."
        )


def _rollout_violations(settings: Settings, experts: Experts) -> Iterator[Problem]:
    """Check that vLLM can split its experts like the other matrices, or share out whole ones.

    Source: verl/workers/config/rollout.py, RolloutConfig.__post_init__.
    """
    key, ep, tp = KEYS["rollout_ep"], settings.rollout_ep, settings.rollout_tp
    if ep not in (1, tp):
        yield Problem(key, f"{key} is {ep}, and {KEYS['rollout_tp']} is {tp}; set it to 1 or {tp}.")
    elif ep == 1 and experts.ffn % tp:
        key = KEYS["rollout_tp"]
        yield Problem(
            key,
            f"{key} is {tp}, which does not divide an expert's {experts.ffn} columns; near it are "
            f"{nearest(divisors(experts.ffn), tp)}, or set {KEYS['rollout_ep']} to {tp}.",
        )
