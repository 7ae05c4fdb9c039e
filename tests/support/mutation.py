"""What bad input looks like: every way to damage a few bytes. A codec decodes it or raises ``DecodeError``, nothing else."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

from probekit.errors import DecodeError


def mutations(data: bytes) -> Iterator[bytes]:
    """Every byte flipped three ways, every truncation, and extensions at either end."""
    for at in range(len(data)):
        for value in (data[at] ^ 0x01, data[at] ^ 0x80, 0xFF, 0x00):
            yield data[:at] + bytes((value,)) + data[at + 1 :]
    for size in range(len(data)):
        yield data[:size]
        yield data[size:]
    for extra in (b"\x00", b"\xff", b"\xff" * 300):
        yield data + extra
        yield extra + data


def decodes_or_refuses(decode: Callable[[bytes], object], data: bytes) -> bool:
    """Whether ``data`` decodes. A refusal must be a ``DecodeError`` that keeps what it was given and points into it."""
    refusal: DecodeError | None = None
    try:
        decode(data)
    except DecodeError as error:
        refusal = error
    if refusal is None:
        return True
    assert isinstance(refusal.raw, bytes)
    assert refusal.raw in data
    assert refusal.offset is None or 0 <= refusal.offset <= len(data)
    return False


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that ``work`` held at once, in bytes."""
    tracemalloc.start()
    try:
        try:
            work()
        except DecodeError:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
