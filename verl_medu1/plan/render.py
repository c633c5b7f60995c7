"""Shows a plan as tables for people and as plain values for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from verl_medu1.machine.gpus import GIB
from verl_medu1.plan.adapters import tower_targets
from verl_medu1.plan.architecture import NotPlanned
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.fsdp_tower import patches
from verl_medu1.plan.judge_server import JudgeServer, server_sentence, server_weights
from verl_medu1.plan.memory import PHASES, RankMemory, peak_of
from verl_medu1.plan.parameters import active_parameters, total_parameters
from verl_medu1.plan.search import Candidate
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.plan.verdict import Plan, Verdict, larger, peak_share
from verl_medu1.plan.vision import image_tokens, tower_parameters

# Keys that verl's configuration does not list; on a command line Hydra accepts them only with ++.
NOT_IN_VERL = ("first_layers", "last_layers", "activation_fusion")
LAYOUT = ("nodes", "gpus_per_node", "tp", "pp", "cp", "vpp", "first_layers", "last_layers", "rollout_tp")


def gib(size: float) -> str:
    """Format bytes as GiB with one decimal.

    Example:
        >>> gib(3 * 2**30)
        '3.0'
    """
    return f"{size / GIB:.1f}"


def as_plain(plan: Plan, verdict: Verdict, server: JudgeServer | None = None) -> dict[str, Any]:
    """Return the plan for --json, with sizes in bytes; `server` is a judge on the job's own nodes."""
    settings = plan.settings
    return {
        "model": asdict(plan.model),
        "gpu": asdict(plan.gpu),
        "settings": {KEYS[name]: _plain(value) for name, value in asdict(settings).items() if name != "environment"},
        "data_parallel_size": settings.dp,
        "ranks": [
            {
                "stage": rank.stage,
                "layers": rank.layers,
                "parameters": rank.parameters.total,
                "phases": rank.phases,
                "totals": {phase: rank.total(phase) for phase in PHASES},
            }
            for rank in plan.ranks
        ],
        "rollout": asdict(plan.rollout),
        "communication": asdict(plan.communication),
        "verdict": verdict.word,
        "changes": {key: _plain(value) for key, value in verdict.changes.items()},
        "problems": verdict.problems,
        "judge": None if server is None else _judge_as_plain(server),
    }


def _judge_as_plain(server: JudgeServer) -> dict[str, Any]:
    try:
        weights: float | None = server_weights(server)
    except NotPlanned:
        weights = None
    return {"model": server.model, "gpus_per_node": server.gpus, "weights": weights}


