"""JSON-RPC calls of pools as metrics: durations, errors, hedges, the states of endpoints; and the whole way from a probe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from probekit.checks import Check, LatencyBudget, LatencySample
from probekit.clients.evm import EvmClient
from probekit.errors import ProbekitError
from probekit.model import Observation, ProbeRun, Target, Vantage
from probekit.model.rpc import Attempt, CallRecord, EndpointState, StateChange
from probekit.probe import AnyObservation, Context, Options, Probe
from probekit.runner import RunSettings, run_once
from probekit.runner.encode import decode_run, encode_run
from probekit.runner.requests import MAX_CALLS, MAX_CHANGES, CallLog
from probekit.telemetry import names
from probekit.telemetry.calls import CallMeter
from probekit.telemetry.slots import Slots
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.rpc import Endpoint
from probekit.units import NS_PER_MS
from tests.unit.telemetry import builders as make
from tests.unit.telemetry.builders import record
from tests.unit.telemetry.receiver import Receiver, attributes, http_receiver, points, values

CHAIN = "evm:5"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


def call(*attempts: Attempt, **changes: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "chain": CHAIN,
        "method": "eth_call",
        "started_at": make.NOW,
        "elapsed_ns": 90 * NS_PER_MS,
        "attempts": attempts or (Attempt("alchemy", 80 * NS_PER_MS),),
    }
    return CallRecord(**(fields | changes))


def change(after: EndpointState, before: EndpointState = EndpointState.ALIVE, endpoint: str = "alchemy") -> StateChange:
    return StateChange(endpoint, before, after, "because", make.NOW, CHAIN)


def counts(metric: Any) -> dict[tuple[Any, ...], int]:
    """Histogram counts by attribute values, in the order of the names."""
    return {tuple(value for _, value in sorted(attributes(point).items())): point.count for point in points(metric)}


def states(metric: Any) -> dict[str, str]:
    """The present state of each endpoint."""
    return {
        attributes(point)["probekit.endpoint"]: attributes(point)["probekit.rpc.state"]
        for point in points(metric)
        if point.as_double == 1
    }


def test_durations_of_calls_and_attempts_by_error_type(receiver: Receiver) -> None:
    limited = Attempt("infura", 5 * NS_PER_MS, error_type="rate_limited")
    run = make.run(
        calls=(
            call(),
            call(limited, Attempt("alchemy", 9 * NS_PER_MS)),
            call(limited, error_type="rate_limited", rpc_code=-32005),
            call(method="weird method!"),
            call(method="batch", items=10, failed_items=3),
            call(Attempt("alchemy", 1, error_type="cancelled"), error_type="cancelled"),
            call(Attempt("alchemy", 1, error_type="cancelled"), Attempt("infura", 1, hedge=True)),
        )
    )
    record(receiver, run)
    metrics = receiver.metrics()
    assert counts(metrics["rpc.client.call.duration"]) == {
        (CHAIN, "eth_call", "jsonrpc"): 3,
        ("rate_limited", CHAIN, "eth_call", "jsonrpc"): 1,
        (CHAIN, "_OTHER", "jsonrpc"): 1,
        (CHAIN, "batch", "jsonrpc"): 1,
    }
    assert counts(metrics["probekit.rpc.attempt.duration"]) == {
        (CHAIN, "alchemy"): 4,
        ("rate_limited", CHAIN, "infura"): 2,
        (CHAIN, "infura"): 1,
    }
    assert values(metrics["probekit.rpc.hedges"]) == {(CHAIN, "infura"): 1}
    assert values(metrics["probekit.rpc.failed_items"]) == {(CHAIN,): 3}
    (exemplar,) = {one.trace_id.hex() for point in points(metrics["rpc.client.call.duration"]) for one in point.exemplars}
    assert exemplar == run.run_id


def test_an_endpoint_is_alive_until_told_otherwise_and_each_change_counts(receiver: Receiver) -> None:
    recorder_runs = [
        make.run(calls=(call(), call(Attempt("infura", 1)))),
        make.run(endpoint_changes=(change(EndpointState.LIMITED), change(EndpointState.UNREACHABLE, EndpointState.LIMITED))),
        make.run(calls=(call(),), endpoint_changes=(change(EndpointState.LAGGING, endpoint="third"),)),
    ]
    record(receiver, *recorder_runs)
    metrics = receiver.metrics()
    state = metrics["probekit.rpc.endpoint.state"]
    assert states(state) == {"alchemy": "unreachable", "infura": "alive", "third": "lagging"}
    assert len(points(state)) == 3 * len(EndpointState)
    assert all(attributes(point)["probe"] == "hermes_freshness" for point in points(state))
    changes = {
        (attributes(point)["probekit.endpoint"], attributes(point)["probekit.rpc.state"]): point.as_int
        for point in points(metrics["probekit.rpc.endpoint.changes"])
    }
    assert changes == {("alchemy", "limited"): 1, ("alchemy", "unreachable"): 1, ("third", "lagging"): 1}


def test_ever_new_methods_and_endpoints_stay_within_the_limit() -> None:
    slots = Slots(limit=5, clock_ns=lambda: 0)
    meter = CallMeter(slots)
    for number in range(40):
        attempt = Attempt(f"endpoint {number}", 1, hedge=True)
        meter.record(make.run(calls=(call(attempt, method=f"eth_{number}", chain=f"chain {number}"),)), None)
    for spec in (names.RPC_DURATION, names.RPC_ATTEMPT_DURATION):
        assert len(slots.histogram(spec).series) == 5
        assert slots.histogram(spec).folded == 35
    assert len(slots.counter(names.RPC_HEDGES).series) == 5
    assert len(slots.gauge(names.RPC_ENDPOINT_STATE).series) == 5


def test_calls_beyond_the_bound_are_counted_and_of_changes_the_newest_stay() -> None:
    log = CallLog()
    for _ in range(MAX_CALLS + 7):
        log.add(call())
    for number in range(MAX_CHANGES + 1):
        log.add_change(change(EndpointState.LIMITED, endpoint=str(number)))
    calls, dropped, changes = log.take()
    assert (len(calls), dropped, len(changes), changes[-1].endpoint) == (MAX_CALLS, 7, MAX_CHANGES, str(MAX_CHANGES))
    assert log.take() == ((), 0, ())


def test_dropped_calls_show_on_the_run(receiver: Receiver) -> None:
    record(receiver, make.run(calls_dropped=3))
    assert attributes(receiver.spans()[0])["probekit.run.calls_dropped"] == 3


# -- from a probe to the metrics -----------------------------------------------------------------------------------------------


class NodeOptions(Options, frozen=True, kw_only=True):
    down: bool = False


class Node:
    """One EVM node that answers, or refuses everything."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.status = 200
        self.transport = ReplyTransport(self.answer)

    def answer(self, request: Any) -> Any:
        if self.status != 200:
            return reply(self.status, "<html>", clock=self.clock)
        asked = msgspec.json.decode(request.body)
        result = {"eth_chainId": "0x5", "eth_blockNumber": "0x10"}[asked["method"]]
        return reply(200, msgspec.json.encode({"jsonrpc": "2.0", "id": asked["id"], "result": result}), clock=self.clock)


