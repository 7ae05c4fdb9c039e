"""The clocks, as one injectable value: monotonic for durations, wall for time stamps, sleep for waiting.

asyncio is imported by what waits, when it waits: a probe names its clock when it is defined, and ``--help`` of it runs no loop.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from probekit.units import NS_PER_S, Instant

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")
S = TypeVar("S")


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
        import asyncio

        # At least once through the loop; and re-checked, because a loop's timer may fire up to a millisecond early.
        while True:
            remaining = deadline_ns - time.monotonic_ns()
            if remaining <= 0:
                await asyncio.sleep(0)
                return
            await asyncio.sleep(max(remaining / NS_PER_S, 0.001))


SYSTEM_CLOCK: Clock = SystemClock()


async def within(clock: Clock, deadline_ns: int, work: Awaitable[R]) -> R:
    """The result of ``work``, or ``TimeoutError`` once ``clock`` reaches ``deadline_ns`` (monotonic); then it is
    cancelled.

    ``asyncio.timeout`` reads the loop's own clock, which a test cannot turn.
    """
    import asyncio

    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep_until_ns(deadline_ns))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        await reap(task, timer)


async def reap(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs and wait until all of it has ended, whatever it ends with."""
    import asyncio

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def together(work: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """The results of all, run at once. The first error is raised as itself, not as a group; when this ends for whatever reason,
    what is left of them is ended before.
    """
    import asyncio

    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await reap(*tasks)


async def both(one: Coroutine[Any, Any, R], other: Coroutine[Any, Any, S]) -> tuple[R, S]:
    """The results of two of different kinds, as :func:`together` has them of one kind."""
    first, second = await together((one, other))
    return cast("tuple[R, S]", (first, second))


async def as_they_come(work: Iterable[Awaitable[R]]) -> AsyncGenerator[R, None]:
    """Start all, and give the result of each as soon as there is one: what hangs holds up nobody else. Raises what one raises.

    Close it (``contextlib.aclosing``) where it may be left early: those still under way are ended then.
    """
    import asyncio

    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        await reap(*tasks)


async def first_of(*work: Coroutine[Any, Any, R]) -> R:
    """What the first to end returns or raises (of several at once, the one named first); the others are ended before."""
    import asyncio

    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        await reap(*tasks)
