"""A pool over nodes that lie, lag, limit, hang and refuse."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from probekit import errors
from probekit.model import RequestRecord
from probekit.testing import reply
from probekit.transports.rpc import SVM, Call, EndpointState, HealthPolicy, PoolPolicy
from probekit.transports.rpc.family import result_of
from tests.unit.rpc.nodes import Net, error, refused


def reads(net: Net, name: str) -> int:
    """Calls of the test's own that reached a node; looks at its chain and head left out."""
    return net[name].seen.count("eth_gasPrice")


async def price(net: Net, **options: Any) -> Any:
    return result_of(await net.run(net.pool.call("eth_gasPrice", **options)))


async def test_one_endpoint_costs_one_request_and_its_chain_is_asked_once() -> None:
    net = Net("a")
    for _ in range(3):
        assert await price(net) == "0x7"
    assert net["a"].seen == ["eth_chainId", "eth_gasPrice", "eth_gasPrice", "eth_gasPrice"]


async def test_what_fails_on_one_is_asked_of_the_next() -> None:
    net = Net("a", "b")
    net["a"].fault = refused
    assert await price(net) == "0x7"
    (record,) = net.calls
    assert [(attempt.endpoint, attempt.error_type) for attempt in record.attempts] == [("a", "connect"), ("b", None)]
    assert record.error_type is None
    assert record.chain == "testnet"


async def test_an_answer_that_is_an_error_is_not_asked_again() -> None:
    net = Net("a", "b")
    net["a"].errors["eth_gasPrice"] = error(-32602, "invalid params")
    with pytest.raises(errors.RpcError, match="invalid params") as caught:
        await price(net)
    assert (reads(net, "a"), reads(net, "b")) == (1, 0)
    assert net.calls[0].rpc_code == caught.value.code == -32602


@pytest.mark.parametrize(
    "fault",
    [error(-32601, "the method does not exist"), error(-32000, "missing trie node"), error(-32005, "rate limit exceeded")],
)
async def test_what_a_node_does_not_serve_another_may(fault: dict[str, Any]) -> None:
    net = Net("a", "b")
    net["a"].errors["eth_gasPrice"] = fault
    assert await price(net) == "0x7"
    assert reads(net, "a") == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_an_http_status_moves_on(status: int) -> None:
    net = Net("a", "b")
    net["a"].fault = lambda _: reply(status, b"busy", clock=net.clock)
    assert await price(net) == "0x7"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"jsonrpc":"2.0","id":1,"resu', b"[]"])
async def test_an_answer_that_is_none_moves_on(body: bytes) -> None:
    net = Net("a", "b")
    net["a"].fault = lambda _: reply(200, body, clock=net.clock)
    assert await price(net) == "0x7"


async def test_all_of_them_down_is_the_last_error_with_what_was_tried() -> None:
    net = Net("a", "b", policy=PoolPolicy(rounds=1))
    for name in "ab":
        net[name].fault = refused
    with pytest.raises(errors.ConnectError) as caught:
        await price(net)
    assert [line.partition(":")[0] for line in caught.value.attempts] == ["a", "b"]


async def test_a_second_round_after_a_wait() -> None:
    net = Net("a", policy=PoolPolicy(rounds=3))
    net["a"].fault = refused
    task = asyncio.ensure_future(net.pool.call("eth_gasPrice"))
    await net.clock.settle()
    net["a"].fault = None
    assert result_of(await net.run(task)) == "0x7"


async def test_rounds_end() -> None:
    net = Net("a", policy=PoolPolicy(rounds=3))
    net["a"].fault = refused
    with pytest.raises(errors.ConnectError):
        await price(net)
    assert net["a"].requests == 3
    assert net.took_s < 2


async def test_a_node_that_hangs_leaves_time_for_the_others() -> None:
    net = Net("a", "b", policy=PoolPolicy(timeout=timedelta(seconds=4)))
    assert await price(net) == "0x7"
    net["a"].hangs = True
    assert await price(net) == "0x7"
    assert net.took_s <= 2.1


