"""The capabilities of a machine that a layout depends on."""

from dataclasses import dataclass
from importlib.util import find_spec

from verl_medu1.machine.imports import import_failures
from verl_medu1.verl_compat.versions import installed_version

TRANSFORMER_ENGINE = "transformer_engine.pytorch"
# The distributions that Transformer Engine takes attention from with attention_backend=flash
# (transformer_engine/pytorch/attention/dot_product_attention/backends.py).
FLASH_ATTENTION = ("flash-attn", "flash-attn-3", "flash-attn-4")


@dataclass(frozen=True)
class Machine:
    """What is known about the machines that will train. None means unknown, and no rule checks what is unknown.

    Attributes:
        capability: CUDA compute capability of the GPU.
        cuda: version of the CUDA toolkit.
        transformer_engine: whether Transformer Engine can be imported.
        apex: whether NVIDIA Apex's kernels can be imported.
        flash_attn: whether flash-attn is installed.
    """

    capability: tuple[int, int] | None = None
    cuda: tuple[int, int] | None = None
    transformer_engine: bool | None = None
    apex: bool | None = None
    flash_attn: bool | None = None


def transformer_engine_failure() -> str | None:
    """Import Transformer Engine in another process: it may be installed and not load.

    Its core needs a cuBLAS that is new enough, its part for torch is built against one torch, and its distribution
    without these two parts is empty.

    Returns:
        None if it is not installed, "" if it can be imported, otherwise the error.
    """
    if find_spec("transformer_engine") is None:
        return None
    return import_failures([TRANSFORMER_ENGINE]).get(TRANSFORMER_ENGINE, "")


def has_apex() -> bool:
    """Return whether NVIDIA Apex is installed, judged by the kernels that it builds.

    A module named `apex` proves nothing: PyPI's `apex` is another project.
    """
    return any(find_spec(module) is not None for module in ("amp_C", "fused_weight_gradient_mlp_cuda"))


def has_flash_attention() -> bool:
    """Return whether a flash-attn that Transformer Engine can use is installed; vLLM's own copy is not one."""
    return any(installed_version(package) is not None for package in FLASH_ATTENTION)


def this_machine() -> Machine:
    """Return what this machine has; imports torch to find out about GPU and CUDA.

    Example:
        >>> this_machine().transformer_engine is not None
        True
    """
    capability = cuda = None
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            capability = torch.cuda.get_device_capability()
            cuda = version_pair(torch.version.cuda)
    return Machine(capability, cuda, transformer_engine_failure() == "", has_apex(), has_flash_attention())


def version_pair(text: str | None) -> tuple[int, int] | None:
    """Return the major and the minor version.

    Example:
        >>> version_pair("13.0.1"), version_pair(None)
        ((13, 0), None)
    """
    if not text:
        return None
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
