"""Log-probs of a fixed text under the training engine, saved with each checkpoint to check an export against.

The text comes after an image if the model sees images, so that the part that sees is checked, too.

The engine that trains computes them, in its own layout and precision, from the weights in its memory. No code that
reads or converts the checkpoint is involved.
"""

import json
from collections.abc import Mapping, Sequence
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
# Pixels of the side of the image that stands before the text where a model sees images.
SIDE = 56


def rows_for_engine(rows: Sequence[Sequence[int]], seen: Mapping[str, Any] | None = None) -> Any:
    """Return rows of tokens as verl's engines take them for log-probs: an unpadded TensorDict.

    Each row is a micro-batch of its own.

    Args:
        rows: of token ids.
        seen: for a model that sees images, the inputs of one row (`inputs_with_image`), which are those of all.
    """
    import torch
    from tensordict import NonTensorData, TensorDict
    from verl.utils import tensordict_utils as tu

    def nested(tensors: list[torch.Tensor]) -> torch.Tensor:
        return tu.nested_tensor_from_tensor_list(tensors)

    positions = [torch.arange(len(row)) if seen is None else seen["position_ids"] for row in rows]
    batch = TensorDict(
        {
            "input_ids": nested([torch.tensor(row) for row in rows]),
            "position_ids": nested(positions),
            "loss_mask": nested([torch.ones(len(row)) for row in rows]),
        },
        batch_size=[len(rows)],
    )
    if seen is not None:
        pixels = {name: seen[name] for name in ("pixel_values", "image_grid_thw")}
        batch["multi_modal_inputs"] = torch.stack([NonTensorData(pixels) for _ in rows])
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


def inputs_with_image(processor: Any) -> dict[str, Any]:
    """Return a processor's inputs for a gradient of grey and `TEXT`, with verl's positions for both.

    Args:
        processor: of verl's `hf_processor`, which gives it `get_rope_index`, or of transformers: no positions then.
    """
    import torch
    from PIL import Image

    image = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": TEXT}]}
    prompt = processor.apply_chat_template([message], tokenize=False)
    inputs = dict(processor(text=[prompt], images=[image], return_tensors="pt"))
    if hasattr(processor, "get_rope_index"):
        named = {key: inputs[key] for key in ("input_ids", "attention_mask", "image_grid_thw", "mm_token_type_ids")}
        of_image, _ = processor.get_rope_index(**named)
        of_text = torch.arange(inputs["input_ids"].shape[1]).expand(1, -1)
        # (4, tokens): place in the text, then time, height and width.
        inputs["position_ids"] = torch.cat([of_text, of_image[:, 0]])
    return inputs


def rows_of_text(tokenizer: Any, processor: Any, ranks: int) -> tuple[list[int], Any]:
    """Return the tokens of `TEXT`, after an image if the model has a processor, and a batch for `ranks` ranks.

    The batch has one row per rank: in any layout, the rows divide evenly among the data-parallel replicas, and each
    replica has at least as many rows as pipeline stages.
    """
    if processor is not None:
        seen = inputs_with_image(processor)
        tokens = seen["input_ids"][0].tolist()
        return tokens, rows_for_engine([tokens] * ranks, seen)
    tokens = tokenizer(TEXT)["input_ids"][:MAX_TOKENS]
    return tokens, rows_for_engine([tokens] * ranks)


def write_record(workers: Any, tokenizer: Any, processor: Any, actor: Any, folder: Path) -> None:
    """Have the engine compute the log-prob of each token of `rows_of_text` after the first, and write them.

    Args:
        workers: verl's worker group of the actor.
        tokenizer: the model's.
        processor: the model's, None if it sees no images.
        actor: `actor_rollout_ref.actor` of the configuration.
        folder: the actor's folder in the checkpoint.
    """
    tokens, rows = rows_of_text(tokenizer, processor, workers.world_size)
    output = workers.compute_log_prob(rows)
    engine = actor.megatron if actor.strategy == "megatron" else actor.fsdp_config
    log_probs = output["log_probs"].unbind()[0].tolist()[: len(tokens) - 1]
    write(folder, tokens, log_probs, precision(actor.strategy, engine), processor is not None)


def write(
    folder: Path, tokens: Sequence[int], log_probs: Sequence[float], dtype: str, with_image: bool = False
) -> None:
    """Write a record: `log_probs[i]` is that of `tokens[i + 1]`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "tokens": list(tokens),
        "log_probs": list(log_probs),
        "dtype": dtype,
        "with_image": with_image,
        "versions": installed_versions(),
    }
    (folder / LOG_PROBS).write_text(json.dumps(content) + "\n")
