"""Tensors without memory, and how many bytes they would take."""

import weakref
from collections import Counter
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from verl_medu1.rehearse.collectives import Collectives

ACTIVATIONS, LOGITS = "activations", "logits"
_READS_A_NUMBER = torch.ops.aten._local_scalar_dense.default
_PLAIN = (torch.Tensor, torch.nn.Parameter, FakeTensor)


class Bytes:
    """Adds up the storages that are alive, by part, and keeps the highest sum.

    Attributes:
        alive: part -> bytes that are alive.
        peak: part -> bytes at the time when the parts that a step allocates were highest together.
    """

    def __init__(self, vocabulary: int) -> None:
        """Args: vocabulary: columns of the logits on this rank; a tensor with as many in its last dimension is one."""
        self._vocabulary = vocabulary
        self._parts: dict[int, str] = {}
        self.alive: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()

    def _step(self, parts: Counter[str]) -> int:
        return parts[ACTIVATIONS] + parts[LOGITS]

    def see(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage, once, until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._parts:
            return
        part = LOGITS if tensor.dim() > 1 and tensor.shape[-1] == self._vocabulary else ACTIVATIONS
        size = storage.nbytes()
        self._parts[key] = part
        self.alive[part] += size
        weakref.finalize(storage, self._free, key, size)
        if self._step(self.alive) > self._step(self.peak):
            self.peak = self.alive.copy()

    def _free(self, key: int, size: int) -> None:
        self.alive[self._parts.pop(key)] -= size

    def assign(self, part: str, tensors: Any) -> None:
        """Count the storages of these tensors, which stay for the whole run, as a part of its own."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            before = self._parts.get(storage._cdata)
            if before in (ACTIVATIONS, LOGITS):
                self._parts[storage._cdata] = part
                self.alive[before] -= storage.nbytes()
                self.alive[part] += storage.nbytes()

    def start_again(self) -> None:
        """Forget the peak."""
        self.peak = self.alive.copy()


class Rehearsal(TorchDispatchMode):
    """Runs what works on whole numbers, such as lengths and positions, and gives all other tensors no memory.

    Floating-point tensors are torch's fake tensors: they have a shape, a dtype and a storage of a size, and operations
    on them compute no values. A number that is read from one, such as a loss, is 1. Collectives go to `collectives`.
    """

    def __init__(self, memory: Bytes, collectives: Collectives) -> None:
        super().__init__()
        self.memory = memory
        self.collectives = collectives
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not all(kind in _PLAIN for kind in types):
            return NotImplemented  # a nested tensor: its own rules break it up into operations on plain ones
        kwargs = kwargs or {}
        if func.namespace == "c10d":
            return self.collectives.call(func, args, kwargs)
        has_fake = has_tensor = False
        for item in tree_iter((args, kwargs)):
            has_tensor = has_tensor or isinstance(item, torch.Tensor)
            has_fake = has_fake or isinstance(item, FakeTensor)
        if func is _READS_A_NUMBER and has_fake:
            return 1.0 if args[0].is_floating_point() else 1
        if not has_fake and (has_tensor or not self._makes_floats(func, kwargs)):
            return func(*args, **kwargs)
        with self._fake:
            out = func(*args, **kwargs)
        for item in tree_iter(out):
            if isinstance(item, FakeTensor):
                self.memory.see(item)
        return out

    def _makes_floats(self, func: Any, kwargs: Any) -> bool:
        if kwargs.get("dtype") is not None:
            return kwargs["dtype"].is_floating_point
        # arange takes the dtype of its numbers, which are whole in all that is called here without a dtype.
        return func.overloadpacket is not torch.ops.aten.arange
