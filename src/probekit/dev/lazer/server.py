"""A router on a socket: WebSocket, REST and the history service on one port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from probekit.clock import reap
from probekit.dev.lazer.router import Router, Session
from probekit.dev.running import drop, running
from probekit.errors import ConfigError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MAX_BODY: Final = 8 << 20
_JSON: Final = (b"content-type", b"application/json")


class _QuietRefusals(logging.Filter):
    """A handshake that was answered with a status is no error, whatever uvicorn makes of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "ASGI callable returned without completing handshake."


# One for all: a logger takes the same filter only once.
_QUIET: Final = _QuietRefusals()


class RouterApp:
    """A :class:`Router` as an ASGI 3 application."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.connections = 0
        """WebSocket connections that are open."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
        if scope["type"] == "websocket":
            await self._talk(headers, receive, send)
        elif scope["type"] == "http":
            await self._reply(scope, headers, receive, send)

    async def _reply(self, scope: Message, headers: dict[str, str], receive: Receive, send: Send) -> None:
        body = b""
        while len(body) <= _MAX_BODY:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        answering = asyncio.ensure_future(self._router.answer(scope["method"], target, headers, body))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                return
            status, answer = answering.result()
        finally:
            await reap(answering, gone)
        more = [(b"retry-after", b"1")] if status == 429 else []
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *more]})
        await send({"type": "http.response.body", "body": answer})

    async def _talk(self, headers: dict[str, str], receive: Receive, send: Send) -> None:
        await receive()
        status = self._router.admit(headers)
        if status is not None:
            more = [(b"retry-after", b"1")] if status == 429 else []
            await send({"type": "websocket.http.response.start", "status": status, "headers": [_JSON, *more]})
            await send({"type": "websocket.http.response.body", "body": b"{}"})
            return
        await send({"type": "websocket.accept"})

        async def tell(message: str | bytes) -> None:
            # The client may go away while it is written to: no error of the router's.
            with contextlib.suppress(OSError):
                await send({"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message})

        session = Session(self._router, tell)
        self.connections += 1
        try:
            while (message := await receive())["type"] == "websocket.receive":
                await session.take(message.get("text") or message.get("bytes") or "")
        finally:
            self.connections -= 1
            await session.aclose()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@dataclass(frozen=True, slots=True)
class ServedRouter:
    """Where a router is served."""

    host: str
    port: int
    _state: Any
    _app: RouterApp

    @property
    def http(self) -> str:
        """Base URL of REST and of the history service."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws(self) -> str:
        """URL of the stream."""
        return f"ws://{self.host}:{self.port}/v1/stream"

    @property
    def connections(self) -> int:
        """WebSocket connections that are open."""
        return self._app.connections

    def drop_connections(self) -> int:
        """Reset every open connection, without a closing handshake; how many there were."""
        return drop(self._state)


@contextlib.asynccontextmanager
async def serve(router: Router, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[ServedRouter]:
    """Serve a router on the running loop; port 0 takes a free one.

    At the end connections are dropped, and neither a task nor a socket is left. Raises ``ConfigError`` when uvicorn or
    websockets is not installed, or the address cannot be had.
    """
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise ConfigError(f"the router cannot listen on {host}:{port}: {error.strerror or error}") from error
    app = RouterApp(router)
    logging.getLogger("uvicorn.error").addFilter(_QUIET)
    options = {"ws": "websockets-sansio", "ws_per_message_deflate": False, "ws_ping_interval": None}
    async with running(app, [listener], what="router", end=drop, extras=("dev", "lazer"), **options) as state:
        yield ServedRouter(host, listener.getsockname()[1], state, app)
