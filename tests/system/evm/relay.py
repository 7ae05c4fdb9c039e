"""A TCP relay in front of a node: its connections can be cut, new ones kept out for a while, answers swallowed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator


class Relay:
    """Every connection to :attr:`port` goes on to ``target``."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._muted = False
        self.port = 0
        self.connections = 0

    def cut(self) -> int:
        """Reset every connection, without a word; how many there were."""
        found = list(self._open)
        for writer in found:
            writer.transport.abort()
        return len(found) // 2

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """While in it, connections are reset, old ones and new ones."""
        self._closed = True
        self.cut()
        try:
            yield
        finally:
            self._closed = False

    @contextlib.contextmanager
    def muted(self) -> Iterator[None]:
        """While in it, the node hears everything and its answers are lost."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer, answers=True))
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if answers and self._muted:
                    continue
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        self._closed = True
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def relay(target: int) -> AsyncIterator[Relay]:
    """A relay to a port of this machine."""
    made = Relay(target)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.aclose()
        await server.wait_closed()
