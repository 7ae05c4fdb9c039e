"""The node's HTTP methods about transactions, in process: sending, simulating, and what is on record."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, transfer
from solders.token.associated import get_associated_token_address
from solders.token.state import TokenAccount, TokenAccountState
from solders.transaction import VersionedTransaction

from probekit.dev.svm import tokens
from probekit.dev.svm.execution import LOOKUP_TABLE_PROGRAM
from probekit.model.pubkey import base58
from probekit.units import Instant
from tests.support.mutation import mutations
from tests.unit.dev.test_svm_rpc import Bench, b64, put_tokens

START = Instant.parse("2026-09-12T10:00:00Z")
SOL = 10**9
PROGRAM, KEY, MINT = Pubkey([5] * 32), Pubkey([6] * 32), Pubkey([9] * 32)
PROCESSED = {"commitment": "processed"}
ASSOCIATED_TOKEN_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- transactions


def test_from_blockhash_to_history(bench: Bench) -> None:
    latest = bench.ask("getLatestBlockhash", PROCESSED)
    assert latest["value"] == {
        "blockhash": str(bench.ledger.tip.blockhash), "lastValidBlockHeight": bench.ledger.tip.height + 150,
    }  # fmt: skip
    assert bench.value("isBlockhashValid", latest["value"]["blockhash"], PROCESSED) is True
    assert bench.value("isBlockhashValid", latest["value"]["blockhash"]) is False
    message = base64.b64encode(to_bytes_versioned(bench.transfer().message)).decode()
    assert bench.value("getFeeForMessage", message, PROCESSED) == 5000
    assert bench.value("getFeeForMessage", message) is None
    priced = to_bytes_versioned(bench.transfer(SOL, set_compute_unit_price(1_000_000)).message)
    assert bench.value("getFeeForMessage", base64.b64encode(priced).decode(), PROCESSED) > 5000

    first = bench.send(bench.transfer())
    slot = bench.ledger.tip.slot
    states = []
    for _ in range(5):
        (state,) = bench.value("getSignatureStatuses", [first])
        states.append((state["confirmationStatus"], state["confirmations"]))
        bench.ledger.advance_slot()
    assert states == [("processed", 0), ("confirmed", 1), ("confirmed", 2), ("confirmed", 3), ("finalized", None)]
    (state,) = bench.value("getSignatureStatuses", [first])
    assert state == {
        "slot": slot, "confirmations": None, "err": None, "status": {"Ok": None}, "confirmationStatus": "finalized",
    }  # fmt: skip
    bench.ledger.advance_slot(300)
    assert bench.value("getSignatureStatuses", [first]) == [None]
    assert bench.value("getSignatureStatuses", [first], {"searchTransactionHistory": True})[0]["slot"] == slot

    second, third = bench.send(bench.transfer(2 * SOL)), bench.send(bench.transfer(3 * SOL))
    bench.ledger.settle()
    history: Callable[..., list[str]] = lambda **config: [  # noqa: E731
        one["signature"] for one in bench.ask("getSignaturesForAddress", str(KEY), config)
    ]
    assert history() == [third, second, first]
    assert history(limit=1) == [third]
    assert history(before=third) == [second, first]
    assert history(until=first) == [third, second]
    assert history(before=third, until=first, limit=5) == [second]
    shown = bench.ask("getSignaturesForAddress", str(KEY))[2]
    assert shown == {
        "signature": first, "slot": slot, "err": None, "memo": None, "blockTime": START.seconds,
        "confirmationStatus": "finalized",
    }  # fmt: skip


def test_before_a_signature_of_others(bench: Bench) -> None:
    """``before`` need not be one of the address's own."""
    first = bench.send(bench.transfer())
    bench.ledger.advance_slot()
    bench.ledger.airdrop(PROGRAM, SOL)
    other = str(next(bench.ledger.recent()).signature)
    bench.ledger.advance_slot()
    bench.send(bench.transfer(2 * SOL))
    bench.ledger.settle()
    found = bench.ask("getSignaturesForAddress", str(KEY), {"before": other})
    assert [one["signature"] for one in found] == [first]


