"""What a signed Solana transaction says of itself: its signature, and who pays its fee.

Source: Solana documentation, "Transaction structure"; agave ``short_vec`` for the counts. A legacy message begins with its
header, a versioned one with 0x80 and its version.
"""

from __future__ import annotations

from typing import Final

import msgspec

from probekit.codecs.solana.borsh import Reader
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey, base58

__all__ = ["SentTransaction", "decode_sent", "decode_signed_transaction"]

_SIGNATURE: Final = 64
_VERSIONED: Final = 0x80
_VERSION_0: Final = 0x80


class SentTransaction(msgspec.Struct, frozen=True):
    """``signature`` is the first one, by which the chain names the transaction, in base58; ``fee_payer`` is who gave it."""

    signature: str
    signatures: int
    fee_payer: Pubkey


def decode_signed_transaction(raw: bytes) -> SentTransaction:
    """Legacy or version 0. The instructions are not looked at. Raises ``DecodeError``."""
    reader = Reader(raw, "a signed transaction")
    count = _count(reader)
    if not count:
        raise reader.error("no signature")
    signature = base58(reader.take(_SIGNATURE))
    reader.take((count - 1) * _SIGNATURE)
    first = reader.unsigned(1)
    if first & _VERSIONED:
        if first != _VERSION_0:
            raise reader.error(f"a message of version {first & 0x7F}, which this release does not know", back=1)
        first = reader.unsigned(1)
    reader.take(2)
    if first != count:
        raise reader.error(f"{count} signatures, and a message that wants {first}")
    if _count(reader) < count:
        raise reader.error("fewer accounts than signatures")
    return SentTransaction(signature, count, reader.key())


def decode_sent(result: object, sent: SentTransaction) -> str:
    """``sendTransaction`` of ``sent``. Raises ``DecodeError``, also where the signature is another."""
    if result != sent.signature:
        text = f"the transaction {sent.signature} was sent, the answer is about {str(result)[:100]!r}"
        raise DecodeError(text, raw=str(result))
    return sent.signature


def _count(reader: Reader) -> int:
    """A compact-u16: seven bits a byte, the low ones first."""
    found = 0
    for shift in (0, 7, 14):
        byte = reader.unsigned(1)
        found |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if (shift and not byte) or found > 0xFFFF:
                break
            return found
    raise reader.error("a count that is no compact-u16", back=1)
