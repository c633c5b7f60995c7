"""One rank of verl's engine that trains a step and saves a checkpoint, as a run does, without the rest of the stack.

usage: worker.py RANK WORLD PORT MODEL LAYOUT OUT; run by test_export.py. LAYOUT is "fsdp2", or JSON with keys of verl's
McoreEngineConfig. Writes OUT/checkpoints (Megatron with its own shards and with the bridge's Hugging Face folder) and
OUT/rank<RANK>.pt: the log-probability of every token of the vocabulary after each of `PROMPTS`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed

from tests.cpu.small_engine import SAVED, VOCABULARY, build_engine, join, token_rows, train_step
from verl_medu1.run_folder.checkpoints import TRACKER
from verl_medu1.training.log_prob_record import rows_for_engine, write

PROMPTS = [row.tolist() for row in token_rows(7)[1:3]]


def build_fsdp(
    model: str, lora: Mapping[str, Any] = MappingProxyType({}), saved: Mapping[str, Any] | None = None
) -> Any:
    """verl's FSDP2 engine in float32; `lora` has keys of HFModelConfig, `saved` of CheckpointConfig."""
    import verl.workers.engine.fsdp.transformer_impl  # noqa: F401  (registers the engine)
    from verl.trainer.config import CheckpointConfig
    from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
    from verl.workers.engine import EngineRegistry

    float32 = {"param_dtype": "fp32", "reduce_dtype": "fp32"}
    engine = EngineRegistry.new(
        model_type="language_model",
        backend="fsdp2",
        model_config=HFModelConfig(path=model, override_config={"attn_implementation": "sdpa"}, **lora),
        engine_config=FSDPEngineConfig(
            strategy="fsdp2", dtype="float32", mixed_precision=float32, use_torch_compile=False, use_dynamic_bsz=False,
            micro_batch_size_per_gpu=2, infer_micro_batch_size_per_gpu=2,
        ),
        optimizer_config=FSDPOptimizerConfig(lr=1e-3, weight_decay=0.1, total_training_steps=10),
        checkpoint_config=CheckpointConfig(save_contents=list(SAVED), load_contents=list(SAVED), **(saved or {})),
    )  # fmt: skip
    engine.initialize()
    return engine


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
        engine = build_fsdp(model)
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
