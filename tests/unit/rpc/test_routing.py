"""Who is asked, when, and whose answer counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.testing import FakeClock, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import Call, EndpointState, HealthPolicy, PoolPolicy
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.limiter import ExtraBudget
from probekit.units import NS_PER_S
from tests.unit.rpc.nodes import Net, error, refused

HOUR = timedelta(hours=1)
LOGS = Call("eth_getLogs", [{}])
WARM = PoolPolicy(hedge_samples=5, refresh=HOUR)


def reads(net: Net, name: str, method: str = "eth_gasPrice") -> int:
    return net[name].seen.count(method)


async def price(net: Net, **options: Any) -> Any:
    return result_of(await net.run(net.pool.call("eth_gasPrice", **options)))


async def warm(net: Net) -> tuple[str, str]:
    """Ten calls; the endpoint that answered them, and another."""
    for _ in range(10):
        await price(net)
    first = next(name for name in net.nodes if reads(net, name) == 10)
    return first, next(name for name in net.nodes if name != first)


def only(method: str, fault: Callable[[Request], Response | Exception], net: Net, name: str, *, after_ns: int = 0) -> None:
    """Give a node a fault for one method, after a while."""

    async def answer(request: Request) -> Response | Exception:
        asked = json.loads(request.body or b"")
        if not isinstance(asked, list) and asked["method"] == method:
            net[name].requests += 1
            net[name].seen.append(method)
            await net.clock.sleep_until_ns(net.clock.monotonic_ns() + after_ns)
            return fault(request)
        return await sound(request)

    sound = net[name].answer
    net[name].answer = answer  # type: ignore[method-assign]


# -- hedging -----------------------------------------------------------------------------------------------------------------


async def test_null_does_not_win_where_the_slower_one_has_data() -> None:
    net = Net("a", "b", policy=WARM)
    slow, other = await warm(net)
    net[slow].delay_ns = NS_PER_S // 6
    net[other].results["eth_gasPrice"] = None
    assert await price(net) == "0x7"
    assert [attempt.error_type for attempt in net.calls[-1].attempts] == [None, None]


async def test_null_stands_when_the_other_says_no_more_in_as_long_again() -> None:
    net = Net("a", "b", policy=WARM)
    slow, other = await warm(net)
    net[other].results["eth_gasPrice"] = None
    for behave in ("hangs", "null", "refuses"):
        net[slow].hangs = behave == "hangs"
        net[slow].delay_ns = NS_PER_S // 6
        net[slow].results["eth_gasPrice"] = None
        net[slow].fault = refused if behave == "refuses" else None
        assert await price(net) is None
        assert net.took_s <= 0.25, behave


async def test_an_endpoint_that_lags_is_not_asked_beside_another() -> None:
    net = Net("a", "b", policy=PoolPolicy(hedge_samples=5))
    net["a"].head(500)
    net["b"].results["eth_gasPrice"] = "0x01d"
    await net.run(net.pool.refresh())
    for _ in range(10):
        assert await price(net) == "0x7"
    net["a"].delay_ns = 2 * NS_PER_S
    assert await price(net) == "0x7"
    assert reads(net, "b") == 0


async def test_one_that_is_overtaken_again_and_again_goes_behind() -> None:
    net = Net("a", "b", policy=WARM)
    slow, other = await warm(net)
    net[slow].hangs = True
    for _ in range(3):
        assert await price(net) == "0x7"
        assert net.took_s >= 0.09
    asked = reads(net, slow)
    assert await price(net) == "0x7"
    assert net.took_s < 0.05
    assert reads(net, slow) == asked
    assert net.pool.standings()[slow].state is EndpointState.ALIVE
    assert reads(net, other) == 4


async def test_hedges_stop_when_their_budget_is_used_up() -> None:
    net = Net("a", "b", policy=PoolPolicy(hedge_samples=5, refresh=HOUR, extra_burst=2, extra_percent=10, extra_refill=HOUR))
    slow, other = await warm(net)
    for _ in range(90):
        await price(net)
    net[slow].delay_ns = NS_PER_S // 5
    net[other].delay_ns = NS_PER_S // 4  # Never the faster one, so that the order stays.
    for _ in range(5):
        assert await price(net) == "0x7"
    assert reads(net, other) == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=120), st.integers(0, 100), st.integers(1, 30))
async def test_extra_requests_stay_within_their_share(steps: list[tuple[bool, int]], percent: int, burst: int) -> None:
    clock = FakeClock()
    budget, taken, started_ns = ExtraBudget(percent, burst, NS_PER_S, clock), 0, clock.monotonic_ns()
    for calls, (wants, seconds) in enumerate(steps, start=1):
        clock._now_ns += seconds * NS_PER_S
        budget.earn()
        taken += wants and budget.take()
        assert taken * 100 <= burst * 100 + calls * percent + (clock.monotonic_ns() - started_ns) // NS_PER_S * 100


# -- breakers ----------------------------------------------------------------------------------------------------------------


async def logs(net: Net) -> Any:
    return result_of(await net.run(net.pool.call(LOGS.method, LOGS.params)))


async def test_failing_at_one_kind_of_call_rests_that_kind_alone() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR, rounds=1))
    for name in "ab":
        net[name].results["eth_getLogs"] = []
    await net.run(net.pool.refresh())
    only("eth_getLogs", lambda _: reply(502, b"", clock=net.clock), net, "a")
    for _ in range(3):
        await net.run(net.pool.quorum(LOGS, agree=1))
    standing = net.pool.standings()["a"]
    assert standing.state is EndpointState.ALIVE
    assert standing.resting[0][0] == "logs"
    assert "server_error" in standing.resting[0][1]
    asked = reads(net, "a", "eth_getLogs")
    assert await logs(net) == []
    assert reads(net, "a", "eth_getLogs") == asked
    await price(net)
    assert reads(net, "a") == 1


async def test_a_breaker_that_is_open_longer_than_its_failures_are_remembered() -> None:
    health = HealthPolicy(open_for=timedelta(minutes=3))
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR, rounds=1), health=health)
    for name in "ab":
        net[name].results["eth_getLogs"] = []
    await net.run(net.pool.refresh())
    only("eth_getLogs", lambda _: reply(502, b"", clock=net.clock), net, "a")
    for _ in range(3):
        await net.run(net.pool.quorum(LOGS, agree=1))
    asked = reads(net, "a", "eth_getLogs")
    await net.clock.advance(timedelta(minutes=2))
    assert await logs(net) == []
    assert reads(net, "a", "eth_getLogs") == asked
    await net.clock.advance(timedelta(minutes=2))
    assert await logs(net) == []
    assert reads(net, "a", "eth_getLogs") == asked + 1


async def test_half_open_is_for_one_trial_at_a_time() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR, rounds=1, hedge=False))
    for name in "ab":
        net[name].results["eth_getLogs"] = []
    await net.run(net.pool.refresh())
    only("eth_getLogs", lambda _: reply(502, b"", clock=net.clock), net, "a", after_ns=NS_PER_S // 10)
    for _ in range(3):
        await net.run(net.pool.quorum(LOGS, agree=1))
    asked = reads(net, "a", "eth_getLogs")
    await net.clock.advance(timedelta(seconds=61))
    several = asyncio.gather(*(net.pool.call(LOGS.method, LOGS.params) for _ in range(5)))
    assert [result_of(item) for item in await net.run(several)] == [[]] * 5
    assert reads(net, "a", "eth_getLogs") == asked + 1


async def test_a_method_that_a_live_node_lacks_is_not_asked_of_one_whose_breaker_is_open() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["b"].fault = refused
    net["b"].results["eth_gasPrice"] = None
    for _ in range(3):
        await net.run(net.pool.quorum(Call("eth_gasPrice"), agree=1))
    assert net.pool.standings()["b"].state is EndpointState.UNREACHABLE
    net["b"].fault, net["b"].hangs = None, True
    asked = net["b"].requests
    with pytest.raises(errors.NotServed):
        await net.run(net.pool.call("eth_nonsense"))
    assert net["b"].requests == asked
    assert net.took_s < 0.1


async def test_a_node_that_says_not_here_says_more_than_one_that_cannot_be_reached() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["b"].fault = refused
    with pytest.raises(errors.NotServed) as caught:
        await net.run(net.pool.call("eth_nonsense"))
    assert {line.partition(":")[0] for line in caught.value.attempts} == {"a", "b"}


async def test_not_here_from_one_does_not_keep_another_from_a_second_round() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["a"].errors["eth_gasPrice"] = error(-32000, "header not found")
    net["b"].fault = refused
    task = asyncio.ensure_future(net.pool.call("eth_gasPrice"))
    await net.clock.settle()
    net["b"].fault = None
    assert result_of(await net.run(task)) == "0x7"


async def test_time_that_was_too_short_for_anybody_opens_no_breaker() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1))
    net["a"].delay_ns = NS_PER_S // 10
    await price(net)
    net["a"].hangs = True
    for _ in range(10):
        with pytest.raises(errors.DeadlineExceeded):
            await price(net, timeout=timedelta(milliseconds=20))
    assert net.pool.standings()["a"].state is EndpointState.ALIVE


async def test_an_answer_that_is_an_error_closes_the_breaker() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1), health=HealthPolicy(consecutive=1))
    net["a"].fault = refused
    with pytest.raises(errors.ConnectError):
        await price(net)
    net["a"].fault = None
    with pytest.raises(errors.NotServed):
        await net.run(net.pool.call("eth_nonsense"))
    assert net.pool.standings()["a"].state is EndpointState.ALIVE
    assert [change.after for change in net.changes] == [EndpointState.UNREACHABLE, EndpointState.ALIVE]


# -- order -------------------------------------------------------------------------------------------------------------------


async def first_asked(net: Net) -> str:
    net.calls.clear()
    await price(net)
    return str(net.calls[0].attempts[0].endpoint)


async def test_of_two_that_are_alive_the_one_nearer_to_the_head_is_first() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    net["a"].head(100)
    net["b"].head(106)
    standings = await net.run(net.pool.refresh())
    assert {standing.state for standing in standings.values()} == {EndpointState.ALIVE}
    assert await first_asked(net) == "b"


async def test_on_a_fast_chain_one_that_answers_a_look_later_does_not_lag_meanwhile() -> None:
    net = Net("a", "b")
    for head in (100, 140):
        net["a"].head(head)
        net["b"].head(head)
        await net.run(net.pool.refresh())
        await net.clock.advance(timedelta(seconds=10))
    net["a"].head(180)
    net["b"].head(180)
    net["b"].delay_ns = 3 * NS_PER_S
    looking = asyncio.ensure_future(net.pool.refresh())
    for _ in range(4):
        await net.clock.advance(timedelta(seconds=1))
        assert {standing.state for standing in net.pool.standings().values()} == {EndpointState.ALIVE}
    await looking
    # One that does not answer looks any more is compared with the newest head.
    net["b"].hangs = True
    for head in (220, 260, 300):
        await net.clock.advance(timedelta(seconds=10))
        net["a"].head(head)
        await net.run(net.pool.refresh())
    assert [(change.endpoint, change.after) for change in net.changes] == [
        ("b", EndpointState.LAGGING),
        ("b", EndpointState.UNREACHABLE),
    ]


async def test_of_two_that_are_alive_the_one_that_fails_less_is_first() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["a"].fault = refused
    assert await first_asked(net) == "a"
    net["a"].fault = None
    await net.run(net.pool.refresh())
    assert net.pool.standings()["a"].state is EndpointState.ALIVE
    assert await first_asked(net) == "b"


async def test_of_two_that_are_alive_the_faster_one_is_first() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR, hedge=False))
    net["a"].delay_ns = NS_PER_S // 5
    await net.run(net.pool.refresh())
    assert await first_asked(net) == "b"


async def test_of_two_that_are_alive_one_with_room_under_its_rate_is_first() -> None:
    net = Net("a", "b", endpoint={"requests_per_second": 1.0, "burst": 4}, policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    await net.clock.advance(timedelta(seconds=20))
    firsts = [await first_asked(net) for _ in range(8)]
    assert sorted(firsts) == ["a"] * 4 + ["b"] * 4
    assert net.took_s < 0.1


async def test_looks_and_sends_count_against_the_rate() -> None:
    net = Net("a", endpoint={"requests_per_second": 1.0, "burst": 3})
    net["a"].results["eth_sendRawTransaction"] = "0xhash"
    await net.run(net.pool.refresh())
    await net.run(net.pool.send("eth_sendRawTransaction", ["0x02"]))
    assert 0.9 <= net.took_s <= 1.1
    with pytest.raises(errors.SendRefused, match="rate limit leaves no room") as caught:
        await net.run(net.pool.send("eth_sendRawTransaction", ["0x02"], timeout=timedelta(milliseconds=100)))
    assert "nothing was sent" in caught.value.message
    assert net["a"].seen.count("eth_sendRawTransaction") == 1


# -- gateways ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 408, 418, 451, 520])
async def test_any_error_status_is_the_endpoints_and_another_is_asked(status: int) -> None:
    net = Net("a", "b")
    await net.run(net.pool.refresh())
    net["a"].fault = lambda _: reply(status, b"<html>", clock=net.clock)
    assert await price(net) == "0x7"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, {"error": "Service Unavailable"}),
        (503, {"jsonrpc": "2.0", "id": None, "error": {"code": -32011, "message": "no backends available for method"}}),
        (500, {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "something broke"}}),
        (502, {"message": "bad gateway"}),
        (200, {"error": "invalid project"}),
        (200, {"code": -32007, "message": "50/second request limit reached - reduce calls per second or upgrade"}),
        (200, {"jsonrpc": "2.0", "id": None, "error": {"code": -32090, "message": "Too many requests, retry in 10m0s"}}),
        (200, {"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": None}}),
    ],
)
async def test_a_gateways_words_are_not_the_nodes_answer(status: int, body: Any) -> None:
    net = Net("a", "b")
    await net.run(net.pool.refresh())
    net["a"].fault = lambda _: reply(status, json.dumps(body), clock=net.clock)
    assert await price(net) == "0x7"
    assert {attempt.endpoint for attempt in net.calls[-1].attempts} == {"a", "b"}


async def test_a_nodes_error_under_an_error_status_is_its_answer() -> None:
    net = Net("a", "b")
    await net.run(net.pool.refresh())

    def fault(request: Request) -> Response:
        asked = json.loads(request.body or b"")
        body = {"jsonrpc": "2.0", "id": asked["id"], "error": error(-32602, "invalid argument 0")}
        return reply(400, json.dumps(body), clock=net.clock)

    net["a"].fault = fault
    with pytest.raises(errors.RpcError, match="invalid argument 0"):
        await price(net)
    assert net["b"].seen.count("eth_gasPrice") == 0


async def test_a_limit_inside_a_429_names_its_time() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    body = {"jsonrpc": "2.0", "id": None, "error": error(-32005, "rate limited", {"rate": {"backoff_seconds": 90}})}
    net["a"].fault = lambda _: reply(429, json.dumps(body), clock=net.clock)
    assert await price(net) == "0x7"
    standing = net.pool.standings()["a"]
    assert (standing.state, standing.reason) == (EndpointState.LIMITED, "rate limited for another 90.0 s")


async def test_a_503_that_asks_to_wait_is_left_alone() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["a"].fault = lambda _: reply(503, b"", {"retry-after": "60"}, clock=net.clock)
    assert await price(net) == "0x7"
    standing = net.pool.standings()["a"]
    assert (standing.state, standing.reason) == (EndpointState.LIMITED, "answered 503 and asked to wait for another 60.0 s")


# -- limits ------------------------------------------------------------------------------------------------------------------


def limited(net: Net, after: str | None) -> Callable[[Request], Response]:
    return lambda _: reply(429, b"", {} if after is None else {"retry-after": after}, clock=net.clock)


async def test_the_only_endpoint_is_asked_again_when_its_named_time_is_up() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1))
    await price(net)
    net["a"].fault = limited(net, "3")
    with pytest.raises(errors.RateLimited):
        await price(net)
    net["a"].fault = None
    assert await price(net) == "0x7"
    assert 2.9 <= net.took_s <= 3.1


async def test_a_time_beyond_the_deadline_is_told_at_once_after_one_request() -> None:
    net = Net("a")
    await price(net)
    net["a"].fault = limited(net, "3600")
    asked = net["a"].requests
    with pytest.raises(errors.RateLimited) as caught:
        await price(net)
    assert caught.value.retry_after_ns == 3600 * NS_PER_S
    assert net["a"].requests - asked == 1
    assert net.took_s <= 0.02
    # It may have guessed; the last one left is still asked when somebody wants to know.
    net["a"].fault = None
    assert await price(net) == "0x7"


async def test_several_that_are_all_limited_wait_for_the_first() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    net["a"].fault, net["b"].fault = limited(net, "9"), limited(net, "2")
    task = asyncio.ensure_future(net.pool.call("eth_gasPrice"))
    await net.clock.advance(timedelta(seconds=1))
    net["b"].fault = None
    assert result_of(await net.run(task)) == "0x7"
    assert net.took_s <= 1.1
    assert reads(net, "a") == 1


async def test_a_limit_without_a_time_is_not_waited_for() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1, timeout=timedelta(seconds=60)))
    await price(net)
    net["a"].fault = limited(net, None)
    with pytest.raises(errors.RateLimited):
        await price(net)
    net["a"].fault = None
    assert await price(net) == "0x7"
    assert net.took_s < 0.1


# -- the chain ---------------------------------------------------------------------------------------------------------------


async def test_an_endpoint_that_changes_its_chain_is_found_by_the_next_look() -> None:
    net = Net("a", "b")
    await net.run(net.pool.refresh())
    net["a"].results["eth_chainId"] = "0x5"
    net["a"].results["eth_gasPrice"] = "0xbad"
    await net.clock.advance(timedelta(seconds=11))
    await price(net)
    await net.clock.settle()
    standing = net.pool.standings()["a"]
    assert standing.state is EndpointState.WRONG_CHAIN
    assert standing.reason == "serves chain 5, expected 1 (it served 1 before)"
    for _ in range(5):
        assert await price(net) == "0x7"


async def test_the_only_endpoint_is_asked_for_its_chain_again() -> None:
    net = Net("a")
    await price(net)
    net["a"].results["eth_chainId"] = "0x5"
    assert await price(net) == "0x7"
    await net.clock.advance(timedelta(minutes=5))
    with pytest.raises(errors.WrongChain):
        await price(net)


async def test_an_answer_that_was_under_way_when_the_chain_was_found_wrong_is_not_used() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR, hedge=False))
    await net.run(net.pool.refresh())
    net["a"].results["eth_gasPrice"] = "0xbad"
    net["a"].delay_ns = NS_PER_S
    task = asyncio.ensure_future(net.pool.call("eth_gasPrice"))
    await net.clock.advance(timedelta(milliseconds=100))
    net["a"].results["eth_chainId"], net["a"].delay_ns = "0x5", 0
    await net.run(net.pool.refresh())
    assert result_of(await net.run(task)) == "0x7"


async def test_an_endpoint_that_hangs_at_its_proof_leaves_time_for_a_send_elsewhere() -> None:
    net = Net("a", "b")
    net["a"].hangs = True
    net["b"].results["eth_sendRawTransaction"] = "0xhash"
    assert result_of(await net.run(net.pool.send("eth_sendRawTransaction", ["0x02"]))) == "0xhash"
    assert net.took_s <= 10 / 3 + 0.1


async def test_a_word_about_the_chain_that_is_never_new_enough_is_asked_once_for_each_call() -> None:
    net = Net("a", policy=PoolPolicy(proof=timedelta(0), refresh=timedelta(0)))
    net["a"].results["eth_sendRawTransaction"] = "0xhash"
    for _ in range(2):
        await net.clock.advance(timedelta(milliseconds=1))
        await price(net)
    await net.clock.advance(timedelta(milliseconds=1))
    await net.run(net.pool.send("eth_sendRawTransaction", ["0x02"]))
    assert reads(net, "a", "eth_chainId") == 3


async def test_a_send_wants_a_newer_word_about_the_chain_than_a_read() -> None:
    net = Net("a")
    net["a"].results["eth_sendRawTransaction"] = "0xhash"
    await price(net)
    await net.clock.advance(timedelta(seconds=11))
    net["a"].results["eth_chainId"] = "0x5"
    with pytest.raises(errors.SendRefused, match="serves chain 5"):
        await net.run(net.pool.send("eth_sendRawTransaction", ["0x02"]))
    assert "eth_sendRawTransaction" not in net["a"].seen


async def test_waiting_for_anothers_look_at_the_chain_keeps_ones_own_deadline() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1))
    net["a"].hangs = True
    slow = asyncio.ensure_future(net.pool.call("eth_gasPrice", timeout=timedelta(seconds=30)))
    await net.clock.settle()
    with pytest.raises(errors.DeadlineExceeded, match="not proven in time"):
        await price(net, timeout=timedelta(seconds=1))
    assert net.took_s <= 1.1
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    net["a"].hangs = False
    assert await price(net) == "0x7"


async def test_a_look_at_the_chain_that_fails_fails_for_all_who_wait_for_it() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1))
    net["a"].delay_ns = NS_PER_S // 10
    net["a"].fault = refused
    outcomes = await net.run(asyncio.gather(*(net.pool.call("eth_gasPrice") for _ in range(20)), return_exceptions=True))
    assert {type(outcome) for outcome in outcomes} == {errors.ConnectError}
    assert net["a"].requests == 1


# -- batches -----------------------------------------------------------------------------------------------------------------


def batch_fault(net: Net, name: str, answer: Callable[[list[Any]], Response | None]) -> None:
    """``answer`` gives what a batch is answered with, ``None`` for the node's own answers."""
    sound = net[name].answer

    async def faulty(request: Request) -> Response | Exception:
        asked = json.loads(request.body or b"")
        if isinstance(asked, list) and (given := answer(asked)) is not None:
            net[name].requests += 1
            return given
        return await sound(request)

    net[name].answer = faulty  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, "Bad Request"),
        (405, ""),
        (501, ""),
        (403, '{"error":"Batch requests are only available for paid plans"}'),
        (200, '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}'),
        (200, '{"jsonrpc":"2.0","id":null,"error":{"code":-32202,"message":"Batch requests are disabled"}}'),
        (200, '{"jsonrpc":"2.0","id":null,"error":{"code":-32014,"message":"too many RPC calls in batch request"}}'),
    ],
)
async def test_a_server_without_batches_is_asked_one_by_one(status: int, body: str) -> None:
    net = Net("a")
    batch_fault(net, "a", lambda _: reply(status, body, clock=net.clock))
    outcomes = await net.run(net.pool.batch([Call("eth_gasPrice")] * 3))
    assert [result_of(outcome) for outcome in outcomes] == ["0x7"] * 3
    asked = net["a"].requests
    await net.run(net.pool.batch([Call("eth_gasPrice")] * 3))
    assert net["a"].requests == asked + 3


