"""Reading and writing little-endian account data (Borsh), with every length checked before it is used.

Source: borsh.io specification; Anchor's account discriminator is the first 8 bytes of ``sha256("account:" + Name)``.
"""

from __future__ import annotations

import hashlib
from typing import Final

from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey

DISCRIMINATOR_SIZE: Final = 8


def account_discriminator(name: str) -> bytes:
    """The 8 bytes that an Anchor account of type ``name`` begins with."""
    return hashlib.sha256(f"account:{name}".encode()).digest()[:DISCRIMINATOR_SIZE]


class Reader:
    """A cursor over one account's data. Every read raises ``DecodeError``, with the offset, where the data ends early."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.what = what
        self.offset = 0

    def error(self, problem: str, *, back: int = 0) -> DecodeError:
        """An error about what stands ``back`` bytes before the cursor."""
        return DecodeError(f"{self.what}: {problem}", raw=self.data, offset=self.offset - back)

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self.offset + size
        if end > len(self.data):
            raise self.error(f"{len(self.data)} bytes, {end} needed")
        taken = self.data[self.offset : end]
        self.offset = end
        return taken

    def discriminator(self, expected: bytes) -> None:
        """The next 8 bytes, which must be ``expected``."""
        found = self.take(DISCRIMINATOR_SIZE)
        if found != expected:
            raise self.error(f"begins with {found.hex()}, not {expected.hex()}", back=DISCRIMINATOR_SIZE)

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little", signed=True)

    def key(self) -> Pubkey:
        return Pubkey(self.take(32))

    def tag(self, size: int, limit: int) -> int:
        """A variant's number; it must be below ``limit``."""
        found = self.unsigned(size)
        if found >= limit:
            raise self.error(f"variant {found}; only 0 to {limit - 1} exist", back=size)
        return found

    def count(self, item_size: int) -> int:
        """A u32 count of items of ``item_size`` bytes each, all of which must be there."""
        found = self.unsigned(4)
        if found * item_size > len(self.data) - self.offset:
            raise self.error(f"{found} items of {item_size} bytes do not fit into {len(self.data)} bytes", back=4)
        return found


def unsigned(value: int, size: int) -> bytes:
    """``size`` bytes. Raises ``ValueError`` when ``value`` does not fit."""
    return _integer(value, size, signed=False)


def signed(value: int, size: int) -> bytes:
    """``size`` bytes, two's complement. Raises ``ValueError`` when ``value`` does not fit."""
    return _integer(value, size, signed=True)


def _integer(value: int, size: int, *, signed: bool) -> bytes:
    try:
        return value.to_bytes(size, "little", signed=signed)
    except OverflowError:
        raise ValueError(f"{value} does not fit into {size} bytes") from None


def exactly(value: bytes, size: int, what: str) -> bytes:
    """``value``. Raises ``ValueError`` when it does not have ``size`` bytes."""
    if len(value) != size:
        raise ValueError(f"{what} has {size} bytes, not {len(value)}")
    return bytes(value)


def padded(data: bytes, size: int) -> bytes:
    """``data`` with zeros up to ``size``. Raises ``ValueError`` when it is longer."""
    if len(data) > size:
        raise ValueError(f"{len(data)} bytes do not fit into an account of {size}")
    return data + bytes(size - len(data))
