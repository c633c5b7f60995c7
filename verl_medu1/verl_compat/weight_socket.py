"""A socket of its own for each run, through which vLLM gets new weights.

verl 0.9.1 names it by Ray's job id, and puts it into /tmp. The id is 01000000 in each cluster that a run starts for
itself, so that two runs on one machine would use one socket: they would wait for each other, or take each other's
weights. The temporary folder of a run's processes is its own.
"""

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from verl_medu1.verl_compat.import_hook import around_import

_SHARED = "ipc:///tmp/"


def own_socket(handle: str) -> str:
    """Return the address of the socket in this run's temporary folder.

    Example:
        >>> own_socket("ipc:///tmp/a.sock") == f"ipc://{tempfile.gettempdir()}/a.sock"
        True
    """
    return f"ipc://{tempfile.gettempdir()}/{handle.removeprefix(_SHARED)}" if handle.startswith(_SHARED) else handle


@contextmanager
def _sender(module: Any) -> Iterator[None]:
    yield
    adapter = module.ServerAdapter
    original = adapter.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.zmq_handle = own_socket(self.zmq_handle)

    adapter.__init__ = init


@contextmanager
def _receiver(module: Any) -> Iterator[None]:
    yield
    worker = module.vLLMColocateWorkerExtension
    original = worker._get_zmq_handle
    worker._get_zmq_handle = functools.wraps(original)(lambda self: own_socket(original(self)))


def install() -> None:
    """Use such sockets on both sides, once verl's modules are imported."""
    around_import("verl.workers.rollout.vllm_rollout.vllm_rollout", _sender)
    around_import("verl.workers.rollout.vllm_rollout.utils", _receiver)
