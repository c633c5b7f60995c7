"""Answers that are ready at the same time go into verl's queue together.

verl's agent loop puts each answer into the queue by itself (trainer/ppo/v1/agent_loop_tq.py, AgentLoopWorkerTQ,
_agent_loop_postprocess): three requests for each. Here, what becomes ready while a put is under way waits for it, and
goes with the next one. Nothing else changes: each caller still waits until its answer is in the queue.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from verl_medu1.verl_compat.import_hook import around_import

Row = dict[str, Any]


@dataclass
class _Waiting:
    """What waits for the next put of a partition."""

    keys: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    tags: list[Any] = field(default_factory=list)
    futures: list[asyncio.Future[None]] = field(default_factory=list)


class GroupedPuts:
    """Puts rows into a queue: those that wait at the same time at once.

    Args:
        put: puts rows of one partition, as `transfer_queue.async_kv_batch_put` does.
        join: rows -> what `put` takes as `fields`.
    """

    def __init__(self, put: Callable[..., Awaitable[Any]], join: Callable[[list[Row]], Any]) -> None:
        self._put, self._join = put, join
        self._waiting: dict[str, _Waiting] = {}
        self._putting: dict[str, asyncio.Task[None]] = {}

    async def put(self, *, keys: Sequence[str], fields: Sequence[Row], tags: Sequence[Any], partition_id: str) -> None:
        """Put rows, and return once they are in the queue.

        Raises:
            Exception: what the put of these rows raised, with which others may have gone.
        """
        waiting = self._waiting.setdefault(partition_id, _Waiting())
        waiting.keys += keys
        waiting.rows += fields
        waiting.tags += tags
        done = asyncio.get_running_loop().create_future()
        waiting.futures.append(done)
        if partition_id not in self._putting:
            self._putting[partition_id] = asyncio.create_task(self._put_all(partition_id))
        await done

    async def _put_all(self, partition_id: str) -> None:
        """Put what waits, until nothing does."""
        while waiting := self._waiting.pop(partition_id, None):
            try:
                fields = self._join(waiting.rows)
                await self._put(keys=waiting.keys, fields=fields, tags=waiting.tags, partition_id=partition_id)
            except Exception as error:
                _end(waiting.futures, error)
            else:
                _end(waiting.futures, None)
        del self._putting[partition_id]


def _end(futures: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for one in futures:
        if one.done():  # its caller was cancelled
            continue
        if error is None:
            one.set_result(None)
        else:
            one.set_exception(error)


@contextmanager
def _group(module: Any) -> Iterator[None]:
    yield
    queue, join = module.tq, module.list_of_dict_to_tensordict
    puts = GroupedPuts(queue.async_kv_batch_put, join)
    names = {name: getattr(queue, name) for name in ("init", "async_kv_put")}
    module.tq = SimpleNamespace(**names, async_kv_batch_put=puts.put)
    module.list_of_dict_to_tensordict = list


def install() -> None:
    """Group the puts of verl's agent loop, once its module is imported."""
    around_import("verl.trainer.ppo.v1.agent_loop_tq", _group)