async def test_the_deadline_holds_when_all_hang() -> None:
    net = Net("a", "b", "c", policy=PoolPolicy(timeout=timedelta(seconds=3)))
    for name in "abc":
        net[name].hangs = True
    with pytest.raises(errors.DeadlineExceeded):
        await price(net)
    assert net.took_s <= 3.1


async def test_another_chain_is_found_before_its_answer_is_used_and_never_asked_again() -> None:
    net = Net("a", "b")
    net["a"].results["eth_chainId"] = "0x5"
    net["a"].results["eth_gasPrice"] = "0xbad"
    for _ in range(3):
        assert await price(net) == "0x7"
    assert reads(net, "a") == 0
    net["a"].results["eth_chainId"] = "0x1"
    asked = net["a"].requests
    await net.clock.advance(timedelta(hours=1))
    assert await price(net) == "0x7"
    await net.run(net.pool.refresh())
    assert net["a"].requests == asked
    assert net.pool.standings()["a"].state is EndpointState.WRONG_CHAIN
    assert [(change.endpoint, change.after) for change in net.changes] == [("a", EndpointState.WRONG_CHAIN)]


async def test_no_endpoint_of_the_chain_is_an_error_that_says_which_it_is() -> None:
    net = Net("a")
    net["a"].results["eth_chainId"] = "0x5"
    for _ in range(2):
        with pytest.raises(errors.WrongChain, match="serves chain 5, expected 1") as caught:
            await price(net)
        assert (caught.value.expected, caught.value.found) == ("1", "5")
    assert net["a"].requests == 1


async def test_a_lagging_node_is_asked_last_until_it_has_caught_up() -> None:
    net = Net("a", "b")
    net["b"].head(200)
    await net.run(net.pool.refresh())
    assert net.pool.standings()["a"].state is EndpointState.LAGGING
    await price(net)
    assert (reads(net, "a"), reads(net, "b")) == (0, 1)
    net["a"].head(199)
    await net.run(net.pool.refresh())
    assert net.pool.standings()["a"].state is EndpointState.ALIVE
    assert [change.after for change in net.changes] == [EndpointState.LAGGING, EndpointState.ALIVE]


async def test_a_defect_in_one_look_leaves_no_other_running() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["a"].fault = lambda _: RuntimeError("a defect")
    net["b"].hangs = True
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="a defect"):
        await net.pool.refresh()
    assert net["b"].requests == 1
    assert asyncio.all_tasks() == before
    assert net.clock.sleeping == 0


async def test_who_has_reached_the_floor_is_asked_first() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["b"].head(101)
    await net.run(net.pool.refresh())
    assert {one.state for one in net.pool.standings().values()} == {EndpointState.ALIVE}
    await price(net, floor=100)
    assert (reads(net, "a"), reads(net, "b")) == (1, 0)
    await price(net, floor=101)
    assert (reads(net, "a"), reads(net, "b")) == (1, 1)