def test_failed_transactions_are_on_record(bench: Bench) -> None:
    poor = bench.transfer(10**6 * SOL)
    error = bench.error("sendTransaction", b64(poor), {"encoding": "base64", "preflightCommitment": "processed"})
    assert error["code"] == -32002
    assert error["message"] == "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    assert error["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert error["data"]["unitsConsumed"] == 150
    assert error["data"]["logs"][1].startswith("Transfer: insufficient lamports")
    assert {"accounts", "returnData"} <= set(error["data"])
    assert bench.value("getSignatureStatuses", [str(poor.signatures[0])]) == [None]
    bench.send(poor, skipPreflight=True)
    (state,) = bench.value("getSignatureStatuses", [str(poor.signatures[0])])
    assert state["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert state["status"] == {"Err": {"InstructionError": [0, {"Custom": 1}]}}
    duplicate = bench.refusal("sendTransaction", b64(poor), {"encoding": "base64", "preflightCommitment": "processed"})
    assert duplicate == (-32002, "Transaction simulation failed: This transaction has already been processed")


def test_refused_transactions(bench: Bench) -> None:
    options = {"encoding": "base64", "preflightCommitment": "processed"}
    good = bench.transfer()
    forged = VersionedTransaction.populate(good.message, [Keypair().sign_message(b"")])
    assert bench.refusal("sendTransaction", b64(forged), options) == (-32003, "Transaction signature verification failure")
    bench.send(forged, skipPreflight=True)
    assert bench.value("getSignatureStatuses", [str(forged.signatures[0])]) == [None], "dropped on its way"
    stranger = bench.transfer(payer=Keypair())
    assert bench.refusal("sendTransaction", b64(stranger), options) == (
        -32002,
        "Transaction simulation failed: Attempt to debit an account but found no record of a prior credit.",
    )
    # Fresh from processed, sent with the default preflight: the mistake that everyone makes once.
    error = bench.error("sendTransaction", b64(good), {"encoding": "base64"})
    assert (error["code"], error["message"]) == (-32002, "Transaction simulation failed: Blockhash not found")
    assert error["data"]["err"] == "BlockhashNotFound"
    old = bench.transfer(4 * SOL)
    bench.ledger.expire_blockhash()
    assert bench.error("sendTransaction", b64(old), options)["data"]["err"] == "BlockhashNotFound"
    assert bench.value("getBalance", str(KEY), PROCESSED) == 0


@pytest.mark.parametrize(
    ("encoded", "config", "words"),
    [
        ("0", {}, "invalid base58 encoding: InvalidCharacter { character: '0', index: 0 }"),
        ("!", {"encoding": "base64"}, "invalid base64 encoding: InvalidByte(0, 33)"),
        ("1" * 1684, {}, "base58 encoded solana_transaction::versioned::VersionedTransaction too large: 1684 bytes"),
        ("A" * 1648, {"encoding": "base64"}, "too large: 1648 bytes (max: encoded/raw 1644/1232)"),
        ("A" * 1644, {"encoding": "base64"}, "decoded solana_transaction::versioned::VersionedTransaction too large: 1233"),
        ("AAAA", {"encoding": "base64"}, "failed to deserialize solana_transaction::versioned::VersionedTransaction: "),
        ("AAAA", {"encoding": "json"}, "unsupported encoding: json. Supported encodings: base58, base64"),
        ("AAAA", {"encoding": "hex"}, "unknown variant `hex`"),
        (5, {}, "invalid type: integer `5`, expected a string"),
    ],
)
def test_unreadable_transactions(bench: Bench, encoded: Any, config: dict[str, str], words: str) -> None:
    for method in ("sendTransaction", "simulateTransaction"):
        code, message = bench.refusal(method, encoded, config)
        assert code == -32602
        assert words in message


def test_unsound_transactions(bench: Bench) -> None:
    good = bytes(bench.transfer())
    # The program's index, which stands before the instruction's accounts and data.
    at = good.rindex(bytes((2, 0, 1, 12))) - 1
    unsound = base64.b64encode(good[:at] + b"\x09" + good[at + 1 :]).decode()
    for method in ("sendTransaction", "simulateTransaction"):
        assert bench.refusal(method, unsound, {"encoding": "base64"}) == (
            -32602, "invalid transaction: Transaction failed to sanitize accounts offsets correctly",
        )  # fmt: skip
    pay = transfer(TransferParams(from_pubkey=bench.payer.pubkey(), to_pubkey=KEY, lamports=1))
    table = AddressLookupTableAccount(Pubkey([13] * 32), [KEY])
    message = MessageV0.try_compile(bench.payer.pubkey(), [pay], [table], bench.ledger.tip.blockhash)
    lost = b64(VersionedTransaction(message, [bench.payer]))
    assert bench.refusal("sendTransaction", lost, {"encoding": "base64", "preflightCommitment": "processed"}) == (
        -32602, "invalid transaction: Transaction loads an address table account that doesn't exist",
    )  # fmt: skip
    short = base64.b64encode(to_bytes_versioned(message)[:40]).decode()
    assert "failed to deserialize solana_message" in bench.refusal("getFeeForMessage", short)[1]


def test_any_bytes_are_answered(bench: Bench) -> None:
    """No transaction, however broken, is anything but answered; what is refused costs nothing."""
    good = bytes(bench.transfer())
    outcomes = set()
    for raw in mutations(good):
        options = {"encoding": "base64", "commitment": "processed"}
        answer = bench.raw(
            {"jsonrpc": "2.0", "id": 1, "method": "simulateTransaction", "params": [base64.b64encode(raw).decode(), options]}
        )
        outcomes.add(answer["error"]["code"] if "error" in answer else bool(answer["result"]["value"]["err"]))
    assert outcomes == {-32602, True, False}
    assert bench.ledger.tip.transactions == 0


# -- simulation and records


def test_simulation(bench: Bench) -> None:
    options = {"encoding": "base64", **PROCESSED}
    good = bench.transfer()
    shown = bench.value("simulateTransaction", b64(good), options)
    assert (shown["err"], shown["unitsConsumed"], shown["replacementBlockhash"]) == (None, 150, None)
    assert shown["logs"] == [
        "Program 11111111111111111111111111111111 invoke [1]", "Program 11111111111111111111111111111111 success",
    ]  # fmt: skip
    assert (shown["accounts"], shown["innerInstructions"], shown["returnData"]) == (None, None, None)
    blank = b64(VersionedTransaction.populate(good.message, [Signature.default()]))
    assert bench.value("simulateTransaction", blank, options)["err"] is None
    assert bench.refusal("simulateTransaction", blank, {**options, "sigVerify": True})[0] == -32003
    assert bench.value("simulateTransaction", b64(good), {**options, "sigVerify": True})["err"] is None
    asked = {**options, "accounts": {"addresses": [str(KEY), str(PROGRAM)], "encoding": "base64"}}
    after = bench.value("simulateTransaction", b64(good), asked)["accounts"]
    assert (after[0]["lamports"], after[1]) == (SOL, None)
    poor = b64(bench.transfer(10**6 * SOL))
    assert bench.value("simulateTransaction", poor, asked)["accounts"] == [None, None]
    for accounts, words in (
        ({"addresses": [str(KEY)] * 4}, "Too many accounts provided; max 3"),
        ({"addresses": [str(KEY)], "encoding": "base58"}, "base58 encoding not supported"),
    ):
        assert bench.refusal("simulateTransaction", b64(good), {**options, "accounts": accounts}) == (-32602, words)
    inner = bench.value("simulateTransaction", b64(good), {**options, "innerInstructions": True})
    assert inner["innerInstructions"] == []
    bench.send(good)
    assert bench.value("simulateTransaction", b64(good), options)["err"] == "AlreadyProcessed"
    bench.ledger.expire_blockhash()
    stale = b64(bench.transfer(2 * SOL))
    bench.ledger.expire_blockhash()
    assert bench.value("simulateTransaction", stale, options)["err"] == "BlockhashNotFound"
    renewed = bench.value("simulateTransaction", stale, {**options, "replaceRecentBlockhash": True})
    assert renewed["err"] is None
    assert renewed["replacementBlockhash"] == bench.value("getLatestBlockhash", PROCESSED)
    both = {**options, "replaceRecentBlockhash": True, "sigVerify": True}
    assert bench.refusal("simulateTransaction", stale, both)[1] == "sigVerify may not be used with replaceRecentBlockhash"


def test_transaction_records(bench: Bench) -> None:
    sent = bench.transfer()
    signature = bench.send(sent)
    assert bench.ask("getTransaction", signature) is None
    bench.ledger.advance_slot()
    assert bench.ask("getTransaction", signature) is None
    shown = bench.ask("getTransaction", signature, {"commitment": "confirmed"})
    assert shown["slot"] == bench.ledger.tip.slot - 1
    assert "version" not in shown
    assert shown["transaction"]["signatures"] == [signature]
    message = shown["transaction"]["message"]
    assert message["accountKeys"] == [str(bench.payer.pubkey()), str(KEY), "1" * 32]
    assert message["header"] == {"numRequiredSignatures": 1, "numReadonlySignedAccounts": 0, "numReadonlyUnsignedAccounts": 1}
    (instruction,) = message["instructions"]
    assert (instruction["programIdIndex"], instruction["accounts"], instruction["stackHeight"]) == (2, [0, 1], 1)
    meta = shown["meta"]
    assert (meta["err"], meta["fee"], meta["computeUnitsConsumed"]) == (None, 5000, 150)
    assert meta["preBalances"] == [100 * SOL, 0, 1]
    assert meta["postBalances"] == [99 * SOL - 5000, SOL, 1]
    assert meta["loadedAddresses"] == {"writable": [], "readonly": []}
    for encoding, data in (("base64", [b64(sent), "base64"]), ("base58", [base58(bytes(sent)), "base58"])):
        config = {"commitment": "confirmed", "encoding": encoding, "maxSupportedTransactionVersion": 0}
        shown = bench.ask("getTransaction", signature, config)
        assert (shown["transaction"], shown["version"]) == (data, "legacy")
    bench.ledger.settle()
    parsed = bench.ask("getTransaction", signature, "jsonParsed")["transaction"]["message"]
    assert parsed["accountKeys"][0] == {
        "pubkey": str(bench.payer.pubkey()), "signer": True, "writable": True, "source": "transaction",
    }  # fmt: skip
    assert parsed["instructions"][0]["programId"] == "1" * 32
    assert bench.ask("getTransaction", str(Signature.default())) is None


def test_versioned_transactions_and_token_balances(bench: Bench) -> None:
    """The real token program moves tokens in a version 0 transaction with a lookup table."""
    keys = put_tokens(bench)
    held = TokenAccount(MINT, bench.payer.pubkey(), 10_000_000, None, TokenAccountState.Initialized, None, 0)
    mine, table = Pubkey([60] * 32), Pubkey([61] * 32)
    bench.ledger.set_account(mine, bytes(held), owner=tokens.TOKEN, since_genesis=True)
    header = (1).to_bytes(4, "little") + (2**64 - 1).to_bytes(8, "little") + bytes(44)
    bench.ledger.set_account(table, header + bytes(keys[0]), owner=LOOKUP_TABLE_PROGRAM, since_genesis=True)
    metas = [AccountMeta(mine, False, True), AccountMeta(keys[0], False, True), AccountMeta(bench.payer.pubkey(), True, False)]
    move = Instruction(tokens.TOKEN, b"\3" + (2_500_000).to_bytes(8, "little"), metas)
    tables = [AddressLookupTableAccount(table, [keys[0]])]
    message = MessageV0.try_compile(bench.payer.pubkey(), [move], tables, bench.ledger.tip.blockhash)
    signature = bench.send(VersionedTransaction(message, [bench.payer]))
    bench.ledger.settle()
    assert bench.refusal("getTransaction", signature)[0] == -32015
    shown = bench.ask("getTransaction", signature, {"maxSupportedTransactionVersion": 0})
    assert shown["version"] == 0
    assert shown["meta"]["loadedAddresses"] == {"writable": [str(keys[0])], "readonly": []}
    lookups = shown["transaction"]["message"]["addressTableLookups"]
    assert lookups == [{"accountKey": str(table), "writableIndexes": [0], "readonlyIndexes": []}]
    amounts = {}
    for when in ("preTokenBalances", "postTokenBalances"):
        for one in shown["meta"][when]:
            amounts[when[:3], one["owner"]] = one["uiTokenAmount"]["amount"]
            assert (one["mint"], one["programId"]) == (str(MINT), str(tokens.TOKEN))
    payer = str(bench.payer.pubkey())
    assert amounts == {
        ("pre", payer): "10000000",
        ("pos", payer): "7500000",
        ("pre", str(KEY)): "0",
        ("pos", str(KEY)): "2500000",
    }
    assert bench.value("getTokenAccountBalance", str(keys[0]))["uiAmountString"] == "2.5"


def test_prioritization_fees(bench: Bench) -> None:
    quiet = bench.ledger.tip.slot
    bench.ledger.advance_slot()
    busy = bench.ledger.tip.slot
    bench.send(bench.transfer(SOL, set_compute_unit_price(300)))
    bench.send(bench.transfer(2 * SOL, set_compute_unit_price(900)))
    bench.ledger.airdrop(PROGRAM, SOL)
    bench.ledger.advance_slot()

    def fees(*keys: Pubkey) -> dict[int, int]:
        found = bench.ask("getRecentPrioritizationFees", [str(key) for key in keys])
        return {one["slot"]: one["prioritizationFee"] for one in found}

    assert (fees()[quiet], fees()[busy]) == (0, 0)
    assert fees(KEY)[busy] == 300
    assert fees(PROGRAM)[busy] == 0
    assert max(fees()) == busy, "confirmed"
    bench.ledger.advance_slot(200)
    assert len(fees()) == 150


def test_airdrops(bench: Bench) -> None:
    signature = bench.ask("requestAirdrop", str(KEY), 3 * SOL)
    assert bench.value("getSignatureStatuses", [signature])[0]["err"] is None
    assert bench.value("getBalance", str(KEY), PROCESSED) == 3 * SOL
    assert bench.ask("requestAirdrop", str(KEY), 3 * SOL) == signature
    assert bench.value("getBalance", str(KEY), PROCESSED) == 3 * SOL
    assert bench.refusal("requestAirdrop", str(KEY), 2**64 - 1) == (-32603, "Internal error")
    other = bench.ask("requestAirdrop", str(KEY), 3 * SOL, {"recentBlockhash": str(bench.ledger.tip.blockhash)})
    assert other != signature
    lost = bench.ask("requestAirdrop", str(KEY), SOL, {"recentBlockhash": str(Hash.default())})
    assert bench.value("getSignatureStatuses", [lost]) == [None]


def test_native_mint_needs_no_account(bench: Bench) -> None:
    held = TokenAccount(tokens.NATIVE_MINT, KEY, 5, None, TokenAccountState.Initialized, 2_039_280, 0)
    bench.ledger.set_account(PROGRAM, bytes(held), owner=tokens.TOKEN, since_genesis=True)
    assert bench.value("getTokenAccountBalance", str(PROGRAM))["decimals"] == 9
    assert isinstance(bench.ledger.account(PROGRAM), Account)


def test_calls_between_programs(bench: Bench) -> None:
    """The real associated token program calls the token and the system program."""
    put_tokens(bench)
    held = get_associated_token_address(KEY, MINT)
    payer = bench.payer.pubkey()
    metas = [
        AccountMeta(payer, True, True),
        AccountMeta(held, False, True),
        *(AccountMeta(key, False, False) for key in (KEY, MINT, SYSTEM_PROGRAM, tokens.TOKEN)),
    ]
    create = Instruction(ASSOCIATED_TOKEN_PROGRAM, b"", metas)
    made = VersionedTransaction(Message.new_with_blockhash([create], payer, bench.ledger.tip.blockhash), [bench.payer])
    options = {"encoding": "base64", "innerInstructions": True, **PROCESSED}
    simulated = bench.value("simulateTransaction", b64(made), options)["innerInstructions"]
    assert {one["programId"] for one in simulated[0]["instructions"]} == {str(SYSTEM_PROGRAM), str(tokens.TOKEN)}
    signature = bench.send(made)
    bench.ledger.settle()
    shown = bench.ask("getTransaction", signature)
    (inner,) = shown["meta"]["innerInstructions"]
    keys = shown["transaction"]["message"]["accountKeys"]
    assert inner["index"] == 0
    called = [(keys[one["programIdIndex"]], one["stackHeight"]) for one in inner["instructions"]]
    assert called == [(one["programId"], one["stackHeight"]) for one in simulated[0]["instructions"]]
    assert {height for _, height in called} == {2}
    created = bench.ask("getTransaction", signature, "jsonParsed")["meta"]["innerInstructions"][0]["instructions"]
    assert [one["programId"] for one in created] == [program for program, _ in called]
    found = bench.value("getTokenAccountsByOwner", str(KEY), {"mint": str(MINT)}, {"encoding": "jsonParsed"})
    assert str(held) in {one["pubkey"] for one in found}


def test_returned_data(bench: Bench) -> None:
    """The real token program returns the size that an account of a mint needs."""
    put_tokens(bench)
    ask = Instruction(tokens.TOKEN, bytes((21,)), [AccountMeta(MINT, False, False)])
    payer = bench.payer.pubkey()
    made = VersionedTransaction(Message.new_with_blockhash([ask], payer, bench.ledger.tip.blockhash), [bench.payer])
    returned = {"programId": str(tokens.TOKEN), "data": [base64.b64encode((165).to_bytes(8, "little")).decode(), "base64"]}
    assert bench.value("simulateTransaction", b64(made), {"encoding": "base64", **PROCESSED})["returnData"] == returned
    signature = bench.send(made)
    bench.ledger.settle()
    assert bench.ask("getTransaction", signature)["meta"]["returnData"] == returned
