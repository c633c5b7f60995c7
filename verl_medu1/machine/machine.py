"""The capabilities of a machine that a layout depends on."""

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Machine:
    """What is known about the machines that will train. None means unknown, and no rule checks what is unknown.

    Attributes:
        capability: CUDA compute capability of the GPU.
        cuda: version of the CUDA toolkit.
        transformer_engine: whether Transformer Engine can be imported.
        apex: whether NVIDIA Apex's kernels can be imported.
    """

    capability: tuple[int, int] | None = None
    cuda: tuple[int, int] | None = None
    transformer_engine: bool | None = None
    apex: bool | None = None


def has_transformer_engine() -> bool:
    """Return whether Transformer Engine is installed; without it Megatron silently trains without FP8."""
    return find_spec("transformer_engine") is not None


def has_apex() -> bool:
    """Return whether NVIDIA Apex is installed, judged by the kernels that it builds.

    A module named `apex` proves nothing: PyPI's `apex` is another project.
    """
    return any(find_spec(module) is not None for module in ("amp_C", "fused_weight_gradient_mlp_cuda"))


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
    return Machine(capability, cuda, has_transformer_engine(), has_apex())


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