def candidates_as_plain(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return the layouts of a search for --json."""
    return [
        {
            "overrides": overrides_of(candidate.plan.settings),
            "data_parallel_size": candidate.plan.settings.dp,
            "seconds_without_generation": candidate.seconds,
            "peak_share": peak_share(candidate.plan),
            "reasons": list(candidate.reasons),
        }
        for candidate in candidates
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def overrides_of(settings: Settings) -> list[str]:
    """Return the layout of a search as overrides of `medu1 train`.

    Example:
        >>> overrides_of(Settings(tp=4))[0]
        'trainer.nnodes=1'
    """
    names = [*LAYOUT, "token_limit", "dynamic", "param_offload", "optimizer_offload", "free_cache", "utilization"]
    names += ["activation_fusion", "recompute"]
    if settings.ep > 1 or settings.etp is not None:
        names += ["ep", "etp"]
    if settings.recompute == "full":
        names += ["recompute_method", "recompute_layers"]
    if settings.recompute == "selective":
        names += ["recompute_modules"]
    unset = [name for name in NOT_IN_VERL if getattr(settings, name) is None]
    return [override_of(KEYS[name], getattr(settings, name)) for name in names if name not in unset]


def override_of(key: str, value: Any) -> str:
    """Format a setting as a Hydra override on the command line.

    Example:
        >>> override_of("trainer.nnodes", 2), override_of(KEYS["first_layers"], 6).startswith("++")
        ('trainer.nnodes=2', True)
    """
    return f"{'++' if key in {KEYS[name] for name in NOT_IN_VERL} else ''}{key}={_override(value)}"


def _override(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(value)}]" if isinstance(value, tuple) else str(value)


def _stages(ranks: Sequence[RankMemory]) -> list[tuple[str, RankMemory]]:
    """Group stages with the same figures into one row, such as "1-6"."""
    groups: list[list[RankMemory]] = []
    for rank in ranks:
        if groups and (groups[-1][0].phases, groups[-1][0].layers) == (rank.phases, rank.layers):
            groups[-1].append(rank)
        else:
            groups.append([rank])
    return [
        (str(group[0].stage) if len(group) == 1 else f"{group[0].stage}-{group[-1].stage}", group[0])
        for group in groups
    ]


def _memory_table(plan: Plan, phase: str) -> Table:
    table = Table(title=f"{phase}: GiB of {plan.gpu.memory_gib} on a {plan.gpu.name}", title_justify="left")
    parts = [part for part in plan.ranks[0].phases[phase] if any(rank.phases[phase][part] for rank in plan.ranks)]
    for column in ("stage", "layers", "parameters", *parts, "total"):
        table.add_column(column, justify="right")
    for name, rank in _stages(plan.ranks):
        figures = [gib(rank.phases[phase][part]) for part in parts]
        table.add_row(name, str(rank.layers), f"{rank.parameters.total:,}", *figures, gib(rank.total(phase)))
    return table


def print_plan(plan: Plan, verdict: Verdict, console: Console, server: JudgeServer | None = None) -> None:
    """Print the memory of each phase, vLLM's cache, the judge on the job's nodes, communication, and the verdict."""
    settings, rollout = plan.settings, plan.rollout
    console.print(
        f"{plan.model.name} on {settings.nodes} x {settings.gpus_per_node} {plan.gpu.name}: {settings.layout}"
        f"{f', LoRA of rank {settings.adapter_rank}' if settings.adapter_rank else ''}, micro-batches of "
        f"{settings.micro_batch_tokens:,} tokens, recompute {settings.recomputation}."
    )
    if plan.model.experts:
        console.print(
            f"Experts: {plan.model.experts.count} in a layer over EP {settings.ep} x ETP {settings.expert_tp}, data "
            f"parallel {settings.expert_dp}; a token passes through {active_parameters(plan.model):,} of "
            f"{total_parameters(plan.model):,} parameters. A rank is taken to get up to "
            f"{assumptions().expert_imbalance:g} times its share of the tokens."
        )
    if plan.model.vision:
        console.print(_seeing(plan))
    for phase in PHASES:
        console.print(_memory_table(plan, phase))
    console.print(
        f"vLLM: {rollout.replicas} engines of TP {settings.rollout_tp}; a rank has {gib(rollout.weights)} GiB of "
        f"weights and {gib(max(0.0, rollout.cache))} GiB of cache. An engine's cache holds {rollout.tokens:,} tokens, "
        f"{rollout.concurrency} answers of {settings.longest:,} tokens at once."
    )
    if server is not None:
        console.print(server_sentence(server, plan.gpu))
    figures = asdict(plan.communication)
    if plan.model.experts is None:
        del figures["experts"]
    table = Table(title="GB that a rank sends and receives in a step", title_justify="left")
    for name in figures:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(*(f"{size / 1e9:,.1f}" for size in figures.values()))
    console.print(table)
    print_verdict(plan, verdict, console)


def _seeing(plan: Plan) -> str:
    model, settings = plan.model, plan.settings
    assert model.vision is not None
    adapted = len(tower_targets(model, settings))
    how = f"with {adapted} adapters" if adapted else "frozen" if settings.adapter_rank else "trained"
    side = settings.image_side
    return (
        f"Vision: {tower_parameters(model.vision):,} parameters, {how}. Images of a row: {settings.images} of "
        f"{side} x {side} pixels, each {image_tokens(model.vision, side, side)} of the prompt's {settings.prompt:,} "
        f"tokens; of a micro-batch: up to {patches(model, settings):,} patches."
    )


def print_verdict(plan: Plan, verdict: Verdict, console: Console) -> None:
    """Print what does not fit, the changes that would make it fit, and the verdict."""
    for problem in verdict.problems:
        console.print(f"- {problem}")
    rank, phase = peak_of((verdict.changed or plan).ranks)
    peak = f"the peak is {phase}, {gib(rank.total(phase))} GiB on stage {rank.stage}"
    if not verdict.changes:
        console.print(f"Verdict: {verdict.word}; {peak}.")
        if verdict.problems:
            way_out = larger(plan.settings, plan.model)
            console.print(f"No change of offload, micro-batch or recomputation helps: {way_out}.")
        return
    console.print(f"Verdict: {verdict.word}; then {peak}:")
    for key, value in verdict.changes.items():
        console.print(f"  {override_of(key, value)}")


def print_search(candidates: Sequence[Candidate], console: Console) -> None:
    """Print the layouts of a search, and the reasons and overrides of the best one."""
    table = Table(title="Layouts that fit, the fastest first", title_justify="left")
    columns = ("TP", "PP", "CP", "EP", "DP", "micro-batch", "recompute", "vLLM TP", "share", "s a step *", "peak")
    for column in columns:
        table.add_column(column, justify="right")
    for candidate in candidates:
        settings = candidate.plan.settings
        sizes = (settings.tp, settings.pp, settings.cp, settings.ep, settings.dp, settings.token_limit)
        table.add_row(
            *map(str, sizes),
            settings.recompute or "none",
            str(settings.rollout_tp),
            str(settings.utilization),
            f"{candidate.seconds:,.0f}",
            f"{peak_share(candidate.plan):.0%}",
        )
    console.print(table)
    console.print("* estimated for the longest batch, without generation; it orders layouts and promises nothing.")
    for reason in candidates[0].reasons:
        console.print(f"- {reason}")
    for override in overrides_of(candidates[0].plan.settings):
        console.print(f"  {override}")
