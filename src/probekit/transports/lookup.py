"""Names to addresses, each look-up in a thread of its own.

A resolver that hangs cannot be interrupted. In a pool of a few threads (asyncio's has 32 at most, libcurl's 20) it would hold
up every other look-up; here it holds up those of its own name, which share it: a name takes one place, however often and by
whomever it is asked for.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ResolveError, TransportError
from probekit.model.observation import AddressFamily

MOST_NAMES: Final = 256
"""Look-ups under way at a time, that is names that may hang at once before another has to wait: each is a thread."""

_STACK_BYTES: Final = 512 * 1024
"""Of a thread's usual 8 MB, which count against a unit's limit of memory, a look-up needs little."""

_FAMILIES: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6, None: socket.AF_UNSPEC}
_STARTING: Final = threading.Lock()

Place = tuple[int, tuple[Any, ...]]
"""A socket family, and the address as ``connect`` takes it."""

_Key = tuple[str, AddressFamily | None]


class Looked(NamedTuple):
    """Where a name is, and for how long the resolver was waited for: what this process needs to start a thread, and to notice
    that it has ended, is no part of it.
    """

    places: list[Place]
    took_ns: int


class GivenUp(Exception):
    """Whoever looked it up does not wait for it any more."""


class _NoThread(OSError):
    pass


class _Answer(NamedTuple):
    """When the resolver was asked, and what it said when."""

    began_ns: int
    found: list[Place] | OSError
    ended_ns: int


def _at_once() -> None:
    pass


class Lookups:
    """The look-ups of one event loop. At most one of a name and family is under way at a time, and ``most`` in all; none is
    kept once it has been answered.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, most: int = MOST_NAMES) -> None:
        self._clock = clock
        self._under_way: dict[_Key, asyncio.Future[_Answer]] = {}
        self._places = asyncio.Semaphore(most)

    async def addresses(
        self, host: str, port: int, family: AddressFamily | None, begun: Callable[[], None] = _at_once
    ) -> Looked:
        """Where ``host`` is, in the resolver's order; an address is its own. ``begun`` is called when the wait for a place is
        over. Raises ``ResolveError``, ``TransportError`` where this machine has no thread for it, and ``GivenUp``.
        """
        try:
            return await self._looked(host, port, family, begun)
        except _NoThread as error:
            raise TransportError(f"{host} cannot be looked up: {error}") from None
        except OSError as error:
            raise ResolveError(f"{host}: {error.strerror or error}") from None

    async def found(self, host: str, port: int) -> list[Place]:
        """Where ``host`` is, of either family. Raises the resolver's own ``OSError``."""
        return (await self._looked(host, port, None, _at_once)).places

    def give_up(self) -> None:
        """Let nobody wait any more. The resolver cannot be told: its threads end when it answers."""
        for key, answer in tuple(self._under_way.items()):
            del self._under_way[key]
            if not answer.done():
                answer.set_exception(GivenUp())
                # Nobody may be there to take it.
                answer.exception()

    async def _looked(self, host: str, port: int, family: AddressFamily | None, begun: Callable[[], None]) -> Looked:
        if is_address(host):
            begun()
            since_ns = self._clock.monotonic_ns()
            answer = _Answer(since_ns, _look_up(host, family, socket.AI_NUMERICHOST), self._clock.monotonic_ns())
        else:
            since_ns, shared = await self._shared((host, family), begun)
            # Whoever gives up leaves it to the others.
            answer = await asyncio.shield(shared)
        if isinstance(answer.found, OSError):
            # A copy: several may wait for it, and each is told with its own way.
            raise type(answer.found)(*answer.found.args)
        places = [(family, (address[0], port, *address[2:])) for family, address in answer.found]
        return Looked(places, max(answer.ended_ns - max(answer.began_ns, since_ns), 0))

    async def _shared(self, key: _Key, begun: Callable[[], None]) -> tuple[int, asyncio.Future[_Answer]]:
        """A look-up, and since when it has been waited for from here."""
        if self._known(key) is None:
            await self._places.acquire()
            # Others may have waited for a place for the same name.
            if self._known(key) is None:
                begun()
                answer = self._under_way[key] = self._started(key)
                return 0, answer
            self._places.release()
        begun()
        return self._clock.monotonic_ns(), self._under_way[key]

    def _known(self, key: _Key) -> asyncio.Future[_Answer] | None:
        """The look-up that is under way; one that a loop left behind when it ended is none."""
        answer = self._under_way.get(key)
        return answer if answer is not None and answer.get_loop() is asyncio.get_running_loop() else None

    def _started(self, key: _Key) -> asyncio.Future[_Answer]:
        loop, clock = asyncio.get_running_loop(), self._clock
        answer: asyncio.Future[_Answer] = loop.create_future()

        def settle(told: _Answer) -> None:
            if self._under_way.get(key) is answer:
                del self._under_way[key]
            self._places.release()
            if not answer.done():
                answer.set_result(told)

        def work() -> None:
            told = _Answer(clock.monotonic_ns(), _look_up(*key), clock.monotonic_ns())
            # The loop may have ended in the meantime: then nobody waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, told)

        try:
            _start(work)
        except RuntimeError as error:
            loop.call_soon(settle, _Answer(0, _NoThread(str(error)), 0))
        return answer


def _start(work: Callable[[], None]) -> None:
    # Not by threading.Thread, whose start waits until the new thread has run, on the loop.
    with _STARTING:
        usual = threading.stack_size(_STACK_BYTES)
        try:
            _thread.start_new_thread(work, ())
        finally:
            threading.stack_size(usual)


def is_address(host: str) -> bool:
    """Whether ``host`` is an address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(host: str, family: AddressFamily | None, flags: int = 0) -> list[Place] | OSError:
    try:
        found = socket.getaddrinfo(host, None, _FAMILIES[family], socket.SOCK_STREAM, flags=flags)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(f"{host[:80]!r} is no name that can be looked up")
    return [(one[0], one[4]) for one in found]
