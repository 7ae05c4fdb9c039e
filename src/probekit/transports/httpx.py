"""The engine for typed clients, on httpx: the only file that names it. Foreign exceptions are mapped here, in one place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterator
from functools import lru_cache
from typing import Any, Final, TypeVar

import httpx

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import (
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
from probekit.secret import Secret, redact, redact_url
from probekit.transports.authorities import system_ca_file
from probekit.transports.base import Capabilities, Request, Response
from probekit.transports.content import ACCEPTED, BoundedBody
from probekit.transports.sendable import refuse_unsendable
from probekit.units import NS_PER_S, format_ns

R = TypeVar("R")


class _RedactUrls(logging.Filter):
    """httpx logs every request's URL at INFO; a key in it must not come along."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redact_url(str(one)) if isinstance(one, httpx.URL) else one for one in record.args)
        return True


class _RedactText(logging.Filter):
    """httpcore writes what came back into its DEBUG messages, headers and all; a service may echo its key there."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


logging.getLogger("httpx").addFilter(_RedactUrls())
# A logger's filters do not see what its children are told.
for _name in ("connection", "http11", "http2", "proxy", "socks"):
    logging.getLogger(f"httpcore.{_name}").addFilter(_RedactText())

_USER_AGENT: Final = "probekit"

# httpcore's trace events, by the phase they begin.
_PHASE_EVENTS: Final[dict[str, Phase]] = {
    "connection.connect_tcp": "connect",
    "connection.start_tls": "tls",
    "http11.send_request_headers": "first_byte",
    "http2.send_request_headers": "first_byte",
    "http11.receive_response_body": "transfer",
    "http2.receive_response_body": "transfer",
}


@lru_cache(maxsize=8)
def ssl_context(ca_file: str | None) -> ssl.SSLContext:
    """One context per trust setting: building one reads every CA certificate, 15 ms and more of a blocked loop."""
    return ssl.create_default_context(cafile=ca_file or system_ca_file())


class _Trace:
    """When each phase began and ended, on the transport's monotonic clock, as httpcore reports it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began: dict[Phase, int] = {}
        self.ended: dict[Phase, int] = {}
        self.phase: Phase = "connect"
        self.headers_at: int | None = None
        self.stream: Any = None

    async def __call__(self, name: str, info: dict[str, Any]) -> None:
        event, _, stage = name.rpartition(".")
        now_ns = self._clock.monotonic_ns()
        if event.endswith("receive_response_headers") and stage == "complete":
            self.headers_at = now_ns
        if event == "connection.connect_tcp" and stage == "complete":
            self.stream = info.get("return_value")
        phase = _PHASE_EVENTS.get(event)
        if phase is None:
            return
        if stage == "started":
            self.began.setdefault(phase, now_ns)
            self.phase = phase
        elif stage == "complete":
            self.ended[phase] = now_ns

    def phases(self, ended_ns: int) -> Phases:
        """What is known: name look-up is inside connect, a kept-alive connection has neither connect nor TLS."""

        def span(phase: Phase) -> int | None:
            began, ended = self.began.get(phase), self.ended.get(phase)
            return None if began is None or ended is None else ended - began

        sent, answered = self.began.get("first_byte"), self.headers_at
        return Phases(
            connect_ns=span("connect"),
            tls_ns=span("tls"),
            first_byte_ns=None if sent is None or answered is None else answered - sent,
            transfer_ns=None if answered is None else ended_ns - answered,
        )


