"""Servers of ours in process, on the injected clock: an engine without sockets, so that every fault runs in a unit test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit

from probekit.clock import Clock, within
from probekit.dev.reply import Broken, Handler, Reply
from probekit.errors import ConnectError, DeadlineExceeded, HeadersTooLarge, Phase, ProtocolError, StreamClosed, TransportError
from probekit.model import Phases
from probekit.secret import Secret
from probekit.transports.base import Capabilities, Request, Response
from probekit.transports.content import BoundedBody
from probekit.units import format_ns


class SandboxTransport:
    """An :class:`~probekit.transports.base.Engine` over servers by origin (``{"http://one": sandbox}``), or over one server
    that answers for every origin.

    Deadlines and limits are those of a real engine, on the server's own clock; it knows no phases. An origin that is not here
    refuses the connection.
    """

    def __init__(self, servers: Handler | Mapping[str, Handler], *, clock: Clock | None = None) -> None:
        self._only = None if isinstance(servers, Mapping) else servers
        self._by_origin = dict(servers) if isinstance(servers, Mapping) else {}
        first = self._only or next(iter(self._by_origin.values()), None)
        given = clock if clock is not None or first is None else first.clock
        if given is None:
            raise ValueError("a transport over no sandbox needs a clock")
        self._clock = given

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("sandbox", frozenset(), frozenset(("1.1",)), fresh_connections=True, redirects=False)

    async def send(self, request: Request) -> Response:
        clock, shown = self._clock, request.shown_url
        started_at, started_ns = clock.now(), clock.monotonic_ns()
        exchange = _Exchange(request)
        try:
            reply = self._reply(request)
            work = exchange.receive(reply)
            body = await (work if request.deadline_ns is None else within(clock, request.deadline_ns, work))
        except TimeoutError:
            elapsed_ns = clock.monotonic_ns() - started_ns
            raise DeadlineExceeded(
                f"{shown} passed its deadline in phase {exchange.phase} after {format_ns(elapsed_ns)}",
                phase=exchange.phase,
                url=shown,
                elapsed_ns=elapsed_ns,
            ) from None
        except TransportError as error:
            error.elapsed_ns = clock.monotonic_ns() - started_ns
            raise
        chunks = _chunks(reply, shown) if request.stream else None
        return Response(
            status=reply.status,
            headers=tuple(_headers(reply)),
            body=body,
            phases=Phases(),
            elapsed_ns=clock.monotonic_ns() - started_ns,
            started_at=started_at,
            received_at=clock.now(),
            http_version="1.1",
            new_connection=True,
            url=shown,
            chunks=chunks,
            close=None if chunks is None else chunks.aclose,
        )

    def _reply(self, request: Request) -> Reply:
        parts = urlsplit(request.url)
        server = self._only or self._by_origin.get(f"{parts.scheme}://{parts.netloc}")
        if server is None:
            raise ConnectError(f"the connection to {request.shown_url} was refused", url=request.shown_url)
        headers = {name.lower(): value.reveal() if isinstance(value, Secret) else value for name, value in request.headers}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        return server.handle(request.method, target, headers, request.body or b"")

    async def aclose(self) -> None:
        return None


class _Exchange:
    """One answer being received; ``phase`` is where it stands."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.phase: Phase = "first_byte"

    async def receive(self, reply: Reply) -> bytes:
        """The whole body, decoded; empty for a stream."""
        request, shown = self._request, self._request.shown_url
        if reply.wait is not None:
            try:
                await reply.wait()
            except Broken:
                raise ConnectError(f"{shown} closed the connection without an answer", url=shown) from None
        size = sum(len(name) + len(value) + 4 for name, value in _headers(reply))
        limit = request.limits.max_header_bytes
        if size > limit:
            raise HeadersTooLarge(f"the headers of {shown} have {size} bytes, limit {limit}", limit_bytes=limit, url=shown)
        if request.stream:
            return b""
        self.phase = "transfer"
        body = BoundedBody(_encoding(reply), request.limits.max_body_bytes, shown)
        source = _raw(reply)
        try:
            parts = [body.feed(chunk) async for chunk in source]
        except Broken:
            raise ProtocolError(f"{shown} broke off in the middle of its body", url=shown) from None
        finally:
            await source.aclose()
        body.finish()
        return b"".join(parts)


def _headers(reply: Reply) -> list[tuple[str, str]]:
    return [("content-type", reply.content_type), *reply.headers]


def _encoding(reply: Reply) -> str | None:
    return dict(reply.headers).get("content-encoding")


async def _raw(reply: Reply) -> AsyncGenerator[bytes, None]:
    """The bytes as they would be on the wire. Closing it closes what the endpoint holds open."""
    if reply.chunks is None:
        yield reply.body
        return
    try:
        async for chunk in reply.chunks:
            yield chunk
    finally:
        close = getattr(reply.chunks, "aclose", None)
        if close is not None:
            await close()


async def _chunks(reply: Reply, shown: str) -> AsyncGenerator[bytes, None]:
    body = BoundedBody(_encoding(reply), None, shown)
    source = _raw(reply)
    try:
        async for chunk in source:
            for piece in body.pieces(chunk):
                yield piece
    except Broken:
        raise StreamClosed(f"the stream of {shown} broke", planned=False, url=shown) from None
    finally:
        await source.aclose()