async def test_where_none_has_reached_the_floor_the_error_says_where_each_is() -> None:
    net = Net("a", "b", "c", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["b"].head(200)
    net["c"].fault = refused
    with pytest.raises(errors.NotReached, match="no endpoint has reached block 1000: a is at 100, b is at 200") as caught:
        await price(net, floor=1_000)
    assert dict(caught.value.reached) == {"a": 100, "b": 200}
    assert any("refused" in line for line in caught.value.attempts)
    # They may get there: a few rounds, as long as a block or two take, and no more.
    assert (reads(net, "a"), reads(net, "b")) == (4, 4)
    assert 0.8 < net.took_s < 1.8
    net.pool.policy, net.pool.members.policy = [PoolPolicy(rounds=1)] * 2
    with pytest.raises(errors.NotReached):
        await price(net, floor=1_000)
    assert (reads(net, "a"), reads(net, "b")) == (5, 5)


async def test_who_gets_there_meanwhile_answers_in_the_second_round() -> None:
    net = Net("a", policy=PoolPolicy(refresh=timedelta(hours=1)))
    task = asyncio.ensure_future(net.pool.call("eth_gasPrice", floor=101))
    await net.clock.settle()
    net["a"].head(101)
    assert result_of(await net.run(task)) == "0x7"
    assert net["a"].seen == ["eth_chainId", *["eth_blockNumber", "eth_gasPrice"] * 2]


async def test_an_endpoint_that_takes_no_batches_is_asked_how_far_it_is_first() -> None:
    net = Net("a", endpoint={"max_batch": 1})
    assert await price(net, floor=100) == "0x7"
    assert net["a"].requests == 3
    assert net["a"].seen == ["eth_chainId", "eth_blockNumber", "eth_gasPrice"]


async def test_whatever_one_says_that_is_behind_is_no_answer_a_revert_neither() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["a"].errors["eth_call"] = error(3, "execution reverted", "0x01")
    net["b"].head(101)
    net["b"].results["eth_call"] = "0x07"
    assert result_of(await net.run(net.pool.call("eth_call", [{}, "latest"], floor=101))) == "0x07"
    net["b"].head(100)
    net["a"].head(101)
    with pytest.raises(errors.Reverted):
        await net.run(net.pool.call("eth_call", [{}, "latest"], floor=101))


async def test_an_endpoint_that_does_not_say_how_far_it_is_has_not_answered() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["a"].errors["eth_blockNumber"] = error(-32602, "no parameters, please")
    assert await price(net, floor=100) == "0x7"
    assert (reads(net, "a"), reads(net, "b")) == (1, 1)


async def test_null_of_a_block_that_one_has_not_reached_is_asked_of_the_next() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["a"].results["eth_getBlockByNumber"] = None
    net["b"].results["eth_getBlockByNumber"] = {"number": "0x65"}
    call = ("eth_getBlockByNumber", ["0x65", False])
    assert result_of(await net.run(net.pool.call(*call, prefer=101))) == {"number": "0x65"}
    assert result_of(await net.run(net.pool.call(*call))) is None
    net["b"].fault = refused  # Where nobody has it there is none, at once.
    assert result_of(await net.run(net.pool.call(*call, prefer=101))) is None
    assert net.took_s < 0.1


async def test_null_above_the_floor_is_an_answer() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["a"].results["eth_getTransactionReceipt"] = None
    net["b"].results["eth_getTransactionReceipt"] = {}
    assert result_of(await net.run(net.pool.call("eth_getTransactionReceipt", ["0x"], floor=100))) is None
    assert result_of(await net.run(net.pool.call("eth_getTransactionReceipt", ["0x"], prefer=100))) == {}


async def test_the_last_endpoint_left_is_asked_whatever_its_state() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1), health=HealthPolicy(consecutive=1))
    net["a"].fault = refused
    with pytest.raises(errors.ConnectError):
        await price(net)
    assert net.pool.standings()["a"].state is EndpointState.UNREACHABLE
    net["a"].fault = None
    assert await price(net) == "0x7"
    assert net.pool.standings()["a"].state is EndpointState.ALIVE


async def test_an_open_breaker_is_passed_over() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    await net.run(net.pool.refresh())
    net["a"].fault = refused
    for _ in range(5):
        assert await price(net) == "0x7"
    requests = net["a"].requests
    for _ in range(5):
        assert await price(net) == "0x7"
    assert net["a"].requests == requests


async def test_after_its_time_a_look_brings_an_endpoint_back() -> None:
    net = Net("a", "b", health=HealthPolicy(consecutive=1))
    net["a"].fault = refused
    assert await price(net) == "0x7"
    assert net.pool.standings()["a"].state is EndpointState.UNREACHABLE
    net["a"].fault = None
    await net.clock.advance(timedelta(seconds=11))
    await price(net)
    await net.clock.settle()
    assert net.pool.standings()["a"].state is EndpointState.ALIVE
    await net.pool.aclose()


