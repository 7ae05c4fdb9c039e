"""The messages of a slot as Pythnet's validators keep them: ``PAS1`` · slot u64 · ring size u32 · count u32 · each message with
its length u32 before it. Little-endian (Borsh), while the messages themselves are big-endian (:mod:`probekit.codecs.messages`).

The accounts belong to the system program, at the address derived from :func:`accumulator_seeds`, and are written over after
``ring_size`` slots. Source: pyth-crosschain Hermes ``network/pythnet.rs``; Pythnet validator ``bank/pyth_accumulator.rs``.
"""

from __future__ import annotations

import struct
from typing import Final

from probekit.errors import DecodeError
from probekit.model.pythnet import AccumulatorMessages

MAGIC: Final = b"PAS1"
RING_SIZE: Final = 10_000
"""Accounts in Pythnet's ring."""

_HEAD: Final = struct.Struct("<4sQII")
_LENGTH: Final = struct.Struct("<I")


def accumulator_seeds(ring_index: int) -> tuple[bytes, bytes]:
    """The seeds of the address of one account of the ring, under the system program. Raises ``ValueError`` above u32."""
    try:
        return b"AccumulatorState", ring_index.to_bytes(4, "big")
    except OverflowError:
        raise ValueError(f"{ring_index} is no index of a ring: it has at most 2**32 accounts") from None


def decode_accumulator_messages(data: bytes) -> AccumulatorMessages:
    """The messages of one slot, raw. Like Hermes it takes no bytes after the last message.

    Raises ``DecodeError``. Work and memory are bounded by ``len(data)``.
    """
    size = len(data)
    if size < _HEAD.size:
        raise DecodeError(f"{size} bytes; accumulator messages have a head of {_HEAD.size}", raw=data, offset=size)
    magic, slot, ring_size, count = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise DecodeError(f"begins with {magic.hex()}, not with {MAGIC.hex()} (PAS1)", raw=data, offset=0)
    if not ring_size:
        raise DecodeError("a ring of no accounts", raw=data, offset=12)
    offset = _HEAD.size
    if count > (size - offset) // _LENGTH.size:
        raise DecodeError(f"{count} messages do not fit into {size} bytes", raw=data, offset=16)
    messages: list[bytes] = []
    for index in range(count):
        start = offset + _LENGTH.size
        end = start + int.from_bytes(data[offset:start], "little")
        if max(start, end) > size:
            raise DecodeError(f"message {index} of {count} is cut short", raw=data, offset=min(offset, size))
        messages.append(data[start:end])
        offset = end
    if offset != size:
        raise DecodeError(f"{size - offset} bytes after the last of {count} messages", raw=data, offset=offset)
    return AccumulatorMessages(slot, ring_size, tuple(messages))


def encode_accumulator_messages(account: AccumulatorMessages) -> bytes:
    """The inverse of :func:`decode_accumulator_messages`. Raises ``ValueError`` when a field does not fit its place."""
    if not account.ring_size:
        raise ValueError("a ring has at least one account")
    try:
        parts = [_HEAD.pack(MAGIC, account.slot, account.ring_size, len(account.messages))]
    except struct.error as error:
        raise ValueError(f"a field does not fit its place: {error}") from None
    for message in account.messages:
        parts += [_LENGTH.pack(len(message)), message]
    return b"".join(parts)
