"""The node's HTTP methods, in process: what a real node answers and how it refuses."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.token.state import Mint, TokenAccount, TokenAccountState
from solders.transaction import VersionedTransaction

from probekit.dev.svm import tokens
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.rpc import METHODS, respond
from probekit.model.pubkey import base58
from probekit.units import Instant

START = Instant.parse("2026-09-12T10:00:00Z")
SOL = 10**9
PROGRAM, KEY, MINT = Pubkey([5] * 32), Pubkey([6] * 32), Pubkey([9] * 32)
PROCESSED = {"commitment": "processed"}
ASSOCIATED_TOKEN_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


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
    parent = bench.ledger.block(tip.parent)
    assert parent is not None
    bare = {"transactionDetails": "none", "commitment": "processed"}
    assert bench.ask("getBlock", tip.slot, bare) == {
        "blockhash": str(tip.blockhash), "previousBlockhash": str(parent.blockhash),
        "parentSlot": tip.parent, "blockTime": tip.unix_timestamp, "blockHeight": tip.height,
    }  # fmt: skip
    assert bench.refusal("getBlock", tip.slot + 1, bare)[0] == -32004
    assert bench.refusal("getBlock", tip.slot)[0] == -32602
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


# -- whatever comes


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
