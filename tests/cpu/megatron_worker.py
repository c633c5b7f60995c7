"""One rank of verl's Megatron engine on gloo: trains on fixed rows, optionally from a checkpoint.

usage: megatron_worker.py RANK WORLD PORT MODEL TP PP OUT [--load DIR] [--save DIR]; run by test_megatron_engine.py.
Writes OUT/rank<RANK>.pt: log-probabilities before training, weights and Adam's state after step 4, and bytes of its
tensors.
"""

import argparse
from pathlib import Path

import torch
import torch.distributed

from tests.cpu.memory import measure
from tests.cpu.small_engine import build_engine, join, log_probs, train_step

STEPS, SAVED_STEP = 4, 2


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("rank", "world", "port"):
        parser.add_argument(name, type=int)
    parser.add_argument("model")
    for name in ("tp", "pp"):
        parser.add_argument(name, type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--load")
    parser.add_argument("--save")
    a = parser.parse_args()
    join(a.rank, a.world, a.port)
    layout = {"tensor_model_parallel_size": a.tp, "pipeline_model_parallel_size": a.pp}
    engine = build_engine(a.model, layout, {"lr_decay_style": "linear"})

    result: dict[str, object] = {}
    start = 0
    if a.load:
        engine.load_checkpoint(a.load)
        start = SAVED_STEP
    elif rows := log_probs(engine, 0):
        result["log_probs"] = rows
    for step in range(start, STEPS):
        train_step(engine, step)
        if a.save and step + 1 == SAVED_STEP:
            engine.save_checkpoint(a.save, global_step=SAVED_STEP)

    result["weights"] = [p.detach().clone() for module in engine.module for p in module.parameters()]
    adams = [part.optimizer for part in getattr(engine.optimizer, "chained_optimizers", [engine.optimizer])]
    states = [adam.state[p] for adam in adams for group in adam.param_groups for p in group["params"]]
    result["adam"] = [{name: value.clone() for name, value in state.items()} for state in states]
    result["step_tensors"] = len({state["step"].data_ptr() for state in states})
    result["memory"] = measure(engine)
    torch.save(result, a.out / f"rank{a.rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
