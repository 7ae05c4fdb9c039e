"""LiteSVM with time: slots, block heights, recent blockhashes, signature history, and account state at each commitment.

The runtime is the real one; slots and commitment levels are simulated (see :mod:`probekit.dev.svm`). Not safe across threads:
the runtime refuses to be used from another thread than its own.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from solders.account import Account
from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, transfer
from solders.sysvar import CLOCK
from solders.transaction import VersionedTransaction

from probekit.dev.svm import tokens
from probekit.dev.svm.chain import COMMITMENTS, AnyKey, Block, Commitment, Event, Reached, Rooted, SlotBegan, as_key
from probekit.dev.svm.execution import Keys, Landed, Outcome, account_keys
from probekit.dev.svm.versions import Versions
from probekit.units import NS_PER_S, Instant

DEFAULT_SLOT: Final = 435_888_000
SLOTS_PER_EPOCH: Final = 432_000
MAX_BLOCKHASH_AGE: Final = 150
"""Blocks after which a blockhash is too old to be used: the runtime's MAX_PROCESSING_AGE."""

_SLOT_HASHES: Final = 512
_KEPT_BEHIND_ROOT: Final = 64
"""Blocks below the newest finalized one whose account state is still known, for a node that is behind."""
_FAUCET_LAMPORTS: Final = 500_000_000 * 10**9


@dataclass(slots=True)
class _Work:
    accounts: dict[Pubkey, None] = field(default_factory=dict)
    landed: list[Landed] = field(default_factory=list)


