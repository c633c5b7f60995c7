"""Reads a model folder's weights tensor by tensor, from one safetensors file or from shards with an index."""

import json
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError, safe_open

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
AGAIN = "copy or export the model again"
# Bytes of a number, for the precisions in which weights can be averaged.
SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}


class Weights:
    """The tensors of a folder in Hugging Face format; nothing is read before `get`. A context manager.

    Attributes:
        folder: the folder.
        shapes: name of each tensor -> its shape.
        dtypes: name of each tensor -> safetensors' word for its precision, such as "BF16".
    """

    def __init__(self, folder: Path) -> None:
        """Open the files and read their headers.

        Raises:
            ValueError: there are no weights, a shard is missing or cut off, or the index and the shards disagree.
        """
        self.folder = folder
        self.shapes: dict[str, list[int]] = {}
        self.dtypes: dict[str, str] = {}
        self._files: dict[str, Any] = {}
        self._open = ExitStack()
        try:
            self._read_headers()
        except BaseException:
            self._open.close()
            raise

    def _read_headers(self) -> None:
        for file, named in _files(self.folder).items():
            try:
                opened = self._open.enter_context(safe_open(file, framework="pt"))
            except FileNotFoundError:
                raise ValueError(f"{file} is missing: the weights are not whole; {AGAIN}.") from None
            except (SafetensorError, OSError) as error:
                raise ValueError(f"{file} is cut off or no safetensors ({error}); {AGAIN}.") from None
            names = list(opened.keys())
            if named is not None and (absent := sorted(named - set(names))):
                raise ValueError(f"{file} has no {absent[0]}, which {INDEX} says is there; {AGAIN}.")
            for name in names if named is None else sorted(named):
                part = opened.get_slice(name)
                self.shapes[name], self.dtypes[name] = part.get_shape(), part.get_dtype()
                self._files[name] = opened

    def get(self, name: str) -> Any:
        """Read a tensor: a `torch.Tensor` on the CPU, as it is stored."""
        return self._files[name].get_tensor(name)

    def size(self, name: str) -> int:
        """Return the bytes of a tensor whose precision is one of `SIZES`."""
        return math.prod(self.shapes[name]) * SIZES[self.dtypes[name]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()


def _files(folder: Path) -> dict[Path, set[str] | None]:
    """Map each file of weights to the tensors that the index puts there; to None without an index."""
    if not (folder / "config.json").is_file():
        if (folder / ADAPTER).is_file():
            raise ValueError(f"{folder} holds LoRA's adapters alone; `medu1 export` makes a whole model of them.")
        raise ValueError(f"{folder} has no config.json; give a folder in Hugging Face's format, or a run's folder.")
    index = folder / INDEX
    if not index.is_file():
        if not (folder / WEIGHTS).is_file():
            raise ValueError(f"{folder} has neither {WEIGHTS} nor {INDEX}; `medu1 export` writes weights.")
        return {folder / WEIGHTS: None}
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files: dict[Path, set[str] | None] = {}
        for name, file in places.items():
            if Path(file).name != file:
                raise ValueError(f"it names {file!r}")
            named = files.setdefault(folder / file, set())
            assert named is not None
            named.add(name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is not an index of weights ({error}); {AGAIN}.") from None
    return files
