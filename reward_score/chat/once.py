"""Equal questions are asked once."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any


class Once[Key: Hashable, Value]:
    """Runs a coroutine once for each key, also for those who ask while it runs. Failures are not kept.

    Use it within a single event loop.

    Args:
        most: Results that are kept; the one that was asked for longest ago goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Tasks rather than results: the responses of a group ask at the same time.
        self._tasks: OrderedDict[Key, asyncio.Task[Value]] = OrderedDict()

    async def get(self, key: Key, start: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return what the coroutine of this key returns, or raise what it raises."""
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(start())
            if len(self._tasks) > self._most:
                self._tasks.popitem(last=False)
        self._tasks.move_to_end(key)
        task = self._tasks[key]
        try:
            # Of its own: if one who waits is cancelled, others still get the result.
            return await asyncio.shield(task)
        except Exception:
            if self._tasks.get(key) is task:
                del self._tasks[key]
            raise
