"""A loopback server that speaks HTTP/2 over TLS, by the ``h2`` library."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, WindowUpdated
from h2.exceptions import ProtocolError

from tests.contract.transports.server import Server

_OK = (":status", "200")


class _Connection(asyncio.Protocol):
    """One connection; what it answers is by path."""

    def __init__(self, server: Server, held: set[asyncio.Task[None]]) -> None:
        self._server = server
        self._held = held
        self._h2 = H2Connection(H2Configuration(client_side=False))
        self._window = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.open += 1
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.open -= 1
        self._window.set()

    def data_received(self, data: bytes) -> None:
        with suppress(ProtocolError):
            for event in self._h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    headers = {bytes(name).decode(): bytes(value).decode() for name, value in event.headers}
                    self._server.requests.append(repr(headers).encode())
                    task = asyncio.ensure_future(self._answer(event.stream_id, headers[":path"].partition("?")[0]))
                    self._held.add(task)
                    task.add_done_callback(self._held.discard)
                elif isinstance(event, WindowUpdated | DataReceived | StreamEnded):
                    self._window.set()
        self._flush()

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._h2.data_to_send())

    async def _answer(self, stream: int, path: str) -> None:
        h2 = self._h2
        if path == "/ok":
            h2.send_headers(stream, [_OK, ("x-one", "1")])
            await self._send(stream, b"hello", end=True)
        elif path == "/gzip":
            h2.send_headers(stream, [_OK, ("content-encoding", "gzip")])
            await self._send(stream, gzip.compress(b"squeezed"), end=True)
        elif path == "/large":
            h2.send_headers(stream, [_OK])
            await self._send(stream, b"x" * 3_000_000, end=True)
        elif path == "/headers":
            h2.send_headers(stream, [_OK, *((f"x-{i}", "y" * 900) for i in range(90))], end_stream=True)
        elif path == "/trailed":
            h2.send_headers(stream, [_OK])
            await self._send(stream, b"hello", end=False)
            h2.send_headers(stream, [("x-late", "1")], end_stream=True)
        elif path == "/reset":
            h2.send_headers(stream, [_OK])
            await self._send(stream, b"part", end=False)
            h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        elif path == "/goodbye":
            h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._flush()
            self._transport.close()
        elif path == "/events":
            h2.send_headers(stream, [_OK, ("content-type", "text/event-stream")])
            for number in range(3):
                await self._send(stream, f"data:{number}\n\n".encode(), end=False)
                await asyncio.sleep(0.01)
            h2.end_stream(stream)
        # Anything else is never answered.
        self._flush()

    async def _send(self, stream: int, data: bytes, *, end: bool) -> None:
        while data and not self._transport.is_closing():
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(data))
            if not room:
                self._window.clear()
                await self._window.wait()
                continue
            self._h2.send_data(stream, data[:room], end_stream=end and room == len(data))
            data = data[room:]
            self._flush()


@asynccontextmanager
async def serving_h2(context: ssl.SSLContext) -> AsyncIterator[Server]:
    """Listen on loopback; ``context`` holds the certificate."""
    context.set_alpn_protocols(["h2"])
    server = Server(scheme="https")
    held: set[asyncio.Task[None]] = set()
    listener = await asyncio.get_running_loop().create_server(lambda: _Connection(server, held), "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(held):
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        await listener.wait_closed()
