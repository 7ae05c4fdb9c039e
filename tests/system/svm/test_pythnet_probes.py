"""Both probes of Pythnet, in real time, against the local Solana node with oracle accounts in their real layout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import Served, serve
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, watch
from tests.support.oracle import Market, OracleNetwork
from tests.support.sandbox import load, result, verdict

pytestmark = [pytest.mark.system, pytest.mark.svm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
HONEST = {f"h{number}": "honest" for number in range(5)}
BTC, ETH = "Crypto.BTC/USD", "Crypto.ETH/USD"
Parts = dict[str, tuple[Status, str]]


class Chain:
    """A node that serves an oracle network which goes on by itself, and a probe that watches it."""

    def __init__(self, *markets: Market) -> None:
        self.ledger = Ledger(confirmed_after=0, finalized_after=0)
        self.network = OracleNetwork(*markets, slot=self.ledger.tip.slot)
        self.node = Node(self.ledger)
        self.runs: list[ProbeRun] = []

    async def go_on(self) -> None:
        while True:
            for _ in range(8):
                self.ledger.advance_slot()
            self.network.step(self.ledger.tip.slot - self.network.slot)
            for key, data in self.network.accounts():
                self.ledger.set_account(bytes(key), data, owner=bytes(self.network.deployment.program))
            await asyncio.sleep(0.1)

    async def follow(self, name: str, served: Served, options: dict[str, Any]) -> None:
        where, probe = self.network.deployment, load(name)
        bound = probe.options(endpoints=(served.http,), program=where.program, mapping=where.mapping, **options)
        async for run in watch(probe, bound, settings=RunSettings(interval=S / 2, deadline=S / 2)):
            self.runs.append(run)

    @asynccontextmanager
    async def watched(self, name: str, **options: Any) -> AsyncIterator[None]:
        async with serve(self.node) as served:
            tasks = [asyncio.create_task(self.go_on()), asyncio.create_task(self.follow(name, served, options))]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                for ended in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(ended, Exception):
                        raise ended

    async def until(self, says: Callable[[ProbeRun], bool], seconds: float = 30) -> ProbeRun:
        """The first run from now on of which that is true; when time is up the newest, for the test to say what is wrong."""
        seen = len(self.runs)
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            for run in self.runs[seen:]:
                # Until the network was read once, the node is the only target.
                if len(run.results) > 1 and says(run):
                    return run
            seen = len(self.runs)
            await asyncio.sleep(0.05)
        return self.runs[-1]

    def said(self, run: ProbeRun, symbol: str, check: str) -> tuple[Status, str]:
        found = [one for one in result(run, self.network.markets[symbol].feed_id).verdicts if one.check == check]
        return (found[0].status, found[0].reason) if found else (UNKNOWN, "")

    def parts(self, run: ProbeRun, symbol: str, check: str) -> Parts:
        names = {str(self.network.publisher(name)): name for name in self.network.markets[symbol].publishers}
        verdicts = result(run, self.network.markets[symbol].feed_id).verdicts
        return {
            names[part.scope or ""]: (part.status, part.reason) for one in verdicts if one.check == check for part in one.parts
        }


def market(symbol: str = BTC, **more: Any) -> Market:
    return Market(symbol, more.pop("publishers", {}) | HONEST, **more)


@pytest.mark.shows("pythnet_publishers", "CRITICAL off_price", "CRITICAL stalled", "WARNING low_score")
async def test_each_scripted_publisher_on_a_real_node() -> None:
    scripted = {
        "gone": "offline",
        "stuck": "stalled",
        "hum": "noisy",
        "far": "off_price",
        "broad": "ignored",
        "never": "silent",
    }
    chain = Chain(market(publishers=scripted), market(ETH))
    names = {"Gone Ltd": chain.network.publisher("gone")}
    async with chain.watched("pythnet_publishers", publishers=names, stall=S, abandoned_slots=5_000):
        expected: dict[str, Parts] = {
            "publisher_offline": {"gone": (CRITICAL, "offline"), "never": (CRITICAL, "abandoned")},
            "publisher_price": {"far": (CRITICAL, "off_price")},
            "publisher_confidence": {"broad": (WARNING, "ignored_quote")},
            "publisher_stalled": {"stuck": (CRITICAL, "stalled"), "hum": (WARNING, "noisy_stalled")},
        }

        def all_told(run: ProbeRun) -> bool:
            return chain.runs[0] is not run and all(chain.parts(run, BTC, check) == told for check, told in expected.items())

        run = await chain.until(all_told)
        assert {check: chain.parts(run, BTC, check) for check in expected} == expected
        assert "Gone Ltd quoted " in str(result(run, chain.network.markets[BTC].feed_id).verdicts)
        assert {chain.said(run, ETH, check)[0] for check in expected} <= {OK, SKIPPED}
        run = await chain.until(lambda run: {"gone", "never", "broad"} <= set(chain.parts(run, BTC, "publisher_score")))
        low = chain.parts(run, BTC, "publisher_score")
        assert {"gone", "never", "broad"} <= set(low) <= set(scripted)
        assert set(low.values()) == {(WARNING, "low_score")}

        for name in scripted:
            chain.network.markets[BTC].publishers[name] = "honest"
        run = await chain.until(lambda run: not any(chain.parts(run, BTC, check) for check in expected))
        assert {check: chain.parts(run, BTC, check) for check in expected} == {check: {} for check in expected}


@pytest.mark.shows("pythnet_feeds", "CRITICAL offline", "CRITICAL below_minimum", "CRITICAL missing")
async def test_feeds_that_lose_their_quorum_break_and_disappear() -> None:
    chain = Chain(
        market(), market(ETH), market("Crypto.BAD/USD", corrupt="product"), market("Crypto.SOON/USD", min_publishers=30)
    )
    eth = chain.network.markets[ETH]
    async with chain.watched("pythnet_feeds", listing_every=S, max_slots=40):
        run = await chain.until(lambda run: verdict(run, eth.feed_id)[0] is OK)
        assert verdict(run, chain.network.markets[BTC].feed_id)[0] is OK
        assert verdict(run, str(chain.network.markets["Crypto.BAD/USD"].product_key)) == (CRITICAL, "decode")
        assert verdict(run, chain.network.markets["Crypto.SOON/USD"].feed_id) == (SKIPPED, "not_in_production")

        for name in ("h0", "h1", "h2"):
            eth.publishers[name] = "offline"
        run = await chain.until(lambda run: chain.said(run, ETH, "feed_offline")[1] == "offline")
        assert chain.said(run, ETH, "feed_offline") == (CRITICAL, "offline")
        assert chain.said(run, ETH, "publisher_margin") == (CRITICAL, "below_minimum")
        assert chain.said(run, ETH, "confidence_ratio") == (SKIPPED, "not_trading")

        for name in HONEST:
            eth.publishers[name] = "honest"
        run = await chain.until(lambda run: verdict(run, eth.feed_id)[0] is OK)
        assert verdict(run, eth.feed_id)[0] is OK

        eth.corrupt = "price"
        run = await chain.until(lambda run: verdict(run, eth.feed_id) == (CRITICAL, "decode"))
        assert verdict(run, eth.feed_id) == (CRITICAL, "decode")
        eth.corrupt, eth.listed = "", False
        run = await chain.until(lambda run: verdict(run, eth.feed_id) == (CRITICAL, "missing"))
        assert verdict(run, eth.feed_id) == (CRITICAL, "missing")
        assert verdict(run, chain.network.markets[BTC].feed_id)[0] is OK


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("pythnet_feeds", marks=pytest.mark.shows("pythnet_feeds", "OK")),
        pytest.param("pythnet_publishers", marks=pytest.mark.shows("pythnet_publishers", "OK")),
    ],
)
async def test_a_node_that_refuses_is_told_once_and_recovers(name: str) -> None:
    chain = Chain(market(), market(ETH))
    async with chain.watched(name):
        endpoint = (await chain.until(lambda run: len(run.results) == 3)).results[0].target.id
        chain.node.faults.http_status = 503
        run = await chain.until(lambda run: verdict(run, endpoint)[0] is CRITICAL)
        assert verdict(run, endpoint)[0] is CRITICAL
        feeds = [market.feed_id for market in chain.network.markets.values()]
        assert {verdict(run, feed) for feed in feeds} == {(UNKNOWN, "behind_endpoint")}
        chain.node.faults.http_status = None
        run = await chain.until(lambda run: run.status in (OK, SKIPPED))
        assert run.status is OK