async def test_a_limited_endpoint_rests_for_as_long_as_it_asked() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    net["a"].fault = lambda _: reply(429, b"", {"retry-after": "30"}, clock=net.clock)
    await price(net)
    net["a"].fault = None
    standing = net.pool.standings()["a"]
    assert standing.state is EndpointState.LIMITED
    assert "30" in standing.reason
    requests = net["a"].requests
    await price(net)
    assert net["a"].requests == requests
    await net.clock.advance(timedelta(seconds=31))
    assert net.pool.standings()["a"].state is EndpointState.ALIVE


async def test_a_slow_node_is_hedged_after_its_p95() -> None:
    net = Net("a", "b", policy=PoolPolicy(hedge_samples=5, refresh=timedelta(hours=1)))
    for _ in range(10):
        await price(net)
    slow = next(name for name in "ab" if reads(net, name) == 10)
    other = "b" if slow == "a" else "a"
    net[slow].delay_ns = 3_000_000_000
    assert await price(net) == "0x7"
    assert net.took_s <= 0.2
    attempts = net.calls[-1].attempts
    assert {(attempt.endpoint, attempt.hedge, attempt.error_type) for attempt in attempts} == {
        (slow, False, "cancelled"),
        (other, True, None),
    }


async def test_the_faster_of_two_errors_does_not_win_over_an_answer() -> None:
    net = Net("a", "b", policy=PoolPolicy(hedge_samples=5, refresh=timedelta(hours=1)))
    for _ in range(10):
        await price(net)
    slow = next(name for name in "ab" if reads(net, name) == 10)
    other = "b" if slow == "a" else "a"
    net[slow].delay_ns = 500_000_000
    net[other].fault = refused
    assert await price(net) == "0x7"


async def test_a_batch_is_answered_item_by_item() -> None:
    net = Net("a", "b")
    net["a"].errors["eth_gasPrice"] = error(-32000, "header not found")
    net["b"].results["eth_gasPrice"] = "0x9"
    calls = [Call("eth_blockNumber"), Call("eth_gasPrice"), Call("eth_nonsense")]
    first, second, third = await net.run(net.pool.batch(calls))
    assert (result_of(first), result_of(second)) == ("0x64", "0x9")
    assert isinstance(third, errors.NotServed)
    assert net.calls[-1].items == 3
    assert net.calls[-1].failed_items == 1


async def test_an_empty_batch_asks_nobody() -> None:
    net = Net("a")
    assert await net.pool.batch([]) == []
    assert net["a"].requests == 0


async def test_a_batch_above_the_limit_is_split() -> None:
    net = Net("a", endpoint={"max_batch": 10})
    outcomes = await net.run(net.pool.batch([Call("eth_gasPrice")] * 25))
    assert [result_of(item) for item in outcomes] == ["0x7"] * 25
    assert net["a"].requests == 1 + 3


@pytest.mark.parametrize("kind", ["status", "body"])
async def test_a_limit_told_by_the_server_is_learned(kind: str) -> None:
    net = Net("a")

    def fault(request: Any) -> Any:
        items = msgspec.json.decode(request.body)
        if isinstance(items, list) and len(items) > 7:
            if kind == "status":
                return reply(413, b"", clock=net.clock)
            return reply(200, b'{"id":null,"error":{"code":-32600,"message":"batch size too large"}}', clock=net.clock)
        answers = [{"id": item["id"], "result": "0x7"} for item in (items if isinstance(items, list) else [items])]
        return reply(
            200, msgspec.json.encode(answers if isinstance(items, list) else {**answers[0], "result": "0x1"}), clock=net.clock
        )

    net["a"].fault = fault
    outcomes = await net.run(net.pool.batch([Call("eth_gasPrice")] * 20))
    assert [result_of(item) for item in outcomes] == ["0x7"] * 20
    asked = net["a"].requests
    await net.run(net.pool.batch([Call("eth_gasPrice")] * 5))
    assert net["a"].requests == asked + 1


