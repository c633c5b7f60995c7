"""What this machine can do, as far as a layout depends on it."""

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Machine:
    """What is known of the machines that will train; None is unknown, and no rule judges what is unknown.

    Attributes:
        capability: CUDA compute capability of the GPU.
        cuda: version of the CUDA toolkit.
        transformer_engine: Transformer Engine can be imported.
        apex: NVIDIA Apex's kernels can be imported.
    """

    capability: tuple[int, int] | None = None
    cuda: tuple[int, int] | None = None
    transformer_engine: bool | None = None
    apex: bool | None = None


def has_transformer_engine() -> bool:
    """Whether Transformer Engine for PyTorch is installed; Megatron leaves FP8 out without a word where it is not."""
    return find_spec("transformer_engine") is not None


def has_apex() -> bool:
    """Whether NVIDIA Apex is installed, by the kernels that it builds.

    PyPI's `apex` is another project, so that a module of this name shows nothing.
    """
    return any(find_spec(module) is not None for module in ("amp_C", "fused_weight_gradient_mlp_cuda"))


def this_machine() -> Machine:
    """What this machine has; imports torch for its GPU and CUDA.

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
    """Major and minor version.

    Example:
        >>> version_pair("13.0.1"), version_pair(None)
        ((13, 0), None)
    """
    if not text:
        return None
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
