"""One rank of verl's FSDP2 engine on gloo: makes a step on fixed rows and counts the bytes of its tensors.

usage: fsdp_worker.py RANK WORLD PORT MODEL KEYS OUT; run by test_fsdp_memory.py. KEYS is JSON: keys of verl's
HFModelConfig under "model" and of its FSDPEngineConfig under "engine". Writes OUT/rank<RANK>.pt.
"""

import argparse
import json
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch.distributed.tensor import DTensor

from tests.cpu.image_rows import with_images
from tests.cpu.memory import ROWS
from tests.cpu.small_engine import batch, build_fsdp_engine, join


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Of the tensors' elements: FSDP2's storages are padded to as many rows as the first rank has."""
    return sum(local.numel() * local.element_size() for local in map(_local, tensors))


@contextmanager
def _peak_of_kept(resident: set[int]) -> Iterator[list[int]]:
    """The most bytes that autograd keeps at a time for backward, without the storages that are there anyway.

    Storages are told apart by their address in C++: FSDP2 gives a gathered weight's storage other memory each time.
    """
    holders: dict[int, int] = {}
    sizes: dict[int, int] = {}
    peak = [0]

    class Held:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor

    def release(at: int) -> None:
        holders[at] -= 1
        if not holders[at]:
            del holders[at], sizes[at]

    def keep(tensor: torch.Tensor) -> Held:
        held = Held(tensor)
        if tensor.is_nested:
            return held
        storage = tensor.untyped_storage()
        at = storage._cdata
        if at not in resident:
            holders[at], sizes[at] = holders.get(at, 0) + 1, storage.nbytes()
            weakref.finalize(held, release, at)
            peak[0] = max(peak[0], sum(sizes.values()))
        return held

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held.tensor):
        yield peak


def _gathered(module: torch.nn.Module) -> set[int]:
    """The storages of whole weights, which FSDP2 fills and empties."""
    found = set()
    for unit in module.modules():
        state = getattr(unit, "_get_fsdp_state", lambda: None)()
        group = getattr(state, "_fsdp_param_group", None)
        for parameter in group.fsdp_params if group else ():
            found |= {output.untyped_storage()._cdata for output in parameter.all_gather_outputs}
            found.add(_local(parameter.sharded_param).untyped_storage()._cdata)
    return found


def measure(engine: Any) -> dict[str, int]:
    """Bytes of weights, gradients, optimizer and, at their peak over the rows, of activations."""
    from verl.workers.utils.losses import sft_loss

    loss, config = partial(sft_loss, config=None), engine.model_config.hf_config

    def rows(seed: int) -> Any:
        return with_images(batch(seed, ROWS), config) if hasattr(config, "vision_config") else batch(seed, ROWS)

    with engine.train_mode():
        engine.train_batch(rows(0), loss_function=loss)
    parameters = list(engine.module.parameters())
    states = [value for state in engine.optimizer.state.values() for value in state.values()]
    with engine.train_mode():
        engine.optimizer_zero_grad()
        with _peak_of_kept(_gathered(engine.module)) as peak:
            engine.forward_backward_batch(rows(1), loss)
        gradients = _bytes(parameter.grad for parameter in parameters if parameter.grad is not None)
    return {
        "weights": _bytes(parameters),
        "gradients": gradients,
        "optimizer": _bytes(state for state in states if state.numel() > 1),  # a step is a number
        "activations": peak[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("rank", "world", "port"):
        parser.add_argument(name, type=int)
    parser.add_argument("model")
    parser.add_argument("keys", type=json.loads)
    parser.add_argument("out", type=Path)
    a = parser.parse_args()
    join(a.rank, a.world, a.port)
    engine = build_fsdp_engine(
        a.model, a.keys.get("model", {}), {"use_no_sync_for_gradient_accumulation": False, **a.keys.get("engine", {})}
    )
    torch.save(measure(engine), a.out / f"rank{a.rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
