"""Merges two models of one kind: the weighted mean of their weights, tensor by tensor."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.serialization import split_state_dict_into_shards_factory
from safetensors.torch import save_file

from verl_medu1.exit import raise_all
from verl_medu1.models.same_kind import kind_violations, weight_violations
from verl_medu1.models.weights import INDEX, Weights
from verl_medu1.models.whole_folder import require_new, whole_folder

# A merged model's folder says here what it was made of.
RECORD = "merge.json"
# So much is in memory at a time, and in a file.
SHARD_BYTES = 4 * 2**30
# Of the first model's folder, what is not copied: weights, and the card of another model.
_NOT_COPIED = (
    *("*.safetensors*", "*.bin", "*.bin.index.json", "*.pt", "*.pth", "*.gguf", "*.h5", "*.msgpack", "*.onnx"),
    *("README.md", RECORD),
)


def merge(first: Path, second: Path, out: Path, weight: float = 0.5, shard_bytes: int = SHARD_BYTES) -> int:
    """Write weight * first + (1 - weight) * second, in the precision in which both are stored.

    The sum is computed in float32 (float64 for weights in float64), one tensor at a time. Equal parents give the same
    model, bit by bit. Configuration, tokenizer and generation settings are those of `first`, to which those of
    `second` must be equal. A tied output layer stays tied: it has no tensor of its own, or equal parts.

    Args:
        first: folder in Hugging Face's format.
        second: another one.
        out: folder to write; it appears only once everything is written.
        weight: share of `first`, from 0 to 1.
        shard_bytes: size of the largest file of weights, as long as no tensor is larger.

    Returns:
        How many tensors were merged.

    Raises:
        ValueError: `weight` is outside [0, 1], `out` exists, a folder is not whole, the two models are not of one kind,
            or a weight is not finite.

    Example: see tests/models/test_merge.py.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"--weight is {weight:g}; it is the share of the first model, from 0 to 1.")
    require_new(out)
    with Weights(first) as ours, Weights(second) as theirs:
        raise_all([*weight_violations(ours, theirs), *kind_violations(first, second)])
        with whole_folder(out) as folder:
            shutil.copytree(first, folder, ignore=_left_out)
            _write_weights(ours, theirs, weight, folder, shard_bytes)
            parents = {"first": str(first.resolve()), "second": str(second.resolve()), "weight": weight}
            (folder / RECORD).write_text(json.dumps(parents, indent=2) + "\n", encoding="utf-8")
        return len(ours.shapes)


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Folders, such as the adapters beside an exported model, and the files of `_NOT_COPIED`."""
    below = {name for name in names if (Path(folder) / name).is_dir()}
    return below | shutil.ignore_patterns(*_NOT_COPIED)(folder, names)


def _write_weights(ours: Weights, theirs: Weights, weight: float, folder: Path, shard_bytes: int) -> None:
    sizes = {name: ours.size(name) for name in sorted(ours.shapes)}
    plan = split_state_dict_into_shards_factory(
        sizes,
        get_storage_size=lambda size: size,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    mode = (folder / "config.json").stat().st_mode
    for file, names in plan.filename_to_tensors.items():
        tensors = {name: _mean(ours, theirs, name, weight) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        # safetensors creates files that only their owner may read.
        (folder / file).chmod(mode)
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _mean(ours: Weights, theirs: Weights, name: str, weight: float) -> Any:
    parents = []
    for weights in (ours, theirs):
        tensor = weights.get(name)
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} of {weights.folder} has values that are not finite; take another checkpoint.")
        parents.append(tensor)
    wide = torch.float64 if parents[0].dtype == torch.float64 else torch.float32
    one, other = (tensor.to(wide) for tensor in parents)
    # lerp gives exactly the ends at 0 and 1, and the parent itself where both are equal.
    return torch.lerp(other, one, weight).to(parents[0].dtype)
