"""A rank of verl's FSDP2 engine that trains two steps on rows with an image; run by test_vision_lora.py.

usage: vision_lora_worker.py RANK WORLD PORT MODEL LORA OUT; LORA is JSON with keys of verl's HFModelConfig. Writes
OUT/rank<RANK>.pt: which tensors of the state changed, and the bytes of the optimizer.
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed

from tests.cpu.small_engine import build_fsdp_engine, join
from tests.export.worker import FLOAT32
from verl_medu1.training.log_prob_record import rows_of_text


def main() -> None:
    rank, world, port, model, lora, out = sys.argv[1:]
    join(int(rank), int(world), int(port))
    from verl.utils import hf_processor, hf_tokenizer
    from verl.utils import tensordict_utils as tu
    from verl.workers.utils.losses import sft_loss

    keys = {"use_remove_padding": False, **json.loads(lora)}
    engine = build_fsdp_engine(model, keys, FLOAT32, {})
    _, rows = rows_of_text(hf_tokenizer(model), hf_processor(model), 1)
    tu.assign_non_tensor(rows, compute_loss=True, global_batch_size=int(world))

    def state() -> dict[str, torch.Tensor]:
        return {
            name: getattr(tensor, "_local_tensor", tensor).detach().clone()
            for name, tensor in engine.module.state_dict().items()
        }

    before = state()
    for _ in range(2):
        with engine.train_mode():
            engine.train_batch(rows, loss_function=partial(sft_loss, config=None))
            engine.lr_scheduler_step()
    after = state()
    of_optimizer = [
        getattr(value, "_local_tensor", value)
        for kept in engine.optimizer.state.values()
        for value in kept.values()
        if isinstance(value, torch.Tensor) and value.ndim
    ]
    said = {
        "changed": {name: not torch.equal(tensor, after[name]) for name, tensor in before.items()},
        "optimizer": sum(tensor.nbytes for tensor in of_optimizer),
    }
    torch.save(said, Path(out) / f"rank{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
