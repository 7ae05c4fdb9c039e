"""Content decoding with a bound: a compressed body costs at most its limit, however it was packed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Final

from probekit.errors import BodyTooLarge, ProtocolError

ACCEPTED: Final = "gzip, deflate"
"""What engines send as Accept-Encoding: what can be decoded here."""

_PIECE: Final = 256 * 1024
"""Bytes inflated at a time: what a stream's reader holds of a bomb."""

_AFTER_A_MEMBER: Final = 4 * 1024
"""Bytes looked at together once a gzip member has ended: zlib copies what is left, and members may be tiny."""


class BoundedBody:
    """Decodes and counts a body as it arrives. ``limit_bytes`` of ``None``: a stream, which has no end to be bounded by.

    ``encoding`` is the Content-Encoding, several fields joined by commas. Encodings: gzip (RFC 1952, of any number of members)
    and deflate (RFC 1950, and RFC 1951 bare, as some servers send it). All methods raise ``ProtocolError`` for an unknown or
    broken encoding and ``BodyTooLarge`` once more than ``limit_bytes`` came out, without having inflated more than that, or
    once more came in than a body of that size can take.
    """

    def __init__(self, encoding: str | None, limit_bytes: int | None, url: str) -> None:
        self._limit = limit_bytes
        self._url = url
        self._encoding = _named(encoding)
        self._inflate: Any = None
        self._head = b""
        self._received = 0
        self._wire = 0

    def feed(self, data: bytes) -> bytes:
        """The decoded part that ``data`` completes."""
        if self._encoding == "identity":
            self._wire += len(data)
            return self._counted(data)
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The decoded part that ``data`` completes, at most 256 KiB at a time where it is compressed."""
        if not data:
            return
        self._wire += len(data)
        if self._encoding == "identity":
            yield self._counted(data)
            return
        if self._encoding not in ("gzip", "x-gzip", "deflate"):
            raise ProtocolError(
                f"{self._url} answered in the encoding {self._encoding[:40]!r}, which was not asked for", url=self._url
            )
        if self._limit is not None and self._wire > self._limit + (self._limit >> 8) + 1024:
            raise self._too_large(f"came to {self._wire} bytes of compressed data, for a limit of {self._limit}")
        try:
            yield from self._inflated(data)
        except zlib.error as error:
            raise ProtocolError(f"{self._url} sent a body that does not decompress: {error}", url=self._url) from None

    def finish(self) -> None:
        """At the body's end. Raises ``ProtocolError`` when the compressed data was cut short."""
        if self._wire and self._encoding != "identity" and (self._inflate is None or not self._inflate.eof):
            raise ProtocolError(f"the compressed body of {self._url} is cut short", url=self._url)

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return
            self._inflate = self._opened(data)
        start, size, step = 0, len(data), len(data)
        while start < size:
            if self._inflate.eof:
                if not data[start]:
                    # Zeros may fill up the end of a gzip file.
                    start = size - len(data[start:].lstrip(b"\0"))
                    continue
                if self._encoding == "deflate":
                    raise ProtocolError(f"the compressed body of {self._url} goes on after its end", url=self._url)
                self._inflate, step = self._opened(data), _AFTER_A_MEMBER
            end = min(start + step, size)
            yield from self._member(data[start:end])
            start = end - len(self._inflate.unused_data)

    def _member(self, data: bytes) -> Iterator[bytes]:
        """What ``data`` completes, up to the end of the compressed stream it belongs to."""
        inflate = self._inflate
        while True:
            most = _PIECE if self._limit is None else min(_PIECE, self._limit - self._received + 1)
            out = inflate.decompress(data, most)
            if out:
                yield self._counted(out)
            # A full piece may have left more inside, even with all of the data taken.
            if inflate.eof or len(out) < most:
                return
            data = inflate.unconsumed_tail

    def _opened(self, data: bytes) -> Any:
        if self._encoding != "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        # RFC 1950, section 2.2: the compression method, and a check over the first two bytes.
        wrapped = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)

    def _counted(self, out: bytes) -> bytes:
        self._received += len(out)
        if self._limit is not None and self._received > self._limit:
            raise self._too_large(f"passed its limit of {self._limit} bytes after decompression")
        return out

    def _too_large(self, how: str) -> BodyTooLarge:
        return BodyTooLarge(f"the body of {self._url} {how}", limit_bytes=self._limit or 0, url=self._url)


def _named(encoding: str | None) -> str:
    """The one encoding of a Content-Encoding field; several are left joined, and refused as unknown."""
    if not encoding:
        return "identity"
    names = [name.strip().lower() for name in encoding.split(",")]
    return ", ".join(name for name in names if name not in ("", "identity")) or "identity"
