"""An answer as it arrives, for an engine that is called back: header lines, body, and the hand-over of a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Final

from probekit.errors import HeadersTooLarge, TransportError
from probekit.transports.base import Request
from probekit.transports.content import BoundedBody

_HELD: Final = 1 << 20
"""Bytes a slow reader of a stream may leave waiting, as they came, before the server is held back."""


class Arrival:
    """Takes an answer in pieces. Whatever is wrong with it becomes :attr:`failure`; nothing is raised into the engine.

    Headers are those of the final answer alone: those of interim answers are dropped, and trailers are.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._header_bytes = 0
        self._header_limit = request.limits.max_header_bytes
        self._in_headers = False
        self._interim = False
        self._body: BoundedBody | None = None
        self._parts: list[bytes] = []
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self.headers: list[tuple[str, str]] = []
        self.failure: TransportError | None = None
        self.complete = False
        """Whether the headers of the final answer are in."""
        self.ended = False

    def line(self, line: bytes) -> bool:
        """One line of the headers, its end included; false when there are too many."""
        self._header_bytes += len(line)
        if self._header_bytes > self._header_limit:
            shown, limit = self._request.shown_url, self._header_limit
            self.failure = HeadersTooLarge(
                f"the headers of {shown} passed their limit of {limit} bytes", limit_bytes=limit, url=shown
            )
            return False
        if self.complete:
            return True  # a trailer
        name, colon, value = line.decode("latin-1").partition(":")
        if self._in_headers:
            if colon or name.strip("\r\n"):
                self.headers.append((name.strip().lower(), value.strip()))
            else:
                self._in_headers = False
                self.complete = not self._interim
        elif name.startswith("HTTP/"):
            self._in_headers = True
            self.headers.clear()
            self._interim = name.partition(" ")[2].startswith("1")
        return True

    def full(self) -> bool:
        """Whether a stream's reader must catch up before more is taken."""
        return self._waiting_bytes >= _HELD

    def data(self, data: bytes) -> bool:
        """A piece of the body; false when it is not to be had."""
        if self._request.stream:
            # Decoded by whoever reads it, piece by piece: what is compressed may be a thousand times as much.
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            self._news.set()
            return True
        try:
            self._parts.append(self._decoder().feed(data))
        except TransportError as failure:
            self.failure = failure
            return False
        return True

    def end(self) -> None:
        """Nothing more will come; idempotent."""
        self.ended = True
        self._news.set()

    def body(self) -> bytes:
        """The whole of it. Raises ``ProtocolError`` when it is cut short."""
        if self._body is not None:
            self._body.finish()
        return b"".join(self._parts)

    async def chunks(self, resume: Callable[[], None]) -> AsyncGenerator[bytes, None]:
        """A stream's decoded bytes until :meth:`end`. ``resume`` is called once the reader has caught up."""
        decoder = self._decoder()
        while True:
            while self._waiting:
                data = self._waiting.popleft()
                self._waiting_bytes -= len(data)
                for piece in decoder.pieces(data):
                    yield piece
            resume()
            if self._waiting:
                continue
            if self.ended:
                return
            self._news.clear()
            await self._news.wait()

    def _decoder(self) -> BoundedBody:
        if self._body is None:
            encodings = ", ".join(value for name, value in self.headers if name == "content-encoding")
            limit = None if self._request.stream else self._request.limits.max_body_bytes
            self._body = BoundedBody(encodings, limit, self._request.shown_url)
        return self._body
