"""What an EVM node tells: blocks, logs, receipts, fees. Amounts are integers in wei, times whole Unix seconds.

Source of the shapes: ethereum/execution-apis.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec
from sha3 import keccak_256

from probekit.errors import DecodeError
from probekit.units import Instant

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


class Address(str):
    """A 20-byte address in EIP-55's mixed case.

    Accepts 20 bytes, or hex with ``0x`` in one case. Mixed case must have the right checksum. Raises ``ValueError`` otherwise.
    """

    __slots__ = ()

    def __new__(cls, value: str | bytes) -> Address:
        if isinstance(value, Address):
            return value
        text = f"0x{value.hex()}" if isinstance(value, bytes) else value.strip()
        if _ADDRESS.fullmatch(text) is None:
            raise ValueError(f"{str(value)[:80]!r} is not an address: 0x and 40 hex digits")
        made = _checksummed(text)
        digits = text[2:]
        if digits not in (digits.lower(), digits.upper()) and text != made:
            raise ValueError(f"{text} has a wrong checksum; is it {made}?")
        return str.__new__(cls, made)

    def __bytes__(self) -> bytes:
        return bytes.fromhex(self[2:])

    def __repr__(self) -> str:
        return f"Address({str.__str__(self)!r})"


@lru_cache(maxsize=4096)
def _checksummed(text: str) -> str:
    """Mixed case as EIP-55 has it."""
    lower = text[2:].lower()
    digest = keccak_256(lower.encode()).hexdigest()
    cased = (digit.upper() if int(nibble, 16) >= 8 else digit for digit, nibble in zip(lower, digest, strict=False))
    return "0x" + "".join(cased)


class Block(msgspec.Struct, frozen=True):
    """A block without its transactions. ``base_fee_per_gas`` (wei) is ``None`` before EIP-1559 and on chains without it;
    ``extra`` keeps the members that this release does not know.
    """

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    gas_limit: int
    gas_used: int
    base_fee_per_gas: int | None = None
    extra: dict[str, object] = {}

    @property
    def time(self) -> Instant:
        """When its proposer says it was made; whole seconds."""
        return Instant.from_seconds(self.timestamp)


class Log(msgspec.Struct, frozen=True):
    """An event. ``removed`` tells that its block left the chain."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int
    removed: bool = False


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction. ``effective_gas_price`` in wei; ``contract_address`` where one was made."""

    transaction_hash: str
    block_number: int
    block_hash: str
    succeeded: bool
    gas_used: int
    effective_gas_price: int
    sender: Address
    to: Address | None
    contract_address: Address | None
    logs: tuple[Log | DecodeError, ...]
    """One that does not decode is its own error."""
    extra: dict[str, object] = {}

    @property
    def fee(self) -> int:
        """Wei paid for execution; rollups charge for data beside it, in members of ``extra``."""
        return self.gas_used * self.effective_gas_price


class FeeHistory(msgspec.Struct, frozen=True):
    """Fees of consecutive blocks from ``oldest_block``: ``base_fees`` (wei) has one more than the blocks, the next one's.
    ``rewards`` (wei per gas) has a row per block with the percentiles asked for. ``gas_used_ppm`` is gas used of the limit, in
    parts per million.
    """

    oldest_block: int
    base_fees: tuple[int, ...]
    gas_used_ppm: tuple[int, ...]
    rewards: tuple[tuple[int, ...], ...] = ()


class SignedTransaction(msgspec.Struct, frozen=True):
    """What a signed transaction says of its cost: ``chain_id`` is ``None`` for one that is valid on every chain."""

    chain_id: int | None
    nonce: int
    gas_limit: int
    max_fee_per_gas: int
    value: int
    to: Address | None

    @property
    def most(self) -> int:
        """Wei that it can take from its sender at most, data fees of rollups apart."""
        return self.gas_limit * self.max_fee_per_gas + self.value
