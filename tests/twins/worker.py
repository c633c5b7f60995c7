"""One rank of a twin: what verl's Megatron engine computes at a layout.

usage: worker.py RANK WORLD PORT MODEL ENGINE OUT [--load DIR] [--save DIR]; run by test_twins.py. ENGINE is JSON.
Writes OUT/rank<RANK>.pt: log-probabilities, gradients and weights under Hugging Face's names, and bytes of its
tensors.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from tests.cpu.memory import measure
from tests.cpu.small_engine import batch, build_engine, join, log_probs, share, train_step

# Updates by Adam with this epsilon hardly depend on the last digits of a gradient.
OPTIMIZER = {"lr_decay_style": "constant", "override_optimizer_config": {"adam_eps": 1e-4}}
# What another layout can read: the random states of a checkpoint are those of its ranks.
LOADED = ("model", "optimizer")


def weights(engine: Any) -> dict[str, torch.Tensor]:
    """All weights under Hugging Face's names, as they travel to the rollout."""
    return {name: tensor.detach().clone() for name, tensor in engine.get_per_tensor_param()[0]}


def gradients(engine: Any, seed: int) -> dict[str, torch.Tensor]:
    """Gradients of the loss on the rows of a seed, by the same way as the weights."""
    from verl.workers.utils.losses import sft_loss

    with engine.train_mode():
        engine.optimizer_zero_grad()
        engine.forward_backward_batch(batch(seed, part=share(engine)), partial(sft_loss, config=None))
        parameters = [parameter for module in engine.module for parameter in module.parameters()]
        kept = [parameter.detach().clone() for parameter in parameters]
        with torch.no_grad():
            for parameter in parameters:
                parameter.copy_(parameter.main_grad)
            found = weights(engine)
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("rank", "world", "port"):
        parser.add_argument(name, type=int)
    parser.add_argument("model")
    parser.add_argument("engine", type=json.loads)
    parser.add_argument("out", type=Path)
    parser.add_argument("--load")
    parser.add_argument("--save")
    a = parser.parse_args()
    join(a.rank, a.world, a.port)
    engine = build_engine(a.model, a.engine, OPTIMIZER, LOADED)

    result: dict[str, Any] = {}
    if a.load:
        engine.load_checkpoint(a.load)
    else:
        result["weights_before"] = weights(engine)
        result["log_probs"] = log_probs(engine, 0)
        # Data-parallel ranks keep sums of parts of the gradients only; the weights after the step tell.
        result["gradients"] = gradients(engine, 0) if engine.get_data_parallel_size() == 1 else None
        train_step(engine, 0)
    result["weights"] = weights(engine)
    result["log_probs_after"] = log_probs(engine, 1)
    if a.save:
        engine.save_checkpoint(a.save, global_step=1)
    train_step(engine, 1)
    result["weights_after"] = weights(engine)
    result["memory"] = measure(engine)
    torch.save(result, a.out / f"rank{a.rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
