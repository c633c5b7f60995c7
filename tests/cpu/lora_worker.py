"""One rank of verl's Megatron engine with LoRA on gloo: makes two steps on fixed rows.

usage: lora_worker.py RANK WORLD PORT MODEL ENGINE LORA OUT; run by test_lora_memory.py. ENGINE and LORA are JSON.
Writes OUT/rank<RANK>.pt: bytes of its tensors, and which of its parameters changed.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.distributed

from tests.cpu.memory import measure
from tests.cpu.small_engine import build_engine, join, train_step


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("rank", "world", "port"):
        parser.add_argument(name, type=int)
    parser.add_argument("model")
    for name in ("engine", "lora"):
        parser.add_argument(name, type=json.loads)
    parser.add_argument("out", type=Path)
    a = parser.parse_args()
    join(a.rank, a.world, a.port)
    engine = build_engine(a.model, a.engine, {"lr_decay_style": "constant"}, lora=a.lora)
    named = [(name, parameter) for module in engine.module for name, parameter in module.named_parameters()]
    before = [parameter.detach().clone() for _, parameter in named]
    for seed in range(2):  # A has no gradient until B is no longer 0
        train_step(engine, seed)
    changed = {name: not torch.equal(old, new) for old, (name, new) in zip(before, named, strict=True)}
    torch.save({"memory": measure(engine), "changed": changed}, a.out / f"rank{a.rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
