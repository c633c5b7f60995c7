"""Bytes of each rank while a small model makes a step through verl's Megatron engine on gloo; part of planner.py."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import typer

from verl_medu1.plan.architecture import Architecture

RankBytes = tuple[str, int, str, float, int]  # layout, rank, part, predicted, measured
ROOT = Path(__file__).resolve().parents[1]
# TP, PP, VPP, ranks. With more ranks than TP x PP the optimizer is shared out.
LAYOUTS: list[tuple[int, int, int | None, int]] = [
    (1, 1, None, 1),
    (2, 1, None, 2),
    (1, 1, None, 2),
    (2, 2, None, 4),
    (2, 2, 2, 4),
]


def of_torch(model: Architecture) -> float:
    """Bytes that a layer on the CPU keeps of a token beside what the planner counts (tests/cpu/memory.py)."""
    sys.path.insert(0, str(ROOT))
    from tests.cpu.memory import of_torch

    return of_torch(model)


def rank_bytes() -> Iterator[RankBytes]:
    """Layout, rank, part, and its bytes: by the planner, and in the tensors of the rank."""
    sys.path.insert(0, str(ROOT))
    import torch

    from tests.cpu.memory import PARTS, compared
    from tests.cpu.ranks import run_ranks
    from tests.twins.twin import Twin, write_model

    for tp, pp, vpp, world in LAYOUTS:
        twin = Twin("qwen2", False, 4, False, tp=2, pp=2, vpp=vpp or 1)
        keys = {"tensor_model_parallel_size": tp, "pipeline_model_parallel_size": pp}
        engine = keys | ({"virtual_pipeline_model_parallel_size": vpp} if vpp else {})
        name = f"TP {tp}, PP {pp}, {f'VPP {vpp}, ' if vpp else ''}DP {world // (tp * pp)}"
        typer.echo(f"measuring {name}", err=True)
        with tempfile.TemporaryDirectory() as folder:
            model, out = Path(folder, "model"), Path(folder, "out")
            write_model(twin, model)
            out.mkdir()
            run_ranks("tests.twins.worker", world, model, json.dumps(engine), out)
            ranks = [torch.load(out / f"rank{rank}.pt")["memory"] for rank in range(world)]
            for number, (part, planned, measured) in enumerate(compared(model, engine, ranks)):
                yield name, number // len(PARTS), part, planned, measured
