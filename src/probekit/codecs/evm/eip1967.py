"""Where a proxy keeps its implementation, admin and beacon: fixed storage slots, read by ``eth_getStorageAt``.

Each slot is keccak256 of its name minus one. Source: ERC-1967. Pyth's contract is a UUPS proxy: it has an implementation and
no admin.
"""

from __future__ import annotations

from typing import Final

from probekit.codecs.evm.contract import ContractCall, Function
from probekit.errors import DecodeError
from probekit.model.evm import Address

IMPLEMENTATION_SLOT: Final = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
"""keccak256("eip1967.proxy.implementation") - 1"""
ADMIN_SLOT: Final = 0xB53127684A568B3173AE13B9F8A6016E243E63B6E8EE1178D6A717850B5D6103
"""keccak256("eip1967.proxy.admin") - 1"""
BEACON_SLOT: Final = 0xA3F0AD74E5423AEBFD80D3EF4346578335A9A72AEAEE59FF6CB3582B35133D50
"""keccak256("eip1967.proxy.beacon") - 1"""

BEACON_IMPLEMENTATION: Final = Function("implementation()", "address")


def decode_slot(word: bytes) -> Address | None:
    """The address in one of the slots; ``None`` where it is empty. Raises ``DecodeError`` for what is no address.

    Nodes that drop leading zeros of storage values are read too.
    """
    if len(word) > 32 or any(word[:-20]):
        raise DecodeError(f"a storage slot with {word.hex()[:80]}, which is no address", raw=word, offset=0)
    return Address(word[-20:].rjust(20, b"\0")) if any(word) else None


def encode_slot(address: Address | None) -> bytes:
    """The 32 bytes of a slot."""
    return bytes(32) if address is None else bytes(address).rjust(32, b"\0")


def beacon_implementation() -> ContractCall[Address]:
    """Of a beacon: the implementation of all its proxies."""
    return BEACON_IMPLEMENTATION.one()