class HttpxTransport:
    """An :class:`~probekit.transports.base.Engine` on httpx, with kept-alive connections.

    ``client`` is a caller's own ``httpx.AsyncClient``: used as it is configured, and not closed by :meth:`aclose`. Without
    one, a client is made that verifies against the system's CAs (or ``ca_file``) and ignores proxies in the environment unless
    ``trust_env``. Only http and https; redirects only as far as a request asks.
    """

    def __init__(
        self,
        *,
        client: httpx.AsyncClient | None = None,
        clock: Clock = SYSTEM_CLOCK,
        ca_file: str | None = None,
        trust_env: bool = False,
    ) -> None:
        self._given = client
        self._made: httpx.AsyncClient | None = None
        self._clock = clock
        self._ca_file = ca_file
        self._trust_env = trust_env

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
        if self._made is None:
            self._made = httpx.AsyncClient(
                verify=ssl_context(self._ca_file),
                trust_env=self._trust_env,
                timeout=None,  # noqa: S113 - one deadline over the whole exchange instead, in _within
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
                headers={"user-agent": _USER_AGENT},
            )
        return self._made

    async def send(self, request: Request) -> Response:
        refuse_unsendable(request)
        clock, shown = self._clock, request.shown_url
        started_at, started_ns = clock.now(), clock.monotonic_ns()
        trace = _Trace(clock)
        with _mapped(shown, trace, clock, started_ns):
            answer = await self._within(request, self._open(request, trace))
            # Asked now: once the body is read the connection may be gone, and with it the address.
            address, port = _peer(answer)
            try:
                body = BoundedBody(answer.headers.get("content-encoding"), request.limits.max_body_bytes, shown)
                headers = _checked_headers(answer, request)
                content = b"" if request.stream else await self._within(request, _read(answer, body))
            except BaseException:
                await answer.aclose()
                raise
            if not request.stream:
                await answer.aclose()
        ended_ns = clock.monotonic_ns()
        return Response(
            status=answer.status_code,
            headers=headers,
            body=content,
            phases=trace.phases(ended_ns),
            elapsed_ns=ended_ns - started_ns,
            started_at=started_at,
            received_at=clock.now(),
            http_version=answer.http_version.removeprefix("HTTP/"),
            peer_address=address,
            peer_port=port,
            new_connection="connect" in trace.began,
            url=shown,
            chunks=_chunks(answer, shown, trace, clock, started_ns) if request.stream else None,
            close=answer.aclose if request.stream else None,
        )

    async def _open(self, request: Request, trace: _Trace) -> httpx.Response:
        client = self._client()
        headers = [(name, value.reveal() if isinstance(value, Secret) else value) for name, value in request.headers]
        headers.append(("accept-encoding", ACCEPTED))
        outgoing = client.build_request(
            request.method, request.url, headers=headers, content=request.body, extensions={"trace": trace}
        )
        answer = await client.send(outgoing, stream=True, follow_redirects=False)
        for _ in range(request.max_redirects):
            if answer.next_request is None:
                break
            await answer.aclose()
            following = answer.next_request
            following.extensions["trace"] = trace
            answer = await client.send(following, stream=True, follow_redirects=False)
        return answer

    async def _within(self, request: Request, work: Awaitable[R]) -> R:
        if request.deadline_ns is None:
            return await work
        remaining_ns = request.deadline_ns - self._clock.monotonic_ns()
        async with asyncio.timeout(max(remaining_ns, 0) / NS_PER_S):
            return await work

    async def aclose(self) -> None:
        if self._made is not None:
            made, self._made = self._made, None
            await made.aclose()


async def _read(answer: httpx.Response, body: BoundedBody) -> bytes:
    parts = [body.feed(part) async for part in answer.aiter_raw()]
    body.finish()
    return b"".join(parts)


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


async def _chunks(answer: httpx.Response, shown: str, trace: _Trace, clock: Clock, started_ns: int) -> AsyncIterator[bytes]:
    body = BoundedBody(answer.headers.get("content-encoding"), 1 << 62, shown)
    with _mapped(shown, trace, clock, started_ns, streaming=True):
        async for part in answer.aiter_raw():
            yield body.feed(part)


@contextlib.contextmanager
def _mapped(shown: str, trace: _Trace, clock: Clock, started_ns: int, *, streaming: bool = False) -> Iterator[None]:
    """httpx's and ssl's exceptions to ours; messages name the phase and the redacted URL."""
    try:
        yield
    except TransportError as error:
        error.elapsed_ns = clock.monotonic_ns() - started_ns
        raise
    except (
        TimeoutError,
        httpx.TimeoutException,
        httpx.HTTPError,
        httpx.InvalidURL,
        httpx.StreamError,
        OSError,
    ) as error:
        raise _translate(error, shown, trace, clock.monotonic_ns() - started_ns, streaming=streaming) from error


def _translate(error: Exception, shown: str, trace: _Trace, elapsed_ns: int, *, streaming: bool) -> TransportError:
    about: dict[str, Any] = {"url": shown, "elapsed_ns": elapsed_ns}
    detail = str(error) or type(error).__name__
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return DeadlineExceeded(
            f"{shown} passed its deadline in phase {trace.phase} after {format_ns(elapsed_ns)}",
            phase=trace.phase,
            **about,
        )
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return ProtocolError(f"{shown} is not an http or https URL: {detail}", **about)
    if streaming:
        return StreamClosed(f"the stream of {shown} broke: {detail}", planned=False, **about)
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in detail or "CERTIFICATE" in detail:
        return TlsError(f"TLS with {shown} failed: {detail}", **about)
    if any(type(cause).__name__ == "gaierror" for cause in causes) or "Name or service not known" in detail:
        return ResolveError(f"the host of {shown} does not resolve: {detail}", **about)
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in detail:
        if "too long" in detail or "too large" in detail or "exceed" in detail:
            return HeadersTooLarge(f"the headers of {shown} are too large: {detail}", limit_bytes=100 * 1024, **about)
        return ProtocolError(f"{shown} broke HTTP framing: {detail}", **about)
    return ConnectError(f"the connection to {shown} failed: {detail}", **about)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
