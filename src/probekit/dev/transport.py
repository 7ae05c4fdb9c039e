"""The sandbox in process, on the injected clock: an engine without sockets, so that every fault runs in a unit test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from probekit.clock import Clock
from probekit.dev.sandbox import Broken, Reply, Sandbox
from probekit.errors import ConnectError, DeadlineExceeded, HeadersTooLarge, ProbekitError, StreamClosed
from probekit.model import Phases
from probekit.secret import Secret
from probekit.transports.base import Capabilities, Request, Response
from probekit.transports.content import BoundedBody


class SandboxTransport:
    """An :class:`~probekit.transports.base.Engine` over sandboxes by origin (``http://one`` -> its :class:`Sandbox`).

    Deadlines and limits are those of a real engine, on the sandbox's own clock; it knows no phases.
    """

    def __init__(self, sandboxes: Mapping[str, Sandbox], *, clock: Clock) -> None:
        self._sandboxes = dict(sandboxes)
        self._clock = clock

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("sandbox", frozenset(), frozenset(("1.1",)), fresh_connections=True, redirects=False)

    async def send(self, request: Request) -> Response:
        clock, shown = self._clock, request.shown_url
        started_at, started_ns = clock.now(), clock.monotonic_ns()
        parts = urlsplit(request.url)
        sandbox = self._sandboxes.get(f"{parts.scheme}://{parts.netloc}")
        if sandbox is None:
            raise ConnectError(f"the connection to {shown} was refused", url=shown, elapsed_ns=0)
        headers = {name: value.reveal() if isinstance(value, Secret) else value for name, value in request.headers}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        reply = sandbox.handle(request.method, target, headers, request.body or b"")
        work = asyncio.ensure_future(self._receive(request, reply, shown))
        timer = None
        try:
            if request.deadline_ns is None:
                body = await work
            else:
                timer = asyncio.ensure_future(clock.sleep_until_ns(request.deadline_ns))
                await asyncio.wait({work, timer}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    raise DeadlineExceeded(f"{shown} passed its deadline in phase first_byte", phase="first_byte", url=shown)
                body = work.result()
        except ProbekitError as error:
            if isinstance(error, DeadlineExceeded):
                error.elapsed_ns = clock.monotonic_ns() - started_ns
            raise
        finally:
            work.cancel()
            if timer is not None:
                timer.cancel()
            await asyncio.gather(work, *(() if timer is None else (timer,)), return_exceptions=True)
        return Response(
            status=reply.status,
            headers=(("content-type", reply.content_type), *reply.headers),
            body=body,
            phases=Phases(),
            elapsed_ns=clock.monotonic_ns() - started_ns,
            started_at=started_at,
            received_at=clock.now(),
            http_version="1.1",
            new_connection=True,
            url=shown,
            chunks=_chunks(reply.chunks, shown) if request.stream and reply.chunks is not None else None,
        )

    async def _receive(self, request: Request, reply: Reply, shown: str) -> bytes:
        if reply.wait is not None:
            await reply.wait()
        size = sum(len(name) + len(value) + 4 for name, value in reply.headers)
        limit = request.limits.max_header_bytes
        if size > limit:
            raise HeadersTooLarge(f"the headers of {shown} have {size} bytes, limit {limit}", limit_bytes=limit, url=shown)
        if request.stream and reply.chunks is not None:
            return b""
        body = BoundedBody(dict(reply.headers).get("content-encoding"), request.limits.max_body_bytes, shown)
        if reply.chunks is None:
            return body.feed(reply.body)
        return b"".join([body.feed(chunk) async for chunk in reply.chunks])

    async def aclose(self) -> None:
        return None


async def _chunks(chunks: AsyncIterator[bytes], shown: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except Broken:
        raise StreamClosed(f"the stream of {shown} broke", planned=False, url=shown) from None
