"""lazer_latency over real WebSockets: three sandbox routers, a fault at one of them at a time.

All clocks here are one, and this machine's may be disciplined by nobody: what the kernel says of it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router
from probekit.dev.lazer.server import ServedRouter, serve
from probekit.model import ProbeRun, Status
from probekit.model.lazer import Channel
from probekit.runner import vantage, watch
from probekit.runner.clockbounds import KernelClock
from tests.support.sandbox import load, result, verdict

pytestmark = pytest.mark.system

S = timedelta(seconds=1)
MS = timedelta(milliseconds=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


@dataclass
class Routers:
    routers: list[Router]
    served: list[ServedRouter]
    network: LazerNetwork

    async def until(self, condition: Callable[[ProbeRun], Any], **more: Any) -> ProbeRun:
        """The first run that meets the condition."""
        probe = load("lazer_latency")
        keys = tuple(one.key.hex() for one in self.network.signers.signers)
        given = {"endpoints": tuple(one.ws for one in self.served), "feeds": (1, 2), "signers": keys, "samples": 100}
        # A busy machine is late by itself: what is injected is far beyond that.
        limits = {"budget": 2 * S, "max_lag": 1 * S, "channels": (Channel.FIXED_50MS,), "verify_every": 5, "max_silence": 3 * S}
        options, last = probe.options(**(given | limits | more)), None
        try:
            async with asyncio.timeout(40), aclosing(watch(probe, options)) as runs:
                async for run in runs:
                    last = run
                    if condition(run):
                        return run
        except TimeoutError:
            raise AssertionError(last and [(one.target.id, one.verdicts) for one in last.results]) from None
        raise AssertionError("a watch never ends by itself")

    def lane(self, number: int) -> str:
        return f"{Channel.FIXED_50MS} {self.served[number].ws}"


@pytest.fixture
async def three(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Routers]:
    monkeypatch.setitem(vantage.SelfCheck.__init__.__kwdefaults__ or {}, "kernel", lambda: KernelClock(True, 1_000_000))
    network = LazerNetwork()
    routers = [Router(network) for _ in range(3)]
    async with serve(routers[0]) as one, serve(routers[1]) as two, serve(routers[2]) as last:
        yield Routers(routers, [one, two, last], network)


def told(run: ProbeRun, target: str, check: str) -> tuple[Status, str] | None:
    found = next((one for one in result(run, target).verdicts if one.check == check), None)
    return None if found is None else (found.status, found.reason)


@pytest.mark.shows("lazer_latency", "OK")
async def test_all_is_well(three: Routers) -> None:
    run = await three.until(lambda run: {one.status for one in run.results} == {OK})
    assert len(run.results) == 3 + 3 + 3 + 2


@pytest.mark.shows("lazer_latency", "WARNING lagging", "CRITICAL over_budget")
async def test_a_late_router_is_named(three: Routers) -> None:
    three.routers[2].faults.late = 4 * S
    run = await three.until(
        lambda run: (
            told(run, three.lane(2), "endpoint_lag") == (WARNING, "lagging")
            and told(run, three.lane(2), "stream_latency") == (CRITICAL, "over_budget")
            and told(run, three.lane(0), "endpoint_lag") == (OK, "abreast")
        ),
        max_silence=10 * S,
    )
    assert told(run, three.lane(0), "stream_latency") == (OK, "within_budget")


@pytest.mark.shows("lazer_latency", "CRITICAL stale", "CRITICAL server_error")
async def test_a_router_that_is_gone_and_a_price_that_is_only_sent_again(three: Routers) -> None:
    three.routers[0].faults.status = 503
    for router in three.routers:
        router.faults.frozen = {1: router.clock.now().plus(-30 * S)}
    run = await three.until(lambda run: verdict(run, "feed 1") == (CRITICAL, "stale") and verdict(run, "feed 2")[0] is OK)
    assert verdict(run, three.served[0].ws) == (CRITICAL, "server_error")
    assert verdict(run, three.lane(0)) == (UNKNOWN, "behind_endpoint")


async def test_a_forged_signature(three: Routers) -> None:
    three.routers[1].faults.forged = True
    target = f"signatures {three.served[1].ws}"
    run = await three.until(lambda run: verdict(run, target)[0] is CRITICAL)
    assert verdict(run, target) == (CRITICAL, "not_verified")


@pytest.mark.shows("lazer_latency", "CRITICAL bad_message")
async def test_messages_that_are_none_are_told_where_nothing_is_verified(three: Routers) -> None:
    three.routers[1].faults.malformed = True
    run = await three.until(
        lambda run: told(run, three.served[1].ws, "stream_messages") == (CRITICAL, "bad_message"), verify_every=0
    )
    assert told(run, three.served[0].ws, "stream_messages") == (OK, "readable")


async def test_a_stamp_ahead_of_the_clock_silences_no_other_router(three: Routers) -> None:
    three.routers[1].faults.frozen = {1: three.routers[1].clock.now().plus(timedelta(hours=1))}
    seen: list[tuple[Status, str]] = []

    def well(run: ProbeRun) -> bool:
        seen.append(verdict(run, "feed 1"))
        return seen[-8:] == [(OK, "fresh")] * 8

    await three.until(well)


async def test_a_feed_that_was_left_out_is_told_when_it_is_served(three: Routers) -> None:
    for router in three.routers:
        router.unentitled = frozenset({2})

    def served(run: ProbeRun) -> bool:
        for router, at in zip(three.routers, three.served, strict=True):
            if verdict(run, "feed 2") == (UNKNOWN, "not_entitled") and router.unentitled:
                # Silent for too long it is opened anew.
                router.unentitled, router.faults.silent = frozenset(), True
            elif router.faults.silent and verdict(run, at.ws)[0] is CRITICAL:
                router.faults.silent = False
        return verdict(run, "feed 2") == (OK, "fresh")

    run = await three.until(served)
    assert not any(router.faults.silent for router in three.routers)
    assert verdict(run, "feed 1") == (OK, "fresh")


async def test_a_clock_that_nothing_bounds(three: Routers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vantage.SelfCheck.__init__.__kwdefaults__ or {}, "kernel", lambda: None)
    run = await three.until(lambda run: told(run, three.lane(0), "stream_latency") == (UNKNOWN, "clock"))
    assert verdict(run, "feed 1") == (UNKNOWN, "clock")
