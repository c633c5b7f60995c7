"""Corrects the metadata of a Hugging Face folder, so that transformers 4 and 5 both read it right."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

# safetensors' names for the dtypes in which a model is loaded.
_DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
# Tokenizer class -> its name in transformers 4; 5 knows both names.
_TOKENIZER_CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def correct_description(folder: Path) -> None:
    """Set the dtype in config.json to that of the weights, and add the keys that transformers 4 reads.

    verl writes "bfloat16" for float32 weights (utils/checkpoint/fsdp_checkpoint_manager.py, save_checkpoint), and
    loading with dtype="auto" then rounds them. transformers 5 writes `rope_parameters` and a list of
    `extra_special_tokens`; 4 reads `rope_theta`, `rope_scaling` and `additional_special_tokens`, and falls back to a
    `rope_theta` of 10,000. 5 reads all of them.

    Args:
        folder: a folder with a config.json; weights and tokenizer are optional.
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
    """Return the dtype of most numbers in the folder's safetensors files, from the files' headers.

    Returns:
        The name of a torch dtype; None without weights, or if a model can't be loaded in that dtype.
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
    """Return whether transformers 4 would miss the model's rope base, because it is given per kind of layer.

    Args:
        folder: a folder that `correct_description` has corrected.
    """
    config = read(folder / "config.json")
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    return any("rope_parameters" in part and "rope_theta" not in part for part in parts)


def read(file: Path) -> dict[str, Any]:
    """Read a JSON object."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
