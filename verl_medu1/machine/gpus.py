"""Figures of GPUs, by the names that --gpu accepts (gpus.yaml)."""

import os
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

GIB = 2**30


@dataclass(frozen=True)
class GPU:
    """Figures of a GPU and of its server; units and sources are in gpus.yaml."""

    name: str
    memory_gib: float
    tflops_bf16: float
    tflops_fp8: float | None
    memory_gb_s: float
    nvlink_gb_s: float
    network_gb_s: float
    capability: tuple[int, int]
    gpus_per_node: int

    @property
    def memory(self) -> int:
        """Bytes of memory."""
        return round(self.memory_gib * GIB)


@cache
def known_gpus() -> dict[str, GPU]:
    """Read all GPUs of gpus.yaml.

    Example:
        >>> known_gpus()["h100-80"].capability
        (9, 0)
    """
    listed = yaml.safe_load(resources.files(__package__).joinpath("gpus.yaml").read_text())
    return {
        name: GPU(name=name, **{**figures, "capability": tuple(figures["capability"])})
        for name, figures in listed.items()
    }


def processor(workers: int) -> GPU:
    """Return a worker's share of this machine's memory as a "GPU", for runs without one; its speed is unknown.

    Example:
        >>> processor(2).memory_gib <= processor(1).memory_gib
        True
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return GPU("worker of this machine", round(total / workers / GIB, 1), 0, None, 0, 0, 0, (0, 0), workers)


def find_gpu(name: str) -> GPU:
    """Return the GPU of this name.

    Raises:
        ValueError: there is none; the sentence lists the known ones.
    """
    if name not in known_gpus():
        raise ValueError(f"--gpu is {name!r}; choose one of {', '.join(known_gpus())}.")
    return known_gpus()[name]
