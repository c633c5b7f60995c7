"""verl's Megatron engine on the CPU: the same class, with "cuda" rewritten to "cpu" during each of its calls."""

import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch

from verl_medu1.cpu.megatron import layers
from verl_medu1.cpu.megatron.cuda import cuda_is_cpu
from verl_medu1.cpu.megatron.optimizer import load_without_saved_steps, prime_adam, restore_adam_steps

# The methods through which verl's workers drive an engine.
ENGINE_CALLS = (
    "initialize",
    "forward_backward_batch",
    "train_batch",
    "infer_batch",
    "optimizer_zero_grad",
    "optimizer_step",
    "lr_scheduler_step",
    "to",
    "save_checkpoint",
)


def _on_cpu(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with cuda_is_cpu():
            return method(*args, **kwargs)

    return call


def _each_on_cpu(items: Iterator[Any]) -> Iterator[Any]:
    """Enter the mode separately for each item, so that it does not leak into the caller's code between two items."""
    items = iter(items)
    end = object()
    while True:
        with cuda_is_cpu():
            item = next(items, end)
        if item is end:
            return
        yield item


def register(module: ModuleType) -> None:
    """Register the engine of `verl.workers.engine.megatron.transformer_impl` for device "cpu"."""
    from verl.workers.engine.base import EngineRegistry

    base: Any = module.MegatronEngineWithLMHead

    @EngineRegistry.register(model_type="language_model", backend="megatron", device="cpu")
    class CPUMegatronEngineWithLMHead(base):
        @_on_cpu
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            layers.install()
            load_without_saved_steps()
            super().__init__(*args, **kwargs)
            from megatron.core.tensor_parallel import get_cuda_rng_tracker, model_parallel_cuda_manual_seed

            # verl/workers/engine/megatron/utils.py, set_random_seed, seeds them only if there is an accelerator.
            if not get_cuda_rng_tracker().is_initialized():
                model_parallel_cuda_manual_seed(self.engine_config.seed)

        @_on_cpu
        def load_checkpoint(self, *args: Any, **kwargs: Any) -> None:
            if self.optimizer is not None:
                prime_adam(self.optimizer)
            # In float32 the optimizer's parameters are views of the model's. DistributedOptimizer's
            # _set_main_param_and_optimizer_states copies into them, which autograd refuses for a leaf.
            with torch.no_grad():
                super().load_checkpoint(*args, **kwargs)
            if self.optimizer is not None:
                restore_adam_steps(self.optimizer)

        def get_per_tensor_param(self, *args: Any, **kwargs: Any) -> Any:
            with cuda_is_cpu():
                parameters, adapter = super().get_per_tensor_param(*args, **kwargs)
            return _each_on_cpu(parameters), adapter

    for name in ENGINE_CALLS:
        setattr(CPUMegatronEngineWithLMHead, name, _on_cpu(getattr(base, name)))