async def test_a_rate_limit_of_ours_ends_with_the_deadline() -> None:
    """However many wait for room, each is told in time; nothing is held against the endpoint, nothing stands still after."""
    net = Net("a", endpoint={"requests_per_second": 0.5, "burst": 2}, policy=PoolPolicy(rounds=1, timeout=timedelta(seconds=3)))
    waiting = [asyncio.ensure_future(net.pool.call("eth_gasPrice")) for _ in range(20)]
    outcomes = await net.run(asyncio.gather(*waiting, return_exceptions=True))
    assert net.took_s <= 3.1
    late = [one for one in outcomes if isinstance(one, BaseException)]
    assert {type(one) for one in late} == {errors.DeadlineExceeded}
    assert len(late) >= 17
    assert net.pool.standings()["a"].state is EndpointState.ALIVE
    await net.clock.advance(timedelta(seconds=10))
    assert result_of(await net.run(net.pool.call("eth_gasPrice"))) == "0x7"
    assert net["a"].requests == 1 + len(outcomes) - len(late) + 1


async def test_a_rate_limit_of_ours_waits_for_room() -> None:
    net = Net("a", endpoint={"requests_per_second": 2.0, "burst": 1})
    for _ in range(3):
        await price(net)
    assert net.took_s == pytest.approx(0.5, abs=0.05)
    with pytest.raises(errors.DeadlineExceeded, match="rate limit"):
        await price(net, timeout=timedelta(milliseconds=50))


async def test_cancelling_a_call_leaves_no_task() -> None:
    net = Net("a", "b", policy=PoolPolicy(hedge_samples=1))
    await price(net)
    for name in "ab":
        net[name].hangs = True
    task = asyncio.ensure_future(net.pool.call("eth_gasPrice"))
    await net.clock.advance(timedelta(milliseconds=500))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await net.pool.aclose()
    await net.clock.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert net.calls[-1].error_type == "cancelled"


async def test_a_quorum_tells_the_value_and_who_dissents() -> None:
    net = Net("a", "b", "c")
    net["c"].results["eth_gasPrice"] = "0x99"
    quorum = await net.run(net.pool.quorum(Call("eth_gasPrice")))
    assert quorum.result == "0x7"
    assert set(quorum.agreeing) == {"a", "b"}
    assert quorum.dissenters == (("c", '"0x99"'),)


async def test_a_quorum_leaves_alone_who_asked_for_it_where_others_will_do() -> None:
    net = Net("a", "b", "c", policy=PoolPolicy(refresh=timedelta(hours=1)))
    await net.run(net.pool.refresh())
    net["a"].fault = lambda _: reply(429, b"slow down", {"retry-after": "60"}, clock=net.clock)
    await price(net)
    asked = net["a"].requests
    quorum = await net.run(net.pool.quorum(Call("eth_gasPrice")))
    assert (set(quorum.agreeing), net["a"].requests) == ({"b", "c"}, asked)
    assert quorum.failed == (("a", "not asked: rate limited for another 60.0 s"),)
    # With all three wanted there is no other way.
    with pytest.raises(errors.NoAgreement, match="a failed with rate_limited"):
        await net.run(net.pool.quorum(Call("eth_gasPrice"), agree=3))
    assert net["a"].requests == asked + 1
    with pytest.raises(ValueError, match="one endpoint at least"):
        await net.pool.quorum(Call("eth_gasPrice"), agree=0)


async def test_a_limit_told_in_one_item_of_a_batch_is_one_whatever_the_others_say() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=timedelta(hours=1)))
    await net.run(net.pool.refresh())
    net["a"].errors |= {"eth_call": error(-32000, "missing trie node"), "eth_gasPrice": error(-32005, "rate limit exceeded")}
    net["b"].results["eth_call"] = "0x"
    await net.run(net.pool.batch([Call("eth_call"), Call("eth_gasPrice")]))
    assert net.pool.standings()["a"].state is EndpointState.LIMITED


async def test_no_quorum_is_an_error_that_names_the_answers() -> None:
    net = Net("a", "b", "c")
    net["a"].results["eth_gasPrice"] = "0x98"
    net["b"].fault = refused
    net["c"].results["eth_gasPrice"] = "0x99"
    with pytest.raises(errors.NoAgreement, match='a gave "0x98", c gave "0x99"; b failed with connect') as caught:
        await net.run(net.pool.quorum(Call("eth_gasPrice")))
    assert caught.value.answers == (("a", '"0x98"'), ("c", '"0x99"'))
    assert net.calls[-1].error_type == "no_agreement"


