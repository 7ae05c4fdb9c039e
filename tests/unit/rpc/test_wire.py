"""JSON-RPC on the wire, and what its errors mean."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.errors import DecodeError, Missing, ProbekitError
from probekit.model.evm import Address
from probekit.model.pubkey import Pubkey
from probekit.transports.rpc.family import EVM
from probekit.transports.rpc.faults import error_of
from probekit.transports.rpc.wire import Call, decode, encode
from tests.support.mutation import mutations

ONE = [Call("eth_chainId")]
TWO = [Call("a"), Call("b", [1])]


def value(outcome: Any) -> Any:
    assert isinstance(outcome, msgspec.Raw), outcome
    return msgspec.json.decode(outcome)


def test_one_call_is_an_object_and_several_are_a_batch() -> None:
    assert json.loads(encode(ONE, first_id=7)) == {"jsonrpc": "2.0", "id": 7, "method": "eth_chainId", "params": []}
    assert [item["id"] for item in json.loads(encode(TWO, first_id=7))] == [7, 8]


def test_keys_and_addresses_of_ours_go_out_as_they_print() -> None:
    key, address = Pubkey(bytes([1]) * 32), Address("0x" + "ab" * 20)
    assert json.loads(encode([Call("m", [key, {"to": address}])]))["params"] == [str(key), {"to": str(address)}]
    with pytest.raises(TypeError, match="object is no JSON value"):
        encode([Call("m", [object()])])


@given(st.permutations(range(6)))
def test_answers_of_a_batch_find_their_calls_in_any_order(order: list[int]) -> None:
    calls = [Call(f"m{index}") for index in range(6)]
    body = json.dumps([{"jsonrpc": "2.0", "id": 3 + index, "result": index} for index in order]).encode()
    assert [value(item) for item in decode(body, calls, first_id=3)] == list(range(6))


def test_numbers_stay_exact() -> None:
    (outcome,) = decode(b'{"id":1,"result":340282366920938463463374607431768211455}', ONE)
    assert value(outcome) == 2**128 - 1


@pytest.mark.parametrize("result", ["null", "false", '""', "0"])
def test_an_empty_result_is_a_result(result: str) -> None:
    (outcome,) = decode(f'{{"jsonrpc":"2.0","id":1,"result":{result}}}'.encode(), ONE)
    assert isinstance(outcome, msgspec.Raw)
    assert bytes(outcome) == result.encode()


def test_a_bad_item_loses_no_neighbour() -> None:
    body = b'[{"id":1,"result":5},{"id":2,"error":{"code":"what","message":7}}]'
    first, second = decode(body, TWO)
    assert value(first) == 5
    assert isinstance(second, DecodeError)
    assert b"what" in bytes(second.raw if isinstance(second.raw, bytes) else second.raw.encode())


@pytest.mark.parametrize("bad", [b'{"id":2}', b'{"id":2,"jsonrpc":"2.0","unknown":1}', b'{"id":2,"error":7}'])
def test_an_error_keeps_the_text_of_its_own_item_and_no_neighbours(bad: bytes) -> None:
    first, second, third = decode(
        b'[{"id":1,"result":"the neighbour"},' + bad + b',{"id":3,"result":"another"}]', [*TWO, Call("c")]
    )
    assert (value(first), value(third)) == ("the neighbour", "another")
    assert isinstance(second, DecodeError)
    raw = second.raw if isinstance(second.raw, bytes) else second.raw.encode()
    assert (raw, second.raw_length) == (bad, len(bad))


def test_an_item_left_out_is_missing() -> None:
    first, second = decode(b'[{"id":1,"result":5}]', TWO)
    assert value(first) == 5
    assert isinstance(second, Missing)


def test_a_repeated_id_does_not_replace_the_first() -> None:
    first, _ = decode(b'[{"id":1,"result":5},{"id":1,"result":6},{"id":2,"result":7}]', TWO)
    assert value(first) == 5


def test_an_error_without_an_id_refuses_the_whole_batch() -> None:
    for body in (
        b'{"id":null,"error":{"code":-32600,"message":"batch limit 10 exceeded"}}',
        b'[{"id":null,"error":{"code":-32600,"message":"batch limit 10 exceeded"}}]',
    ):
        assert all(isinstance(item, errors.RangeTooLarge) for item in decode(body, TWO))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"null", b"5", b"[", b'{"id":1,"result":', b'{"id":2,"result":1}', b'"x"', b"[" * 5000,
        b'{"id":1' + b',"a":' * 2000,
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_decode_error_that_keeps_it(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body, ONE)
    assert caught.value.raw == body


def test_neither_result_nor_error() -> None:
    (outcome,) = decode(b'{"id":1}', ONE)
    assert isinstance(outcome, DecodeError)


def test_mutated_answers_decode_or_refuse() -> None:
    body = b'[{"jsonrpc":"2.0","id":1,"result":"0x1"},{"jsonrpc":"2.0","id":2,"error":{"code":3,"message":"x","data":"0x08"}}]'
    for changed in mutations(body):
        try:
            outcomes = decode(changed, TWO)
        except DecodeError as refusal:
            assert refusal.raw == changed
        else:
            assert len(outcomes) == 2
            assert all(isinstance(item, msgspec.Raw | ProbekitError) for item in outcomes)


@pytest.mark.parametrize(
    ("code", "message", "data", "kind", "same", "other"),
    [
        (-32602, "invalid argument 0: hex string without 0x prefix", None, errors.RpcError, False, False),
        (-32000, "nonce too low", None, errors.RpcError, False, False),
        (-32000, "already known", None, errors.RpcError, False, False),
        (3, "execution reverted", "0x19abf40e", errors.Reverted, False, False),
        (-32000, "execution reverted: old", None, errors.Reverted, False, False),
        (-32015, "VM execution error", "Reverted 0x14aebe68", errors.Reverted, False, False),
        (-32603, "EVM error InvalidFEOpcode", None, errors.Reverted, False, False),
        (-32603, "EVM error MemoryOOG", None, errors.Reverted, False, False),
        (-32603, "EVM error: StackUnderflow", None, errors.Reverted, False, False),
        (-32603, "EVM error FatalExternalError", None, errors.RpcInternal, True, True),
        (-32603, "EVM error: Database(missing)", None, errors.RpcInternal, True, True),
        (-32000, "invalid jump destination", None, errors.Reverted, False, False),
        (-32000, "stack limit reached 1024 (1023)", None, errors.Reverted, False, False),
        (-32601, "the method x does not exist/is not available", None, errors.NotServed, False, True),
        (-32000, "missing trie node 1234 (path )", None, errors.NotServed, False, True),
        (-32000, "header not found", None, errors.NotServed, False, True),
        (-32005, "Node is behind by 42 slots", {"numSlotsBehind": 42}, errors.NotServed, False, True),
        (-32016, "Minimum context slot has not been reached", {"contextSlot": 5}, errors.NotServed, False, True),
        (-32007, "Slot 5 was skipped, or missing due to ledger jump", None, errors.NotServed, False, True),
        (-32005, "daily request count exceeded, request rate limited", None, errors.RpcRateLimited, True, True),
        (-32005, "limit exceeded", None, errors.RpcRateLimited, True, True),
        (429, "Your app has exceeded its compute units per second capacity", None, errors.RpcRateLimited, True, True),
        (-32016, "over rate limit", None, errors.RpcRateLimited, True, True),
        (-32000, "Too many requests, retry in 1.5s", None, errors.RpcRateLimited, True, True),
        (-32005, "query returned more than 10000 results", None, errors.RangeTooLarge, False, False),
        (-32600, "batch size too large", None, errors.RangeTooLarge, False, False),
        (-32602, "eth_getLogs is limited to a 10,000 block range", None, errors.RangeTooLarge, False, False),
        (-32602, "Too many inputs provided; max 100", None, errors.RangeTooLarge, False, False),
        (-32603, "Internal error", None, errors.RpcInternal, True, True),
    ],
)  # fmt: skip
def test_errors_by_who_may_be_asked_again(
    code: int, message: str, data: Any, kind: type[errors.RpcError], same: bool, other: bool
) -> None:
    error = error_of(code, message, data, method="eth_call")
    assert type(error) is kind
    assert (error.retry_same, error.retry_other) == (same, other)
    assert (error.code, error.data, error.method) == (code, data, "eth_call")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("0x19abf40e", b"\x19\xab\xf4\x0e"),
        ({"data": "0x19abf40e"}, b"\x19\xab\xf4\x0e"),
        ({"originalError": {"data": "0x08"}}, b"\x08"),
        ("Reverted 0x08", b"\x08"),
        ("0xzz", b""),
        (None, b""),
        (7, b""),
    ],
)
def test_revert_data_wherever_a_client_puts_it(data: Any, found: bytes) -> None:
    error = error_of(3, "execution reverted", data, method="eth_call")
    assert isinstance(error, errors.Reverted)
    assert error.revert_data == found


@pytest.mark.parametrize(
    ("message", "data", "wait_ns"),
    [
        ("too many requests, retry in 1.5s", None, 1_500_000_000),
        ("rate limit, try again in 250 ms", None, 250_000_000),
        ("rate limit", {"rate": {"backoff_seconds": 30}}, 30_000_000_000),
        ("rate limit", {"try_again_in": True}, None),
        ("rate limit", None, None),
    ],
)
def test_the_wait_that_a_limit_names(message: str, data: Any, wait_ns: int | None) -> None:
    error = error_of(-32005, message, data, method="eth_call")
    assert isinstance(error, errors.RpcRateLimited)
    assert error.retry_after_ns == wait_ns


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":999,"error":{"code":-32000,"message":"of somebody else"}}',
        b'{"jsonrpc":"2.0","id":999,"result":1}',
        b'{"jsonrpc":"2.0","id":null,"result":1}',
        b'{"jsonrpc":"2.0","id":true,"result":1}',
    ],
)
def test_an_answer_to_another_question_is_none(body: bytes) -> None:
    for calls in (ONE, TWO):
        with pytest.raises(DecodeError):
            decode(body, calls)


@pytest.mark.parametrize("shape", ['"{}"', "{}"])
def test_an_id_may_have_lost_its_type(shape: str) -> None:
    (outcome,) = decode(f'{{"id":{shape.format(7)},"result":5}}'.encode(), ONE, first_id=7)
    assert value(outcome) == 5


@pytest.mark.parametrize(
    ("code", "message", "data", "kind", "wait_ns"),
    [
        # As providers and proxies word it: QuickNode, Alchemy, Ankr, Chainstack, dRPC, Infura, proxyd, BSC, credits.
        (-32007, "50/second request limit reached - reduce calls per second or upgrade your account", None, "limit", None),
        (429, "Your app has exceeded its compute units per second capacity", None, "limit", None),
        (-32090, "Too many requests, reason: call rate limit exhausted, retry in 10m0s", None, "limit", 600 * 10**9),
        (-32005, "You've exceeded the RPS limit of the current plan.", {"try_again_in": "5.92ms"}, "limit", 5_920_000),
        (15, "Too many request, try again later", None, "limit", None),
        (-32005, "daily request count exceeded", {"rate": {"backoff_seconds": 30}}, "limit", 30 * 10**9),
        (-32016, "over rate limit", None, "limit", None),
        (-32012, "backend is over capacity", None, "limit", None),
        (-32012, "method eth_getLogs: credits limited to 6000/sec", None, "limit", None),
        (-32005, "limit exceeded", None, "limit", None),
        (-32001, "You've reached the usage limit for your current plan", None, "limit", None),
        (-32014, "too many RPC calls in batch request", None, "size", None),
        (31, "Batch of more than 3 requests are not allowed on free tier", None, "size", None),
        (-32020, "backend response too large", None, "size", None),
        (-32614, "eth_getLogs is limited to a 10,000 range", None, "size", None),
        (35, "ranges over 10000 blocks are not supported: range is too large", None, "size", None),
        (-32010, "backend offline", None, "failed", None),
        (-32011, "no backends available for method", None, "failed", None),
        (-32015, "gateway timeout", None, "failed", None),
        (-32002, "request timed out", None, "failed", None),
        (-32000, "execution aborted (timeout = 5s)", None, "failed", None),
        (30, "Request timeout on the free tier, please upgrade your tier", None, "failed", None),
        (-1, "unknown", None, "failed", None),
        (-32018, "no node is currently not healthy to serve traffic", None, "elsewhere", None),
        (-32019, "block is out of range", None, "elsewhere", None),
        (-32046, "Cannot fulfill request", None, "elsewhere", None),
        # A range that ends ahead of the node: geth, Nethermind, reth, load balancers; nothing of it is too large.
        (-32602, "block range extends beyond current head block: requested 50, head 48", None, "elsewhere", None),
        (-32602, "One of the blocks specified in filter (fromBlock) cannot be found.", None, "elsewhere", None),
        (-32602, "invalid block range params", None, "elsewhere", None),
        (-32000, "request beyond head block: requested 50, head 48", None, "elsewhere", None),
        (-32000, "block 50 is beyond the latest block 48 of this node, retry later", None, "elsewhere", None),
        (0, "invalid project id", None, "elsewhere", None),
        (-32000, "insufficient funds for gas * price + value", None, "answer", None),
        (-32003, "transaction rejected", None, "answer", None),
    ],
)  # fmt: skip
def test_words_of_providers(code: int, message: str, data: Any, kind: str, wait_ns: int | None) -> None:
    error = error_of(code, message, data, method="eth_getLogs")
    kinds = {
        "limit": errors.RpcRateLimited,
        "size": errors.RangeTooLarge,
        "failed": errors.RpcInternal,
        "elsewhere": errors.NotServed,
        "answer": errors.RpcError,
    }
    assert type(error) is kinds[kind]
    assert getattr(error, "retry_after_ns", None) == wait_ns


def test_a_failed_preflight_is_the_answer_whatever_its_log_says() -> None:
    message = "Transaction simulation failed: Program log: connection timed out, try again"
    assert type(error_of(-32002, message, None, method="sendTransaction")) is errors.RpcError


@pytest.mark.parametrize("answer", ["0x", "0x1_0", "0x\u0663", "0x+5", " 0x5", "5", 5, True, None, "0x" + "f" * 65])
def test_a_chain_id_that_is_none(answer: Any) -> None:
    with pytest.raises(DecodeError):
        EVM.identity(answer)
