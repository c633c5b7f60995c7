"""Log-probs of a fixed text under the training engine, saved with each checkpoint to check an export against.

The engine that trains computes them, in its own layout and precision, from the weights in its memory. No code that
reads or converts the checkpoint is involved.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verl_medu1.run_folder.checkpoints import LOG_PROBS
from verl_medu1.verl_compat.versions import installed_versions

# Written for this purpose: a record contains no text from any data set.
TEXT = (
    "A woman of 64 years has had chest pain for two hours. Her blood pressure is 152/94 mmHg and her pulse 88/min; "
    "creatinine is 1.3 mg/dL. What is the most likely diagnosis, and which two tests come first?"
)
# The tests' models have 64 positions.
MAX_TOKENS = 64


def rows_for_engine(rows: Sequence[Sequence[int]]) -> Any:
    """Return rows of tokens as verl's engines take them for log-probs: an unpadded TensorDict.

    Each row is a micro-batch of its own.
    """
    import torch
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    def nested(tensors: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(tensors, layout=torch.jagged)

    batch = TensorDict(
        {
            "input_ids": nested([torch.tensor(row) for row in rows]),
            "position_ids": nested([torch.arange(len(row)) for row in rows]),
            "loss_mask": nested([torch.ones(len(row)) for row in rows]),
        },
        batch_size=[len(rows)],
    )
    tu.assign_non_tensor(
        batch,
        compute_loss=False,
        calculate_entropy=False,
        temperature=1.0,
        use_dynamic_bsz=True,
        max_token_len_per_gpu=max(map(len, rows)),
    )
    return batch


def precision(strategy: str, engine: Any) -> str:
    """Return the precision that the engine computes in: "fp8", or the name of a torch dtype.

    Args:
        strategy: verl's name for the engine.
        engine: its settings in a composed configuration.
    """
    if strategy == "megatron":
        if (engine.get("override_transformer_config") or {}).get("fp8"):
            return "fp8"
        return str(engine.dtype)
    mixed = engine.get("mixed_precision") or {}
    name = str(mixed.get("param_dtype") or engine.get("dtype") or "bfloat16")
    return {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}.get(name, name)


def rows_of_text(tokenizer: Any, ranks: int) -> tuple[list[int], Any]:
    """Return the tokens of `TEXT`, and a batch of them for an engine of `ranks` ranks.

    The batch has one row per rank: in any layout, the rows divide evenly among the data-parallel replicas, and each
    replica has at least as many rows as pipeline stages.
    """
    tokens = tokenizer(TEXT)["input_ids"][:MAX_TOKENS]
    return tokens, rows_for_engine([tokens] * ranks)


def write_record(workers: Any, tokenizer: Any, actor: Any, folder: Path) -> None:
    """Have the engine compute the log-prob of each token of `TEXT` after the first, and write them.

    Args:
        workers: verl's worker group of the actor.
        tokenizer: the model's.
        actor: `actor_rollout_ref.actor` of the configuration.
        folder: the actor's folder in the checkpoint.
    """
    tokens, rows = rows_of_text(tokenizer, workers.world_size)
    output = workers.compute_log_prob(rows)
    engine = actor.megatron if actor.strategy == "megatron" else actor.fsdp_config
    log_probs = output["log_probs"].unbind()[0].tolist()[: len(tokens) - 1]
    write(folder, tokens, log_probs, precision(actor.strategy, engine))


def write(folder: Path, tokens: Sequence[int], log_probs: Sequence[float], dtype: str) -> None:
    """Write a record: `log_probs[i]` is that of `tokens[i + 1]`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"tokens": list(tokens), "log_probs": list(log_probs), "dtype": dtype, "versions": installed_versions()}
    (folder / LOG_PROBS).write_text(json.dumps(content) + "\n")
