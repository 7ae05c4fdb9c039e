"""feed_accuracy over real HTTP: a sandbox Hermes, and a stand-in for exchanges round its prices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once, watch
from tests.support.exchanges import Tickers
from tests.support.sandbox import load, others_ok, result, verdict

pytestmark = pytest.mark.system

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN


class Bench:
    def __init__(self, sandbox: Sandbox, tickers: Tickers, options: dict[str, Any]) -> None:
        self.sandbox, self.tickers, self.options = sandbox, tickers, options
        self.probe = load("feed_accuracy")
        self.ids = [str(market.feed.id) for market in sandbox.network.markets[:3]]

    async def once(self, **more: Any) -> ProbeRun:
        return await run_once(self.probe, self.probe.options(**self.options, **more), settings=RunSettings(interval=10 * S))

    async def until(self, condition: Callable[[ProbeRun], bool], **more: Any) -> ProbeRun:
        options = self.probe.options(**self.options, **more)
        settings = RunSettings(interval=S)
        async with asyncio.timeout(30), aclosing(watch(self.probe, options, settings=settings)) as runs:
            async for run in runs:
                if condition(run):
                    return run
        raise AssertionError("a watch never ends by itself")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    network = SandboxNetwork(feeds=4)
    sandbox, tickers = Sandbox(network), Tickers(network)
    async with serve(sandbox) as hermes, serve(tickers) as markets:
        feeds = ("Crypto.BTC/USD", "Crypto.ETH/USD", "Crypto.SOL/USD")
        yield Bench(sandbox, tickers, {"endpoint": hermes, "feeds": feeds, "base_urls": tickers.urls(markets)})


@pytest.mark.shows("feed_accuracy", "OK")
async def test_all_is_well_with_one_exchange_down(bench: Bench) -> None:
    options = {"exchanges": ("coinbase", "kraken", "bitstamp", "binance"), "stand_ins": ("USDT",)}
    assert (await bench.once(**options)).status is OK
    bench.tickers.says["kraken"].status = 503
    run = await bench.once(**options)
    assert run.status is OK
    assert "kraken gave none" in result(run, bench.ids[0]).verdicts[0].message


@pytest.mark.shows("feed_accuracy", "WARNING unconfirmed", "CRITICAL deviating")
async def test_a_feed_that_stays_off_is_critical(bench: Bench) -> None:
    for says in bench.tickers.says.values():
        says.bps = 120
    run = await bench.until(lambda run: verdict(run, bench.ids[0]) == (CRITICAL, "deviating"), holds_for=2 * S)
    assert {verdict(run, one) for one in bench.ids} == {(CRITICAL, "deviating")}
    run = await bench.once(holds_for=60 * S)
    assert {verdict(run, one) for one in bench.ids} == {(WARNING, "unconfirmed")}


@pytest.mark.shows("feed_accuracy", "UNKNOWN behind_endpoint")
async def test_time_in_which_hermes_failed_does_not_count(bench: Bench) -> None:
    for says in bench.tickers.says.values():
        says.bps = 120
    told: list[tuple[Status, str]] = []

    def goes_on(run: ProbeRun) -> bool:
        told.append(verdict(run, bench.ids[0]))
        if told[-1] == (WARNING, "unconfirmed") and len(told) == 1:
            bench.sandbox.inject(faults.ServerError())
        elif told.count((UNKNOWN, "behind_endpoint")) == 6 and bench.sandbox.injected:
            bench.sandbox.injected[0].clear()
        return told[-1] == (CRITICAL, "deviating")

    await bench.until(goes_on, holds_for=3 * S)
    after = told[len(told) - told[::-1].index((UNKNOWN, "behind_endpoint")) :]
    assert after[0] == (WARNING, "unconfirmed"), told


async def test_no_quorum_is_unknown(bench: Bench) -> None:
    for name in ("kraken", "bitstamp"):
        bench.tickers.says[name].status = 451
    run = await bench.once()
    assert {verdict(run, one) for one in bench.ids} == {(UNKNOWN, "no_quorum")}
    assert others_ok(run, *bench.ids)


@pytest.mark.shows("feed_accuracy", "CRITICAL server_error")
async def test_hermes_down_is_told_once(bench: Bench) -> None:
    bench.sandbox.inject(faults.ServerError())
    run = await bench.once()
    assert verdict(run, bench.options["endpoint"]) == (CRITICAL, "server_error")
    assert {verdict(run, one) for one in bench.ids} == {(UNKNOWN, "behind_endpoint")}
