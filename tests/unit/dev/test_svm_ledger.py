"""LiteSVM with time: what each commitment level sees, and what may land."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import (
    AdvanceNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_nonce_account,
    transfer,
)
from solders.sysvar import CLOCK
from solders.transaction import VersionedTransaction

from probekit.dev.svm.chain import Event, Reached, Rooted, SlotBegan
from probekit.dev.svm.execution import LOOKUP_TABLE_PROGRAM
from probekit.dev.svm.ledger import MAX_BLOCKHASH_AGE, Ledger
from probekit.model.pubkey import Pubkey as ModelPubkey
from probekit.units import Instant

START = Instant.parse("2026-09-12T10:00:00Z")
SOL = 10**9
LEVELS = ("processed", "confirmed", "finalized")
PROGRAM, KEY = Pubkey([5] * 32), Pubkey([6] * 32)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(start=START, finalized_after=4)


@pytest.fixture
def payer(ledger: Ledger) -> Keypair:
    made = Keypair()
    ledger.set_account(made.pubkey(), lamports=100 * SOL, since_genesis=True)
    return made


def transaction(payer: Keypair, blockhash: Hash, *more: Instruction, lamports: int = SOL) -> VersionedTransaction:
    pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=KEY, lamports=lamports))
    return VersionedTransaction(Message.new_with_blockhash([*more, pay], payer.pubkey(), blockhash), [payer])


def balance(ledger: Ledger, key: Pubkey, level: str = "processed") -> int:
    account = ledger.account(key, ledger.block_at(level).slot)  # type: ignore[arg-type]
    return 0 if account is None else account.lamports


def test_state_reaches_each_level_in_its_time(ledger: Ledger, payer: Keypair) -> None:
    outcome = ledger.send(transaction(payer, ledger.tip.blockhash))
    assert (outcome.err, outcome.fee) == (None, 5000)
    seen = []
    for _ in range(6):
        seen.append(tuple(balance(ledger, KEY, level) // SOL for level in LEVELS))
        ledger.advance_slot()
    assert seen == [(1, 0, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 1), (1, 1, 1)]


def test_time_and_heights(ledger: Ledger) -> None:
    first = ledger.tip
    assert first.unix_timestamp == START.seconds
    later = ledger.advance_slot(5)
    assert (later.slot - first.slot, later.height - first.height) == (5, 5)
    assert later.unix_timestamp == START.plus(timedelta(seconds=2)).seconds
    gap = ledger.advance_slot(skipped=9)
    assert (gap.slot - later.slot, gap.height - later.height, gap.parent) == (10, 1, later.slot)
    assert ledger.block(gap.slot - 1) is None
    assert ledger.block(gap.slot) is gap
    assert ledger.block(gap.slot + 1) is None
    moment = START.plus(timedelta(days=1))
    assert ledger.advance_slot(at=moment).unix_timestamp == moment.seconds
    ledger.set_clock(1_800_000_000)
    clock = ledger.account(CLOCK)
    assert clock is not None
    assert Clock.from_bytes(bytes(clock.data)).unix_timestamp == 1_800_000_000
    assert Clock.from_bytes(bytes(clock.data)).slot == ledger.tip.slot
    assert ledger.advance_slot(3).unix_timestamp == 1_800_000_001
    # The clock an older block saw stays what it was.
    old = ledger.account(CLOCK, ledger.block_at("finalized").slot)
    assert old is not None
    assert Clock.from_bytes(bytes(old.data)).slot == ledger.block_at("finalized").slot
    for bad in ({"count": 0}, {"skipped": -1}):
        with pytest.raises(ValueError, match="forward"):
            ledger.advance_slot(**bad)  # type: ignore[arg-type]


def test_blockhashes_live_as_long_as_on_a_cluster(ledger: Ledger, payer: Keypair) -> None:
    blockhash, height = ledger.tip.blockhash, ledger.tip.height
    early, last, late = (transaction(payer, blockhash, lamports=SOL + number) for number in range(3))
    assert ledger.last_valid_height(blockhash, ledger.tip) == height + MAX_BLOCKHASH_AGE
    # A block that is older than the hash does not know it.
    assert ledger.last_valid_height(blockhash, ledger.block_at("confirmed")) is None
    ledger.advance_slot(30)
    assert ledger.send(early).err is None
    ledger.advance_slot(MAX_BLOCKHASH_AGE - 30)
    assert ledger.send(last).err is None
    ledger.advance_slot()
    assert ledger.last_valid_height(blockhash, ledger.tip) is None
    assert ledger.send(late).err == "BlockhashNotFound"
    assert ledger.landed(late.signatures[0]) is None
    fresh = ledger.tip.blockhash
    ledger.expire_blockhash()
    assert ledger.send(transaction(payer, fresh)).err == "BlockhashNotFound"
    assert ledger.send(transaction(payer, ledger.tip.blockhash)).err is None


def test_what_lands_and_what_does_not(ledger: Ledger, payer: Keypair) -> None:
    good = transaction(payer, ledger.tip.blockhash)
    assert ledger.send(good).err is None
    assert ledger.send(good).err == "AlreadyProcessed"
    assert balance(ledger, KEY) == SOL
    rich = transaction(payer, ledger.tip.blockhash, lamports=10**6 * SOL)
    before = balance(ledger, payer.pubkey())
    assert ledger.send(rich).err == {"InstructionError": [0, {"Custom": 1}]}
    assert before - balance(ledger, payer.pubkey()) == 5000, "a failed transaction pays"
    landed = ledger.landed(rich.signatures[0])
    assert landed is not None
    assert landed.outcome.logs[-1] == "Program 11111111111111111111111111111111 failed: custom program error: 0x1"
    assert landed.lamports[0] == (before, before - 5000)
    for stray, err in (
        (transaction(Keypair(), ledger.tip.blockhash), "AccountNotFound"),
        (VersionedTransaction.populate(rich.message, [good.signatures[0]]), "AlreadyProcessed"),
        (VersionedTransaction.populate(rich.message, [Keypair().sign_message(b"")]), "SignatureFailure"),
    ):
        assert ledger.send(stray).err == err
    assert [one.signature for one in ledger.landed_with(KEY)] == [rich.signatures[0], good.signatures[0]]
    assert ledger.tip.transactions == 2


def test_history_is_bounded(payer: Keypair) -> None:
    ledger = Ledger(start=START, finalized_after=4, history=5)
    signatures = [ledger.airdrop(Pubkey([number] * 32), SOL)[0] for number in range(1, 9)]
    assert [one.signature for one in ledger.recent()] == signatures[:2:-1]
    assert ledger.landed(signatures[2]) is None
    assert list(ledger.landed_with(Pubkey([3] * 32))) == []
    assert len(list(ledger.landed_with(ledger.faucet.pubkey()))) == 5


def test_simulation_sees_the_block_and_changes_nothing(ledger: Ledger, payer: Keypair) -> None:
    young = Keypair()
    ledger.airdrop(young.pubkey(), 5 * SOL)
    # Known to both blocks: the one that holds the airdrop, and the one before.
    asked = transaction(young, ledger.block_at("finalized").blockhash)
    assert ledger.simulate(asked, block=ledger.tip).err is None
    assert ledger.simulate(asked, block=ledger.block_at("finalized")).err == "AccountNotFound"
    assert (balance(ledger, young.pubkey()), balance(ledger, KEY)) == (5 * SOL, 0)
    newest = transaction(payer, ledger.tip.blockhash)
    assert ledger.simulate(newest, block=ledger.block_at("finalized")).err == "BlockhashNotFound"
    assert ledger.simulate(newest, block=ledger.tip).err is None
    unknown = transaction(young, Hash.default())
    assert ledger.simulate(unknown, block=ledger.tip).err == "BlockhashNotFound"
    assert ledger.simulate(unknown, block=ledger.tip, any_blockhash=True).err is None
    assert ledger.send(asked).err is None
    assert ledger.simulate(asked, block=ledger.tip).err == "AlreadyProcessed"
    # A removed account is back for the while, and only for it.
    ledger.advance_slot()
    ledger.set_account(young.pubkey(), lamports=0)
    again = transaction(young, ledger.block_at("finalized").blockhash, lamports=2 * SOL)
    assert ledger.simulate(again, block=ledger.block_at("confirmed")).err is None
    assert ledger.account(young.pubkey()) is None


def test_durable_nonces_outlive_blockhashes(ledger: Ledger, payer: Keypair) -> None:
    nonce = Keypair()
    rent = ledger.rent_exempt(80)
    made = create_nonce_account(payer.pubkey(), nonce.pubkey(), payer.pubkey(), rent)
    message = Message.new_with_blockhash(list(made), payer.pubkey(), ledger.tip.blockhash)
    assert ledger.send(VersionedTransaction(message, [payer, nonce])).err is None
    account = ledger.account(nonce.pubkey())
    assert account is not None
    stored = Hash.from_bytes(bytes(account.data)[40:72])
    advance = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=nonce.pubkey(), authorized_pubkey=payer.pubkey()))
    durable = transaction(payer, stored, advance)
    ledger.expire_blockhash()
    assert ledger.simulate(durable, block=ledger.tip).err is None
    assert ledger.send(durable).err is None
    assert balance(ledger, KEY) == SOL
    assert ledger.send(transaction(payer, stored, advance, lamports=2 * SOL)).err == "BlockhashNotFound"


def test_lookup_tables_resolve(ledger: Ledger, payer: Keypair) -> None:
    table = Pubkey([11] * 32)
    header = (1).to_bytes(4, "little") + (2**64 - 1).to_bytes(8, "little") + bytes(44)
    ledger.set_account(table, header + bytes(KEY) + bytes(Pubkey([12] * 32)), owner=LOOKUP_TABLE_PROGRAM)
    ledger.advance_slot()
    instruction = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=KEY, lamports=SOL))
    tables = [AddressLookupTableAccount(table, [KEY, Pubkey([12] * 32)])]
    message = MessageV0.try_compile(payer.pubkey(), [instruction], tables, ledger.tip.blockhash)
    sent = VersionedTransaction(message, [payer])
    assert ledger.send(sent).err is None
    landed = ledger.landed(sent.signatures[0])
    assert landed is not None
    assert (landed.keys.loaded_writable, landed.keys.loaded_readonly) == ((KEY,), ())
    assert [one.signature for one in ledger.landed_with(KEY)] == [sent.signatures[0]]
    assert landed.writes(KEY)
    assert not landed.writes(SYSTEM_PROGRAM)
    lost = MessageV0.try_compile(
        payer.pubkey(), [instruction], [AddressLookupTableAccount(Pubkey([13] * 32), [KEY])], ledger.tip.blockhash
    )
    assert ledger.send(VersionedTransaction(lost, [payer])).err == "AddressLookupTableNotFound"


def test_program_accounts_by_level(ledger: Ledger) -> None:
    for number in (3, 1, 2):
        ledger.set_account(Pubkey([number] * 32), b"x", owner=PROGRAM, since_genesis=number == 3)
    ledger.advance_slot(4)
    ledger.set_account(Pubkey([1] * 32), lamports=0)
    ledger.set_account(Pubkey([2] * 32), b"x", owner=KEY)
    ledger.set_account(Pubkey([4] * 32), b"x", owner=PROGRAM)

    def first_bytes(level: str) -> list[int]:
        slot = ledger.block_at(level).slot  # type: ignore[arg-type]
        return [bytes(key)[0] for key, _ in ledger.program_accounts(PROGRAM, slot)]

    assert first_bytes("processed") == [3, 4]
    assert first_bytes("finalized") == [1, 2, 3]
    # Seen by a node that is behind: before two of them were made.
    late = ledger.block_at("finalized", behind=1).slot
    assert [bytes(key)[0] for key, _ in ledger.program_accounts(PROGRAM, late)] == [3]


def test_events_tell_everything_once(ledger: Ledger) -> None:
    told: list[Event] = []
    stop = ledger.listen(told.append)
    signature, _ = ledger.airdrop(KEY, SOL)
    slot = ledger.tip.slot
    ledger.settle()
    ledger.advance_slot(3)
    stop()
    ledger.advance_slot()
    began = [event for event in told if isinstance(event, SlotBegan)]
    assert [event.slot for event in began] == list(range(slot + 1, slot + 8))
    assert all((event.parent, event.root) == (event.slot - 1, event.slot - 4) for event in began)
    assert [event.slot for event in told if isinstance(event, Rooted)] == list(range(slot - 3, slot + 4))
    reached = [event for event in told if isinstance(event, Reached) and event.landed]
    assert [(event.level, event.slot) for event in reached] == [
        (level, slot) for level in ("processed", "confirmed", "finalized")
    ]
    assert {event.landed[0].signature for event in reached} == {signature}
    assert all({KEY, ledger.faucet.pubkey()} <= set(event.accounts) for event in reached)
    confirmed = [event.slot for event in told if isinstance(event, Reached) and event.level == "confirmed"]
    assert confirmed == list(range(slot, slot + 7)), "each slot's clock, once and in order"


def test_without_distance_everything_is_final_at_once() -> None:
    ledger = Ledger(start=START, confirmed_after=0, finalized_after=0)
    told: list[Event] = []
    ledger.listen(told.append)
    ledger.airdrop(KEY, SOL)
    assert [event.level for event in told if isinstance(event, Reached)] == ["processed", "confirmed", "finalized"]
    assert balance(ledger, KEY, "finalized") == SOL
    told.clear()
    ledger.settle()
    assert sum(isinstance(event, Rooted) for event in told) == 1


@pytest.mark.parametrize(
    "arguments", [{"confirmed_after": 5, "finalized_after": 4}, {"history": 0}, {"slot": 31}, {"confirmed_after": -1}]
)
def test_impossible_ledgers(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"finalized no earlier|starts after"):
        Ledger(**arguments)  # type: ignore[arg-type]


def test_keys_of_either_library(ledger: Ledger) -> None:
    ledger.set_account(ModelPubkey(bytes(KEY)), b"abc", owner=str(PROGRAM))
    for key in (KEY, bytes(KEY), str(KEY), ModelPubkey(bytes(KEY))):
        account = ledger.account(key)
        assert account is not None
        assert (account.data, account.owner, account.lamports) == (b"abc", PROGRAM, ledger.rent_exempt(3))
    with pytest.raises(ValueError):
        ledger.set_account("no key")


def test_the_same_airdrop_lands_once(ledger: Ledger) -> None:
    first, outcome = ledger.airdrop(KEY, SOL)
    second, again = ledger.airdrop(KEY, SOL)
    assert first == second
    assert (outcome.err, again.err) == (None, "AlreadyProcessed")
    ledger.advance_slot()
    third, outcome = ledger.airdrop(KEY, SOL)
    assert third != first
    assert balance(ledger, KEY) == 2 * SOL


def test_unit_price_and_called_programs(ledger: Ledger, payer: Keypair) -> None:
    sent = transaction(payer, ledger.tip.blockhash, set_compute_unit_price(1_234_567))
    outcome = ledger.send(sent)
    landed = ledger.landed(sent.signatures[0])
    assert landed is not None
    assert landed.unit_price == 1_234_567
    assert outcome.fee > 5000
    # An instruction for an account that is no program.
    stray = Instruction(Pubkey([77] * 32), b"", [AccountMeta(KEY, False, True)])
    assert ledger.send(transaction(payer, ledger.tip.blockhash, stray)).err in (
        "ProgramAccountNotFound",
        "InvalidProgramForExecution",
    )


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=30))
def test_lamports_are_kept(steps: list[tuple[int, int]]) -> None:
    """At every level of every node, however late, nothing is made or lost but fees."""
    ledger = Ledger(start=START, finalized_after=4)
    keys = [Pubkey([number] * 32) for number in range(1, 5)]
    total = balance(ledger, ledger.faucet.pubkey())
    for which, slots in steps:
        ledger.airdrop(keys[which - 1], SOL)
        if slots:
            ledger.advance_slot(slots)
    for behind in range(6):
        block = ledger.block_at("processed", behind=behind)
        held = [ledger.account(key, block.slot) for key in (ledger.faucet.pubkey(), *keys)]
        assert sum(one.lamports for one in held if one) == total - 5000 * block.transactions
