"""Content decoding with a bound: a compressed body costs at most its limit, however it was packed."""

from __future__ import annotations

import zlib
from typing import Final

from probekit.errors import BodyTooLarge, ProtocolError

ACCEPTED: Final = "gzip, deflate"
"""What engines send as Accept-Encoding: what can be decoded here."""


class BoundedBody:
    """Decodes and counts a body as it arrives.

    :meth:`feed` returns decoded bytes. Raises ``BodyTooLarge`` once more than ``limit_bytes`` came out, without having
    inflated more than that, and ``ProtocolError`` for an unknown or broken encoding.
    """

    def __init__(self, encoding: str | None, limit_bytes: int, url: str) -> None:
        self._limit = limit_bytes
        self._url = url
        self.received = 0
        name = (encoding or "identity").strip().lower()
        if name in ("identity", ""):
            self._inflate = None
        elif name in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif name == "deflate":
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS)
        else:
            raise ProtocolError(f"{url} answered in the encoding {name[:40]!r}, which was not asked for", url=url)

    def feed(self, data: bytes) -> bytes:
        """The decoded part that ``data`` completes."""
        if self._inflate is None:
            out = data
        else:
            try:
                out = self._inflate.decompress(data, max(self._limit - self.received, 0) + 1)
            except zlib.error as error:
                raise ProtocolError(f"{self._url} sent a body that does not decompress: {error}", url=self._url) from None
        self.received += len(out)
        if self.received > self._limit:
            raise BodyTooLarge(
                f"the body of {self._url} passed its limit of {self._limit} bytes after decompression",
                limit_bytes=self._limit,
                url=self._url,
            )
        return out

    def finish(self) -> None:
        """At the body's end. Raises ``ProtocolError`` when the compressed stream was cut short."""
        if self._inflate is not None and self.received and not self._inflate.eof:
            raise ProtocolError(f"the compressed body of {self._url} is cut short", url=self._url)
