"""A clock that a test turns."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from probekit.units import NS_PER_S, Instant, to_ns


class FakeClock:
    """A :class:`~probekit.clock.Clock` that stands still until :meth:`advance`; sleepers wake in order, each at its own time.

    ``start`` is the wall clock's first reading. The monotonic clock starts at an odd value so that nothing mistakes it for
    wall time.
    """

    def __init__(self, start: Instant | None = None) -> None:
        self._wall = start or Instant.parse("2026-09-12T10:00:00Z")
        self._now_ns = 7_000 * NS_PER_S
        self._start_ns = self._now_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> Instant:
        return Instant(self._wall.ns + self._now_ns - self._start_ns)

    def monotonic_ns(self) -> int:
        return self._now_ns

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        if deadline_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (deadline_ns, next(self._order), future))
        await future

    @property
    def sleeping(self) -> int:
        """How many tasks wait for this clock."""
        return sum(1 for _, _, future in self._sleepers if not future.done())

    async def settle(self, turns: int = 60) -> None:
        """Let every task that can run do so: ``turns`` of the loop, fewer where nothing is left that could."""
        nothing_left = _idle(asyncio.get_running_loop())
        for _ in range(turns):
            await asyncio.sleep(0)
            if nothing_left():
                return

    async def advance(self, delta: timedelta) -> None:
        """Move both clocks by ``delta``, stopping at every sleeper's time on the way and letting tasks run there."""
        target_ns = self._now_ns + to_ns(delta)
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= target_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now_ns = max(self._now_ns, due_ns)
            future.set_result(None)
            await self.settle()
        self._now_ns = target_ns
        await self.settle()

    def step_wall(self, delta: timedelta) -> None:
        """Step the wall clock alone, as an operator or a bad NTP server does."""
        self._wall = self._wall.plus(delta)


def _idle(loop: asyncio.AbstractEventLoop) -> Callable[[], bool]:
    """Whether no callback waits for its turn, asked from a task that has just had its own; never where one may come from
    outside: a socket, a pipe, a thread. No loop says so in public, and one that does not say it so is always given every turn.
    """
    ready, executor = getattr(loop, "_ready", None), getattr(loop, "_default_executor", loop)
    watched = getattr(getattr(loop, "_selector", None), "get_map", lambda: None)()
    # The loop's own wake-up is the one descriptor that is always watched.
    if not isinstance(ready, deque) or executor is not None or watched is None or len(watched) > 1:
        return lambda: False
    return lambda: not ready and len(watched) <= 1
