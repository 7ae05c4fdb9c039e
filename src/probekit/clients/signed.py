"""The signed messages behind served prices: for probes that hold two services' bytes against each other."""

from __future__ import annotations

from collections.abc import Iterator

from probekit.checks import SignedPoint
from probekit.codecs import accumulator, vaa
from probekit.errors import DecodeError
from probekit.trust import MAINNET

__all__ = ["points_of"]

_PRICE = b"\x00"
"""The type byte of a price message."""


def points_of(raw: bytes) -> Iterator[tuple[str, SignedPoint]]:
    """Feed id and signed price message of each feed in an accumulator update. Raises ``DecodeError``, also for the emitter of
    no trust root.
    """
    update = accumulator.decode(raw)
    signed = vaa.decode(update.vaa)
    root = MAINNET.root_of(signed.emitter_chain, signed.emitter_address)
    slot = accumulator.decode_payload(signed.payload).slot
    if root is None:
        raise DecodeError(f"signed by the unknown emitter {signed.emitter_address.hex()}", raw=raw)
    for message, _ in update.proven:
        # A message of another type about the same feed is another message, not another price.
        if message[:1] == _PRICE:
            yield message[1:33].hex(), SignedPoint(root, slot, message.hex())
