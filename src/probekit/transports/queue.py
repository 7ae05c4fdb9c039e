"""A bounded hand-over between a stream's reader and its consumer; the oldest goes first, counted."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """At most ``capacity`` items, and of sizes that are given at most ``max_size`` in sum (or one alone that is larger): a full
    queue drops its oldest and counts it in :attr:`dropped`. One consumer.
    """

    def __init__(self, capacity: int, max_size: int | None = None) -> None:
        if capacity < 1:
            raise ValueError("a queue holds at least one item")
        self._items: deque[tuple[T, int]] = deque()
        self._capacity = capacity
        self._max_size = max_size
        self._size = 0
        self._ready = asyncio.Event()
        self._failure: BaseException | None = None
        self.dropped = 0

    def put(self, item: T, size: int = 0) -> None:
        while self._items and (
            len(self._items) >= self._capacity or (self._max_size is not None and self._size + size > self._max_size)
        ):
            self._size -= self._items.popleft()[1]
            self.dropped += 1
        self._items.append((item, size))
        self._size += size
        self._ready.set()

    def watch(self, producer: asyncio.Task[None]) -> None:
        """Let the consumer see it when ``producer`` dies of a defect: a queue that is never filled again looks like silence."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._failure = error
                self._ready.set()

        producer.add_done_callback(ended)

    async def get(self) -> T:
        """The oldest item. Raises what the producer died of, after its last item."""
        while not self._items:
            if self._failure is not None:
                raise self._failure
            self._ready.clear()
            await self._ready.wait()
        item, size = self._items.popleft()
        self._size -= size
        return item

    def __len__(self) -> int:
        return len(self._items)