async def test_a_status_that_was_not_about_the_batch_is_not_held_against_batches() -> None:
    net = Net("a", policy=PoolPolicy(rounds=1))
    await price(net)
    net["a"].fault = lambda _: reply(400, b"Bad Request", clock=net.clock)
    outcomes = await net.run(net.pool.batch([Call("eth_gasPrice")] * 9))
    assert {type(outcome) for outcome in outcomes} == {errors.StatusError}
    net["a"].fault = None
    asked = net["a"].requests
    await net.run(net.pool.batch([Call("eth_gasPrice")] * 9))
    assert net["a"].requests == asked + 1


@pytest.mark.parametrize("status", [429, 502])
async def test_a_part_that_fails_leaves_the_rest_to_another_endpoint(status: int) -> None:
    net = Net("a", "b", endpoint={"max_batch": 2}, policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())
    parts = 0

    def second_fails(_: list[Any]) -> Response | None:
        nonlocal parts
        parts += 1
        return reply(status, b"", clock=net.clock) if parts > 1 else None

    batch_fault(net, "a", second_fails)
    outcomes = await net.run(net.pool.batch([Call("eth_gasPrice")] * 10))
    assert [result_of(outcome) for outcome in outcomes] == ["0x7"] * 10
    assert (parts, reads(net, "b")) == (2, 8)


