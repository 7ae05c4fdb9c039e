"""A deadline on the injected clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from probekit.clock import Clock

R = TypeVar("R")


async def within(clock: Clock, deadline_ns: int, work: Awaitable[R]) -> R:
    """The result of ``work``, or ``TimeoutError`` once ``clock`` reaches ``deadline_ns`` (monotonic); then it is
    cancelled.

    ``asyncio.timeout`` reads the loop's own clock, which a test cannot turn.
    """
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
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
