"""benchmarks_parity over real HTTP: a sandbox Hermes and a sandbox Benchmarks of one network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.dev import faults
from probekit.dev.benchmarks import SandboxBenchmarks
from probekit.dev.network import SandboxNetwork
from probekit.dev.prices import market
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once
from probekit.units import Instant
from tests.support.sandbox import load, others_ok, verdict

pytestmark = pytest.mark.system

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


@dataclass
class Pair:
    hermes: str
    past: str
    archive: SandboxBenchmarks
    ids: tuple[str, ...]

    async def once(self, **more: Any) -> ProbeRun:
        probe = load("benchmarks_parity")
        options = probe.options(**{"endpoint": self.hermes, "benchmarks": self.past, "feeds": self.ids} | more)
        return await run_once(probe, options, settings=RunSettings(interval=30 * S, deadline=30 * S))


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    network = SandboxNetwork(feeds=3)
    archive = SandboxBenchmarks(network)
    async with serve(Sandbox(network)) as hermes, serve(archive) as past:
        yield Pair(hermes, past, archive, tuple(str(market.feed.id) for market in network.markets))


@pytest.mark.shows("benchmarks_parity", "OK")
async def test_the_past_is_what_hermes_served(pair: Pair) -> None:
    run = await pair.once()
    assert run.status is OK
    assert {verdict(run, one) for one in pair.ids} == {(OK, "equal")}
    assert verdict(run, pair.past) == (OK, "available")


@pytest.mark.shows("benchmarks_parity", "WARNING lagging", "CRITICAL unavailable")
async def test_a_late_archive_and_one_that_has_nothing(pair: Pair) -> None:
    pair.archive.available_after = timedelta(seconds=100)
    run = await pair.once()
    assert verdict(run, pair.past) == (WARNING, "lagging")
    assert {verdict(run, one) for one in pair.ids} == {(OK, "equal")}
    pair.archive.available_after = timedelta(hours=1)
    run = await pair.once()
    assert verdict(run, pair.past) == (CRITICAL, "unavailable")
    assert {verdict(run, one) for one in pair.ids} == {(SKIPPED, "not_yet")}


async def test_a_market_that_has_just_opened_is_not_asked_for_what_was_before(pair: Pair) -> None:
    share, now = "49" * 32, Instant.now().to_datetime()
    hours = f"UTC;{','.join([f'{now:%H%M}-2400'] * 7)};"
    network = pair.archive.network
    network.markets = (*network.markets, market("Equity.US.AAPL/USD", share, 23_500_000, "Equity", hours, -5))
    network.index[share] = len(network.markets) - 1
    pair.archive.available_after = timedelta(hours=1)
    run = await pair.once(feeds=(share,))
    assert verdict(run, pair.past) in {(SKIPPED, "market_closed"), (SKIPPED, "market_opening")}
    assert verdict(run, pair.hermes)[0] in {SKIPPED, OK}
    assert (verdict(run, pair.hermes)[0] is OK) == (verdict(run, pair.past)[1] == "market_opening")


@pytest.mark.shows("benchmarks_parity", "CRITICAL different", "CRITICAL parsed_differs")
async def test_differences_are_named(pair: Pair) -> None:
    pair.archive.inject(faults.ConflictingData(pair.ids[0]))
    pair.archive.inject(faults.ParsedMismatch(pair.ids[1]))
    run = await pair.once()
    assert verdict(run, pair.ids[0]) == (CRITICAL, "different")
    assert verdict(run, pair.ids[1]) == (CRITICAL, "parsed_differs")
    assert others_ok(run, pair.ids[0], pair.ids[1])


async def test_a_refused_key_is_wrong_here(pair: Pair) -> None:
    pair.archive.inject(faults.Unauthorized())
    run = await pair.once()
    assert verdict(run, pair.past) == (UNKNOWN, "not_authorized")
    assert {verdict(run, one) for one in pair.ids} == {(UNKNOWN, "behind_endpoint")}
