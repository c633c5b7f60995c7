"""Merges a checkpoint's weights into a Hugging Face folder with verl's mergers, in the stored precision.

verl 0.9.1's mergers round to bfloat16 and unpickle what they read; the classes here read with `shards.py` and keep the
precision. verl names the tensors, splits fused ones and writes the folder.
"""

import io
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, override

import torch
from torch.distributed.tensor import DTensor
from transformers import AutoConfig, GenerationConfig
from verl.model_merger.base_model_merger import ModelMergerConfig
from verl.model_merger.fsdp_model_merger import FSDPModelMerger, merge_non_dtensor_shards

from verl_medu1.export.checkpoint import Checkpoint, Weights
from verl_medu1.export.shards import load_fsdp_shard, load_megatron
from verl_medu1.models.folder import correct_description

Tensors = dict[str, torch.Tensor]
# "decoder.layers.self_attention.linear_qkv.weight" stacks the layers of the model in its first dimension.
_STACKED = re.compile(r"decoder\.layers\.(?!\d)")


def merge(checkpoint: Checkpoint, out: Path) -> None:
    """Write configuration, tokenizer, generation settings and weights (safetensors) to `out`.

    Raises:
        ValueError: a file of the checkpoint can't be read.
    """
    if checkpoint.weights == Weights.hugging_face:
        shutil.copytree(checkpoint.hugging_face, out, ignore=shutil.ignore_patterns("*.bin", "*.pt", "*.pth"))
    else:
        out.mkdir(parents=True)
        config = merger_config(checkpoint, out)
        with verl_merger():
            merger = FSDPMerger(config) if checkpoint.weights == Weights.fsdp else _megatron(config)
            merger.merge_and_save()
            merger.cleanup()
    if not (out / "generation_config.json").is_file():
        GenerationConfig.from_model_config(AutoConfig.from_pretrained(out)).save_pretrained(out)
    correct_description(out)


def merger_config(checkpoint: Checkpoint, out: Path) -> Any:
    """Return the settings with which verl's mergers read a checkpoint and write to `out`."""
    hf_config = AutoConfig.from_pretrained(checkpoint.hugging_face)
    return ModelMergerConfig(
        operation="merge",
        backend=checkpoint.weights.name,
        target_dir=str(out),
        tie_word_embedding=bool(getattr(hf_config, "tie_word_embeddings", False)),
        local_dir=str(checkpoint.folder),
        hf_model_config_path=str(checkpoint.hugging_face),
    )


@contextmanager
def verl_merger() -> Iterator[None]:
    """Run one of verl's mergers: in one process, quietly; it prints a line per tensor."""
    with _one_process(), redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        yield


@contextmanager
def _one_process() -> Iterator[None]:
    """Set the environment for verl's merger, which makes a process group: this process only, on a free port."""
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    before = {name: os.environ.get(name) for name in alone}
    os.environ.update(alone)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class FSDPMerger(FSDPModelMerger):
    """verl's merger of FSDP shards, in the stored precision."""

    def _shard(self, world_size: int, rank: int) -> Tensors:
        return load_fsdp_shard(Path(self.config.local_dir) / f"model_world_size_{world_size}_rank_{rank}.pt")

    @override
    def _load_rank_zero_state_dict(self, world_size: int) -> Tensors:
        return self._shard(world_size, 0)

    @override
    def _load_and_merge_state_dicts(
        self, world_size: int, total_shards: int, mesh_shape: tuple[int, ...], mesh_dim_names: tuple[str, ...]
    ) -> Tensors:
        shards = [self._shard(world_size, rank) for rank in range(total_shards)]
        whole = {}
        for name in sorted(shards[0]):
            parts = [shard.pop(name) for shard in shards]
            if isinstance(parts[0], DTensor):
                # The last mesh dimension is the sharded one; along the other the tensors are replicas.
                placement = parts[0].placements[-1]
                whole[name] = self._merge_by_placement([part._local_tensor for part in parts], placement)
            else:
                whole[name] = merge_non_dtensor_shards(name, parts)
        return whole


def _megatron(config: ModelMergerConfig) -> Any:
    # Imported only here: exporting an FSDP checkpoint does not need Megatron.
    from verl.model_merger.megatron_model_merger import MegatronModelMerger

    class MegatronMerger(MegatronModelMerger):
        @override
        def _load_state_dicts(self, model_ckpt_path: str) -> list[Tensors]:
            self.pipeline_shards = [self.hf_config.num_hidden_layers]
            return [by_layer(load_megatron(Path(model_ckpt_path)))]

    return MegatronMerger(config)


def by_layer(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Split tensors that stack all layers into one per layer, with Megatron's per-layer names.

    Example:
        >>> list(by_layer({"decoder.layers.mlp.linear_fc2.weight": torch.zeros(2, 3, 3)}))
        ['decoder.layers.0.mlp.linear_fc2.weight', 'decoder.layers.1.mlp.linear_fc2.weight']
    """
    cut: Tensors = {}
    for name, tensor in tensors.items():
        if _STACKED.match(name):
            for layer, part in enumerate(tensor.unbind()):
                cut[_STACKED.sub(f"decoder.layers.{layer}.", name)] = part
        else:
            cut[name] = tensor
    return cut
