"""One rank of verl's engine that trains LoRA and saves a checkpoint; run by test_lora_export.py.

usage: lora_worker.py RANK WORLD PORT MODEL ENGINE OUT BEGIN; ENGINE is "fsdp2" or JSON with keys of verl's
McoreEngineConfig. With BEGIN 0 two steps are trained, with a checkpoint after the first; with 1 the second, from that
checkpoint. Writes OUT/<BEGIN>-rank<RANK>.pt: which parameters changed, what vLLM would get, and after each step the
log-probabilities of the vocabulary after each of `PROMPTS`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from tests.cpu.small_engine import build_engine, build_fsdp_engine, join, train_step
from tests.export.worker import FLOAT32, PROMPTS, log_probs, of_every_token
from verl_medu1.run_folder.checkpoints import TRACKER
from verl_medu1.training.log_prob_record import write

RANK, ALPHA = 4, 8
TARGETS = ["linear_qkv", "linear_proj", "linear_fc1", "linear_fc2"]


def parameters(engine: Any) -> dict[str, torch.Tensor]:
    """This rank's part of each parameter."""
    modules = engine.module if isinstance(engine.module, list) else [engine.module]
    return {
        f"{part} {name}": getattr(parameter, "_local_tensor", parameter).detach().clone()
        for part, module in enumerate(modules)
        for name, parameter in module.named_parameters()
    }


def main() -> None:
    rank, world, port, model, layout, out, begin = sys.argv[1:]
    folder = Path(out)
    join(int(rank), int(world), int(port))
    if layout == "fsdp2":
        lora = {"lora_rank": RANK, "lora_alpha": ALPHA, "target_modules": "all-linear", "lora": {"merge": True}}
        engine = build_fsdp_engine(model, lora, FLOAT32, {"save_lora_only": True})
    else:
        lora = {"rank": RANK, "alpha": ALPHA, "target_modules": TARGETS, "merge": True}
        engine = build_engine(model, json.loads(layout), {"lr_decay_style": "constant"}, lora=lora)
        engine.checkpoint_mananager.checkpoint_save_contents.append("hf_model")
    actor = folder / "checkpoints" / "global_step_1" / "actor"
    said: dict[str, Any] = {"steps": []}
    before = parameters(engine)
    for step in (0, 1):
        if step == 0 and begin == "1":
            engine.load_checkpoint(str(actor))
        else:
            train_step(engine, step)
        if step == 0 and begin == "0":
            engine.save_checkpoint(str(actor), global_step=1)
        found = log_probs(engine, PROMPTS)
        said["steps"].append(of_every_token(engine))
        if step == 0 and begin == "0" and found is not None:
            write(actor, PROMPTS[0], found[0].tolist()[: len(PROMPTS[0]) - 1], "float32")
            (folder / "checkpoints" / TRACKER).write_text("1")
    said["changed"] = {name: not torch.equal(old, parameters(engine)[name]) for name, old in before.items()}
    sent, _ = engine.get_per_tensor_param()
    said["sent"] = {name: tensor.clone() for name, tensor in sent}
    torch.save(said, folder / f"{begin}-rank{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
