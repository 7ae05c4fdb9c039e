"""No test leaves anything behind: tasks, sockets, engines that were used and not closed.

The check is a fixture that every test has (``tests/conftest.py`` names it). It stands outside all others, so that what they
hold has been given back when it looks; what a wider scope opened before the test is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_asyncio import is_async_test

from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport

_FDS: Final = Path("/proc/self/fd")
_TURNS: Final = 50
_PATIENCE_S: Final = 2.0
"""What is being closed takes a few turns of the loop, and the kernel's word; only a test about to fail waits this long."""

_open_engines: dict[int, Any] = {}


def sockets() -> dict[str, str]:
    """The process's open sockets: ``socket:[inode]`` -> addresses, as far as the system tells them."""
    found = {}
    for entry in os.scandir(_FDS) if _FDS.exists() else ():
        try:
            target = os.readlink(entry.path)
        except OSError:
            continue  # The descriptor of the listing itself.
        if target.startswith("socket:"):
            found[target] = entry.name
    return found


def _described(number: str) -> str:
    try:
        with socket.socket(fileno=os.dup(int(number))) as one:
            shown = f"socket {one.family.name} {one.getsockname()}"
            with contextlib.suppress(OSError):  # It listens.
                shown += f" -> {one.getpeername()}"
            return shown
    except OSError as error:
        return f"socket of descriptor {number} ({error.strerror})"


class Watch:
    """What is open when it is made; :meth:`left` says what came since and has stayed."""

    def __init__(self) -> None:
        self._sockets = set(sockets())
        _open_engines.clear()

    def left(self) -> list[str]:
        """One line for each thing that is open and was not before."""
        new = [_described(number) for inode, number in sockets().items() if inode not in self._sockets]
        engines = [f"{type(engine).__name__} that was used and not closed" for engine in _open_engines.values()]
        return [*new, *engines]


def _tasks() -> list[str]:
    own = asyncio.current_task()
    return [f"task {task.get_name()}: {task.get_coro()}" for task in asyncio.all_tasks() if task is not own]


async def settled(watch: Watch) -> list[str]:
    """What a test on this loop leaves behind, once what was being closed is closed."""
    for _ in range(_TURNS):
        if not (left := _tasks() + watch.left()):
            return []
        await asyncio.sleep(0)
    due = time.monotonic() + _PATIENCE_S
    while (left := _tasks() + watch.left()) and time.monotonic() < due:
        await asyncio.sleep(0.005)
    return left


def _track_engines() -> None:
    for kind in (HttpxTransport, CurlTransport):
        kind.send = _used(kind.send)  # type: ignore[method-assign]
        kind.aclose = _closed(kind.aclose)  # type: ignore[method-assign]


def _used(send: Any) -> Any:
    @functools.wraps(send)
    async def wrapped(self: Any, request: Any) -> Any:
        if getattr(self, "_given", None) is None:  # A client of the caller's is the caller's to close.
            _open_engines[id(self)] = self
        return await send(self, request)

    return wrapped


def _closed(aclose: Any) -> Any:
    @functools.wraps(aclose)
    async def wrapped(self: Any) -> None:
        _open_engines.pop(id(self), None)
        await aclose(self)

    return wrapped


_track_engines()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a task, a socket or an open engine behind."""
    if is_async_test(request.node):
        request.getfixturevalue("_nothing_left_on_the_loop")
        yield
        return
    watch = Watch()
    yield
    due = time.monotonic() + _PATIENCE_S
    while (left := watch.left()) and time.monotonic() < due:
        time.sleep(0.005)
    if left:
        pytest.fail("left behind: " + "; ".join(left))


@pytest.fixture
async def _nothing_left_on_the_loop() -> AsyncIterator[None]:
    watch = Watch()
    yield
    if left := await settled(watch):
        pytest.fail("left behind: " + "; ".join(left))
