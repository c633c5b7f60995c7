"""One rank of a world of any size, without the other ranks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed

_FAKE = "fake"  # torch's process group whose collectives return at once


@contextmanager
def rank_of_world(rank: int, size: int) -> Iterator[None]:
    """Be this rank of a world of this size, in which all groups are fake, also those that megatron-core wants on gloo.

    Args:
        rank: of this process.
        size: number of ranks.
    """
    from megatron.core import parallel_state
    from torch.testing._internal.distributed.fake_pg import FakeStore

    new_group = torch.distributed.new_group

    def fake_group(*args: Any, **kwargs: Any) -> Any:
        return new_group(*args, **{**kwargs, "backend": _FAKE})

    torch.distributed.init_process_group(_FAKE, store=FakeStore(), rank=rank, world_size=size)
    torch.distributed.new_group = fake_group
    try:
        yield
    finally:
        torch.distributed.new_group = new_group
        parallel_state.destroy_model_parallel()
        torch.distributed.destroy_process_group()
