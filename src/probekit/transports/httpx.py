"""The engine for typed clients, on httpx: the only file that names it. Foreign exceptions are mapped here, in one place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, cast

import anyio
import httpcore
import httpx

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import (
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    HeadersTooLarge,
    Phase,
    ProtocolError,
    ResolveError,
    StreamClosed,
    TlsError,
    TransportError,
)
from probekit.model import Phases
from probekit.secret import redact_url
from probekit.transports.authorities import authorities, ssl_context
from probekit.transports.base import Capabilities, Request, Response
from probekit.transports.content import ACCEPTED, BoundedBody
from probekit.transports.lookup import Lookups, Place, is_address
from probekit.transports.reach import first
from probekit.transports.redirects import follow
from probekit.transports.sendable import late_already, late_in, refuse_unsendable, revealed
from probekit.units import NS_PER_S


class _Redacted(logging.Filter):
    """httpx logs every request's URL at INFO, httpcore every answer's headers at DEBUG; a key in them must not come along."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact_url(record.getMessage()), ()
        return True


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks"):
    logging.getLogger(_name).addFilter(_Redacted())

_USER_AGENT: Final = "probekit"

_FOREIGN: Final = (TimeoutError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)

_MOST_HEADER_BYTES: Final = 100 * 1024
"""What httpcore reads of headers, whatever a request allows."""

_SAFE_TURNS: Final = 5
"""Turns of the loop after which a request without a connection is known to wait for one: giving its place back is safe then."""

# httpcore's trace events, by the phase they begin.
_PHASE_EVENTS: Final[dict[str, Phase]] = {
    "connection.connect_tcp": "connect",
    "connection.start_tls": "tls",
    "http11.send_request_headers": "first_byte",
    "http2.send_request_headers": "first_byte",
    "http11.receive_response_body": "transfer",
    "http2.receive_response_body": "transfer",
}


