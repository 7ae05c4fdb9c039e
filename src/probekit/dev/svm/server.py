"""The node on sockets: HTTP and WebSocket on one port, and on the port after it, where a real node has its WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formatdate
from typing import Any, Final

from probekit.clock import SYSTEM_CLOCK, Clock, reap
from probekit.dev.running import drop, running
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.rpc import MAX_BODY, respond
from probekit.dev.svm.subscriptions import MAX_MESSAGE, Connection
from probekit.errors import ConfigError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_QUEUE: Final = 10_000
"""Notifications that may wait for a slow client before it is dropped."""
_PORT_TRIES: Final = 50
_JSON_TYPES: Final = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")


class NodeApp:
    """A :class:`Node` as an ASGI 3 application."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.connections = 0
        """WebSocket connections that are open."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._talk(receive, send)
        elif scope["type"] == "http":
            status, kind, body = await self._reply(scope, receive)
            headers = [
                (b"content-type", kind.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"access-control-allow-origin", b"*"),
                (b"access-control-allow-methods", b"OPTIONS, POST"),
                (b"access-control-allow-headers", b"*"),
                # As hyper does, on which agave's server stands.
                (b"date", formatdate(usegmt=True).encode()),
            ]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _reply(self, scope: Message, receive: Receive) -> tuple[int, str, bytes]:
        text, json = "text/plain; charset=utf-8", "application/json; charset=utf-8"
        body = await _body(receive)
        if self._node.faults.http_status is not None:
            return self._node.faults.http_status, text, b""
        if scope["method"] == "OPTIONS":
            return 200, text, b""
        if scope["method"] == "GET" and scope["path"] == "/health":
            return 200, text, self._health()
        if scope["method"] != "POST":
            return 405, text, b"Used HTTP Method is not allowed. POST or OPTIONS is required\n"
        kinds = [value.decode("latin-1").lower() for name, value in scope["headers"] if name.lower() == b"content-type"]
        if not kinds or kinds[0] not in _JSON_TYPES:
            return 415, text, b"Supplied content type is not allowed. Content-Type: application/json is required\n"
        if len(body) > MAX_BODY:
            return 413, text, b"Exceeded max limit\n"
        return 200, json, respond(self._node, body)

    def _health(self) -> bytes:
        if self._node.faults.unhealthy:
            return b"unknown"
        return b"behind" if self._node.faults.behind else b"ok"

    async def _talk(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        outgoing: asyncio.Queue[str] = asyncio.Queue(_QUEUE)
        lagging = asyncio.Event()

        def notify(line: str) -> None:
            try:
                outgoing.put_nowait(line)
            except asyncio.QueueFull:
                lagging.set()

        async def write() -> None:
            while True:
                await send({"type": "websocket.send", "text": await outgoing.get()})

        async def read() -> None:
            while (message := await receive())["type"] == "websocket.receive":
                # Answers go the way of notifications, so that none overtakes the answer to its subscription.
                answered = connection.answer(message.get("text") or message.get("bytes") or "")
                if answered:
                    await outgoing.put(answered)

        connection = Connection(self._node, notify)
        self.connections += 1
        tasks = [asyncio.ensure_future(one) for one in (read(), write(), lagging.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # The client went away while it was written to: no error of the node's.
                with contextlib.suppress(OSError):
                    task.result()
        finally:
            self.connections -= 1
            connection.close()
            await reap(*tasks)
        if lagging.is_set():
            with contextlib.suppress(OSError):
                await send({"type": "websocket.close", "code": 1008})


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


@dataclass(frozen=True, slots=True)
class Served:
    """Where a node is served. Either port takes both HTTP and WebSocket."""

    host: str
    port: int
    _state: Any
    _app: NodeApp

    @property
    def http(self) -> str:
        """URL for JSON-RPC over HTTP."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws(self) -> str:
        """URL for subscriptions, on the port after the HTTP one: what clients derive from :attr:`http`."""
        return f"ws://{self.host}:{self.port + 1}"

    @property
    def connections(self) -> int:
        """WebSocket connections that are open."""
        return self._app.connections

    def drop_connections(self) -> int:
        """Reset every open connection, without a closing handshake; how many there were."""
        return drop(self._state)


@contextlib.asynccontextmanager
async def serve(node: Node, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Served]:
    """Serve a node on the running loop. Port 0 takes two free ports in a row.

    At the end connections are dropped, and neither a task nor a socket is left. Raises ``ConfigError`` when uvicorn or
    websockets is not installed, or the addresses cannot be had.
    """
    listeners = _listen(host, port)
    app = NodeApp(node)
    # A real node neither compresses nor pings.
    options: dict[str, Any] = {
        "ws": "websockets-sansio",
        "ws_max_size": MAX_MESSAGE,
        "ws_per_message_deflate": False,
        "ws_ping_interval": None,
    }
    async with running(app, listeners, what="node", end=drop, extras=("dev", "solana"), **options) as state:
        yield Served(host, listeners[0].getsockname()[1], state, app)


def _listen(host: str, port: int) -> list[socket.socket]:
    problem = "there is no port after it"
    for _ in range(1 if port else _PORT_TRIES):
        listeners: list[socket.socket] = []
        try:
            listeners.append(socket.create_server((host, port)))
            after = listeners[0].getsockname()[1] + 1
            if after < 1 << 16:
                listeners.append(socket.create_server((host, after)))
                return listeners
        except OSError as error:
            problem = error.strerror or str(error)
        for listener in listeners:
            listener.close()
    raise ConfigError(f"the node cannot listen on {host}:{port} and the port after it: {problem}")


@contextlib.asynccontextmanager
async def ticking(
    ledger: Ledger, *, every: timedelta = timedelta(milliseconds=400), clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[None]:
    """Make a block at each interval while the block is open, with the clock's time. Without it slots pass only by
    :meth:`Ledger.advance_slot`.
    """

    async def tick() -> None:
        step = every // timedelta(microseconds=1) * 1_000
        deadline = clock.monotonic_ns()
        while True:
            deadline += step
            await clock.sleep_until_ns(deadline)
            ledger.advance_slot(at=clock.now())

    task = asyncio.create_task(tick(), name="svm ticks")
    try:
        yield
    finally:
        await reap(task)