async def test_a_quorum_does_not_wait_long_for_one_that_hangs() -> None:
    net = Net("a", "b", "c")
    net["c"].hangs = True
    quorum = await net.run(net.pool.quorum(Call("eth_gasPrice")))
    assert quorum.silent == ("c",)
    assert net.took_s <= 0.3
    await net.pool.aclose()


async def test_two_camps_of_one_size_are_no_quorum() -> None:
    net = Net("a", "b", "c")
    net["a"].results["eth_gasPrice"] = "0x1"
    net["b"].results["eth_gasPrice"] = "0x2"
    net["c"].results["eth_gasPrice"] = "0x3"
    with pytest.raises(errors.NoAgreement):
        await net.run(net.pool.quorum(Call("eth_gasPrice"), agree=1))


async def test_every_http_attempt_is_a_record_with_its_method_and_code() -> None:
    records: list[RequestRecord] = []
    net = Net("a", "b", observer=records.append, policy=PoolPolicy(refresh=timedelta(hours=1)))
    await net.run(net.pool.refresh())
    records.clear()
    net["a"].errors["eth_gasPrice"] = error(-32000, "header not found")
    await price(net)
    net["b"].fault = refused
    await net.run(net.pool.batch([Call("eth_gasPrice"), Call("eth_blockNumber")]))
    told = [(record.endpoint, record.rpc_method, record.rpc_code, record.error_type) for record in records]
    assert told[:2] == [("a", "eth_gasPrice", -32000, "rpc_not_served"), ("b", "eth_gasPrice", None, None)]
    assert ("b", "eth_gasPrice", None, "connect") in told
    assert {record.rpc_method for record in records[2:]} == {"batch", "eth_gasPrice"}


# -- sends -------------------------------------------------------------------------------------------------------------------

RAW = ["0x02aa"]


def sends(net: Net) -> int:
    return sum(node.seen.count("eth_sendRawTransaction") for node in net.nodes.values())


async def test_a_send_goes_out_once_after_the_chain_is_proven() -> None:
    net = Net("a", "b")
    net["a"].results["eth_sendRawTransaction"] = "0xhash"
    assert result_of(await net.run(net.pool.send("eth_sendRawTransaction", RAW))) == "0xhash"
    assert net["a"].seen == ["eth_chainId", "eth_sendRawTransaction"]
    assert sends(net) == 1


@pytest.mark.parametrize(
    "fault",
    [
        lambda net: refused,
        lambda net: lambda _: reply(503, b"", clock=net.clock),
        lambda net: lambda _: reply(429, b"", clock=net.clock),
        lambda net: lambda _: reply(200, b"", clock=net.clock),
        lambda net: lambda _: errors.ProtocolError("closed without an answer"),
    ],
)
async def test_a_send_that_fails_is_never_sent_again(fault: Any) -> None:
    net = Net("a", "b")
    await price(net)
    net["a"].fault = net["b"].fault = fault(net)
    with pytest.raises(errors.ProbekitError):
        await net.run(net.pool.send("eth_sendRawTransaction", RAW))
    assert sends(net) == 1


async def test_a_send_to_another_chain_is_refused_before_anything_leaves() -> None:
    net = Net("a")
    net["a"].results["eth_chainId"] = "0x5"
    with pytest.raises(errors.SendRefused, match="nothing was sent"):
        await net.run(net.pool.send("eth_sendRawTransaction", RAW))
    assert sends(net) == 0


async def test_a_send_moves_to_an_endpoint_that_proves_its_chain() -> None:
    net = Net("a", "b")
    net["a"].results["eth_chainId"] = "0x5"
    net["b"].results["eth_sendRawTransaction"] = "0xhash"
    assert result_of(await net.run(net.pool.send("eth_sendRawTransaction", RAW))) == "0xhash"
    assert net["a"].seen == ["eth_chainId"]


