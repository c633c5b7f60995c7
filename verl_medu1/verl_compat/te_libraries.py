"""Transformer Engine with the CUDA libraries that its environment has, also where the system has its own.

Transformer Engine 2.15 looks for cuDNN, NVRTC and cuRAND in a CUDA toolkit and among the system's libraries before it
looks for those of pip (transformer_engine/common/__init__.py, _load_cuda_library). torch loads pip's. In NVIDIA's
images, which have both, one process then has two versions: on an H200 with cuDNN 9.14 in the system and 9.19 beside
torch, Transformer Engine could not be imported ("libcudnn_heuristic.so.9: undefined symbol"). And cuBLAS is the
system's unless torch, which brings a newer one, is imported first.

Transformer Engine also imports JAX where it is installed, and the first use of JAX takes three quarters of the GPU's
memory; no part of this stack computes with it.
"""

import ctypes
import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from verl_medu1.verl_compat.import_hook import around_import

# Variable that names where to look first -> folder of the wheels' library.
_FOLDERS = {"CUDNN_HOME": "cudnn", "NVRTC_HOME": "cu13", "CURAND_HOME": "cu13"}


def point_to_wheels(packages: Path) -> None:
    """Let Transformer Engine find pip's libraries first, unless the user has said where to look.

    Args:
        packages: folder of the environment's packages.
    """
    for variable, folder in _FOLDERS.items():
        if (packages / "nvidia" / folder / "lib").is_dir():
            os.environ.setdefault(variable, str(packages / "nvidia" / folder))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


@contextmanager
def _prepared(_module: Any) -> Iterator[None]:
    packages = Path(sysconfig.get_path("purelib"))
    point_to_wheels(packages)
    import torch  # noqa: F401  (loads cuBLAS and others)

    # The parts of cuDNN, which Transformer Engine loads itself only where it has found no toolkit.
    cudnn = packages / "nvidia" / "cudnn"
    if os.environ.get("CUDNN_HOME") == str(cudnn):
        for library in sorted((cudnn / "lib").glob("lib*.so.*")):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    yield


def install() -> None:
    """Prepare the first import of Transformer Engine in this process."""
    around_import("transformer_engine", _prepared)
