"""The hand-over between a stream's reader and its consumer."""

from __future__ import annotations

import asyncio

import pytest

from probekit.transports.queue import BoundedQueue


async def test_the_oldest_goes_first_and_is_dropped_first() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    for item in range(5):
        queue.put(item)
    assert (len(queue), queue.dropped) == (2, 3)
    assert [await queue.get(), await queue.get()] == [3, 4]


async def test_a_consumer_waits_for_what_comes() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.put(7)
    assert await waiting == 7


async def test_a_producer_that_dies_is_no_silence() -> None:
    queue: BoundedQueue[int] = BoundedQueue(4)

    async def produce() -> None:
        queue.put(1)
        raise RuntimeError("a defect")

    queue.watch(asyncio.ensure_future(produce()))
    assert await queue.get() == 1
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a defect"):
            await queue.get()


async def test_a_producer_that_is_cancelled_is_no_defect() -> None:
    queue: BoundedQueue[int] = BoundedQueue(4)
    task = asyncio.ensure_future(asyncio.sleep(3600))
    queue.watch(task)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    queue.put(1)
    assert await queue.get() == 1


def test_a_queue_holds_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        BoundedQueue(0)
