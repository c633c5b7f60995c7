"""Reads weights from Megatron or FSDP shards. Unpickles only plain data, because a checkpoint may be untrusted."""

import pickle
from pathlib import Path
from typing import Any

# The classes in torch's index of a distributed checkpoint; all of them are plain data.
_INDEX = {
    ("builtins", "set"),
    ("collections", "OrderedDict"),
    ("pathlib", "PosixPath"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.planner", name)
        for name in ("SavePlan", "WriteItem", "WriteItemType", "TensorWriteData")
    ),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "BytesStorageMetadata",
            "ChunkStorageMetadata",
            "Metadata",
            "MetadataIndex",
            "StorageMeta",
            "TensorProperties",
            "TensorStorageMetadata",
            "_MEM_FORMAT_ENCODING",
        )
    ),
}


class _IndexReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        import torch

        if (module, name) in _INDEX or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_metadata(folder: Path) -> Any:
    """Read the index of a distributed checkpoint: torch's `Metadata`.

    Raises:
        ValueError: it is missing, can't be read, or contains anything but an index.
    """
    file = folder / ".metadata"
    try:
        with file.open("rb") as stream:
            return _IndexReader(stream).load()
    except FileNotFoundError:
        raise ValueError(f"{file} is missing: the checkpoint is not whole; export another one.") from None
    except (pickle.UnpicklingError, EOFError, AttributeError) as error:
        raise ValueError(f"{file} is not an index of a distributed checkpoint ({error}); export another one.") from None


def load_megatron(folder: Path) -> dict[str, Any]:
    """Load the full tensors of a Megatron distributed checkpoint, under their stored names and in their precision.

    torch's loader assembles them, for any layout of the ranks that saved them. Entries other than tensors (Transformer
    Engine's states) are skipped.
    """
    import torch
    from torch.distributed.checkpoint import FileSystemReader, load
    from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

    class Reader(FileSystemReader):
        def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
            return metadata

    metadata = read_metadata(folder)
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in metadata.state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    load(tensors, storage_reader=Reader(folder), no_dist=True)
    return tensors


def load_fsdp_shard(file: Path) -> dict[str, Any]:
    """Load one rank's part of the weights with `torch.load`, tensors only.

    Raises:
        ValueError: the file contains something else, or can't be read.
    """
    import torch
    import torch.distributed.tensor  # registers its classes for weights_only

    try:
        shard: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{file} can't be read as weights ({reason}); export another checkpoint.") from None
    return shard