async def test_broadcast_sends_the_same_bytes_to_each_once() -> None:
    net = Net("a", "b", "c")
    net["a"].results["eth_sendRawTransaction"] = "0xhash"
    net["b"].errors["eth_sendRawTransaction"] = error(-32000, "already known")
    net["c"].results["eth_chainId"] = "0x5"
    outcomes = dict(await net.run(net.pool.broadcast("eth_sendRawTransaction", RAW)))
    assert result_of(outcomes["a"]) == "0xhash"
    assert isinstance(outcomes["b"], errors.RpcError)
    assert isinstance(outcomes["c"], errors.WrongChain)
    assert sends(net) == 2


async def test_reads_and_sends_do_not_pass_for_each_other() -> None:
    net = Net("a")
    with pytest.raises(ValueError, match=r"send\(\)"):
        await net.pool.call("eth_sendRawTransaction", RAW)
    with pytest.raises(ValueError, match="comparison"):
        await net.pool.quorum(Call("eth_sendRawTransaction", RAW))
    for method in (net.pool.send, net.pool.broadcast):
        with pytest.raises(ValueError, match="is a read"):
            await method("eth_gasPrice", [])
    assert net["a"].requests == 0


# -- set-up ------------------------------------------------------------------------------------------------------------------


def test_two_endpoints_of_one_name_are_refused() -> None:
    with pytest.raises(errors.ConfigError, match="one name"):
        Net("a", "a")


def test_no_endpoint_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match="no endpoint"):
        Net()


async def test_solana_is_the_same_pool() -> None:
    genesis = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
    net = Net("a", "b", family=SVM, identity=genesis)
    for name in "ab":
        net[name].results |= {"getGenesisHash": genesis, "getSlot": 500, "getHealth": "ok", "getVersion": {"solana-core": "3"}}
    net["a"].errors["getHealth"] = error(-32005, "Node is behind by 42 slots", {"numSlotsBehind": 42})
    standings = await net.run(net.pool.refresh())
    assert standings["a"].state is EndpointState.OUT_OF_SYNC
    assert "42 slots" in standings["a"].reason
    assert standings["b"].state is EndpointState.ALIVE


async def test_a_pool_of_one_tells_that_its_endpoint_is_back() -> None:
    net = Net("a")
    net["a"].fault = refused
    for _ in range(3):
        with pytest.raises(errors.ConnectError):
            await net.run(net.pool.call("eth_gasPrice"))
    assert [(change.chain, change.after) for change in net.changes] == [("testnet", EndpointState.UNREACHABLE)]
    net["a"].fault = None
    await net.run(net.pool.call("eth_gasPrice"))
    assert [change.after for change in net.changes] == [EndpointState.UNREACHABLE, EndpointState.ALIVE]


async def test_calls_that_share_a_deadline_take_no_longer_together() -> None:
    net = Net("a", policy=PoolPolicy(timeout=timedelta(seconds=4), rounds=1))
    await net.run(net.pool.call("eth_gasPrice"))
    net["a"].delay_ns = 3_000_000_000

    async def two() -> Any:
        with net.pool.one_deadline():
            await net.pool.call("eth_gasPrice")
            net["a"].hangs = True
            with net.pool.one_deadline(timedelta(minutes=1)):  # An inner one cannot extend it.
                await net.pool.call("eth_gasPrice")

    with pytest.raises(errors.DeadlineExceeded):
        await net.run(two())
    assert net.took_s == pytest.approx(4, abs=0.02)
    net["a"].hangs = False
    with net.pool.one_deadline(timedelta(seconds=1)):
        shared = asyncio.ensure_future(net.pool.call("eth_gasPrice"))
    net["a"].hangs = True
    with pytest.raises(errors.DeadlineExceeded):
        await net.run(shared)
    assert net.took_s == pytest.approx(1, abs=0.02), "tasks started within share it"
    net["a"].hangs, net["a"].delay_ns = False, 0
    await net.run(net.pool.call("eth_gasPrice"))
