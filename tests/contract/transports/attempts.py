"""What the contract's files share: a request with a deadline, a failure caught, a condition waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from probekit.errors import TransportError
from probekit.transports.base import Engine, Request, Response

S = 10**9
Make = Callable[..., Engine]


def get(url: str, seconds: float = 5, **more: Any) -> Request:
    """A GET that has so many seconds."""
    return Request("GET", url, deadline_ns=time.monotonic_ns() + int(seconds * S), **more)


async def failure(engine: Engine, request: Request) -> TransportError:
    """The error that ``request`` ends in."""
    with pytest.raises(TransportError) as caught:
        await engine.send(request)
    assert caught.value.url is not None
    return caught.value


async def read(response: Response) -> bytes:
    """All that a stream brings."""
    assert response.chunks is not None
    return b"".join([chunk async for chunk in response.chunks])


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Return once ``condition`` holds; fail after so many seconds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
