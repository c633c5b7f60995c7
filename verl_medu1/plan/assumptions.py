"""Figures that no formula gives (assumptions.yaml)."""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from verl_medu1.machine.gpus import GIB


@dataclass(frozen=True)
class Assumptions:
    """The content of assumptions.yaml, whose comments describe the fields."""

    reserve_gib: float
    vllm_overhead_gib: float
    model_flops_utilization: float
    link_efficiency: float
    micro_batch_seconds: float
    context_parallel_tokens: int
    expert_imbalance: float

    @property
    def reserve(self) -> int:
        """Bytes set aside on each GPU."""
        return round(self.reserve_gib * GIB)


@cache
def assumptions() -> Assumptions:
    """Read assumptions.yaml.

    Example:
        >>> assumptions().reserve_gib > 0
        True
    """
    return Assumptions(**yaml.safe_load(resources.files(__package__).joinpath("assumptions.yaml").read_text()))
