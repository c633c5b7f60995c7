"""Runs megatron-core's calls of torch.cuda and its device="cuda" literals on the CPU."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

CPU = torch.device("cpu")
_TENSOR_CUDA, _TENSOR_TYPE = torch.Tensor.cuda, torch.Tensor.type
_METHODS_THAT_NAME_CUDA = {_TENSOR_CUDA, _TENSOR_TYPE, torch.Tensor.to}


def _names_cuda(device: Any) -> bool:
    return (isinstance(device, str) and device.startswith("cuda")) or (
        isinstance(device, torch.device) and device.type == "cuda"
    )


class _CudaToCpu(TorchFunctionMode):
    """Rewrites the device in torch calls that name "cuda", as pipeline_parallel/schedules.py and others do."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _METHODS_THAT_NAME_CUDA:
            if func is _TENSOR_CUDA:
                return args[0]
            if func is _TENSOR_TYPE and len(args) == 1 and not kwargs:
                # Compared with "torch.cuda.FloatTensor" in DistributedOptimizer._build_model_and_main_param_groups,
                # Float16OptimizerWithFloat16Params.__init__ and clip_grad_by_total_norm_fp32.
                return func(args[0]).replace("torch.", "torch.cuda.", 1)
            args = tuple(CPU if _names_cuda(arg) else arg for arg in args)
        if not kwargs:  # the common case: every operation of a training step passes through here
            return func(*args)
        kwargs = dict(kwargs)
        if _names_cuda(kwargs.get("device")):
            kwargs["device"] = CPU
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
        return func(*args, **kwargs)


_thread = threading.local()


@contextmanager
def cuda_is_cpu() -> Iterator[None]:
    """Rewrite "cuda" to "cpu" in this thread; nested uses share one mode.

    The mode is local to a thread, and verl's V1 workers call an engine from several threads, so each engine call enters
    it.
    """
    if getattr(_thread, "active", False):
        yield
        return
    _thread.active = True
    try:
        with _CudaToCpu():
            yield
    finally:
        _thread.active = False


def _add_rng_state(self: Any, name: str, seed: int) -> None:
    assert seed not in self.seeds_ and name not in self.states_, f"random state {name} or seed {seed} exists already"
    self._is_initialized = True
    self.seeds_.add(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        self.states_[name] = torch.get_rng_state()


class _Stream(nullcontext[None]):
    """A stream of work that is done when it is called: there is nothing to wait for."""

    def wait_stream(self, stream: Any) -> None:
        return None

    def record_event(self) -> "_Stream":
        return self

    def synchronize(self) -> None:
        return None


def install() -> None:
    """Patch what is accessed by attribute: the current device, streams and the tracked random states."""
    # megatron/training/models/dist_utils.py wraps the model on a stream of its own.
    torch.cuda.Stream = _Stream  # type: ignore[assignment,misc]
    torch.cuda.current_stream = lambda device=None: _Stream()  # type: ignore[assignment,return-value]
    torch.cuda.stream = lambda stream: stream  # type: ignore[assignment,return-value]
    torch.cuda.current_device = lambda: CPU  # type: ignore[assignment,return-value]
    torch.cuda.synchronize = lambda device=None: None
    torch.cuda.get_rng_state = lambda device="cuda": torch.get_rng_state()

    from megatron.core.tensor_parallel import random

    random._get_cuda_rng_state = lambda device="cuda", clone=False, graph_safe=False: torch.get_rng_state()
    random._set_cuda_rng_state = lambda state, device=-1, graph_safe=False: torch.set_rng_state(state)
    random.CudaRNGStatesTracker.add = _add_rng_state
