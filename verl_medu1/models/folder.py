"""What a folder in Hugging Face's format says of itself, made true and readable by transformers 4 and 5."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

# safetensors' names of the precisions in which a model is loaded.
_DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
# Classes of tokenizers by the name that transformers 4 has for them; 5 knows both.
_TOKENIZER_CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def correct_description(folder: Path) -> None:
    """Let config.json state the precision of the weights, and write what transformers 4 looks for elsewhere.

    verl writes "bfloat16" beside float32 weights (utils/checkpoint/fsdp_checkpoint_manager.py:446), and a model that
    is loaded with dtype="auto" is rounded to it. transformers 5 writes `rope_parameters` and a list of
    `extra_special_tokens`; 4 reads `rope_theta`, `rope_scaling` and `additional_special_tokens`, and without the first
    takes 10,000. 5 reads all of them.

    Args:
        folder: with a config.json; with or without weights and tokenizer.
    """
    config = read(folder / "config.json")
    dtype = dtype_of_weights(folder)
    if dtype is not None:
        config.pop("torch_dtype", None)
        config["dtype"] = dtype
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
        scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
        if scaling.get("rope_type", "default") != "default":
            config["rope_scaling"] = scaling
    _write(folder / "config.json", config)
    file = folder / "tokenizer_config.json"
    if file.is_file():
        tokenizer = read(file)
        if isinstance(tokenizer.get("extra_special_tokens"), list):
            tokenizer["additional_special_tokens"] = tokenizer.pop("extra_special_tokens")
        name = tokenizer.get("tokenizer_class")
        if name in _TOKENIZER_CLASSES:
            tokenizer["tokenizer_class"] = _TOKENIZER_CLASSES[name]
        _write(file, tokenizer)


def dtype_of_weights(folder: Path) -> str | None:
    """The precision that most numbers of the folder's safetensors have, by the files' headers.

    Returns:
        The name of a torch dtype; None without weights, or where most are in none that a model is loaded in.
    """
    from safetensors import safe_open

    sizes: Counter[str] = Counter()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as weights:
            for name in weights.keys():
                part = weights.get_slice(name)
                sizes[part.get_dtype()] += math.prod(part.get_shape())
    return _DTYPES.get(sizes.most_common(1)[0][0]) if sizes else None


def needs_transformers_5(folder: Path) -> bool:
    """Whether transformers 4 would miss the model's rope base: it stands for each kind of layer, or in a part.

    Args:
        folder: after `correct_description`.
    """
    config = read(folder / "config.json")
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    return any("rope_parameters" in part and "rope_theta" not in part for part in parts)


def read(file: Path) -> dict[str, Any]:
    """A JSON object."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
