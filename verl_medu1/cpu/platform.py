"""A verl platform "cpu": what verl asks of an accelerator, answered for a machine without one."""

import os
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry, set_platform


def _used_bytes(*_: Any) -> int:
    return psutil.Process().memory_info().rss


def _free_and_total_bytes(*_: Any) -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _nothing(*_: Any, **__: Any) -> None:
    return None


class _CpuDeviceModule(types.ModuleType):
    """`torch.cpu`, with the memory and random-state functions that verl calls on `torch.cuda`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)


def _device_module() -> types.ModuleType:
    module = _CpuDeviceModule("verl_medu1.cpu.device")
    functions: dict[str, Any] = {
        "is_available": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: "cpu",
        "set_device": _nothing,
        "synchronize": _nothing,
        "empty_cache": _nothing,
        "ipc_collect": _nothing,
        "reset_peak_memory_stats": _nothing,
        "set_per_process_memory_fraction": _nothing,
        "memory_allocated": _used_bytes,
        "memory_reserved": _used_bytes,
        "max_memory_allocated": _used_bytes,
        "max_memory_reserved": _used_bytes,
        "mem_get_info": _free_and_total_bytes,
        "get_device_name": lambda *_: "CPU",
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
    }
    for name, function in functions.items():
        setattr(module, name, function)
    return module


class PlatformCPU(PlatformBase):
    """Each process is a device, and they communicate over gloo. Ray's "GPU" resource counts worker slots."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return True

    def current_device(self) -> str:  # type: ignore[override]
        return "cpu"  # verl passes this to Tensor.to(); an int would name an accelerator

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False  # weights travel to vLLM through shared memory

    def cudart(self) -> Any:
        return None


def install() -> None:
    """Register the platform and make it the current one; verl may already have chosen its fallback."""
    from verl.plugin.platform import platform_manager

    PlatformRegistry.register(platform="cpu")(PlatformCPU)
    platform_manager._current_platform = None
    set_platform(PlatformCPU())
    os.environ["VERL_PLATFORM"] = "cpu"
