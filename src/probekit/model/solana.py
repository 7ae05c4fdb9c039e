"""What a Solana node (and a node of its kin: Pythnet, Eclipse, Sonic) tells over JSON-RPC. Amounts are integers in lamports or
base units; slots are the node's own.

Source of the shapes: Solana RPC reference and agave ``rpc-client-types/src/response.rs``.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey
from probekit.units import Instant

LAMPORTS_PER_SOL: Final = 1_000_000_000

GENESIS: Final = {
    "mainnet-beta": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
}
"""Genesis hash of each public cluster of Solana (Solana documentation, "clusters")."""


class Commitment(StrEnum):
    """How final a block is to the node that answers; each level holds for all that the next one holds for."""

    PROCESSED = "processed"
    """Seen by this node; may still be dropped."""
    CONFIRMED = "confirmed"
    """Voted for by two thirds of the stake."""
    FINALIZED = "finalized"
    """At least 31 confirmed blocks on top."""

    def at_least(self, other: Commitment) -> bool:
        """Whether what is ``self`` is also ``other``."""
        order = list(Commitment)
        return order.index(self) >= order.index(other)


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account as one node held it at ``slot``, the slot of the answer's context.

    ``rent_epoch`` is ``None`` where the node leaves it out; its value is often rounded by proxies and means nothing since rent
    is no longer collected. ``space`` is the size of the whole data where the node tells it: larger than ``data`` when only a
    slice was asked for.
    """

    key: Pubkey
    owner: Pubkey
    lamports: int
    data: bytes
    executable: bool
    slot: int
    rent_epoch: int | None = None
    space: int | None = None

    @property
    def is_slice(self) -> bool:
        """Whether ``data`` is known to be a part only."""
        return self.space is not None and self.space > len(self.data)


class LamportBalance(msgspec.Struct, frozen=True, gc=False):
    """What an account holds at ``slot``; zero also for an account that does not exist."""

    lamports: int
    slot: int

    @property
    def sol(self) -> Decimal:
        """The balance in SOL, exactly."""
        return Decimal(f"{self.lamports}e-9")


class SlotInfo(msgspec.Struct, frozen=True, gc=False):
    """One message of ``slotSubscribe``: the slot now processed, its parent, and the newest finalised slot."""

    slot: int
    parent: int
    root: int

    @property
    def depth(self) -> int:
        """Slots from the root to this slot: about 32 on a healthy cluster, growing without bound when finality stops."""
        return self.slot - self.root

    @property
    def skipped(self) -> int:
        """Slots between the parent and this one that have no block on this fork."""
        return max(0, self.slot - self.parent - 1)


class Blockhash(msgspec.Struct, frozen=True, gc=False):
    """A recent blockhash (base58 of 32 bytes) and the last block *height*, not slot, at which it is accepted."""

    blockhash: str
    last_valid_block_height: int
    slot: int | None = None


class TokenAmount(msgspec.Struct, frozen=True, gc=False):
    """``amount`` base units of a token with ``decimals`` decimal places."""

    amount: int
    decimals: int

    @property
    def decimal(self) -> Decimal:
        """The exact amount in whole tokens."""
        return Decimal(f"{self.amount}e-{self.decimals}")

    def __str__(self) -> str:
        return f"{self.decimal:f}"


class SignatureStatus(msgspec.Struct, frozen=True):
    """Where a transaction stands. ``error`` is the node's JSON of a failed one; a transaction can be final *and* failed."""

    signature: str
    slot: int
    commitment: Commitment | None
    confirmations: int | None = None
    """Blocks on top; ``None`` once finalised."""
    error: object | None = None

    @property
    def succeeded(self) -> bool:
        """Executed without an error; says nothing of how final it is."""
        return self.error is None

    def reached(self, commitment: Commitment) -> bool:
        """Whether it is at least that final. Old nodes give no level: there no confirmations left to count means finalised."""
        if self.commitment is not None:
            return self.commitment.at_least(commitment)
        return self.confirmations is None or commitment is Commitment.PROCESSED


class SignatureInfo(msgspec.Struct, frozen=True):
    """One row of ``getSignaturesForAddress``, newest first. ``block_time`` is whole seconds, where the node knows it."""

    signature: str
    slot: int
    error: object | None = None
    memo: str | None = None
    block_time: Instant | None = None
    commitment: Commitment | None = None

    @property
    def succeeded(self) -> bool:
        return self.error is None


_TRUNCATED: Final = "Log truncated"


