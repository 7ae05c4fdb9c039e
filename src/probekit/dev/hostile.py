"""Bodies that no good server sends: cut, contradictory, endless, or far larger than they look."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Final

from probekit.clock import Clock

HTML: Final = b"<!doctype html><title>Welcome</title><p>It works."
FILLER: Final = b" " * 65_536
_BOMB_BYTES: Final = 256 << 20
_BLOCK_BYTES: Final = 1 << 20
_EXPO: Final = re.compile(rb'"expo":-?\d+')


def cut(body: bytes) -> bytes:
    """Two thirds of it."""
    return body[: len(body) * 2 // 3]


def with_nan(body: bytes) -> bytes:
    """NaN for exponents, and prices of sixty digits."""
    return _EXPO.sub(b'"expo":NaN', body).replace(b'"price":"', b'"price":"9' + b"9" * 60)


def doubled(body: bytes) -> bytes:
    """Every parsed feed twice; an answer without parsed feeds stays as it is."""
    head, separator, rest = body.partition(b'"parsed":[')
    rows = rest.removesuffix(b"]}")
    return head + separator + rows + b"," + rows + b"]}" if separator and rows else body


@lru_cache(maxsize=1)
def gzip_bomb() -> bytes:
    """A valid gzip file of zeros: 256 MiB in a quarter of a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(_BLOCK_BYTES)
    # After a full flush a block stands by itself: pack one, repeat it.
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(_BOMB_BYTES // _BLOCK_BYTES):
        checksum = zlib.crc32(zeros, checksum)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return (
        head + block * (_BOMB_BYTES // _BLOCK_BYTES) + packer.flush() + struct.pack("<II", checksum, _BOMB_BYTES & 0xFFFFFFFF)
    )


async def endless(clock: Clock, head: bytes = b"") -> AsyncIterator[bytes]:
    """``head``, then blanks for ever, as fast as they are taken."""
    yield head
    while True:
        yield FILLER
        await clock.sleep_until_ns(0)
