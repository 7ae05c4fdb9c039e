"""Wormhole VAA, version 1: a body signed by members of a numbered set.

Layout, big-endian: version u8 (1) · set index u32 · signature count u8 · per signature: index u8, r 32, s 32, recovery id u8 ·
body: timestamp u32 (Unix seconds), nonce u32, emitter chain u16, emitter 32, sequence u64, consistency u8, payload (the rest).
Source: Wormhole whitepaper 0001 and the Pyth contracts' parsers.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from probekit.codecs.keccak import keccak256
from probekit.errors import DecodeError
from probekit.units import Instant

_HEAD: Final = struct.Struct(">BIB")
_SIGNATURE: Final = struct.Struct(">B64sB")
_BODY: Final = struct.Struct(">IIH32sQB")
VERSION: Final = 1


class Signature(msgspec.Struct, frozen=True, gc=False):
    """One signer's: its index in the set, ``r || s`` (64 bytes) and the recovery id (0 to 3; in practice 0 or 1)."""

    index: int
    rs: bytes
    recovery_id: int


class Vaa(msgspec.Struct, frozen=True):
    """A decoded VAA. Nothing about it is proven until its signatures are checked (:mod:`probekit.trust`)."""

    set_index: int
    signatures: tuple[Signature, ...]
    timestamp: int
    nonce: int
    emitter_chain: int
    emitter_address: bytes
    sequence: int
    consistency_level: int
    payload: bytes

    @property
    def time(self) -> Instant:
        """The VAA's own time: whole seconds."""
        return Instant.from_seconds(self.timestamp)

    def body(self) -> bytes:
        """The signed part."""
        return (
            _BODY.pack(
                self.timestamp,
                self.nonce,
                self.emitter_chain,
                self.emitter_address,
                self.sequence,
                self.consistency_level,
            )
            + self.payload
        )

    def digest(self) -> bytes:
        """keccak256(keccak256(body)): what each signature is over."""
        return keccak256(keccak256(self.body()))


def decode(data: bytes) -> Vaa:
    """Decode a whole VAA; everything behind the body's fields is its payload.

    Raises ``DecodeError`` with the offset for another version, or when it is cut short.
    """
    try:
        version, set_index, count = _HEAD.unpack_from(data)
        if version != VERSION:
            raise DecodeError(f"a VAA of version {version}; only version {VERSION} exists", raw=data, offset=0)
        offset = _HEAD.size
        body_at = offset + count * _SIGNATURE.size
        if len(data) < body_at + _BODY.size:
            raise DecodeError(
                f"a VAA of {len(data)} bytes is too short for {count} signatures and a body", raw=data, offset=offset
            )
        signatures = tuple([Signature(*parts) for parts in _SIGNATURE.iter_unpack(data[offset:body_at])])
        timestamp, nonce, chain, emitter, sequence, consistency = _BODY.unpack_from(data, body_at)
    except struct.error:
        raise DecodeError(f"a VAA of {len(data)} bytes is cut short", raw=data, offset=0) from None
    payload = data[body_at + _BODY.size :]
    return Vaa(set_index, signatures, timestamp, nonce, chain, emitter, sequence, consistency, payload)


def encode(vaa: Vaa) -> bytes:
    """The bytes of a VAA; the inverse of :func:`decode`. Raises ``ValueError`` when a field does not fit its place."""
    # struct would pad short bytes, silently.
    if len(vaa.emitter_address) != 32 or any(len(signature.rs) != 64 for signature in vaa.signatures):
        raise ValueError("an emitter address has 32 bytes and a signature 64")
    try:
        head = _HEAD.pack(VERSION, vaa.set_index, len(vaa.signatures))
        signatures = b"".join(_SIGNATURE.pack(s.index, s.rs, s.recovery_id) for s in vaa.signatures)
        return head + signatures + vaa.body()
    except struct.error as error:
        raise ValueError(f"a field of the VAA does not fit its place: {error}") from None