class _Trace:
    """When each phase began and ended, on the transport's monotonic clock, as httpcore reports it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began: dict[Phase, int] = {}
        self.ended: dict[Phase, int] = {}
        # Until httpcore says a word, the request waits for a connection of the pool.
        self.phase: Phase = "queue"
        self.headers_at: int | None = None

    async def __call__(self, name: str, info: dict[str, Any]) -> None:
        event, _, stage = name.rpartition(".")
        now_ns = self._clock.monotonic_ns()
        if event.endswith("receive_response_headers") and stage == "complete":
            self.headers_at = now_ns
        phase = _PHASE_EVENTS.get(event)
        if phase is None:
            return
        if stage == "started":
            self.began.setdefault(phase, now_ns)
            self.phase = phase
        elif stage == "complete":
            self.ended[phase] = now_ns

    def phases(self, ended_ns: int | None) -> Phases:
        """What is known: name look-up is inside connect, a kept-alive connection has no connect and no TLS, a stream no end."""

        def span(phase: Phase) -> int | None:
            began, ended = self.began.get(phase), self.ended.get(phase)
            return None if began is None or ended is None else ended - began

        sent, answered = self.began.get("first_byte"), self.headers_at
        return Phases(
            connect_ns=span("connect"),
            tls_ns=span("tls"),
            first_byte_ns=None if sent is None or answered is None else answered - sent,
            transfer_ns=None if answered is None or ended_ns is None else ended_ns - answered,
        )


class _Backend(httpcore.AsyncNetworkBackend):
    """Connections as httpcore makes them, but for two things. Names: asyncio's pool has so few threads that some which hang
    hold up all others, and whatever else blocks there. Authorities: httpcore takes those of the day it was made.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._usual = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
        self._lookups = Lookups()
        self._tls = tls

    async def sleep(self, seconds: float) -> None:
        await self._usual.sleep(seconds)

    async def connect_tcp(self, host: str, port: int, *args: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        connect = self._usual.connect_tcp
        if is_address(host):
            return _Stream(await connect(host, port, *args, **more), self._tls)
        try:
            places = await self._lookups.found(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        plain = await first(
            places,
            lambda place: connect(_written(place), port, *args, **more),
            lambda late: asyncio.ensure_future(late.aclose()),
            (httpcore.ConnectError, httpcore.ConnectTimeout),
        )
        return _Stream(plain, self._tls)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection whose TLS trusts whom ``tls`` says by then."""

    def __init__(self, plain: httpcore.AsyncNetworkStream, tls: Callable[[], ssl.SSLContext]) -> None:
        self._plain, self._tls = plain, tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._plain.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._plain.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._plain.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        # Authorities that are gone for a moment are replaced just now: the ones before serve until they are there again.
        with contextlib.suppress(ConfigError):
            ssl_context = self._tls()
            ssl_context.set_alpn_protocols(["http/1.1"])
        return await self._plain.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)


def _written(place: Place) -> str:
    address, scope = place[1][0].partition("%")[0], place[1][3:4]
    return f"{address}%{scope[0]}" if scope and scope[0] else str(address)


class _Connections(httpx.AsyncHTTPTransport):
    """httpx's own transport, over that."""

    def __init__(self, tls: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        super().__init__(verify=tls(), trust_env=False, limits=limits)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(tls),
        )


class HttpxTransport:
    """An :class:`~probekit.transports.base.Engine` on httpx, with kept-alive connections.

    ``client`` is a caller's own ``httpx.AsyncClient``: used as it is configured, and not closed by :meth:`aclose`; but a
    request's deadline stands in for the client's time-outs, and its ``max_redirects`` for ``follow_redirects``. Without one, a
    client is made that verifies against :func:`~probekit.transports.authorities.authorities` (``ca_file``, or the system's),
    keeps no cookies and ignores proxies in the environment unless ``trust_env``. ``tls`` stands in for the authorities where a
    service has its own, or wants a certificate. Only http and https. Raises ``ConfigError`` for authorities that are not there.
    """

    def __init__(
        self,
        *,
        client: httpx.AsyncClient | None = None,
        clock: Clock = SYSTEM_CLOCK,
        ca_file: str | None = None,
        tls: ssl.SSLContext | None = None,
        trust_env: bool = False,
    ) -> None:
        self._given = client
        self._made: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        self._clock = clock
        self._ca_file = ca_file
        self._tls = tls
        self._trust_env = trust_env
        if client is None and tls is None:
            authorities(ca_file)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            "httpx",
            frozenset(("connect", "tls", "first_byte", "transfer")),
            frozenset(("1.1",)),
            fresh_connections=False,
            redirects=True,
        )

    def _client(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        made = self._made.get(loop)
        if made is None:
            # A connection lives and dies with its loop: one for each that this is used under, those that are over forgotten.
            self._made = {one: client for one, client in self._made.items() if not one.is_closed()}
            limits = httpx.Limits(max_connections=100, max_keepalive_connections=20)
            made = self._made[loop] = httpx.AsyncClient(
                verify=self._context(),
                trust_env=self._trust_env,
                timeout=None,  # noqa: S113 - one deadline over the whole exchange instead
                limits=limits,
                # Given one of ours, it would not ask the environment for proxies.
                transport=None if self._trust_env else _Connections(self._context, limits),
                headers={"user-agent": _USER_AGENT},
            )
            # No answer changes a later request, and a server cannot make the jar grow.
            made.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        return made

    def _context(self) -> ssl.SSLContext:
        return self._tls or ssl_context(self._ca_file)

    async def send(self, request: Request) -> Response:
        return await follow(self._attempt, request)

    async def _attempt(self, request: Request) -> Response:
        refuse_unsendable(request)
        if request.http_version is not None or request.family is not None:
            shown = request.shown_url
            raise ProtocolError(f"{shown}: httpx takes no HTTP version or address family by request", url=shown)
        exchange = _Exchange(self._client(), request, self._clock)
        if request.deadline_ns is None:
            return await exchange.within(None)
        remaining_ns = request.deadline_ns - self._clock.monotonic_ns()
        if remaining_ns <= 0:
            raise late_already(request)
        return await exchange.within(remaining_ns / NS_PER_S)

    async def aclose(self) -> None:
        """Close every connection made here, each under its own loop: one that runs in another thread is asked to, one that has
        stopped is run for it. What a closed loop left open is beyond reach, and asyncio's to warn of.
        """
        made, self._made = self._made, {}
        here = asyncio.get_running_loop()
        for loop, client in made.items():
            if loop is here:
                await client.aclose()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.aclose(), loop))
            elif not loop.is_closed():
                await asyncio.to_thread(loop.run_until_complete, client.aclose())


