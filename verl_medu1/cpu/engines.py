"""verl's training engines for device "cpu"; verl registers them only for "cuda" and "npu"."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from verl_medu1.verl_compat.import_hook import around_import


@contextmanager
def _fsdp_on_cpu(_module: ModuleType) -> Iterator[None]:
    """Register the engines of verl/workers/engine/fsdp/transformer_impl.py for "cpu"."""
    yield
    from verl.workers.engine.base import EngineRegistry

    from verl_medu1.cpu.fsdp import cpu_engine

    for backends in EngineRegistry._engines.values():
        for backend in ("fsdp", "fsdp2"):
            if "cuda" in backends.get(backend, {}):
                backends[backend].setdefault("cpu", cpu_engine(backends[backend]["cuda"]))


@contextmanager
def _megatron_on_cpu(module: ModuleType) -> Iterator[None]:
    from verl_medu1.cpu.megatron import bridge, cuda

    bridge.install()
    cuda.install()
    yield
    from verl_medu1.cpu.megatron.engine import register

    register(module)


@contextmanager
def _merger_on_cpu(_module: ModuleType) -> Iterator[None]:
    """Works around verl/model_merger/megatron_model_merger.py, MegatronModelMerger.__init__.

    It seeds Megatron's random states, which are CUDA's.
    """
    from verl_medu1.cpu.megatron import cuda

    cuda.install()
    yield


def install() -> None:
    """Register each engine when verl imports it, so that a process imports only the engine it uses."""
    around_import("verl.workers.engine.fsdp.transformer_impl", _fsdp_on_cpu)
    around_import("verl.workers.engine.megatron.transformer_impl", _megatron_on_cpu)
    around_import("verl.model_merger.megatron_model_merger", _merger_on_cpu)