class TransactionLogs(msgspec.Struct, frozen=True):
    """What a transaction that landed wrote, and how it ended. ``block_time`` is whole seconds, where the node knows it;
    ``fee_payer`` is whose it is, ``None`` where the node's bytes do not tell.
    """

    signature: str
    slot: int
    logs: tuple[str, ...]
    error: object | None = None
    block_time: Instant | None = None
    fee_payer: Pubkey | None = None

    @property
    def succeeded(self) -> bool:
        return self.error is None

    @property
    def truncated(self) -> bool:
        """Whether the validator cut the logs off, after 10,000 bytes (agave ``svm-log-collector/src/lib.rs``). What a program
        prints bears a prefix, so that none can say so itself.
        """
        return _TRUNCATED in self.logs


class LogsEvent(msgspec.Struct, frozen=True):
    """One message of ``logsSubscribe``: a transaction that mentions the address asked for."""

    signature: str
    slot: int
    logs: tuple[str, ...]
    error: object | None = None


class NodeHealth(msgspec.Struct, frozen=True):
    """What ``getHealth`` says. ``slots_behind`` is ``None`` when healthy, and where the node does not know how far."""

    healthy: bool
    slots_behind: int | None = None
    message: str = ""


class NodeVersion(msgspec.Struct, frozen=True):
    """``getVersion``; ``extra`` holds what other clients add."""

    core: str
    feature_set: int | None = None
    extra: dict[str, object] = {}


class EpochInfo(msgspec.Struct, frozen=True):
    """``getEpochInfo``. Block height counts blocks, so it trails the slot by all slots ever skipped."""

    epoch: int
    slot_index: int
    slots_in_epoch: int
    absolute_slot: int
    block_height: int | None = None
    transaction_count: int | None = None
    extra: dict[str, object] = {}

    @property
    def slots_left(self) -> int:
        """Slots until the next epoch begins."""
        return self.slots_in_epoch - self.slot_index


class ReturnData(msgspec.Struct, frozen=True, gc=False):
    """Bytes that a program handed back to its caller."""

    program: Pubkey
    data: bytes


class Simulation(msgspec.Struct, frozen=True):
    """What a transaction would have done at ``slot``. ``accounts`` are those asked for, in order: ``None`` for one that would
    not exist, ``DecodeError`` for one that does not decode.
    """

    slot: int
    error: object | None
    logs: tuple[str, ...] = ()
    units_consumed: int | None = None
    accounts: tuple[Account | DecodeError | None, ...] = ()
    return_data: ReturnData | None = None
    replacement_blockhash: Blockhash | None = None
    fee: int | None = None
    """Lamports, where the node computes it."""
    extra: dict[str, object] = {}

    @property
    def succeeded(self) -> bool:
        return self.error is None


def custom_error(error: object) -> tuple[int, int] | None:
    """(index of the instruction, code) of a transaction error that a program raised by number; ``None`` for any other.

    The JSON is ``{"InstructionError": [index, {"Custom": code}]}``.
    """
    match error:
        case {"InstructionError": [int(index), {"Custom": int(code)}]}:
            return index, code
    return None


class TokenState(IntEnum):
    """Whether a token account may move its tokens."""

    UNINITIALIZED = 0
    INITIALIZED = 1
    FROZEN = 2


class TokenExtension(msgspec.Struct, frozen=True, gc=False):
    """One extension of a Token-2022 account, not interpreted: its type and its bytes."""

    type: int
    data: bytes


class TokenAccount(msgspec.Struct, frozen=True):
    """A holding of one token. ``owner`` is the wallet, not the program; ``amount`` is in base units."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    state: TokenState = TokenState.INITIALIZED
    delegate: Pubkey | None = None
    delegated_amount: int = 0
    rent_reserve: int | None = None
    """Lamports kept back in an account of wrapped SOL; ``None`` for any other token."""
    close_authority: Pubkey | None = None
    extensions: tuple[TokenExtension, ...] = ()

    @property
    def is_native(self) -> bool:
        """Whether it holds wrapped SOL."""
        return self.rent_reserve is not None


class TokenMint(msgspec.Struct, frozen=True):
    """A token: its supply in base units and its decimal places."""

    supply: int
    decimals: int
    initialized: bool = True
    mint_authority: Pubkey | None = None
    """Who may issue more; ``None``: nobody, ever."""
    freeze_authority: Pubkey | None = None
    extensions: tuple[TokenExtension, ...] = ()

    def amount(self, base_units: int) -> TokenAmount:
        """That many base units of this token."""
        return TokenAmount(base_units, self.decimals)


class TokenHolding(msgspec.Struct, frozen=True):
    """One token account of a wallet, at ``key``, with its mint. ``program`` tells SPL Token from Token-2022."""

    key: Pubkey
    program: Pubkey
    account: TokenAccount
    mint: TokenMint
    slot: int

    @property
    def amount(self) -> TokenAmount:
        """What it holds, in whole tokens and exactly."""
        return self.mint.amount(self.account.amount)
