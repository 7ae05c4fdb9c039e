"""The clocks, as one injectable value: monotonic for durations, wall for time stamps, sleep for waiting."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from probekit.units import NS_PER_S, Instant


class Clock(Protocol):
    """What the runner, the clients and the sandbox know of time. ``probekit.testing.FakeClock`` is the other one."""

    def now(self) -> Instant:
        """Wall-clock time; its error is the vantage's business (:mod:`probekit.runner.vantage`)."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never steps; only differences mean anything."""
        ...

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return once :meth:`monotonic_ns` has reached ``deadline_ns``; yields at least once."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Instant:
        return Instant(time.time_ns())

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        # At least once through the loop; and re-checked, because a loop's timer may fire up to a millisecond early.
        while True:
            remaining = deadline_ns - time.monotonic_ns()
            if remaining <= 0:
                await asyncio.sleep(0)
                return
            await asyncio.sleep(max(remaining / NS_PER_S, 0.001))


SYSTEM_CLOCK: Clock = SystemClock()