class Ledger:
    """One chain. ``confirmed_after`` and ``finalized_after`` are blocks; ``history`` is how many transactions are remembered.

    ``skipped_before`` slots had no block before the first one, so that slot and block height differ as they do on a cluster.
    """

    def __init__(
        self,
        *,
        slot: int = DEFAULT_SLOT,
        start: Instant | None = None,
        slot_time: timedelta = timedelta(milliseconds=400),
        confirmed_after: int = 1,
        finalized_after: int = 31,
        skipped_before: int = 21_600_000,
        history: int = 10_000,
        seed: bytes = b"probekit",
    ) -> None:
        if not 0 <= confirmed_after <= finalized_after:
            raise ValueError("a block is finalized no earlier than it is confirmed")
        if history < 1 or slot <= finalized_after:
            raise ValueError("a ledger starts after as many slots as finality takes and remembers at least one transaction")
        self._svm = LiteSVM().with_transaction_history(max(2 * history, 1024))
        self._svm.set_epoch_schedule(EpochSchedule.without_warmup())
        self.genesis_hash = Hash.from_bytes(hashlib.sha256(b"probekit svm genesis " + seed).digest())
        self.confirmed_after, self.finalized_after = confirmed_after, finalized_after
        self._slot_ns = slot_time // timedelta(microseconds=1) * 1_000
        self._ns = (start or Instant.now()).ns
        # Empty blocks before the first one that is used, so that each commitment level has a block of its own from the start.
        self._ns -= finalized_after * self._slot_ns
        oldest, height = slot - finalized_after, max(slot - skipped_before, finalized_after + 1) - finalized_after
        first = Block(oldest, oldest - 1, height, self._svm.latest_blockhash(), self._ns // NS_PER_S, 0)
        self._blocks: deque[Block] = deque([first], maxlen=max(_SLOT_HASHES, finalized_after + _KEPT_BEHIND_ROOT) + 1)
        self._hashes: dict[Hash, int] = {first.blockhash: height}
        self._versions: Versions[Pubkey, Account | None] = Versions()
        self._work: dict[int, _Work] = {}
        self._landed: dict[Signature, Landed] = {}
        self._by_key: dict[Pubkey, deque[Landed]] = {}
        self._history = history
        self._listeners: list[Callable[[Event], None]] = []
        self.faucet = Keypair.from_seed(hashlib.sha256(b"probekit svm faucet " + seed).digest())
        self._svm.set_account(self.faucet.pubkey(), Account(_FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM))
        self._turn_clock(first)
        for _ in range(finalized_after):
            self.advance_slot()

    # -- what is there

    @property
    def tip(self) -> Block:
        """The block being made: what ``processed`` means here."""
        return self._blocks[-1]

    def block_at(self, commitment: Commitment, *, behind: int = 0) -> Block:
        """The newest block of a commitment level, seen by a node that is ``behind`` blocks late."""
        return self._blocks[max(len(self._blocks) - 1 - self._after(commitment) - behind, 0)]

    def block(self, slot: int) -> Block | None:
        """The block of a slot: None when it was skipped, is not made yet, or is no longer remembered."""
        # Blocks ascend by slot; recent ones are asked for.
        for block in reversed(self._blocks):
            if block.slot <= slot:
                return block if block.slot == slot else None
        return None

    @property
    def oldest_block(self) -> Block:
        """The oldest block remembered."""
        return self._blocks[0]

    def account(self, key: AnyKey, slot: int | None = None) -> Account | None:
        """An account at the end of a slot (default: now), or None."""
        key = as_key(key)
        newest = self._svm.get_account(key)
        return newest if slot is None else self._versions.at(key, slot, newest)

    def program_accounts(self, program: Pubkey, slot: int) -> list[tuple[Pubkey, Account]]:
        """Accounts that a program owned at the end of a slot, by key."""
        found = dict(self._svm.get_program_accounts(program))
        for key in self._versions:
            old = self._versions.at(key, slot, None)
            if old is not None and old.owner == program:
                found[key] = old
            else:
                found.pop(key, None)
        return sorted(found.items(), key=lambda item: bytes(item[0]))

    def keys_of(self, transaction: VersionedTransaction) -> tuple[Pubkey, ...]:
        """The accounts of a transaction, lookups resolved by the newest tables."""
        assert isinstance(transaction.message, Message | MessageV0)
        return account_keys(transaction.message, self._svm.get_account).all

    def landed(self, signature: Signature) -> Landed | None:
        """A remembered transaction that is in a block, with success or failure."""
        return self._landed.get(signature)

    def landed_with(self, key: Pubkey) -> Iterator[Landed]:
        """Remembered transactions that name ``key``, newest first."""
        return reversed(self._by_key.get(key, deque()))

    def recent(self) -> Iterator[Landed]:
        """Remembered transactions, newest first."""
        return reversed(self._landed.values())

    def last_valid_height(self, blockhash: Hash, block: Block) -> int | None:
        """Up to which block height a transaction with ``blockhash`` may land, as known at ``block``; None when it may not."""
        height = self._hashes.get(blockhash)
        if height is None or not height <= block.height <= height + MAX_BLOCKHASH_AGE:
            return None
        return height + MAX_BLOCKHASH_AGE

    def rent_exempt(self, size: int) -> int:
        """Lamports that an account of ``size`` bytes must hold."""
        return self._svm.minimum_balance_for_rent_exemption(size)

    # -- knobs

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Have every event told, in order, from inside the call that causes it. Returns the way to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def set_account(
        self,
        key: AnyKey,
        data: bytes = b"",
        *,
        owner: AnyKey = SYSTEM_PROGRAM,
        lamports: int | None = None,
        executable: bool = False,
        since_genesis: bool = False,
    ) -> None:
        """Put an account, past every rule of the runtime; without ``lamports`` it is rent-exempt, with 0 it is removed.

        It reaches commitment levels as a transaction of this slot would. With ``since_genesis`` it has always been so, at every
        level, and nobody is told.
        """
        key = as_key(key)
        balance = self.rent_exempt(len(data)) if lamports is None else lamports
        before = {key: self._svm.get_account(key)}
        self._svm.set_account(key, Account(balance, data, as_key(owner), executable, 2**64 - 1))
        if since_genesis:
            self._versions.discard(key)
        else:
            self._publish(self._note(before), ())

    def set_clock(self, unix_timestamp: int) -> None:
        """Turn the cluster's clock: this block's time, from which the next ones count on."""
        self._ns = unix_timestamp * NS_PER_S
        self._blocks[-1] = replace(self.tip, unix_timestamp=unix_timestamp)
        self._publish(self._turn_clock(self.tip), ())

    def expire_blockhash(self) -> None:
        """Make blocks until every blockhash handed out so far is too old to be used, as it would become on a cluster."""
        self.advance_slot(MAX_BLOCKHASH_AGE + 1)

    def advance_slot(self, count: int = 1, *, skipped: int = 0, at: Instant | None = None) -> Block:
        """Make ``count`` blocks, each ``skipped`` slots after the next one; returns the last. Time moves by the slot time for
        each slot, or to ``at``.
        """
        if count < 1 or skipped < 0:
            raise ValueError("slots only go forward")
        for _ in range(count):
            parent = self.tip
            self._ns += self._slot_ns * (1 + skipped)
            if at is not None:
                self._ns = at.ns
            confirmed, root = self.block_at("confirmed").slot, self.block_at("finalized").slot
            self._svm.expire_blockhash()
            blockhash, slot = self._svm.latest_blockhash(), parent.slot + 1 + skipped
            seconds = max(self._ns // NS_PER_S, parent.unix_timestamp) if at is None else self._ns // NS_PER_S
            block = Block(slot, parent.slot, parent.height + 1, blockhash, seconds, parent.transactions)
            self._blocks.append(block)
            self._hashes[blockhash] = block.height
            self._tell(SlotBegan(slot, parent.slot, self.block_at("finalized").slot))
            self._publish(self._turn_clock(block), ())
            self._promote("confirmed", confirmed)
            if self.block_at("finalized").slot > root:
                self._tell(Rooted(self.block_at("finalized").slot))
            self._promote("finalized", root)
            self._forget(self.block_at("finalized").slot)
        self._svm.set_slot_hashes([(block.slot, block.blockhash) for block in list(self._blocks)[: -_SLOT_HASHES - 1 : -1]])
        return self.tip

    def settle(self) -> Block:
        """Make blocks until all that has happened is finalized; returns the last block."""
        return self.advance_slot(max(self.finalized_after, 1))

    # -- transactions

    def airdrop(self, key: AnyKey, lamports: int, *, blockhash: Hash | None = None) -> tuple[Signature, Outcome]:
        """A transfer from the faucet, executed now. The same request with the same blockhash is the same transaction, which
        lands only once.
        """
        instruction = transfer(TransferParams(from_pubkey=self.faucet.pubkey(), to_pubkey=as_key(key), lamports=lamports))
        message = Message.new_with_blockhash([instruction], self.faucet.pubkey(), blockhash or self.tip.blockhash)
        transaction = VersionedTransaction(message, [self.faucet])
        return transaction.signatures[0], self.send(transaction)

    def send(self, transaction: VersionedTransaction) -> Outcome:
        """Execute a transaction in this slot. Its outcome is remembered when it landed, with success or failure; one that no
        leader would put into a block (unknown blockhash, no fee payer, wrong signature) leaves no trace.
        """
        signature, message = transaction.signatures[0], transaction.message
        assert isinstance(message, Message | MessageV0)
        if signature in self._landed:
            return Outcome.refused("AlreadyProcessed")
        keys = account_keys(message, self._svm.get_account)
        before = {key: self._svm.get_account(key) for key in keys.all}
        # An unknown blockhash may still be a durable nonce, which the runtime's own check knows.
        self._svm.with_blockhash_check(self.last_valid_height(message.recent_blockhash, self.tip) is None)
        try:
            outcome = Outcome.of(self._svm.send_transaction(transaction))
        finally:
            self._svm.with_blockhash_check(True)
        if self._svm.get_transaction(signature) is None:
            return outcome
        after = {key: self._svm.get_account(key) for key in keys.all}
        changed = self._note(before)
        self._blocks[-1] = replace(self.tip, transactions=self.tip.transactions + 1)
        landed = Landed(
            signature=signature,
            slot=self.tip.slot,
            unix_timestamp=self.tip.unix_timestamp,
            transaction=transaction,
            keys=keys,
            outcome=outcome,
            lamports=tuple((_lamports(before[key]), _lamports(after[key])) for key in keys.all),
            tokens=(
                tokens.balances(keys.all, before, self._svm.get_account),
                tokens.balances(keys.all, after, self._svm.get_account),
            ),
        )
        self._remember(landed)
        self._publish(changed, (landed,))
        return outcome

    def simulate(self, transaction: VersionedTransaction, *, block: Block, any_blockhash: bool = False) -> Outcome:
        """What a transaction would do at ``block``, whether or not its signatures are right; nothing changes.

        Accounts are put as they were at that block for the while; sysvars and programs are the newest.
        """
        message = transaction.message
        assert isinstance(message, Message | MessageV0)
        known = self._landed.get(transaction.signatures[0])
        if known is not None and known.slot <= block.slot:
            return Outcome.refused("AlreadyProcessed")
        fresh = any_blockhash or self.last_valid_height(message.recent_blockhash, block) is not None
        if not fresh and message.recent_blockhash in self._hashes:
            # The runtime itself knows the newest one, which an older block does not.
            return Outcome.refused("BlockhashNotFound")
        keys = account_keys(message, self._svm.get_account).all
        self._svm.with_sigverify(False).with_blockhash_check(not fresh)
        try:
            with self._as_of(keys, block.slot):
                return Outcome.of(self._svm.simulate_transaction(transaction))
        finally:
            self._svm.with_sigverify(True).with_blockhash_check(True)

    # -- inside

    def _after(self, commitment: Commitment) -> int:
        return {"processed": 0, "confirmed": self.confirmed_after, "finalized": self.finalized_after}[commitment]

    @contextmanager
    def _as_of(self, keys: Sequence[Pubkey], slot: int) -> Iterator[None]:
        newest: dict[Pubkey, Account | None] = {}
        for key in keys:
            now = self._svm.get_account(key)
            if key != CLOCK and self._versions.changed_since(key, slot) and not (now and now.executable):
                newest[key] = now
                self._put(key, self._versions.at(key, slot, now))
        try:
            yield
        finally:
            for key, account in newest.items():
                self._put(key, account)

    def _put(self, key: Pubkey, account: Account | None) -> None:
        self._svm.set_account(key, account or Account(0, b"", SYSTEM_PROGRAM))

    def _tokens(self, keys: Keys, accounts: dict[Pubkey, Account | None]) -> tuple[dict[str, Any], ...]:
        return tokens.balances(keys.all, accounts, self._svm.get_account)

    def _turn_clock(self, block: Block) -> tuple[Pubkey, ...]:
        before = {CLOCK: self._svm.get_account(CLOCK)}
        epoch = block.slot // SLOTS_PER_EPOCH
        self._svm.set_clock(Clock(block.slot, block.unix_timestamp, epoch, epoch + 1, block.unix_timestamp))
        return self._note(before)

    def _note(self, before: dict[Pubkey, Account | None]) -> tuple[Pubkey, ...]:
        """Remember what changed against ``before``; the keys."""
        changed = []
        for key, old in before.items():
            new = self._svm.get_account(key)
            if new != old:
                self._versions.put(self.tip.slot, key, old, new)
                changed.append(key)
        return tuple(changed)

    def _publish(self, accounts: tuple[Pubkey, ...], landed: tuple[Landed, ...]) -> None:
        if not accounts and not landed:
            return
        slot = self.tip.slot
        work = self._work.setdefault(slot, _Work())
        work.accounts.update(dict.fromkeys(accounts))
        work.landed += landed
        for level in COMMITMENTS:
            if self._after(level) == 0:
                self._tell(Reached(level, slot, accounts, landed))

    def _promote(self, level: Commitment, old: int) -> None:
        new = self.block_at(level).slot
        # With a distance of none the work was told as it happened.
        if new == self.tip.slot:
            return
        for slot in [slot for slot in self._work if old < slot <= new]:
            work = self._work[slot]
            self._tell(Reached(level, slot, tuple(work.accounts), tuple(work.landed)))

    def _forget(self, root: int) -> None:
        for slot in [slot for slot in self._work if slot <= root]:
            del self._work[slot]
        self._versions.forget(self.block_at("finalized", behind=_KEPT_BEHIND_ROOT).slot)
        while self._hashes and next(iter(self._hashes.values())) + MAX_BLOCKHASH_AGE < self.block_at("finalized").height:
            del self._hashes[next(iter(self._hashes))]

    def _remember(self, landed: Landed) -> None:
        self._landed[landed.signature] = landed
        for key in landed.keys.all:
            self._by_key.setdefault(key, deque()).append(landed)
        if len(self._landed) > self._history:
            oldest = self._landed.pop(next(iter(self._landed)))
            for key in oldest.keys.all:
                # Oldest of all is oldest of each of its keys.
                self._by_key[key].popleft()
                if not self._by_key[key]:
                    del self._by_key[key]

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            listener(event)


def _lamports(account: Account | None) -> int:
    return 0 if account is None else account.lamports
