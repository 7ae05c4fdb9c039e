"""Routers in process, on the injected clock: an engine and WebSockets without sockets, for unit tests of every fault."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

from probekit.clock import Clock, within
from probekit.dev.lazer.router import Router, Session
from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    NotEntitled,
    RateLimited,
    ServerError,
    StatusError,
    StreamClosed,
    Unauthorized,
)
from probekit.model import Phases
from probekit.secret import Secret, redact_url
from probekit.transports.base import Capabilities, HeaderValue, Request, Response
from probekit.units import NS_PER_S, format_ns


def _revealed(headers: Sequence[tuple[str, HeaderValue]]) -> dict[str, str]:
    return {name.lower(): value.reveal() if isinstance(value, Secret) else value for name, value in headers}


def _router(routers: Mapping[str, Router], url: str) -> Router:
    parts = urlsplit(url)
    found = routers.get(parts.netloc)
    if found is None:
        shown = redact_url(url)
        raise ConnectError(f"the connection to {shown} was refused", url=shown)
    return found


class RouterTransport:
    """An :class:`~probekit.transports.base.Engine` over routers by host (``{"one.test": router}``); another host refuses the
    connection. Deadlines are kept on ``clock``.
    """

    def __init__(self, routers: Mapping[str, Router], *, clock: Clock) -> None:
        self._routers, self._clock = routers, clock

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("sandbox", frozenset(), frozenset(("1.1",)), fresh_connections=True, redirects=False)

    async def send(self, request: Request) -> Response:
        clock, shown = self._clock, request.shown_url
        started_at, started_ns = clock.now(), clock.monotonic_ns()
        router, parts = _router(self._routers, request.url), urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        work = router.answer(request.method, target, _revealed(request.headers), request.body or b"")
        try:
            status, body = await (work if request.deadline_ns is None else within(clock, request.deadline_ns, work))
        except TimeoutError:
            elapsed_ns = clock.monotonic_ns() - started_ns
            text = f"{shown} passed its deadline in phase first_byte after {format_ns(elapsed_ns)}"
            raise DeadlineExceeded(text, phase="first_byte", url=shown, elapsed_ns=elapsed_ns) from None
        headers = (("content-type", "application/json"), *((("retry-after", "1"),) if status == 429 else ()))
        elapsed_ns = clock.monotonic_ns() - started_ns
        return Response(status, headers, body, Phases(), elapsed_ns, started_at, clock.now(), "1.1", url=shown)

    async def aclose(self) -> None:
        return None


class RouterConnector:
    """A :class:`~probekit.transports.socket.Connector` over routers by host. ``sockets`` are all that were opened, in order."""

    def __init__(self, routers: Mapping[str, Router]) -> None:
        self._routers = routers
        self.sockets: list[RouterSocket] = []

    async def connect(
        self, url: str, *, headers: Sequence[tuple[str, HeaderValue]] = (), timeout_ns: int, max_message_bytes: int
    ) -> RouterSocket:
        router, shown = _router(self._routers, url), redact_url(url)
        if router.faults.hangs:
            try:
                deadline_ns = router.clock.monotonic_ns() + timeout_ns
                await within(router.clock, deadline_ns, asyncio.get_running_loop().create_future())
            except TimeoutError:
                raise DeadlineExceeded(f"{shown}: not open in time", phase="connect", url=shown) from None
        status = router.admit(_revealed(headers))
        if status is not None:
            _refuse(status, shown)
        socket = RouterSocket(router, shown)
        self.sockets.append(socket)
        return socket

    @property
    def open_sockets(self) -> int:
        return sum(not socket.closed for socket in self.sockets)


def _refuse(status: int, shown: str) -> NoReturn:
    text = f"{shown} answered {status} instead of opening a WebSocket"
    if status == 401:
        raise Unauthorized(text, status=status, url=shown)
    if status == 403:
        raise NotEntitled(text, url=shown)
    if status == 429:
        raise RateLimited(text, retry_after_ns=NS_PER_S, url=shown)
    if status >= 500:
        raise ServerError(text, status=status, url=shown)
    raise StatusError(text, status=status, url=shown)


class RouterSocket:
    """A client's side of a connection."""

    def __init__(self, router: Router, shown: str) -> None:
        self._shown = shown
        self._inbox: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self._session = Session(router, self._tell)
        self.closed = False

    async def _tell(self, message: str | bytes) -> None:
        self._inbox.put_nowait(message.encode() if isinstance(message, str) else message)

    async def send(self, text: str) -> None:
        if self.closed:
            raise StreamClosed(f"{self._shown} is closed", planned=False, url=self._shown)
        await self._session.take(text)

    async def receive(self) -> bytes:
        item = await self._inbox.get()
        if isinstance(item, Exception):
            raise item
        return item

    def put(self, item: bytes | Exception) -> None:
        """What the client receives next."""
        self._inbox.put_nowait(item)

    def cut(self) -> None:
        """Break the connection, without a closing handshake."""
        self.put(StreamClosed(f"{self._shown} broke: cut", planned=False, url=self._shown))

    async def aclose(self) -> None:
        self.closed = True
        await self._session.aclose()
