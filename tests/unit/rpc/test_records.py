"""What a call tells of itself: one record, whatever happens; and what it never tells."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.model import RequestRecord
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import EVM, Call, Endpoint, EndpointPool, EndpointState, HealthPolicy, PoolPolicy
from probekit.transports.rpc.family import quantity, result_of
from probekit.transports.rpc.record import CallRecord
from probekit.units import NS_PER_S
from tests.unit.rpc.nodes import Net, error, refused

HOUR = timedelta(hours=1)
SEND = ("eth_sendRawTransaction", ["0x02"])
GAS = Call("eth_gasPrice")


async def outcome_of(net: Net, work: Awaitable[Any]) -> object:
    """What it returns or raises; cancelled after half a second of the clock."""
    task = asyncio.ensure_future(work)
    await net.clock.advance(timedelta(milliseconds=500))
    task.cancel()
    outcomes: list[object] = await asyncio.gather(task, return_exceptions=True)
    return outcomes[0]


@pytest.mark.parametrize("fault", ["none", "refused", "hangs", "wrong_chain", "error"])
@pytest.mark.parametrize("way", ["call", "batch", "quorum", "send", "broadcast"])
async def test_every_call_leaves_one_record(way: str, fault: str) -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR, rounds=1))
    for name in "ab":
        net[name].results["eth_sendRawTransaction"] = "0xhash"
    if fault != "wrong_chain":
        await net.run(net.pool.refresh())
    for name in "ab":
        net[name].hangs = fault == "hangs"
        net[name].fault = refused if fault == "refused" else None
        if fault == "wrong_chain":
            net[name].results["eth_chainId"] = "0x5"
        if fault == "error":
            net[name].errors |= {method: error(-32000, "no") for method in ("eth_gasPrice", "eth_sendRawTransaction")}
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "call": lambda: net.pool.call("eth_gasPrice"),
        "batch": lambda: net.pool.batch([GAS, GAS]),
        "quorum": lambda: net.pool.quorum(GAS),
        "send": lambda: net.pool.send(*SEND),
        "broadcast": lambda: net.pool.broadcast(*SEND),
    }
    outcome = await outcome_of(net, ways[way]())
    (record,) = net.calls
    assert isinstance(record, CallRecord)
    assert record.method == {"call": "eth_gasPrice", "quorum": "eth_gasPrice", "batch": "batch"}.get(way, SEND[0])
    told = {
        "none": None,
        "refused": "no_agreement" if way == "quorum" else "connect",
        "hangs": "cancelled",
        "wrong_chain": {"quorum": "no_agreement", "send": "send_refused"}.get(way, "wrong_chain"),
        "error": "no_agreement" if way == "quorum" else "rpc",
    }[fault]
    assert record.error_type == told
    if isinstance(outcome, errors.ProbekitError):
        assert outcome.error_type == told
    assert isinstance(outcome, asyncio.CancelledError) is (fault == "hangs")
    assert (record.error_type is not None) >= (record.failed_items > 0)
    assert record.elapsed_ns == (NS_PER_S // 2 if fault == "hangs" else record.elapsed_ns)
    await net.clock.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_record_has_the_bytes_of_every_request() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR), endpoint={"max_batch": 2})
    await net.run(net.pool.refresh())
    net.transport.requests.clear()
    net["a"].fault = lambda _: reply(502, b"x" * 77, clock=net.clock)
    await net.run(net.pool.batch([GAS] * 5))
    (record,) = net.calls
    sent = sum(len(request.body or b"") for request in net.transport.requests)
    assert record.sent_bytes == sent == sum(attempt.sent_bytes for attempt in record.attempts)
    first, second = record.attempts
    assert (first.endpoint, first.requests, first.received_bytes) == ("a", 1, 77)
    assert (second.endpoint, second.requests) == ("b", 3)
    assert second.received_bytes > 5 * len('{"jsonrpc":"2.0","id":1,"result":"0x7"}')


async def test_the_first_call_pays_for_the_proof_of_the_chain() -> None:
    net = Net("a")
    for requests in (2, 1):
        await net.run(net.pool.call("eth_gasPrice"))
        assert [attempt.requests for attempt in net.calls[-1].attempts] == [requests]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"<html>", errors.DecodeError),
        (b'{"id":%d}', errors.DecodeError),
        (b'{"id":%d,"result":"garbage"}', errors.DecodeError),
        (b'{"id":%d,"error":{"code":-32000,"message":"no"}}', errors.RpcError),
    ],
)
async def test_whatever_an_answer_is_it_has_taken_its_time(answer: bytes, kind: type[errors.ProbekitError]) -> None:
    net = Net("a", policy=PoolPolicy(refresh=HOUR, rounds=1))
    await net.run(net.pool.refresh())

    def damaged(request: Request) -> Response:
        body = answer % json.loads(request.body or b"")["id"] if b"%d" in answer else answer
        return dataclasses.replace(reply(200, body, clock=net.clock), elapsed_ns=NS_PER_S // 2)

    net["a"].delay_ns, net["a"].fault = NS_PER_S // 2, damaged
    with pytest.raises(kind) as caught:
        await net.run(net.pool.read(quantity, "eth_gasPrice"))
    assert caught.value.elapsed_ns == NS_PER_S // 2


async def test_a_call_without_time_leaves_nothing_but_its_record() -> None:
    net = Net("a")
    with pytest.raises(errors.DeadlineExceeded) as caught:
        await net.run(net.pool.call("eth_gasPrice", timeout=timedelta(0)))
    assert caught.value.error_type == "deadline_queue"
    (record,) = net.calls
    assert (record.error_type, record.attempts, net["a"].requests) == ("deadline_queue", (), 0)


async def test_a_settled_error_tells_what_was_tried_before_it() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["a"].fault = refused
    net["b"].errors["eth_gasPrice"] = error(-32602, "invalid params")
    with pytest.raises(errors.RpcError, match="invalid params") as caught:
        await net.run(net.pool.call("eth_gasPrice"))
    assert [line.partition(":")[0] for line in caught.value.attempts] == ["a", "b"]


async def test_a_broadcast_that_one_accepts_is_a_success() -> None:
    net = Net("a", "b", "c", policy=PoolPolicy(refresh=HOUR))
    net["a"].results["eth_sendRawTransaction"] = "0xhash"
    net["b"].errors["eth_sendRawTransaction"] = error(-32000, "already known")
    net["c"].fault = refused
    outcomes = dict(await net.run(net.pool.broadcast(*SEND)))
    assert result_of(outcomes["a"]) == "0xhash"
    (record,) = net.calls
    assert record.error_type is None
    assert {(attempt.endpoint, attempt.error_type) for attempt in record.attempts} == {("a", None), ("b", None)}


@pytest.mark.parametrize("told", [error(-32000, "already known"), error(-32603, "submission failed: already in pool")])
async def test_a_broadcast_of_what_every_node_has_is_a_success_at_each(told: dict[str, Any]) -> None:
    requests: list[RequestRecord] = []
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR), health=HealthPolicy(consecutive=1), observer=requests.append)
    for name in "ab":
        net[name].errors["eth_sendRawTransaction"] = told
    outcomes = await net.run(net.pool.broadcast(*SEND))
    assert all(isinstance(outcome, errors.RpcError) for _, outcome in outcomes)
    (record,) = net.calls
    assert (record.error_type, record.rpc_code, record.failed_items) == (None, None, 0)
    assert {(attempt.endpoint, attempt.error_type) for attempt in record.attempts} == {("a", None), ("b", None)}
    sent = [one for one in requests if one.rpc_method == "eth_sendRawTransaction"]
    assert [(one.rpc_code, one.error_type) for one in sent] == [(told["code"], None)] * 2
    assert {one.state for one in net.pool.standings().values()} == {EndpointState.ALIVE}


async def test_a_broadcast_that_one_has_and_the_other_refuses_is_a_success_and_one_that_all_refuse_is_none() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    net["a"].errors["eth_sendRawTransaction"] = error(-32000, "already known")
    net["b"].errors["eth_sendRawTransaction"] = error(-32000, "nonce too low")
    await net.run(net.pool.broadcast(*SEND))
    net["a"].errors["eth_sendRawTransaction"] = error(-32000, "nonce too low")
    await net.run(net.pool.broadcast(*SEND))
    assert [record.error_type for record in net.calls] == [None, "rpc"]


@pytest.mark.parametrize("way", ["call", "batch", "quorum", "send", "broadcast"])
async def test_a_defect_of_ours_is_told_as_one_and_is_no_failure_of_the_endpoint(way: str) -> None:
    requests: list[RequestRecord] = []
    net = Net("a", policy=PoolPolicy(refresh=HOUR, rounds=1), health=HealthPolicy(consecutive=1), observer=requests.append)
    await net.run(net.pool.refresh())
    net["a"].fault = lambda _: RuntimeError("a defect")
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "call": lambda: net.pool.call("eth_gasPrice"),
        "batch": lambda: net.pool.batch([GAS, GAS]),
        "quorum": lambda: net.pool.quorum(GAS, agree=1),
        "send": lambda: net.pool.send(*SEND),
        "broadcast": lambda: net.pool.broadcast(*SEND),
    }
    with pytest.raises(RuntimeError, match="a defect"):
        await net.run(ways[way]())
    (record,) = net.calls
    assert (record.error_type, [attempt.error_type for attempt in record.attempts]) == ("internal", ["internal"])
    assert [one.error_type for one in requests[1:]] == ["internal"]
    assert net.pool.standings()["a"].state is EndpointState.ALIVE


@pytest.mark.parametrize(
    "method",
    [
        "eth_sendRawTransaction", "eth_sendTransaction", "eth_sendRawTransactionSync", "eth_sendRawTransactionConditional",
        "eth_sendBundle", "mev_sendBundle", "eth_sendUserOperation", "eth_submitWork", "anvil_mine", "evm_mine",
        "hardhat_setBalance", "personal_sendTransaction", "debug_setHead",
    ],
)  # fmt: skip
async def test_methods_with_an_effect_are_never_reads(method: str) -> None:
    net = Net("a", "b")
    with pytest.raises(ValueError, match=r"send\(\)"):
        await net.pool.call(method)
    with pytest.raises(ValueError, match=r"send\(\)"):
        await net.pool.batch([GAS, Call(method)])
    with pytest.raises(ValueError, match="comparison"):
        await net.pool.quorum(Call(method))
    assert not net.transport.requests


@pytest.mark.parametrize(
    "method", ["eth_call", "eth_getTransactionBySender", "eth_estimateGas", "eth_simulateV1", "net_version"]
)
async def test_reads_are_not_taken_for_sends(method: str) -> None:
    net = Net("a")
    with pytest.raises(ValueError, match="is a read"):
        await net.pool.send(method, [])


# -- quorum ------------------------------------------------------------------------------------------------------------------


async def test_no_agreement_is_told_as_soon_as_there_can_be_none() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["a"].fault = refused
    net["b"].hangs = True
    with pytest.raises(errors.NoAgreement, match="a failed with connect"):
        await net.run(net.pool.quorum(GAS))
    assert net.took_s <= 0.3


async def test_a_revert_that_they_agree_on_is_the_answer_whatever_their_words() -> None:
    net = Net("a", "b", "c", policy=PoolPolicy(refresh=HOUR))
    data = "0x19abf40e"
    net["a"].errors["eth_call"] = error(3, "execution reverted", data)
    net["b"].errors["eth_call"] = error(-32015, "VM execution error", f"Reverted {data}")
    net["c"].results["eth_call"] = "0x"
    with pytest.raises(errors.Reverted) as caught:
        await net.run(net.pool.quorum(Call("eth_call", [{}])))
    assert caught.value.revert_data == bytes.fromhex(data[2:])
    net["a"].errors["eth_call"] = error(3, "execution reverted", "0x01")
    with pytest.raises(errors.NoAgreement, match='c gave "0x"'):
        await net.run(net.pool.quorum(Call("eth_call", [{}])))


# -- secrets -----------------------------------------------------------------------------------------------------------------

CANARY = "canary51f0c2e7a9d84b"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        *((given, fault) for given in ("secret", "literal") for fault in ("none", "status", "rpc", "refused", "chain")),
        # Only a Secret is known well enough to be found in what a server echoes.
        *(("secret", fault) for fault in ("echo", "data", "words", "values")),
    ],
)
async def test_a_key_in_a_url_is_never_shown(fault: str, given: str) -> None:
    clock = FakeClock()
    told: list[Any] = []

    def answer(request: Any) -> Any:
        asked = json.loads(request.body)
        items = asked if isinstance(asked, list) else [asked]
        if fault == "refused":
            return errors.ConnectError(f"{request.shown_url} refused", url=request.shown_url)
        if fault == "status":
            return reply(403, f"no entry for {request.shown_url}", clock=clock)
        if fault == "echo":
            return reply(200, f"no entry for {request.url}", clock=clock)
        text = f"unknown key for {request.shown_url}"
        # Without white space, and so that a cut runs through it.
        echoed = "." * {"words": 290, "values": 105}.get(fault, 0) + CANARY
        body: dict[str, Any] = {"result": "0x5" if fault == "chain" else "0x1"}
        if fault == "rpc":
            body = {"error": error(-32000, text)}
        if fault == "words":
            body = {"error": error(-32000, echoed)}
        if fault == "data":
            body = {"error": error(-32000, "no", {"asked": [echoed, {echoed: 1}]})}
        if fault == "values":
            asked_chain = items[0]["method"] == "eth_chainId"
            body = {"result": "0x1" if asked_chain else request.url[8] + echoed}
        answers = [{"id": item["id"]} | body for item in items]
        return reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]), clock=clock)

    urls = [f"https://{name}.test/v2/" for name in "ab"]
    key = Secret(CANARY, origin="test")
    endpoints = [Endpoint(url + "{key}", key=key) if given == "secret" else Endpoint(url + CANARY) for url in urls]
    pool = EndpointPool(
        endpoints,
        family=EVM,
        identity="1",
        transport=ReplyTransport(answer),
        clock=clock,
        policy=PoolPolicy(rounds=1),
        observer=told.append,
        on_call=told.append,
        on_change=told.append,
    )
    works = [pool.call("eth_gasPrice"), pool.batch([GAS, GAS]), pool.quorum(GAS), pool.send(*SEND), pool.broadcast(*SEND)]
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    told += outcomes
    for outcome in outcomes:
        if isinstance(outcome, errors.ProbekitError):
            told += [outcome.attempts, outcome.message, getattr(outcome, "url", None), vars(outcome)]
    told += [await pool.refresh(), pool.endpoints, endpoints]
    await pool.aclose()
    assert CANARY[:8] not in repr(told)
    assert len(told) > 10