class _Exchange:
    """One attempt, run by a task of its own.

    httpcore gives a connection back to its pool also when it is cancelled, but only by anyio's scopes, which it can hold off
    while it tidies up; a task that is cancelled in that moment, or in the one between its place in the pool and the
    connection's first step, loses the place for good. So nobody cancels the task: it is asked to stop, once that is safe.
    """

    def __init__(self, client: httpx.AsyncClient, request: Request, clock: Clock) -> None:
        self._client = client
        self._request = request
        self._clock = clock
        self._shown = request.shown_url
        self._started_at, self._started_ns = clock.now(), clock.monotonic_ns()
        self._trace = _Trace(clock)
        self._scope = anyio.CancelScope()

    async def within(self, seconds: float | None) -> Response:
        """The answer, or ``DeadlineExceeded`` after so many seconds. Raises other ``TransportError`` leaves as it fails."""
        task = asyncio.ensure_future(self._run())
        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            await self._stop(task)
            raise
        if not task.done():
            await self._stop(task)
            raise self._late()
        response = task.result()
        assert response is not None, "the scope is cancelled by _stop alone"
        return response

    async def _stop(self, task: asyncio.Task[Response | None]) -> None:
        """End the task and wait until it has ended; what it got is closed. Then raises ``CancelledError`` if it was cancelled
        itself meanwhile.
        """
        turns, cancelled = 0, False
        while not task.done():
            if turns >= _SAFE_TURNS or self._trace.began:
                self._scope.cancel()
            turns += 1
            try:
                await (asyncio.wait({task}) if self._scope.cancel_called else asyncio.sleep(0))
            except asyncio.CancelledError:
                cancelled = True
        if task.exception() is None and (response := task.result()) is not None:
            await response.aclose()
        if cancelled:
            raise asyncio.CancelledError

    async def _run(self) -> Response | None:
        with self._scope:
            try:
                return await self._exchange()
            except TransportError as ours:
                ours.elapsed_ns = self._clock.monotonic_ns() - self._started_ns
                error = ours
            except _FOREIGN as foreign:
                error = self._translated(foreign, streaming=False)
            # Outside of the handler: the foreign error leads to frames that hold the keys of the request.
            raise error
        return None

    async def _exchange(self) -> Response:
        request, trace, clock = self._request, self._trace, self._clock
        answer = await self._client.send(self._outgoing(), stream=True, follow_redirects=False)
        # Asked now: once the body is read the connection may be gone, and with it the address.
        address, port = _peer(answer)
        try:
            headers = _checked_headers(answer, request)
            content = b"" if request.stream else await self._read(answer)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await answer.aclose()
            raise
        if not request.stream:
            with anyio.CancelScope(shield=True):
                await answer.aclose()
        ended_ns = clock.monotonic_ns()
        return Response(
            status=answer.status_code,
            headers=headers,
            body=content,
            phases=trace.phases(None if request.stream else ended_ns),
            elapsed_ns=ended_ns - self._started_ns,
            started_at=self._started_at,
            received_at=clock.now(),
            http_version=answer.http_version.removeprefix("HTTP/"),
            peer_address=address,
            peer_port=port,
            new_connection="connect" in trace.began,
            url=self._shown,
            chunks=self._chunks(answer) if request.stream else None,
            close=partial(_closed, answer) if request.stream else None,
        )

    def _outgoing(self) -> httpx.Request:
        request = self._request
        headers = revealed(request.headers)
        if not any(name.lower() == "accept-encoding" for name, _ in request.headers):
            headers.append(("accept-encoding", ACCEPTED))
        return self._client.build_request(
            request.method,
            request.url,
            headers=headers,
            content=request.body,
            timeout=httpx.USE_CLIENT_DEFAULT if request.deadline_ns is None else None,
            extensions={"trace": self._trace},
        )

    async def _read(self, answer: httpx.Response) -> bytes:
        body = BoundedBody(answer.headers.get("content-encoding"), self._request.limits.max_body_bytes, self._shown)
        parts = [body.feed(part) async for part in answer.aiter_raw()]
        body.finish()
        return b"".join(parts)

    async def _chunks(self, answer: httpx.Response) -> AsyncGenerator[bytes, None]:
        body = BoundedBody(answer.headers.get("content-encoding"), None, self._shown)
        try:
            async for part in answer.aiter_raw():
                for piece in body.pieces(part):
                    yield piece
            return
        except TransportError as ours:
            ours.elapsed_ns = self._clock.monotonic_ns() - self._started_ns
            error = ours
        except _FOREIGN as foreign:
            error = self._translated(foreign, streaming=True)
        raise error

    def _late(self) -> DeadlineExceeded:
        return late_in(self._shown, self._trace.phase, self._clock.monotonic_ns() - self._started_ns)

    def _translated(self, error: Exception, *, streaming: bool) -> TransportError:
        """httpx's and ssl's exceptions as ours; messages name the phase and the redacted URL."""
        shown, elapsed_ns = self._shown, self._clock.monotonic_ns() - self._started_ns
        about: dict[str, Any] = {"url": shown, "elapsed_ns": elapsed_ns}
        detail = str(error) or type(error).__name__
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return self._late()
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return ProtocolError(f"{shown} is not an http or https URL: {detail}", **about)
        if streaming:
            return StreamClosed(f"the stream of {shown} broke: {detail}", planned=False, **about)
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return TlsError(f"TLS with {shown} failed: {detail}", **about)
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return ResolveError(f"the host of {shown} does not resolve: {detail}", **about)
        if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in detail:
            if "too long" in detail or "too large" in detail or "exceed" in detail:
                limit = min(self._request.limits.max_header_bytes, _MOST_HEADER_BYTES)
                return HeadersTooLarge(f"the headers of {shown} are too large: {detail}", limit_bytes=limit, **about)
            return ProtocolError(f"{shown} broke HTTP framing: {detail}", **about)
        return ConnectError(f"the connection to {shown} failed: {detail}", **about)


async def _closed(answer: httpx.Response) -> None:
    """Close it, also for a caller that is cancelled meanwhile: half closed, the connection would never be given back."""
    closing = asyncio.ensure_future(answer.aclose())
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        while not closing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({closing})
        raise


def _checked_headers(answer: httpx.Response, request: Request) -> tuple[tuple[str, str], ...]:
    raw = answer.headers.raw
    size = sum(len(name) + len(value) + 4 for name, value in raw)
    if size > request.limits.max_header_bytes:
        raise HeadersTooLarge(
            f"the headers of {request.shown_url} have {size} bytes, limit {request.limits.max_header_bytes}",
            limit_bytes=request.limits.max_header_bytes,
            url=request.shown_url,
        )
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)


def _peer(answer: httpx.Response) -> tuple[str | None, int | None]:
    stream = answer.extensions.get("network_stream")
    address = None if stream is None else stream.get_extra_info("server_addr")
    return (address[0], address[1]) if address else (None, None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it. An exchange has a task of its own, so no earlier failure of its caller's is among that."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