async def head_of(ctx: Context[NodeOptions], targets: Sequence[Target]) -> AsyncIterator[AnyObservation]:
    client = await ctx.hold(
        "evm",
        lambda: EvmClient(
            Endpoint("http://node.test", name="node"),
            chain_id=5,
            transport=ctx.engine(),
            observer=ctx.observer,
            on_call=ctx.on_call,
            on_change=ctx.on_change,
            clock=ctx.clock,
        ),
    )
    for _ in range(4):
        try:
            await client.block_number()
        except ProbekitError:
            continue
    yield Observation(LatencySample(5), "node", ctx.clock.now(), "node")


async def node_targets(_: Context[NodeOptions]) -> Sequence[Target]:
    return [Target("node", "service")]


def node_checks(_: NodeOptions, __: Target) -> Sequence[Check]:
    return [LatencyBudget(timedelta(seconds=1), percentile=100, samples=1)]


PROBE = Probe.poll(
    name="evm_head", question="q?", options=NodeOptions, targets=node_targets, observe=head_of, checks=node_checks
)


async def run_of(status: int) -> ProbeRun:
    clock = FakeClock()
    node = Node(clock)
    node.status = status
    settings = replace(RunSettings(), vantage=Vantage("host", region="eu-west-1"), deadline=timedelta(seconds=9))
    task = asyncio.ensure_future(
        run_once(PROBE, NodeOptions(), settings=settings, clock=clock, engines=lambda _: node.transport)
    )
    for _ in range(200):
        if task.done():
            break
        await clock.advance(timedelta(milliseconds=100))
    return await task


