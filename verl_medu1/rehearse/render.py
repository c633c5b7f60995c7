"""Shows a rehearsal beside the plan, as tables for people and as plain values for programs."""

from typing import Any

from rich.console import Console
from rich.table import Table

from verl_medu1.machine.gpus import GIB
from verl_medu1.plan.memory import RankMemory
from verl_medu1.plan.settings import Settings
from verl_medu1.rehearse.batch import micro_batches, row_lengths
from verl_medu1.rehearse.layers import STAND_INS
from verl_medu1.rehearse.rehearsal import PARTS, Rehearsed

NOT_COVERED = (
    "what kernels compute, and how long they take",
    "memory of CUDA, NCCL and kernels' workspaces, and fragmentation: the plan's reserve",
    "FP8, and context parallel attention's exchange of keys and values",
    "log-probabilities, weight sync and generation: the plan alone has them",
)


def as_plain(rehearsed: Rehearsed, planned: RankMemory, settings: Settings) -> dict[str, Any]:
    """Return the rehearsal for --json, with sizes in bytes."""
    return {
        "rank": rehearsed.rank,
        "world": settings.gpus,
        "stage": rehearsed.stage,
        "micro_batches": micro_batches(settings),
        "rows": row_lengths(settings),
        "parameters": {"rehearsed": rehearsed.parameters, "planned": planned.parameters.total},
        "memory": {
            part: {"rehearsed": rehearsed.memory[part], "planned": planned.phases["training"][part]} for part in PARTS
        },
        "collectives": [
            {"collective": kind.name, "group": kind.group, "ranks": kind.size, "calls": calls, "bytes": kept}
            for kind, calls, kept in rehearsed.collectives
        ],
        "stand_ins": STAND_INS,
        "not_covered": NOT_COVERED,
    }


def print_rehearsal(rehearsed: Rehearsed, planned: RankMemory, settings: Settings, console: Console) -> None:
    """Print memory by part beside the plan, the collectives, the stand-ins and what is not covered."""
    rows = row_lengths(settings)
    console.print(
        f"rank {rehearsed.rank} of {settings.gpus}, pipeline stage {rehearsed.stage}: one update of "
        f"{micro_batches(settings)} micro-batches of {len(rows)} x {rows[0]} tokens"
    )
    console.print(f"parameters: {rehearsed.parameters:,}; planned {planned.parameters.total:,}")
    table = Table("GiB while training", "rehearsed", "planned", "plan is", title_justify="left")
    sizes = {part: (float(rehearsed.memory[part]), planned.phases["training"][part]) for part in PARTS}
    sizes["together"] = (sum(found for found, _ in sizes.values()), sum(plan for _, plan in sizes.values()))
    for part, (found, plan) in sizes.items():
        off = f"{plan / found - 1:+.1%}" if found else ""
        table.add_row(part, f"{found / GIB:.2f}", f"{plan / GIB:.2f}", off)
    console.print(table)
    traffic = Table("collective", "group", "ranks", "calls", "GiB of its tensors")
    for kind, calls, kept in rehearsed.collectives:
        traffic.add_row(kind.name, kind.group, str(kind.size), str(calls), f"{kept / GIB:.3f}")
    console.print(traffic)
    console.print("Stand-ins: " + "; ".join(f"{what} ({how})" for what, how in STAND_INS.items()) + ".")
    console.print("Not covered: " + "; ".join(NOT_COVERED) + ".")
