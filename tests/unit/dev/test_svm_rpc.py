"""The node's HTTP methods, in process: what a real node answers and how it refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.token.state import Mint, TokenAccount, TokenAccountState
from solders.transaction import VersionedTransaction

from probekit.dev.svm import tokens
from probekit.dev.svm.execution import LOOKUP_TABLE_PROGRAM
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.rpc import METHODS, respond
from probekit.model.pubkey import base58
from probekit.units import Instant
from tests.support.mutation import mutations

START = Instant.parse("2026-09-12T10:00:00Z")
SOL = 10**9
PROGRAM, KEY, MINT = Pubkey([5] * 32), Pubkey([6] * 32), Pubkey([9] * 32)
PROCESSED = {"commitment": "processed"}


class Bench:
    """A node with a funded payer, and short ways to ask it."""

    def __init__(self) -> None:
        self.ledger = Ledger(start=START, finalized_after=4)
        self.node = Node(self.ledger)
        self.payer = Keypair()
        self.ledger.set_account(self.payer.pubkey(), lamports=100 * SOL, since_genesis=True)

    def raw(self, body: Any) -> Any:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = respond(self.node, sent)
        return json.loads(answer) if answer else None

    def ask(self, method: str, *params: Any) -> Any:
        answer = self.raw({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        assert answer["id"] == 1
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def value(self, method: str, *params: Any) -> Any:
        return self.ask(method, *params)["value"]

    def error(self, method: str, *params: Any) -> Any:
        answer = self.raw({"jsonrpc": "2.0", "id": "a", "method": method, "params": list(params)})
        assert "result" not in answer, answer
        assert answer["id"] == "a"
        return answer["error"]

    def refusal(self, method: str, *params: Any) -> tuple[int, str]:
        error = self.error(method, *params)
        return error["code"], error["message"]

    def transfer(self, lamports: int = SOL, *more: Instruction, payer: Keypair | None = None) -> VersionedTransaction:
        payer = payer or self.payer
        pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=KEY, lamports=lamports))
        message = Message.new_with_blockhash([*more, pay], payer.pubkey(), self.ledger.tip.blockhash)
        return VersionedTransaction(message, [payer])

    def send(self, transaction: VersionedTransaction, **config: Any) -> str:
        options = {"encoding": "base64", "preflightCommitment": "processed", **config}
        sent = self.ask("sendTransaction", b64(transaction), options)
        assert sent == str(transaction.signatures[0])
        return str(sent)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def b64(transaction: VersionedTransaction) -> str:
    return base64.b64encode(bytes(transaction)).decode()


# -- JSON-RPC


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"{", {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}),
        (b"", {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}),
        (b"\xff", {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}),
        (b"[" * 100_000, {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}),
        (b"[]", {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None}),
        (b"7", {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None}),
        (
            b'{"jsonrpc":"2.0","id":3}',
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": 3},
        ),
        (
            b'{"jsonrpc":"2.0","id":true,"method":"getSlot"}',
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None},
        ),
        (
            b'{"id":4,"method":"getHealth"}',
            {"error": {"code": -32600, "message": "Unsupported JSON-RPC protocol version"}, "id": 4},
        ),
        (
            b'{"jsonrpc":"2.0","id":5,"method":"getNothing"}',
            {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 5},
        ),
        (b'{"jsonrpc":"2.0","id":6,"method":"getHealth"}', {"jsonrpc": "2.0", "result": "ok", "id": 6}),
        (b'{"jsonrpc":"2.0","id":null,"method":"getHealth","params":[]}', {"jsonrpc": "2.0", "result": "ok", "id": None}),
        (b'{"jsonrpc":"2.0","method":"getHealth"}', None),
        (b'[{"jsonrpc":"2.0","method":"getHealth"}]', None),
        (
            b'[{"jsonrpc":"2.0","id":1,"method":"getHealth"},1,{"jsonrpc":"2.0","id":2,"method":"getHealth"}]',
            [
                {"jsonrpc": "2.0", "result": "ok", "id": 1},
                {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None},
                {"jsonrpc": "2.0", "result": "ok", "id": 2},
            ],
        ),
    ],
)
def test_calls_and_batches(bench: Bench, body: bytes, answer: Any) -> None:
    assert bench.raw(body) == answer


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("getBalance", [], "`params` should have at least 1 argument(s)"),
        ("getBalance", {"pubkey": "x"}, "`params` should be an array"),
        ("getBalance", ["x", {}, {}], "Invalid parameters: Expected from 1 to 2 parameters."),
        ("getHealth", [1], "Invalid parameters: No parameters were expected"),
        ("getBalance", [5], "Invalid params: invalid type: integer `5`, expected a string."),
        ("getBalance", [None], "Invalid params: invalid type: null, expected a string."),
        ("getBalance", ["x"], "Invalid param: WrongSize"),
        ("getBalance", ["0" * 40], "Invalid param: Invalid"),
        ("getBalance", ["1" * 45], "Invalid param: WrongSize"),
        (
            "getBalance",
            [str(KEY), "processed"],
            'Invalid params: invalid type: string "processed", expected struct RpcContextConfig.',
        ),
        (
            "getSlot",
            [{"commitment": "single"}],
            "Invalid params: unknown variant `single`, expected one of `processed`, `confirmed`, `finalized`.",
        ),
        ("getSlot", [{"commitment": 1.5}], "Invalid params: invalid type: floating point `1.5`, expected a string."),
        ("getAccountInfo", [str(KEY), {"dataSlice": {"offset": 1}}], "Invalid params: missing field `length`."),
        (
            "getAccountInfo",
            [str(KEY), {"dataSlice": {"offset": True}}],
            "Invalid params: invalid type: boolean `true`, expected usize.",
        ),
        (
            "getAccountInfo",
            [str(KEY), {"encoding": "hex"}],
            "Invalid params: unknown variant `hex`, expected one of `binary`, `base58`, `base64`, `jsonParsed`, `base64+zstd`.",
        ),
        ("getMultipleAccounts", [[str(KEY)] * 101], "Too many inputs provided; max 100"),
        ("getMultipleAccounts", ["x"], 'Invalid params: invalid type: string "x", expected a sequence.'),
        (
            "getProgramAccounts",
            [str(KEY), {"withContext": 1}],
            "Invalid params: invalid type: integer `1`, expected a boolean.",
        ),
        ("getSignatureStatuses", [["1" * 88] * 257], "Too many inputs provided; max 256"),
        ("getSignatureStatuses", [["abc"]], "Invalid param: WrongSize"),
        ("getSignaturesForAddress", [str(KEY), {"limit": 1001}], "Invalid limit; max 1000"),
        ("getSignaturesForAddress", [str(KEY), {"limit": 0}], "Invalid limit; max 1000"),
        ("getSignaturesForAddress", [str(KEY), PROCESSED], "Method does not support commitment below `confirmed`"),
        ("getTransaction", [str(Signature.default()), PROCESSED], "Method does not support commitment below `confirmed`"),
        ("isBlockhashValid", ["abc"], "Invalid param: WrongSize"),
        ("getRecentPrioritizationFees", [[str(KEY)] * 129], "Too many inputs provided; max 128"),
        ("getFeeForMessage", ["AAA"], "invalid base64 encoding: InvalidPadding"),
        ("requestAirdrop", [str(KEY), -1], "Invalid params: invalid value: integer `-1`, expected u64."),
        ("getTokenAccountBalance", [str(KEY)], "Invalid param: could not find account"),
        ("getTokenAccountsByOwner", [str(KEY), {"mint": str(KEY)}], "Invalid param: could not find mint"),
        ("getTokenAccountsByOwner", [str(KEY), {"programId": str(KEY)}], "Invalid param: unrecognized Token program id"),
        (
            "getTokenAccountsByOwner",
            [str(KEY), {"delegate": str(KEY)}],
            "Invalid params: unknown variant `delegate`, expected one of `mint`, `programId`.",
        ),
        ("getTokenAccountsByOwner", [str(KEY), {}], "Invalid params: invalid type: map, expected a string."),
    ],
)
def test_arguments_are_refused_in_a_nodes_words(bench: Bench, method: str, params: Any, message: str) -> None:
    answer = bench.raw({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert (answer["error"]["code"], answer["error"]["message"]) == (-32602, message)


# -- the cluster


def test_the_cluster(bench: Bench) -> None:
    tip = bench.ledger.tip
    assert bench.ask("getSlot", PROCESSED) == tip.slot == 435_888_000
    assert bench.ask("getSlot") == tip.slot - 4
    assert bench.ask("getSlot", {"commitment": "confirmed"}) == tip.slot - 1
    assert bench.ask("getBlockHeight", PROCESSED) == tip.height < tip.slot
    assert bench.ask("getVersion")["solana-core"] == "0.0.0-litesvm.probekit"
    assert Hash.from_string(bench.ask("getGenesisHash")) == bench.ledger.genesis_hash
    assert bench.ask("getGenesisHash") == Bench().ask("getGenesisHash")
    assert bench.ask("getEpochInfo", PROCESSED) == {
        "absoluteSlot": tip.slot, "blockHeight": tip.height, "epoch": 1009, "slotIndex": 0, "slotsInEpoch": 432_000,
        "transactionCount": 0,
    }  # fmt: skip
    assert bench.ask("getEpochSchedule")["slotsPerEpoch"] == 432_000
    identity = bench.ask("getIdentity")["identity"]
    assert [one["pubkey"] for one in bench.ask("getClusterNodes")] == [identity]
    assert bench.ask("getTransactionCount", PROCESSED) == 0
    assert bench.ask("getMinimumBalanceForRentExemption", 0) == 890_880
    assert bench.ask("getMinimumBalanceForRentExemption", 165) == 2_039_280
    assert bench.ask("getMinimumBalanceForRentExemption", 2**64 - 1) > 0
    assert bench.ask("getFirstAvailableBlock") == bench.ask("minimumLedgerSlot") == tip.slot - 4
    wanted = {"commitment": "processed", "minContextSlot": tip.slot + 1}
    error = bench.error("getSlot", wanted)
    assert error == {
        "code": -32016, "message": "Minimum context slot has not been reached", "data": {"contextSlot": tip.slot},
    }  # fmt: skip
    assert bench.ask("getSlot", {**wanted, "minContextSlot": tip.slot}) == tip.slot


def test_block_times(bench: Bench) -> None:
    tip = bench.ledger.advance_slot(skipped=2)
    assert bench.ask("getBlockTime", tip.slot) == tip.unix_timestamp
    assert bench.refusal("getBlockTime", tip.slot + 1) == (-32004, f"Block not available for slot {tip.slot + 1}")
    assert bench.refusal("getBlockTime", tip.slot - 1)[0] == -32004
    bench.ledger.settle()
    code, message = bench.refusal("getBlockTime", tip.slot - 1)
    assert (code, message.split(",")[0]) == (-32007, f"Slot {tip.slot - 1} was skipped")
    assert bench.refusal("getBlockTime", 1)[0] == -32001


def test_a_node_that_is_behind(bench: Bench) -> None:
    other = Node(bench.ledger)
    bench.ledger.advance_slot(10)
    tip = bench.ledger.tip
    bench.send(bench.transfer())
    with bench.node.faults.behind_by(7):
        assert bench.error("getHealth") == {
            "code": -32005, "message": "Node is behind by 7 slots", "data": {"numSlotsBehind": 7},
        }  # fmt: skip
        assert bench.ask("getSlot", PROCESSED) == tip.slot - 7
        assert bench.value("getBalance", str(KEY), PROCESSED) == 0
        assert bench.refusal("sendTransaction", b64(bench.transfer(2)), {"encoding": "base64"})[0] == -32005
        assert json.loads(respond(other, b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}'))["result"] == "ok"
        assert bench.value("getSignatureStatuses", [str(next(bench.ledger.recent()).signature)]) == [None]
        # Without preflight nobody asks for its health.
        bench.send(bench.transfer(3 * SOL), skipPreflight=True)
    assert bench.ask("getHealth") == "ok"
    assert bench.value("getBalance", str(KEY), PROCESSED) == 4 * SOL
    with bench.node.faults.unknown_health():
        assert bench.error("getHealth") == {
            "code": -32005, "message": "Node is unhealthy", "data": {"numSlotsBehind": None},
        }  # fmt: skip
    with bench.node.faults.behind_by(10_000):
        assert bench.ask("getSlot", PROCESSED) == bench.ledger.oldest_block.slot


# -- accounts


def test_accounts(bench: Bench) -> None:
    bench.ledger.set_account(KEY, b"pyth" + bytes(200), owner=PROGRAM, lamports=7)
    shown = bench.ask("getAccountInfo", str(KEY), {"commitment": "processed", "encoding": "base64"})
    assert shown["context"] == {"slot": bench.ledger.tip.slot, "apiVersion": "0.0.0-litesvm.probekit"}
    assert shown["value"]["data"] == [base64.b64encode(b"pyth" + bytes(200)).decode(), "base64"]
    assert (shown["value"]["lamports"], shown["value"]["space"], shown["value"]["owner"]) == (7, 204, str(PROGRAM))
    assert bench.value("getAccountInfo", str(KEY)) is None, "finalized is what a node shows by default"
    assert bench.refusal("getAccountInfo", str(KEY), PROCESSED) == (
        -32600, "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.",
    )  # fmt: skip
    cut = {**PROCESSED, "dataSlice": {"offset": 0, "length": 4}}
    assert bench.value("getAccountInfo", str(KEY), cut)["data"] == base58(b"pyth")
    assert bench.value("getAccountInfo", str(KEY), {**cut, "encoding": "base58"})["data"] == [base58(b"pyth"), "base58"]
    assert bench.value("getBalance", str(KEY), PROCESSED) == 7
    assert bench.value("getBalance", str(KEY)) == 0
    both = bench.value("getMultipleAccounts", [str(KEY), str(PROGRAM)] * 50, PROCESSED)
    assert [one is None for one in both] == [False, True] * 50
    assert both[0]["data"][1] == "base64"


def test_program_accounts(bench: Bench) -> None:
    for number in range(4):
        data = bytes((number, 7)) + bytes(number)
        bench.ledger.set_account(Pubkey([10 + number] * 32), data, owner=PROGRAM, since_genesis=True)
    keys = [one["pubkey"] for one in bench.ask("getProgramAccounts", str(PROGRAM))]
    assert keys == [str(Pubkey([10 + number] * 32)) for number in range(4)]

    def matching(*filters: Any) -> list[int]:
        config = {"encoding": "base64", "filters": list(filters), "dataSlice": {"offset": 0, "length": 1}}
        found = bench.ask("getProgramAccounts", str(PROGRAM), config)
        return [base64.b64decode(one["account"]["data"][0])[0] for one in found]

    assert matching() == [0, 1, 2, 3]
    assert matching({"dataSize": 4}) == [2]
    assert matching({"memcmp": {"offset": 1, "bytes": base58(b"\7")}}) == [0, 1, 2, 3]
    assert matching({"memcmp": {"offset": 0, "bytes": [2]}}, {"dataSize": 4}) == [2]
    assert matching({"memcmp": {"offset": 2, "bytes": [0, 0]}}) == [2, 3]
    wrapped = bench.ask("getProgramAccounts", str(PROGRAM), {"withContext": True})
    assert wrapped["context"]["slot"] == bench.ledger.tip.slot - 4
    assert len(wrapped["value"]) == 4


def put_tokens(bench: Bench) -> list[Pubkey]:
    mint = bytes(Mint(None, 10**9, 6, True))
    bench.ledger.set_account(MINT, mint, owner=tokens.TOKEN, since_genesis=True)
    keys = []
    for number, owner in enumerate((KEY, KEY, PROGRAM)):
        held = TokenAccount(MINT, owner, 1_500_000 * number, None, TokenAccountState.Initialized, None, 0)
        keys.append(Pubkey([40 + number] * 32))
        bench.ledger.set_account(keys[-1], bytes(held), owner=tokens.TOKEN, since_genesis=True)
    return keys


def test_token_accounts(bench: Bench) -> None:
    keys = put_tokens(bench)
    assert bench.value("getTokenAccountBalance", str(keys[1])) == {
        "uiAmount": 1.5, "decimals": 6, "amount": "1500000", "uiAmountString": "1.5",
    }  # fmt: skip
    for by in ({"mint": str(MINT)}, {"programId": str(tokens.TOKEN)}):
        found = bench.value("getTokenAccountsByOwner", str(KEY), by, {"encoding": "jsonParsed"})
        assert [one["pubkey"] for one in found] == [str(key) for key in keys[:2]]
        assert found[1]["account"]["data"]["parsed"]["info"]["tokenAmount"]["amount"] == "1500000"
    assert bench.value("getTokenAccountsByOwner", str(MINT), {"mint": str(MINT)}) == []
    assert bench.refusal("getTokenAccountBalance", str(MINT)) == (-32602, "Invalid param: not a Token account")
    bench.ledger.set_account(KEY, b"no mint", owner=PROGRAM, since_genesis=True)
    refused = bench.refusal("getTokenAccountsByOwner", str(KEY), {"mint": str(KEY)})
    assert refused == (-32602, "Invalid param: Token mint could not be unpacked")


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


KNOWN_KEYS = (
    "commitment",
    "encoding",
    "dataSlice",
    "offset",
    "length",
    "filters",
    "memcmp",
    "bytes",
    "dataSize",
    "mint",
    "programId",
    "minContextSlot",
    "limit",
    "before",
    "accounts",
    "addresses",
    "sigVerify",
    "withContext",
    "recentBlockhash",
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just(str(KEY))
)
ARGUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KNOWN_KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.sampled_from(sorted(METHODS)), st.lists(ARGUMENTS, max_size=4))
def test_any_arguments_are_answered(method: str, arguments: list[Any]) -> None:
    answer = SHARED.raw({"jsonrpc": "2.0", "id": 1, "method": method, "params": arguments})
    assert ("result" in answer) != ("error" in answer)
    if "error" in answer:
        assert answer["error"]["code"] in {-32602, -32600, -32603, -32001, -32004, -32007, -32016}


SHARED = Bench()


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
