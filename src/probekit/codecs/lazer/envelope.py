"""The four forms in which an update's bytes travel: ``evm``, ``leEcdsa``, ``solana`` and ``leUnsigned``, both ways.

Layout after the 4 bytes that tell the form:

* ``evm``: r and s 64 · recovery id u8 (0 or 1) · length u16 big-endian · payload, big-endian
* ``leEcdsa``: the same with a little-endian length and payload
* ``solana``: ed25519 signature 64 · public key 32 · length u16 little-endian · payload, little-endian
* ``leUnsigned``: length u16 little-endian · payload, little-endian

Source: pyth-lazer-public ``sdk/rust/protocol/src/message.rs``.
"""

from __future__ import annotations

from typing import Final, Literal

from probekit.codecs.lazer import payload as payload_codec
from probekit.errors import DecodeError
from probekit.model.lazer import Envelope, LazerPayload, UpdateFormat

MAGICS: Final = {
    UpdateFormat.EVM: bytes.fromhex("2a22999a"),
    UpdateFormat.SOLANA: bytes.fromhex("b9011a82"),
    UpdateFormat.LE_ECDSA: bytes.fromhex("e4bd474d"),
    UpdateFormat.LE_UNSIGNED: bytes.fromhex("0c4d6359"),
}
_FORMATS: Final = {magic: form for form, magic in MAGICS.items()}
_SIGNATURE: Final = 64
_SIGNED_BY: Final = {UpdateFormat.EVM: 1, UpdateFormat.LE_ECDSA: 1, UpdateFormat.SOLANA: 32, UpdateFormat.LE_UNSIGNED: 0}
"""Bytes behind the signature: a recovery id or a public key."""


def byte_order(form: UpdateFormat) -> Literal["little", "big"]:
    """That of the length and of the payload."""
    return "big" if form is UpdateFormat.EVM else "little"


def format_of(data: bytes) -> UpdateFormat | None:
    """The form that the first bytes tell; ``None`` where they tell none."""
    return _FORMATS.get(data[:4])


def decode(data: bytes, expected: UpdateFormat | None = None) -> Envelope:
    """Decode an envelope, not its payload. Raises ``DecodeError``, also for a form other than ``expected``."""
    form = format_of(data)
    if form is None:
        raise DecodeError(f"an update begins with {data[:4].hex() or 'nothing'}, which is no form of one", raw=data, offset=0)
    if expected is not None and form is not expected:
        raise DecodeError(f"an update in the form {form} where {expected} belongs", raw=data, offset=0)
    at, signature, recovery_id, key = 4, b"", None, None
    if form.is_signed:
        signature = _take(data, at, _SIGNATURE)
        by = _take(data, at + _SIGNATURE, _SIGNED_BY[form])
        at += _SIGNATURE + len(by)
        if form is UpdateFormat.SOLANA:
            key = by
        else:
            recovery_id = by[0]
    size = int.from_bytes(_take(data, at, 2), byte_order(form))
    body = _take(data, at + 2, size)
    return Envelope(form, body, signature, recovery_id, key, data[at + 2 + size :])


def _take(data: bytes, at: int, size: int) -> bytes:
    taken = data[at : at + size]
    if len(taken) != size:
        raise DecodeError(f"an update of {len(data)} bytes, {at + size} needed", raw=data, offset=min(at, len(data)))
    return taken


def content(envelope: Envelope) -> LazerPayload:
    """The payload, decoded in the byte order of the form. Proves nothing. Raises ``DecodeError``."""
    return payload_codec.decode(envelope.payload, byte_order(envelope.format))


def encode(envelope: Envelope) -> bytes:
    """The bytes of an envelope. Raises ``ValueError`` when a part has a wrong size, is missing or has no place."""
    form = envelope.format
    if len(envelope.payload) > payload_codec.MAX_SIZE:
        raise ValueError(f"a payload of {len(envelope.payload)} bytes; its length is counted in two")
    parts = [MAGICS[form]]
    by = b""
    if form is UpdateFormat.SOLANA:
        by = envelope.public_key or b""
    elif form.is_signed and envelope.recovery_id is not None and 0 <= envelope.recovery_id < 256:
        by = bytes((envelope.recovery_id,))
    if len(envelope.signature) != (_SIGNATURE if form.is_signed else 0) or len(by) != _SIGNED_BY[form]:
        raise ValueError(f"{form}: a signature of {len(envelope.signature)} bytes, a signer of {len(by)}")
    parts += [envelope.signature, by, len(envelope.payload).to_bytes(2, byte_order(form)), envelope.payload]
    return b"".join(parts) + envelope.trailing
