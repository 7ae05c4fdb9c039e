"""Values of the simulated chain: blocks, commitment levels, and the events that a ledger tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from solders.hash import Hash
from solders.pubkey import Pubkey

from probekit.dev.svm.execution import Landed

Commitment = Literal["processed", "confirmed", "finalized"]
COMMITMENTS: Final[tuple[Commitment, ...]] = get_args(Commitment)
AnyKey = Pubkey | bytes | str


def as_key(key: AnyKey) -> Pubkey:
    """A key of either library, 32 bytes, or base58 text. Raises ``ValueError``."""
    if isinstance(key, Pubkey):
        return key
    if isinstance(key, str):
        return Pubkey.from_string(key)
    return Pubkey.from_bytes(bytes(key))


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the simulated chain. ``height`` counts blocks, ``slot`` also the skipped ones."""

    slot: int
    parent: int
    height: int
    blockhash: Hash
    unix_timestamp: int
    transactions: int
    """Transactions in the ledger up to and with this block."""


@dataclass(frozen=True, slots=True)
class SlotBegan:
    """A new slot is being processed."""

    slot: int
    parent: int
    root: int


@dataclass(frozen=True, slots=True)
class Rooted:
    """A slot became the newest finalized one."""

    slot: int


@dataclass(frozen=True, slots=True)
class Reached:
    """Work of ``slot`` reached a commitment level: accounts it changed, transactions it holds."""

    level: Commitment
    slot: int
    accounts: tuple[Pubkey, ...]
    landed: tuple[Landed, ...]


Event = SlotBegan | Rooted | Reached
