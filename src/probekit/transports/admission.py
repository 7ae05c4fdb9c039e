"""What comes before an attempt of the measuring engine: its name is looked up, then it waits for a place.

In that order: names that hang must take nobody's place.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from probekit.clock import Clock
from probekit.errors import ConnectError, Phase, TransportError
from probekit.transports.base import Request
from probekit.transports.lookup import GivenUp, Lookups, Place, is_address
from probekit.transports.sendable import late_already, late_in
from probekit.units import NS_PER_S, Instant

_PORTS: Final = {"http": 80, "https": 443}
_REMEMBERED: Final = 2_048
"""Characters of a URL that is known again: a prober asks the same few at every tick."""


class Named(NamedTuple):
    """The host of a URL that has to be looked up, as libcurl knows it, and its port."""

    host: str
    port: int


class Admitted(NamedTuple):
    """An attempt that may begin. ``places`` are those of its name, ``None`` where the engine needs no look-up of ours."""

    name: Named | None
    places: list[Place] | None
    started_at: Instant
    resolve_ns: int
    queue_ns: int


class Admission:
    """``max_concurrency`` attempts have a place at a time; whoever was admitted leaves. With ``look_up`` false, names are left
    to the engine.
    """

    def __init__(self, clock: Clock, *, max_concurrency: int, look_up: bool) -> None:
        self._clock = clock
        self._gate = asyncio.Semaphore(max_concurrency)
        self._look_up = look_up
        self._lookups = Lookups(clock=clock)

    async def enter(self, request: Request) -> Admitted:
        """Raises ``DeadlineExceeded`` with its phase, ``ResolveError``, and ``ConnectError`` where the engine was closed."""
        clock, deadline_ns = self._clock, request.deadline_ns
        asked_ns = clock.monotonic_ns()
        if deadline_ns is not None and asked_ns >= deadline_ns:
            raise late_already(request)
        name, places, waited_ns, resolve_ns = None, None, 0, 0
        started_at = clock.now()
        if self._look_up:
            name = (_named_again if len(request.url) <= _REMEMBERED else _named)(request.url)
            if name is not None:
                places, waited_ns, resolve_ns = await self._found(request, name, asked_ns)
        if not self._gate.locked():
            await self._gate.acquire()
            return Admitted(name, places, started_at, resolve_ns, waited_ns)
        queued_ns = clock.monotonic_ns()
        try:
            async with _within(deadline_ns, queued_ns):
                await self._gate.acquire()
        except TimeoutError:
            raise late_in(request.shown_url, "queue", clock.monotonic_ns() - asked_ns) from None
        return Admitted(name, places, started_at, resolve_ns, waited_ns + clock.monotonic_ns() - queued_ns)

    def leave(self) -> None:
        self._gate.release()

    def close(self) -> None:
        """Whoever waits for a look-up is told so."""
        self._lookups.give_up()

    async def _found(self, request: Request, name: Named, asked_ns: int) -> tuple[list[Place], int, int]:
        clock = self._clock
        begun_ns: int | None = None

        def begun() -> None:
            nonlocal begun_ns
            begun_ns = clock.monotonic_ns()

        def took() -> tuple[int, int]:
            """In the queue, and looked up."""
            now_ns = clock.monotonic_ns()
            return (now_ns - asked_ns, 0) if begun_ns is None else (begun_ns - asked_ns, now_ns - begun_ns)

        error: TransportError
        try:
            async with _within(request.deadline_ns, asked_ns):
                looked = await self._lookups.addresses(name.host, name.port, request.family, begun)
            # What is not the resolver's time is ours, as the queue is.
            return looked.places, clock.monotonic_ns() - asked_ns - looked.took_ns, looked.took_ns
        except TimeoutError:
            queue_ns, resolve_ns = took()
            phase: Phase = "queue" if begun_ns is None else "resolve"
            error = late_in(request.shown_url, phase, resolve_ns or queue_ns)
        except GivenUp:
            shown = request.shown_url
            error = ConnectError(f"the engine was closed while {shown} was asked", url=shown)
        except TransportError as failed:
            shown = request.shown_url
            error = type(failed)(f"{shown}: {failed.message}", url=shown)
        error.queue_ns, error.elapsed_ns = took()
        raise error


def _within(deadline_ns: int | None, now_ns: int) -> asyncio.Timeout:
    return asyncio.timeout(None if deadline_ns is None else (deadline_ns - now_ns) / NS_PER_S)


def _named(url: str) -> Named | None:
    """What has to be looked up for a sendable URL; nothing for an address, nor for what libcurl knows by itself (RFC 6761)."""
    parts = urlsplit(url)
    host = unquote(parts.hostname or "")
    if is_address(host) or host == "localhost" or host.endswith(".localhost"):
        return None
    return Named(host, parts.port or _PORTS[parts.scheme])


_named_again = lru_cache(maxsize=1_024)(_named)