async def test_what_a_probes_pool_tells_reaches_the_receiver(receiver: Receiver) -> None:
    run = await run_of(200)
    assert [(one.method, one.error_type, one.chain) for one in run.calls] == [("eth_blockNumber", None, CHAIN)] * 4
    assert decode_run(encode_run(run)).calls == run.calls
    record(receiver, run)
    metrics = receiver.metrics()
    assert counts(metrics["rpc.client.call.duration"]) == {(CHAIN, "eth_blockNumber", "jsonrpc"): 4}
    assert states(metrics["probekit.rpc.endpoint.state"]) == {"node": "alive"}


async def test_an_endpoint_that_goes_down_reaches_the_receiver(receiver: Receiver) -> None:
    run = await run_of(500)
    assert [one.after for one in run.endpoint_changes] == [EndpointState.UNREACHABLE]
    assert {one.error_type for one in run.calls} == {"server_error"}
    record(receiver, run)
    metrics = receiver.metrics()
    assert counts(metrics["rpc.client.call.duration"]) == {("server_error", CHAIN, "eth_blockNumber", "jsonrpc"): 4}
    assert states(metrics["probekit.rpc.endpoint.state"]) == {"node": "unreachable"}


def beneath(receiver: Receiver) -> tuple[Any, list[Any], dict[bytes, list[Any]]]:
    """The run's span, the spans right under it, and under each of those its own."""
    spans = receiver.spans()
    (root,) = [span for span in spans if not span.parent_span_id]
    children: dict[bytes, list[Any]] = {}
    for span in spans:
        children.setdefault(span.parent_span_id, []).append(span)
    assert len({span.span_id for span in spans}) == len(spans)
    assert {span.trace_id for span in spans} == {root.trace_id}
    return root, children.get(root.span_id, []), children


async def test_a_call_is_one_span_with_its_attempts_beneath(receiver: Receiver) -> None:
    run = await run_of(200)
    record(receiver, run)
    _, calls, children = beneath(receiver)
    assert [span.name for span in calls] == ["eth_blockNumber"] * 4
    assert [attributes(span) for span in calls] == [
        {"rpc.system.name": "jsonrpc", "rpc.method": "eth_blockNumber", "probekit.chain": CHAIN, "probekit.rpc.attempts": 1}
    ] * 4
    first, *others = ([span.name for span in children[call.span_id]] for call in calls)
    assert first == ["eth_chainId", "eth_blockNumber"], "the first call pays for the proof of the chain"
    assert others == [["eth_blockNumber"]] * 3
    for call in calls:
        for attempt in children[call.span_id]:
            assert call.start_time_unix_nano <= attempt.start_time_unix_nano
            assert attempt.end_time_unix_nano <= call.end_time_unix_nano
            assert attributes(attempt)["probekit.endpoint"] == "node"


async def test_a_call_that_fails_is_an_error_with_every_attempt_beneath(receiver: Receiver) -> None:
    run = await run_of(500)
    record(receiver, run)
    _, calls, children = beneath(receiver)
    assert {attributes(span)["error.type"] for span in calls} == {"server_error"}
    assert {span.status.code for span in calls} == {2}
    told = [attributes(span)["probekit.rpc.attempts"] for span in calls]
    assert told == [len(one.attempts) for one in run.calls]
    assert sum(len(children.get(span.span_id, [])) for span in calls) == len(run.requests)


async def test_requests_of_calls_that_are_not_there_stand_under_the_run(receiver: Receiver) -> None:
    """Their calls ended in the next run, or were too many."""
    run = msgspec.structs.replace(await run_of(200), calls=())
    record(receiver, run)
    _, under, children = beneath(receiver)
    assert [span.name for span in under] == ["eth_chainId"] + ["eth_blockNumber"] * 4
    assert len(children) == 2


async def test_a_batch_says_how_many_it_holds_and_a_call_of_ours_that_was_given_up_is_no_error(receiver: Receiver) -> None:
    run = msgspec.structs.replace(
        await run_of(200),
        requests=(),
        calls=(
            call(method="batch", items=9, failed_items=2, number=7),
            call(error_type="cancelled", number=8),
            call(error_type="reverted", rpc_code=3, number=9),
            call(method="<script>", number=10),
        ),
    )
    record(receiver, run)
    _, (batch, given_up, reverted, odd), _ = beneath(receiver)
    assert (attributes(batch)["probekit.rpc.items"], attributes(batch)["probekit.rpc.failed_items"]) == (9, 2)
    assert (given_up.status.code, attributes(given_up)["error.type"]) == (0, "cancelled")
    assert (reverted.status.code, attributes(reverted)["rpc.status_code"]) == (2, "3")
    assert (odd.name, attributes(odd)["rpc.method"]) == ("_OTHER", "_OTHER")
