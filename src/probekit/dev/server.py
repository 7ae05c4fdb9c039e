"""The sandbox on a real socket: a bare ASGI application, served by uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from probekit.dev.sandbox import Broken, Reply, Sandbox
from probekit.errors import ConfigError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class SandboxApp:
    """ASGI 3 over one :class:`Sandbox`. A client that goes away ends its stream at once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._open: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        reply = self._sandbox.handle(scope["method"], target, headers, body)
        answering = asyncio.ensure_future(self._answer(reply, send))
        gone = asyncio.ensure_future(self._disconnected(receive))
        self._open.add(answering)
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            self._open.discard(answering)
            answering.cancel()
            gone.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)

    async def _answer(self, reply: Reply, send: Send) -> None:
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
        async for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _disconnected(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    def end_streams(self) -> None:
        """Break every answer that is still going, so that the server can stop."""
        for task in tuple(self._open):
            task.cancel()


class _QuietBreaks(logging.Filter):
    """An injected break of a connection is no error of the server's."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or record.exc_info[0] not in (Broken, asyncio.CancelledError)


@contextlib.asynccontextmanager
async def serve(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve on the running loop; yields the base URL. Raises ``ConfigError`` when uvicorn is not installed."""
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise ConfigError("the sandbox server needs uvicorn: pip install 'probekit[dev]'") from None

    listener = socket.create_server((host, port))
    app = SandboxApp(sandbox)
    logging.getLogger("uvicorn.error").addFilter(_QuietBreaks())
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        h11_max_incomplete_event_size=1 << 20,
        http="h11",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    task = asyncio.create_task(server.serve(sockets=[listener]), name="sandbox server")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers a flag, not an event
            await asyncio.sleep(0.005)
        address = listener.getsockname()
        yield f"http://{address[0]}:{address[1]}"
    finally:
        server.should_exit = True
        app.end_streams()
        await asyncio.gather(task, return_exceptions=True)
        listener.close()
