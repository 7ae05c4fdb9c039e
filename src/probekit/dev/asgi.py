"""A server of ours as a bare ASGI 3 application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from probekit.clock import reap
from probekit.dev.reply import Broken, Handler, Reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_MAX_BODY: int = 1 << 20
"""Faults, and calls of RPC."""


class SandboxApp:
    """One server for any ASGI server. A client that goes away ends its stream at once.

    An injected break leaves the application as :class:`~probekit.dev.reply.Broken`, upon which a server closes the connection
    without the end that its framing promises. Where nothing was sent yet it would answer 500: ``hang_up`` closes instead.
    """

    def __init__(self, handler: Handler, *, hang_up: Callable[[Scope], None] | None = None) -> None:
        self._handler = handler
        self._hang_up = hang_up
        self._open: set[asyncio.Future[None]] = set()
        self._ending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        reply = self._handler.handle(scope["method"], target, headers, body)
        started = False

        async def told(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        answering = asyncio.ensure_future(_answer(reply, told))
        gone = asyncio.ensure_future(_disconnected(receive))
        self._open.add(answering)
        try:
            if self._ending:
                raise Broken
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answering.cancelled():
                raise Broken
            if answering.done():
                answering.result()
        except Broken:
            if started or self._hang_up is None:
                raise
            self._hang_up(scope)
            await gone
        finally:
            self._open.discard(answering)
            await reap(answering, gone)

    def end_streams(self) -> None:
        """Break every answer that is still going, and every one to come, so that a server can stop."""
        self._ending = True
        for task in tuple(self._open):
            task.cancel()


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= _MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


async def _answer(reply: Reply, send: Send) -> None:
    try:
        if reply.wait is not None:
            await reply.wait()
        headers = [("content-type", reply.content_type), *reply.headers]
        if reply.chunks is None:
            headers.append(("content-length", str(len(reply.body))))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        if reply.chunks is None:
            await send({"type": "http.response.body", "body": reply.body})
            return
        # The head alone: a stream may be silent from its first moment.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        close = getattr(reply.chunks, "aclose", None)
        if close is not None:
            await close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
