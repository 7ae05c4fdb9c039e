"""What became of a transaction: the runtime's outcome, and the record of one that landed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from solders.account import Account
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo, TransactionMetadata

COMPUTE_BUDGET: Final = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
LOOKUP_TABLE_PROGRAM: Final = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")

_LOOKUP_TABLE_HEADER: Final = 56
_SET_COMPUTE_UNIT_PRICE: Final = 3


class Inner(NamedTuple):
    """A cross-program call. ``top`` is the index of the instruction it came from."""

    top: int
    program_index: int
    accounts: bytes
    data: bytes
    stack_height: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What executing or simulating gave. ``err``: the transaction error in its JSON form, or None; ``fee`` in lamports."""

    err: Any
    logs: tuple[str, ...] = ()
    units: int = 0
    fee: int = 0
    inner: tuple[Inner, ...] = ()
    return_data: tuple[Pubkey, bytes] | None = None
    accounts: tuple[tuple[Pubkey, Account], ...] = ()
    """Writable accounts as they would be, of a simulation that succeeded."""

    @classmethod
    def refused(cls, err: str) -> Outcome:
        """Refused before execution."""
        return cls(err)

    @classmethod
    def of(cls, result: TransactionMetadata | FailedTransactionMetadata | SimulatedTransactionInfo) -> Outcome:
        """From the runtime's own result."""
        err: Any = None
        accounts: tuple[tuple[Pubkey, Account], ...] = ()
        if isinstance(result, FailedTransactionMetadata):
            err, meta = msgspec.json.decode(result.to_json())["err"], result.meta()
        elif isinstance(result, SimulatedTransactionInfo):
            accounts, meta = tuple(result.post_accounts()), result.meta()
        else:
            meta = result
        inner = []
        for top, calls in enumerate(meta.inner_instructions()):
            for call in calls:
                made = call.instruction()
                inner.append(Inner(top, made.program_id_index, bytes(made.accounts), bytes(made.data), call.stack_height()))
        returned = meta.return_data()
        data = bytes(returned.data)
        return cls(
            err,
            tuple(meta.logs()),
            meta.compute_units_consumed(),
            meta.fee(),
            tuple(inner),
            (returned.program_id, data) if data else None,
            accounts,
        )


@dataclass(frozen=True, slots=True)
class Keys:
    """The accounts of a message: its own, then those loaded from lookup tables (writable first)."""

    static: tuple[Pubkey, ...]
    loaded_writable: tuple[Pubkey, ...]
    loaded_readonly: tuple[Pubkey, ...]
    signed: int
    readonly_signed: int
    readonly_unsigned: int

    @property
    def all(self) -> tuple[Pubkey, ...]:
        """Every account, in the order in which instructions count them."""
        return self.static + self.loaded_writable + self.loaded_readonly

    def writable(self, index: int) -> bool:
        """Whether the message asks to write to an account. The runtime may demote it: sysvars and called programs."""
        if index < self.signed:
            return index < self.signed - self.readonly_signed
        if index < len(self.static):
            return index < len(self.static) - self.readonly_unsigned
        return index < len(self.static) + len(self.loaded_writable)


def account_keys(message: Message | MessageV0, get_account: Callable[[Pubkey], Account | None]) -> Keys:
    """The accounts of a message, lookups resolved; a lookup that cannot be resolved adds none (the runtime refuses it)."""
    header = message.header
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    for lookup in message.address_table_lookups if isinstance(message, MessageV0) else ():
        table = get_account(lookup.account_key)
        if table is None or table.owner != LOOKUP_TABLE_PROGRAM:
            continue
        raw = bytes(table.data)[_LOOKUP_TABLE_HEADER:]
        for indexes, into in ((lookup.writable_indexes, writable), (lookup.readonly_indexes, readonly)):
            for index in bytes(indexes):
                address = raw[32 * index : 32 * index + 32]
                if len(address) == 32:
                    into.append(Pubkey.from_bytes(address))
    return Keys(
        tuple(message.account_keys),
        tuple(writable),
        tuple(readonly),
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts,
    )


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction in a block."""

    signature: Signature
    slot: int
    unix_timestamp: int
    transaction: VersionedTransaction
    keys: Keys
    outcome: Outcome
    lamports: tuple[tuple[int, int], ...]
    """Balance of each account before and after."""
    tokens: tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]
    """Token balances before and after."""

    @property
    def unit_price(self) -> int:
        """Micro-lamports that it bid for a compute unit."""
        for instruction in self.transaction.message.instructions:
            data = bytes(instruction.data)
            program = self.keys.static[instruction.program_id_index]
            if program == COMPUTE_BUDGET and data[:1] == bytes((_SET_COMPUTE_UNIT_PRICE,)) and len(data) == 9:
                return int.from_bytes(data[1:], "little")
        return 0

    def writes(self, key: Pubkey) -> bool:
        """Whether it locks an account for writing."""
        return any(one == key and self.keys.writable(index) for index, one in enumerate(self.keys.all))
