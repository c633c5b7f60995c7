"""Grouped puts: each row arrives once, those that wait go together, and a failure reaches its callers alone."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.verl_compat.grouped_puts import GroupedPuts


class Queue:
    """Takes a while for each put, and keeps what it got."""

    def __init__(self, fails: str = "") -> None:
        self.puts: list[dict[str, Any]] = []
        self.under_way, self._fails = 0, fails

    async def put(self, **put: Any) -> None:
        self.under_way += 1
        await asyncio.sleep(0.001)
        self.under_way -= 1
        if self._fails in put["keys"]:
            raise OSError(f"no room for {self._fails}")
        self.puts.append(put)


@given(st.lists(st.tuples(st.sampled_from(["train", "val"]), st.integers(1, 3), st.integers(0, 3)), max_size=20))
def test_each_row_arrives_once_with_its_key_and_tag(calls: list[tuple[str, int, int]]) -> None:
    queue = Queue()

    async def run() -> None:
        puts = GroupedPuts(queue.put, list)

        async def call(number: int, partition: str, rows: int, wait: int) -> None:
            await asyncio.sleep(wait / 2000)
            keys = [f"{number}_{row}" for row in range(rows)]
            values = [{"row": key} for key in keys]
            await puts.put(keys=keys, fields=values, tags=[{"of": key} for key in keys], partition_id=partition)
            there = {key for put in queue.puts if put["partition_id"] == partition for key in put["keys"]}
            assert there >= set(keys), "its rows are in the queue when a call returns"

        await asyncio.gather(*(call(number, *rest) for number, rest in enumerate(calls)))

    asyncio.run(run())
    keys = [key for put in queue.puts for key in put["keys"]]
    assert sorted(keys) == sorted(f"{number}_{row}" for number, (_, rows, _) in enumerate(calls) for row in range(rows))
    for put in queue.puts:
        assert [row["row"] for row in put["fields"]] == [tag["of"] for tag in put["tags"]] == put["keys"]


def test_what_waits_goes_together_in_order() -> None:
    queue = Queue()

    async def run() -> None:
        puts = GroupedPuts(queue.put, list)
        await asyncio.gather(*(puts.put(keys=[str(n)], fields=[{}], tags=[{}], partition_id="train") for n in range(8)))

    asyncio.run(run())
    assert [put["keys"] for put in queue.puts] == [[str(n) for n in range(8)]]


def test_a_failure_reaches_those_whose_rows_went_with_it_and_no_later_ones() -> None:
    queue = Queue(fails="bad")

    async def run() -> list[Any]:
        puts = GroupedPuts(queue.put, list)

        async def call(key: str, wait: float) -> None:
            await asyncio.sleep(wait)
            await puts.put(keys=[key], fields=[{}], tags=[{}], partition_id="train")

        calls = (call("bad", 0), call("beside", 0), call("later", 0.05))
        return await asyncio.gather(*calls, return_exceptions=True)

    bad, beside, later = asyncio.run(run())
    assert isinstance(bad, OSError) and isinstance(beside, OSError) and later is None
    assert [put["keys"] for put in queue.puts] == [["later"]]


def test_a_caller_that_gives_up_stops_nobody() -> None:
    queue = Queue()

    async def run() -> None:
        puts = GroupedPuts(queue.put, list)
        tasks = [
            asyncio.create_task(puts.put(keys=[name], fields=[{}], tags=[{}], partition_id="train")) for name in "ab"
        ]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        await tasks[1]

    asyncio.run(run())
    assert [put["keys"] for put in queue.puts] == [["a", "b"]]
