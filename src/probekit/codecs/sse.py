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


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event: ``event`` is ``message`` unless named; ``data`` is raw bytes, ready for a decoder."""

    data: bytes
    event: str = "message"
    id: str | None = None
    retry_ms: int | None = None


class SseSplitter:
    """Feed it bytes as they come; it returns the events they complete. ``comments`` counts keep-alives seen.

    Raises ``DecodeError`` once an event grows beyond ``max_event_bytes``, before it is held twice.
    """

    __slots__ = ("_buffer", "_max", "_searched", "_start", "comments")

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._start = True
        self._max = max_event_bytes
        self.comments = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that ``chunk`` completes, in order."""
        buffer = self._buffer
        buffer += chunk
        if self._start and len(buffer) >= 3:
            self._start = False
            if buffer.startswith(_BOM):
                del buffer[:3]
        events: list[SseEvent] = []
        if b"\r" in buffer:
            # Rare: normalise, holding back a trailing CR whose LF may still come.
            tail = b"\r" if buffer.endswith(b"\r") else b""
            fixed = _LINE_END.sub(b"\n", bytes(buffer[: len(buffer) - len(tail)]))
            buffer[:] = fixed + tail
            self._searched = 0
        while True:
            end = buffer.find(b"\n\n", max(self._searched - 1, 0))
            if end < 0:
                self._searched = len(buffer)
                break
            block = bytes(buffer[:end])
            del buffer[: end + 2]
            self._searched = 0
            event = self._dispatch(block)
            if event is not None:
                events.append(event)
        if len(buffer) > self._max:
            raise DecodeError(f"an event grew beyond {self._max} bytes", raw=bytes(buffer[:65_536]))
        return events

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
