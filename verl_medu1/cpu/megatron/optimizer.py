"""Restores torch's Adam from a distributed-optimizer checkpoint of megatron-core 0.18.2.

Works around megatron/core/optimizer/distrib_optimizer.py, DistributedOptimizer. It is written for the Adam of Apex and
Transformer Engine, which keeps its step in the parameter group, and fails with torch's Adam in three ways:

- state_dict() asserts that Adam has already stepped, so a fresh process cannot load a checkpoint;
- load_state_dict() takes the step of the fresh process instead of the saved one, and gives all parameters one shared
  step tensor, which torch's Adam then increments once per parameter;
- _set_main_param_and_optimizer_states() expects a saved step for each parameter in a checkpoint that can be resharded,
  and there is none.
"""

import functools
from typing import Any

import torch


def _adams(optimizer: Any) -> list[torch.optim.Optimizer]:
    return [part.optimizer for part in getattr(optimizer, "chained_optimizers", [optimizer])]


def prime_adam(optimizer: Any) -> None:
    """Give each parameter without state the state of Adam before its first step, as state_dict() requires."""
    for adam in _adams(optimizer):
        for group in adam.param_groups:
            for parameter in group["params"]:
                if not adam.state[parameter]:
                    adam.state[parameter] = {
                        "step": torch.tensor(0.0),
                        "exp_avg": torch.zeros_like(parameter),
                        "exp_avg_sq": torch.zeros_like(parameter),
                    }


def restore_adam_steps(optimizer: Any) -> None:
    """Give each parameter its own step tensor, with the value that the checkpoint saved in the parameter group."""
    for adam in _adams(optimizer):
        for group in adam.param_groups:
            for parameter in group["params"]:
                adam.state[parameter]["step"] = torch.tensor(float(group["step"]))


def load_without_saved_steps() -> None:
    """Let a parameter keep its step while its other states are loaded. Patches only once."""
    from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer

    original = DistributedOptimizer._set_main_param_and_optimizer_states
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def set_states(self: Any, model_param: torch.nn.Parameter, tensors: dict[str, torch.Tensor]) -> None:
        group, order = self.model_param_group_index_map[model_param]
        state = self.optimizer.state[self.optimizer.param_groups[group]["params"][order]]
        original(self, model_param, {"step": state["step"], **tensors})

    DistributedOptimizer._set_main_param_and_optimizer_states = set_states
