"""The accumulator update (``PNAU``): what Hermes serves and every Pyth contract takes.

Layout, big-endian: ``PNAU`` · major u8 (1) · minor u8 · trailing header length u8 and that many bytes · update type u8 (0,
Wormhole Merkle) · VAA length u16 · VAA · message count u8 · per message: length u16, message, proof node count u8, proof nodes
20 bytes each. The VAA's payload is ``AUWV`` · type u8 (0) · slot u64 · ring size u32 · root 20. Source: pythnet_sdk
``wire.rs``.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from probekit.codecs.merkle import NODE_SIZE
from probekit.errors import DecodeError

MAGIC: Final = b"PNAU"
MAJOR: Final = 1
MAX_MESSAGES: Final = 255
_PAYLOAD_MAGIC: Final = b"AUWV"
_HEAD: Final = struct.Struct(">4sBBB")
_TYPE_AND_LENGTH: Final = struct.Struct(">BH")
_PAYLOAD: Final = struct.Struct(">4sBQI20s")
_LENGTH: Final = struct.Struct(">H")


class AccumulatorUpdate(msgspec.Struct, frozen=True):
    """A decoded update; proven by nothing until verified. ``proven`` pairs each message with its proof, both raw.

    ``major`` is kept as it came: verification, like the contracts, takes only 1.
    """

    vaa: bytes
    proven: tuple[tuple[bytes, bytes], ...]
    major: int = MAJOR
    minor: int = 0
    trailing_header: bytes = b""
    """Bytes a later minor version may add; skipped by readers."""
    trailing: bytes = b""
    """Bytes after the last message: kept, but no part of the format. The EVM contract refuses them; so does verification."""


class RootPayload(msgspec.Struct, frozen=True, gc=False):
    """The signed payload: the Merkle root of one slot's messages."""

    slot: int
    ring_size: int
    root: bytes


def decode(data: bytes) -> AccumulatorUpdate:
    """Decode a whole update. Raises ``DecodeError`` with the offset when it is not one, or is cut short.

    Work and memory are bounded by ``len(data)``: every length is checked against what is there before it is used.
    """
    size = len(data)
    offset = 0
    try:
        magic, major, minor, trailing_size = _HEAD.unpack_from(data)
        if magic != MAGIC:
            raise DecodeError(f"starts with {magic.hex()}, not with {MAGIC.hex()} (PNAU)", raw=data, offset=0)
        offset = _HEAD.size + trailing_size
        trailing_header = data[_HEAD.size : offset]
        kind, vaa_size = _TYPE_AND_LENGTH.unpack_from(data, offset)
        if kind != 0:
            raise DecodeError(f"update type {kind}; only 0 (Wormhole Merkle) exists", raw=data, offset=offset)
        offset += _TYPE_AND_LENGTH.size
        vaa = data[offset : offset + vaa_size]
        offset += vaa_size
        count = data[offset]
        offset += 1
        proven: list[tuple[bytes, bytes]] = []
        for _ in range(count):
            message_at = offset + 2
            proof_size_at = message_at + (data[offset] << 8 | data[offset + 1])
            proof_at = proof_size_at + 1
            offset = proof_at + data[proof_size_at] * NODE_SIZE
            if offset > size:
                raise DecodeError(f"message {len(proven)} of {count} is cut short", raw=data, offset=proof_at)
            proven.append((data[message_at:proof_size_at], data[proof_at:offset]))
    except (struct.error, IndexError):
        raise DecodeError(f"an accumulator update of {size} bytes is cut short", raw=data, offset=min(offset, size)) from None
    return AccumulatorUpdate(vaa, tuple(proven), major, minor, trailing_header, data[offset:])


def encode(update: AccumulatorUpdate) -> bytes:
    """The bytes of an update; the inverse of :func:`decode`.

    Raises ``ValueError`` above 255 messages, 255 proof nodes, a header of 255 or other parts of 65,535 bytes.
    """
    if len(update.proven) > MAX_MESSAGES:
        raise ValueError(f"an update holds at most {MAX_MESSAGES} messages, not {len(update.proven)}")
    try:
        return _encode(update)
    except struct.error as error:
        raise ValueError(f"a part of the update does not fit its length field: {error}") from None


def _encode(update: AccumulatorUpdate) -> bytes:
    parts = [
        _HEAD.pack(MAGIC, update.major, update.minor, len(update.trailing_header)),
        update.trailing_header,
        _TYPE_AND_LENGTH.pack(0, len(update.vaa)),
        update.vaa,
        bytes((len(update.proven),)),
    ]
    for message, proof in update.proven:
        nodes, rest = divmod(len(proof), NODE_SIZE)
        if rest:
            raise ValueError(f"a proof of {len(proof)} bytes is not whole nodes of {NODE_SIZE}")
        parts += [_LENGTH.pack(len(message)), message, bytes((nodes,)), proof]
    parts.append(update.trailing)
    return b"".join(parts)


def decode_payload(payload: bytes) -> RootPayload:
    """Decode the VAA payload of an update. Raises ``DecodeError``; later fields at its end are ignored."""
    try:
        magic, kind, slot, ring_size, root = _PAYLOAD.unpack_from(payload)
    except struct.error:
        raise DecodeError(f"a root payload of {len(payload)} bytes is cut short", raw=payload, offset=0) from None
    if magic != _PAYLOAD_MAGIC or kind != 0:
        raise DecodeError(f"the VAA signs {payload[:5].hex()}, not a Merkle root (AUWV, type 0)", raw=payload, offset=0)
    return RootPayload(slot, ring_size, root)


def encode_payload(payload: RootPayload) -> bytes:
    """The bytes of a root payload. Raises ``ValueError`` when a field does not fit its place."""
    if len(payload.root) != NODE_SIZE:
        raise ValueError(f"a root has {NODE_SIZE} bytes, not {len(payload.root)}")
    try:
        return _PAYLOAD.pack(_PAYLOAD_MAGIC, 0, payload.slot, payload.ring_size, payload.root)
    except struct.error as error:
        raise ValueError(f"a field of the payload does not fit its place: {error}") from None
