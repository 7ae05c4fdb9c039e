"""Keccak-256 as Ethereum, Wormhole and Pyth use it: the padding before the SHA-3 standard, so ``hashlib`` will not do."""

from __future__ import annotations

from sha3 import keccak_256


def keccak256(data: bytes) -> bytes:
    """32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest


def keccak160(data: bytes) -> bytes:
    """The first 20 bytes of :func:`keccak256`: a node of the accumulator's tree."""
    digest: bytes = keccak_256(data).digest()[:20]
    return digest