async def test_limits_inside_the_items_of_a_batch_go_elsewhere_item_by_item() -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())

    def half(asked: list[Any]) -> Response:
        answers = [
            {"jsonrpc": "2.0", "id": item["id"]}
            | ({"result": "0x7"} if index % 2 else {"error": error(429, "exceeded its compute units per second capacity")})
            for index, item in enumerate(asked)
        ]
        return reply(200, json.dumps(answers[::-1]), clock=net.clock)

    batch_fault(net, "a", half)
    outcomes = await net.run(net.pool.batch([Call("eth_gasPrice")] * 10))
    assert [result_of(outcome) for outcome in outcomes] == ["0x7"] * 10
    assert reads(net, "b") == 5
    assert net.pool.standings()["a"].state is EndpointState.LIMITED


@pytest.mark.parametrize("fault", ["missing", "foreign", "twice", "result", "empty"])
async def test_what_a_batch_answer_leaves_out_is_asked_elsewhere(fault: str) -> None:
    net = Net("a", "b", policy=PoolPolicy(refresh=HOUR))
    await net.run(net.pool.refresh())

    def answer(asked: list[Any]) -> Response:
        answers: Any = [{"jsonrpc": "2.0", "id": item["id"], "result": "0x7"} for item in asked]
        if fault == "missing":
            del answers[1]
        elif fault == "foreign":
            answers[1]["id"] += 1_000_000
        elif fault == "twice":
            answers[1] = answers[0] | {"result": "0xbad"}
        elif fault == "result":
            answers = answers[0]
        else:
            answers = []
        return reply(200, json.dumps(answers), clock=net.clock)

    batch_fault(net, "a", answer)
    outcomes = await net.run(net.pool.batch([Call("eth_gasPrice")] * 3))
    assert [result_of(outcome) for outcome in outcomes] == ["0x7"] * 3
    assert reads(net, "b") == (3 if fault in ("result", "empty") else 1)
