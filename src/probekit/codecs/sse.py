"""Server-sent events: an incremental splitter over bytes, and the writer for the sandbox.

Follows the WHATWG HTML standard, section 9.2.6: lines end in CRLF, LF or CR; ``data`` lines of one event are joined by LF;
comments start with a colon; a leading byte order mark is dropped.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from probekit.errors import DecodeError

DEFAULT_MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"
_SMALL: Final = 1024


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event: ``event`` is ``message`` unless named; ``data`` is raw bytes, ready for a decoder."""

    data: bytes
    event: str = "message"
    id: str | None = None
    retry_ms: int | None = None


class SseSplitter:
    """Feed it bytes as they come; it returns the events they complete. ``comments`` counts keep-alives seen.

    Raises ``DecodeError`` once an event grows beyond ``max_event_bytes``. An event is searched once and joined once, however
    many pieces it came in: a large one costs what reading it costs.
    """

    __slots__ = ("_ends_in_cr", "_line_open", "_max", "_parts", "_size", "_start", "comments")

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._line_open = False
        self._ends_in_cr = False
        self._start: bytes | None = b""
        self._max = max_event_bytes
        self.comments = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that ``chunk`` completes, in order."""
        chunk = self._normalised(chunk)
        events: list[SseEvent] = []
        position, begin = 0, 0
        while True:
            # One byte at a time is what memchr finds fastest, and Hermes's events have two line ends each.
            end = chunk.find(b"\n", position)
            if end < 0:
                self._line_open = position < len(chunk) or (self._line_open and not chunk)
                break
            if end == position and not self._line_open:
                block = self._take(chunk[begin:end])
                begin = end + 1
                event = self._dispatch(block) if block else None
                if event is not None:
                    events.append(event)
            self._line_open = False
            position = end + 1
        rest = chunk[begin:]
        if rest:
            self._keep(rest)
        if self._size > self._max:
            raise DecodeError(f"an event grew beyond {self._max} bytes", raw=bytes(self._parts[0]))
        return events

    def _keep(self, rest: bytes) -> None:
        """Keep what is no event yet; of a server that drips, an object for each byte would cost forty times the bytes."""
        self._size += len(rest)
        if len(rest) >= _SMALL:
            self._parts.append(rest)
        elif self._parts and isinstance(last := self._parts[-1], bytearray):
            last += rest
        else:
            self._parts.append(bytearray(rest))

    def _take(self, last: bytes) -> bytes:
        """Everything since the last event, without the line end before the empty line."""
        block = b"".join((*self._parts, last)) if self._parts else last
        self._parts.clear()
        self._size = 0
        return block[:-1] if block.endswith(b"\n") else block

    def _normalised(self, chunk: bytes) -> bytes:
        """``chunk`` with LF for every line end, and without the stream's byte order mark. Rarely anything to do."""
        if self._start is not None:
            # Up to three bytes are held until it is known that they are no byte order mark.
            chunk = self._start + chunk
            if len(chunk) < 3 and _BOM.startswith(chunk):
                self._start = chunk
                return b""
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if self._ends_in_cr and chunk:
            # The CR before has ended its line already; an LF right after it belongs to it.
            self._ends_in_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._ends_in_cr = chunk.endswith(b"\r")
            chunk = _LINE_END.sub(b"\n", chunk)
        return chunk

    def _dispatch(self, block: bytes) -> SseEvent | None:
        if block.startswith(b"data:") and b"\n" not in block:
            # What Hermes sends, always: one data line.
            return SseEvent(block[6:] if block[5:6] == b" " else block[5:])
        data: list[bytes] = []
        name, event_id, retry = "message", None, None
        for line in block.split(b"\n"):
            if line.startswith(b":"):
                self.comments += 1
                continue
            key, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if key == b"data":
                data.append(value)
            elif key == b"event":
                name = value.decode("utf-8", "replace")
            elif key == b"id" and b"\0" not in value:
                event_id = value.decode("utf-8", "replace")
            elif key == b"retry" and value.isdigit() and len(value) < 10:
                retry = int(value)
        if not data:
            return None
        return SseEvent(b"\n".join(data), name or "message", event_id, retry)


def encode(data: bytes, *, event: str | None = None) -> bytes:
    """The bytes of one event, as Hermes writes it."""
    head = b"" if event is None else b"event:" + event.encode() + b"\n"
    return head + b"".join(b"data:" + line + b"\n" for line in data.split(b"\n")) + b"\n"


COMMENT: Final = b":\n\n"
"""A keep-alive."""
