"""Each fault once more, in real time over real HTTP: the probe's verdict, its reason and the target it names.

The same faults run on a fake clock in ``tests/unit/probes``. Streams are waited for by polling their runs with a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Literal

import pytest

from probekit.clients.hermes import HermesClient
from probekit.dev import faults
from probekit.dev.faults import Fault
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once, watch
from tests.support.sandbox import load, module_of, others_ok, verdict

pytestmark = pytest.mark.system

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
FAST = RunSettings(interval=2 * S, deadline=2 * S)


def proof_options(network: SandboxNetwork, endpoint: str) -> dict[str, Any]:
    option = module_of(load("hermes_proof")).SignerSetOption
    sets = tuple(
        option(root=str(one.root), index=one.index, signers=tuple(key.hex() for key in one.signers))
        for one in (network.signing.signer_set(), network.other_root.signer_set())
    )
    return {
        "endpoint": endpoint,
        "feeds": tuple(str(market.feed.id) for market in network.markets),
        "signer_sets": sets,
    }


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (faults.BadSignature, CRITICAL, "bad_signature"),
        (faults.WrongQuorum, CRITICAL, "no_quorum"),
        (faults.WrongRoot, CRITICAL, "wrong_root"),
        (faults.ExpiredSet, CRITICAL, "unknown_set"),
        (faults.BadProof, CRITICAL, "bad_proof"),
        (faults.ParsedMismatch, CRITICAL, "parsed_mismatch"),
        (faults.Unentitled, UNKNOWN, "not_entitled"),
        (faults.MissingFeed, CRITICAL, "missing"),
    ],
)
async def test_a_fault_of_one_feed(fault: Callable[[str], Fault], status: Status, reason: str) -> None:
    network = SandboxNetwork(feeds=5)
    sandbox = Sandbox(network)
    broken = str(network.markets[2].feed.id)
    sandbox.inject(fault(broken))
    probe = load("hermes_proof")
    async with serve(sandbox) as endpoint:
        run = await run_once(probe, probe.options(**proof_options(network, endpoint)), settings=FAST)
    assert verdict(run, broken) == (status, reason)
    assert others_ok(run, broken)


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (faults.Unauthorized(), UNKNOWN, "not_authorized"),
        (faults.RateLimited(1), UNKNOWN, "rate_limited"),
        (faults.ServerError(503), CRITICAL, "server_error"),
        (faults.MalformedJson(), CRITICAL, "decode"),
        (faults.NanNumbers(), CRITICAL, "decode"),
        (faults.DuplicateIds(), CRITICAL, "decode"),
        (faults.WrongContentType(), CRITICAL, "decode"),
        (faults.HugeHeaders(), CRITICAL, "headers_too_large"),
        (faults.GzipBomb(), CRITICAL, "body_too_large"),
        (faults.EndlessBody(), CRITICAL, "body_too_large"),
        (faults.Hang(), CRITICAL, "deadline"),
        (faults.Slow(delay_ms=3000), CRITICAL, "deadline"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else None,
)
async def test_a_fault_of_an_endpoint(fault: Fault, status: Status, reason: str) -> None:
    network = SandboxNetwork(feeds=3)
    sandbox = Sandbox(network)
    sandbox.inject(fault)
    probe = load("hermes_proof")
    async with serve(sandbox) as endpoint:
        run = await run_once(probe, probe.options(**proof_options(network, endpoint)), settings=FAST)
        told = verdict(run, endpoint)
        assert told[0] is status
        assert told[1].startswith(reason)
        assert {verdict(run, str(market.feed.id)) for market in network.markets} == {(UNKNOWN, "behind_endpoint")}
        assert run.elapsed_ns < 4 * 10**9


@pytest.mark.parametrize("confused", ["emitter", "both"])
async def test_the_two_roots_confused(confused: Literal["emitter", "both"]) -> None:
    network = SandboxNetwork(feeds=3)
    sandbox = Sandbox(network)
    broken = str(network.markets[1].feed.id)
    sandbox.inject(faults.WrongRoot(broken, confused))
    probe = load("hermes_proof")
    async with serve(sandbox) as endpoint:
        options = probe.options(**proof_options(network, endpoint), root=str(network.root))
        run = await run_once(probe, options, settings=FAST)
    assert verdict(run, broken) == (CRITICAL, "wrong_root")
    assert others_ok(run, broken)


async def test_a_service_that_is_not_ready_and_serves() -> None:
    network = SandboxNetwork(feeds=3)
    sandbox = Sandbox(network)
    sandbox.inject(faults.NotReady())
    probe = load("hermes_proof")
    async with serve(sandbox) as endpoint, HermesClient(endpoint) as client:
        assert (await run_once(probe, probe.options(**proof_options(network, endpoint)), settings=FAST)).status is OK
        assert len((await client.ready()).reasons) == 2


@pytest.mark.shows("hermes_proof", "OK", "CRITICAL over_budget", "CRITICAL bad_proof")
async def test_a_service_that_is_well_then_slow_and_then_proves_nothing() -> None:
    network = SandboxNetwork(feeds=3)
    sandbox = Sandbox(network)
    broken = str(network.markets[0].feed.id)
    probe = load("hermes_proof")
    async with serve(sandbox) as endpoint:
        well = probe.options(**proof_options(network, endpoint), max_latency=10 * S)
        assert (await run_once(probe, well, settings=FAST)).status is OK
        slow = sandbox.inject(faults.Slow(delay_ms=600))
        held_to_less = probe.options(**proof_options(network, endpoint), max_latency=S / 2)
        run = await run_once(probe, held_to_less, settings=FAST)
        assert verdict(run, endpoint) == (CRITICAL, "over_budget")
        assert others_ok(run, endpoint)
        slow.clear()
        sandbox.inject(faults.BadProof(broken))
        run = await run_once(probe, well, settings=FAST)
        assert verdict(run, broken) == (CRITICAL, "bad_proof")
        assert others_ok(run, broken)


@pytest.mark.shows("hermes_latency", "OK", "CRITICAL over_budget", "CRITICAL deadline_first_byte", "CRITICAL deadline_transfer")
async def test_requests_and_streams_that_are_quick_slow_and_hang() -> None:
    network = SandboxNetwork(feeds=2)
    sandbox = Sandbox(network)
    probe = load("hermes_latency")
    async with serve(sandbox) as endpoint:

        async def look(budget: timedelta, timeout: timedelta = 4 * S) -> ProbeRun:
            feeds = (str(network.markets[0].feed.id),)
            budgets = {"rest_budget": budget, "stream_budget": budget, "timeout": timeout}
            options = probe.options(endpoint=endpoint, feeds=feeds, **budgets)
            return await run_once(probe, options, settings=RunSettings(interval=10 * S, deadline=10 * S))

        rest, stream = f"rest {endpoint}", f"stream {endpoint}"
        assert (await look(3 * S)).status is OK
        slow = sandbox.inject(faults.Slow(delay_ms=600))
        assert verdict(await look(S / 2), rest) == (CRITICAL, "over_budget")
        slow.clear()
        hangs = sandbox.inject(faults.Hang())
        run = await look(3 * S, timeout=S)
        assert verdict(run, rest) == verdict(run, stream) == (CRITICAL, "deadline_first_byte")
        hangs.clear()
        sandbox.inject(faults.SilentStream())
        run = await look(3 * S, timeout=S)
        assert verdict(run, stream) == (CRITICAL, "deadline_transfer")
        assert verdict(run, rest)[0] is OK


async def until(name: str, options: dict[str, Any], condition: Callable[[ProbeRun], bool], seconds: float = 20) -> ProbeRun:
    """The first run of a probe that meets the condition."""
    probe = load(name)
    async with asyncio.timeout(seconds), aclosing(watch(probe, probe.options(**options))) as runs:
        async for run in runs:
            if condition(run):
                return run
    raise AssertionError("a watch never ends by itself")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (lambda feed: faults.StaleFeed(feed), (CRITICAL, "stale")),
        (lambda feed: faults.WideConfidence(feed), (CRITICAL, "wide_confidence")),
    ],
    ids=["stale", "wide"],
)
async def test_a_fault_of_a_feed_on_the_stream(fault: Callable[[str], Fault], expected: tuple[Status, str]) -> None:
    network = SandboxNetwork(feeds=4)
    sandbox = Sandbox(network)
    broken = str(network.markets[1].feed.id)
    async with serve(sandbox) as endpoint:
        options = {
            "endpoint": endpoint,
            "feeds": tuple(str(market.feed.id) for market in network.markets),
            "max_age": 4 * S,
        }
        sandbox.inject(fault(broken))
        run = await until("hermes_freshness", options, lambda run: _is(run, broken, expected))
    assert others_ok(run, broken)


@pytest.mark.shows("hermes_freshness", "OK", "CRITICAL stale", "CRITICAL wide_confidence")
async def test_a_stream_that_is_well_and_a_feed_that_goes_stale_recovers_and_is_unsure() -> None:
    network = SandboxNetwork(feeds=4)
    sandbox = Sandbox(network)
    feed = str(network.markets[1].feed.id)
    feeds = tuple(str(market.feed.id) for market in network.markets)
    async with serve(sandbox) as endpoint:
        options = {"endpoint": endpoint, "feeds": feeds, "max_age": 4 * S}
        await until("hermes_freshness", options, lambda run: run.status is OK)
        stale = sandbox.inject(faults.StaleFeed(feed))
        run = await until("hermes_freshness", options, lambda run: _is(run, feed, (CRITICAL, "stale")))
        assert others_ok(run, feed)
        stale.clear()
        await until("hermes_freshness", options, lambda run: run.status is OK)
        sandbox.inject(faults.WideConfidence(feed))
        run = await until("hermes_freshness", options, lambda run: _is(run, feed, (CRITICAL, "wide_confidence")))
        assert others_ok(run, feed)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.SilentStream(), (CRITICAL, "silent_stream")),
        (faults.SilentStream(keep_alive=False), (CRITICAL, "silent_stream")),
        (faults.CutStream(), (CRITICAL, "disconnected")),
        (faults.Unauthorized(), (UNKNOWN, "not_authorized")),
        (faults.RateLimited(1), (UNKNOWN, "rate_limited")),
        (faults.ServerError(502), (CRITICAL, "server_error")),
    ],
    ids=["silent", "silent and dead", "cut", "unauthorized", "rate limited", "server error"],
)
async def test_a_fault_of_the_stream(fault: Fault, expected: tuple[Status, str]) -> None:
    network = SandboxNetwork(feeds=2)
    sandbox = Sandbox(network)
    async with serve(sandbox) as endpoint:
        options = {"endpoint": endpoint, "feeds": (str(network.markets[0].feed.id),), "max_age": 60 * S, "max_silence": 3 * S}
        sandbox.inject(fault)
        run = await until("hermes_freshness", options, lambda run: _is(run, endpoint, expected))
        assert _is(run, endpoint, expected)


@pytest.mark.shows("hermes_agreement", "OK", "WARNING lagging", "CRITICAL conflicting_data")
async def test_endpoints_that_agree_and_then_conflict_or_lag() -> None:
    network = SandboxNetwork(feeds=3)
    first, second = Sandbox(network), Sandbox(network)
    feed, other = (str(market.feed.id) for market in network.markets[:2])
    async with serve(first) as one, serve(second) as two:
        options = {"endpoints": (one, two), "feeds": (feed, other), "max_delay": S}
        await until("hermes_agreement", options, lambda run: run.status is OK and _is(run, feed, (OK, "agreeing")))
        conflict = second.inject(faults.ConflictingData(feed))
        run = await until("hermes_agreement", options, lambda run: _is(run, feed, (CRITICAL, "conflicting_data")))
        assert verdict(run, other)[0] is not CRITICAL
        conflict.clear()
        second.inject(faults.Lag(delay_ms=4_000))
        await until("hermes_agreement", options, lambda run: _is(run, other, (WARNING, "lagging")))


def _is(run: ProbeRun, target: str, expected: tuple[Status, str]) -> bool:
    known = {result.target.id for result in run.results}
    return target in known and verdict(run, target) == expected
