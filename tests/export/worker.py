"""One rank of verl's engine that trains a step and saves a checkpoint, as a run does, without the rest of the stack.

usage: worker.py RANK WORLD PORT MODEL LAYOUT OUT; run by test_export.py. LAYOUT is "fsdp2", or JSON with keys of verl's
McoreEngineConfig. Writes OUT/checkpoints (Megatron with its own shards and with the bridge's Hugging Face folder) and
OUT/rank<RANK>.pt: the log-probability of every token of the vocabulary after each of `PROMPTS`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from tests.cpu.small_engine import VOCABULARY, build_engine, build_fsdp_engine, join, token_rows, train_step
from verl_medu1.run_folder.checkpoints import TRACKER
from verl_medu1.training.log_prob_record import rows_for_engine, write

# In which the FSDP2 engine computes here; Megatron's is built so.
FLOAT32 = {"dtype": "float32", "mixed_precision": {"param_dtype": "fp32", "reduce_dtype": "fp32"}}
PROMPTS = [row.tolist() for row in token_rows(7)[1:3]]


def of_every_token(engine: Any) -> torch.Tensor | None:
    """Log-probabilities of the whole vocabulary after each prompt, on the rank that has them."""
    every = log_probs(engine, [[*prompt, token] for prompt in PROMPTS for token in range(VOCABULARY)])
    if every is None:
        return None
    last = [row[len(PROMPTS[place // VOCABULARY]) - 1] for place, row in enumerate(every)]
    return torch.stack(last).view(len(PROMPTS), VOCABULARY)


def log_probs(engine: Any, rows: list[list[int]]) -> list[torch.Tensor] | None:
    """Log-probabilities of the rows' tokens, on the rank that has them."""
    from verl.utils import tensordict_utils as tu

    batch = rows_for_engine(rows)
    tu.assign_non_tensor(batch, max_token_len_per_gpu=512)  # more than one row at a time
    with engine.eval_mode():
        output = engine.infer_batch(batch, loss_function=None)
    return output["model_output"]["log_probs"].unbind() if engine.is_mp_src_rank_with_outputs() else None


def main() -> None:
    rank, world, port, model, layout, out = sys.argv[1:]
    folder = Path(out)
    join(int(rank), int(world), int(port))
    if layout == "fsdp2":
        engine = build_fsdp_engine(model, engine_keys=FLOAT32)
    else:
        engine = build_engine(model, json.loads(layout), {"lr_decay_style": "constant"})
        engine.checkpoint_mananager.use_dist_checkpointing = True
        engine.checkpoint_mananager.checkpoint_save_contents.append("hf_model")
    train_step(engine, 0)
    actor = folder / "checkpoints" / "global_step_1" / "actor"
    engine.save_checkpoint(str(actor), global_step=1)

    found = log_probs(engine, PROMPTS)
    every = of_every_token(engine)
    if found is not None:
        torch.save(every, folder / f"rank{rank}.pt")
        write(actor, PROMPTS[0], found[0].tolist()[: len(PROMPTS[0]) - 1], "float32")
        (folder / "checkpoints" / TRACKER).write_text("1")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
