"""The probes of Pythnet over a table of accounts, on a clock the test turns: what each says of what is wrong, and no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from probekit.codecs.solana.rpc import encode_account
from probekit.errors import ConnectError
from probekit.model import ProbeRun, Status, Tally, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Account
from probekit.probe import Probe
from probekit.runner import RunSettings, watch
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.units import Instant
from tests.support.oracle import CLOSED, Market, OracleNetwork
from tests.support.sandbox import load, module_of, result, verdict
from tests.unit.clients.test_exchanges import PRICES, Exchanges
from tests.unit.codecs.exchanges.bodies import TIME_S

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
NODE = "http://node.test"
GENESIS = "EkCkB7RWVrgkcpariRpd3pjf7GwiCMZaMHKUpB5Na1Ve"
HONEST = {f"h{number}": "honest" for number in range(5)}


class Node:
    """One node over an :class:`OracleNetwork`, a fake clock, and a probe that runs on it."""

    def __init__(self, network: OracleNetwork) -> None:
        self.network = network
        self.clock = FakeClock(Instant.from_seconds(TIME_S))
        self.exchanges = Exchanges()
        self.requests = 0
        self.down = False
        self.refuses: Callable[[dict[str, Any]], bool] = lambda _: False
        self.transport = ReplyTransport(self.answer)
        self.runs: list[ProbeRun] = []

    def answer(self, request: Request) -> Any:
        if not request.url.startswith(NODE):
            return self.exchanges._reply(request)
        return self.node(request)

    def node(self, request: Request) -> Response:
        self.requests += 1
        if self.down:
            raise ConnectError("connection refused")
        table = dict(self.network.accounts())
        program = self.network.deployment.program

        def shown(name: str) -> Any:
            data = table.get(Pubkey(name))
            return None if data is None else encode_account(Account(Pubkey(name), program, 1, data, False, 0))

        def one(item: dict[str, Any]) -> dict[str, Any]:
            head = {"jsonrpc": "2.0", "id": item["id"]}
            context = {"slot": self.network.slot, "apiVersion": "3.0.1"}
            if self.refuses(item):
                return head | {"error": {"code": -32603, "message": "internal error"}}
            match item["method"]:
                case "getMultipleAccounts":
                    value: Any = {"context": context, "value": [shown(name) for name in item["params"][0]]}
                case "getAccountInfo":
                    value = {"context": context, "value": shown(item["params"][0])}
                case "getGenesisHash":
                    value = GENESIS
                case "getHealth":
                    value = "ok"
                case _:
                    value = self.network.slot
            return head | {"result": value}

        asked = json.loads(request.body or b"")
        made = [one(item) for item in asked] if isinstance(asked, list) else one(asked)
        return reply(200, json.dumps(made), clock=self.clock)

    def options(self, probe: Probe[Any], **more: Any) -> Any:
        where = self.network.deployment
        return probe.options(endpoints=(NODE,), program=where.program, mapping=where.mapping, **more)

    @asynccontextmanager
    async def watching(self, name: str, **more: Any) -> AsyncIterator[None]:
        probe = load(name)

        async def follow() -> None:
            settings = RunSettings(interval=10 * S)
            options = self.options(probe, **more)
            async for run in watch(probe, options, settings=settings, clock=self.clock, engines=lambda _: self.transport):
                self.runs.append(run)

        task = asyncio.ensure_future(follow())
        try:
            await self.clock.advance(S)
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def ticks(self, count: int) -> ProbeRun:
        """Ten seconds and 25 slots each, as on Pythnet; the newest run afterwards."""
        for _ in range(count):
            self.network.step()
            seen = len(self.runs)
            for _ in range(20):
                await self.clock.advance(S)
                if len(self.runs) > seen:
                    break
        return self.runs[-1]

    def of(self, run: ProbeRun, symbol: str, check: str) -> Verdict:
        market = self.network.markets[symbol]
        return next(one for one in result(run, market.feed_id).verdicts if one.check == check)

    def parts(self, run: ProbeRun, symbol: str, check: str) -> dict[str, tuple[Status, str]]:
        """Publisher -> status and reason, of those that are not OK."""
        names = {str(self.network.publisher(name)): name for name in self.network.markets[symbol].publishers}
        return {names[one.scope or ""]: (one.status, one.reason) for one in self.of(run, symbol, check).parts}


def market(symbol: str = "Crypto.BTC/USD", **more: Any) -> Market:
    publishers = more.pop("publishers", {}) | HONEST
    return Market(symbol, publishers, **more)


@pytest.mark.shows("pythnet_feeds", "OK")
@pytest.mark.shows("pythnet_publishers", "OK")
async def test_a_healthy_network_is_ok_feed_by_feed_and_publisher_by_publisher() -> None:
    node = Node(OracleNetwork(market(), market("Crypto.ETH/USD"), market("FX.EUR/USD", attributes={"asset_type": "FX"})))
    async with node.watching("pythnet_feeds"):
        run = await node.ticks(3)
        assert run.status is OK
        assert len(run.results) == 4
        before = node.requests
        await node.ticks(1)
        # One batched request for all price accounts, and one for the pool's own heads and health.
        assert node.requests - before <= 2
    node.runs.clear()
    async with node.watching("pythnet_publishers", min_score=0):
        run = await node.ticks(16)
        told = {(one.check, one.status) for result in run.results for one in result.verdicts if one.status is not OK}
        assert told == {("publisher_score", SKIPPED)}
        assert node.of(run, "Crypto.BTC/USD", "publisher_price").tally == Tally(ok=5)


@pytest.mark.shows("pythnet_publishers", "CRITICAL abandoned", "CRITICAL off_price", "WARNING ignored_quote")
async def test_each_scripted_publisher_is_told_by_the_check_that_is_meant_for_it() -> None:
    scripted = {
        "gone": "offline",
        "stuck": "stalled",
        "hum": "noisy",
        "far": "off_price",
        "broad": "ignored",
        "never": "silent",
    }
    node = Node(OracleNetwork(market(publishers=scripted), market("Crypto.ETH/USD")))
    async with node.watching("pythnet_publishers", publishers={"Gone Ltd": node.network.publisher("gone")}):
        run = await node.ticks(40)
    btc = "Crypto.BTC/USD"
    assert node.parts(run, btc, "publisher_offline") == {"gone": (CRITICAL, "offline"), "never": (CRITICAL, "abandoned")}
    assert "Gone Ltd quoted " in node.of(run, btc, "publisher_offline").message
    assert node.parts(run, btc, "publisher_price") == {"far": (CRITICAL, "off_price")}
    assert node.parts(run, btc, "publisher_stalled") == {"stuck": (CRITICAL, "stalled"), "hum": (WARNING, "noisy_stalled")}
    assert node.parts(run, btc, "publisher_confidence") == {"broad": (WARNING, "ignored_quote")}
    low = node.parts(run, btc, "publisher_score")
    assert {"gone", "never", "broad"} <= set(low)
    assert not set(low) & set(HONEST)
    eth = node.network.markets["Crypto.ETH/USD"].feed_id
    assert verdict(run, eth) == (OK, "aggregating")


@pytest.mark.shows("pythnet_publishers", "OK", "CRITICAL stalled", "WARNING low_score")
async def test_a_stall_lasts_as_long_as_it_lasts() -> None:
    node = Node(OracleNetwork(market(publishers={"stuck": "stalled"})))
    btc = "Crypto.BTC/USD"
    async with node.watching("pythnet_publishers"):
        for _ in range(6):
            run = await node.ticks(50)
            assert node.parts(run, btc, "publisher_stalled") == {"stuck": (CRITICAL, "stalled")}
        node.network.markets[btc].moving = False
        run = await node.ticks(30)
        assert node.parts(run, btc, "publisher_stalled") == {"stuck": (CRITICAL, "stalled")}
        node.network.markets[btc].publishers["stuck"] = "honest"
        run = await node.ticks(1)
        assert node.parts(run, btc, "publisher_stalled") == {}


@pytest.mark.shows("pythnet_feeds", "OK", "CRITICAL offline", "CRITICAL below_minimum")
async def test_a_feed_without_a_quorum_is_offline_and_below_its_minimum() -> None:
    node = Node(OracleNetwork(market(), market("Crypto.ETH/USD")))
    btc = node.network.markets["Crypto.BTC/USD"]
    async with node.watching("pythnet_feeds"):
        await node.ticks(1)
        for name in ("h0", "h1", "h2"):
            btc.publishers[name] = "offline"
        run = await node.ticks(7)
    assert node.of(run, btc.symbol, "publisher_margin").reason == "below_minimum"
    assert node.of(run, btc.symbol, "feed_offline").reason == "offline"
    assert node.of(run, btc.symbol, "confidence_ratio").reason == "not_trading"
    assert verdict(run, node.network.markets["Crypto.ETH/USD"].feed_id)[0] is OK


async def test_what_is_broken_in_one_product_stays_there() -> None:
    node = Node(
        OracleNetwork(
            market(),
            market("Crypto.NAMELESS/USD", attributes={"symbol": ""}),
            market("Equity.US.X/USD", attributes={"schedule": "nonsense"}),
            market("Crypto.NOSCHEDULE/USD", attributes={"schedule": ""}),
            market("Crypto.BADPRICE/USD", corrupt="price"),
            market("Crypto.BADPRODUCT/USD", corrupt="product"),
            market("Crypto.SOON/USD", min_publishers=20),
            market("Equity.US.Y/USD", attributes={"schedule": CLOSED}),
        )
    )
    markets = node.network.markets
    for name in ("pythnet_feeds", "pythnet_publishers"):
        node.runs.clear()
        async with node.watching(name):
            run = await node.ticks(2)
        assert verdict(run, markets["Crypto.BTC/USD"].feed_id)[0] is OK
        assert verdict(run, markets["Crypto.NAMELESS/USD"].feed_id)[0] is OK
        assert verdict(run, markets["Crypto.NOSCHEDULE/USD"].feed_id)[0] is OK
        assert verdict(run, markets["Equity.US.X/USD"].feed_id) == (UNKNOWN, "schedule_unreadable")
        assert verdict(run, str(markets["Crypto.BADPRICE/USD"].price_key)) == (CRITICAL, "decode")
        assert verdict(run, str(markets["Crypto.BADPRODUCT/USD"].product_key)) == (CRITICAL, "decode")
        soon = result(run, markets["Crypto.SOON/USD"].feed_id)
        assert {(one.status, one.reason) for one in soon.verdicts} == {(SKIPPED, "not_in_production")}
        closed = result(run, markets["Equity.US.Y/USD"].feed_id)
        assert node.of(run, "Equity.US.Y/USD", "feed_offline").reason == "market_closed"
        assert closed.status in (OK, SKIPPED)
        # Nothing else, and nothing twice.
        assert len(run.results) == 1 + len(markets)


@pytest.mark.parametrize("name", ["pythnet_feeds", "pythnet_publishers"])
async def test_a_feed_that_disappears_or_breaks_later_is_a_verdict(name: str) -> None:
    node = Node(OracleNetwork(market(), market("Crypto.ETH/USD")))
    eth = node.network.markets["Crypto.ETH/USD"]
    async with node.watching(name, listing_every=60 * S):
        run = await node.ticks(2)
        assert verdict(run, eth.feed_id)[0] is OK
        eth.corrupt = "price"
        run = await node.ticks(1)
        assert verdict(run, eth.feed_id) == (CRITICAL, "decode")
        eth.corrupt = "product"
        run = await node.ticks(8)
        assert verdict(run, eth.feed_id) == (CRITICAL, "decode")
        eth.corrupt, eth.listed = "", False
        run = await node.ticks(8)
        assert verdict(run, eth.feed_id) == (CRITICAL, "missing")
        eth.listed = True
        run = await node.ticks(8)
        assert verdict(run, eth.feed_id)[0] is OK
        assert verdict(run, node.network.markets["Crypto.BTC/USD"].feed_id)[0] is OK


@pytest.mark.shows("pythnet_feeds", "CRITICAL deviating")
async def test_a_price_is_held_against_the_median_of_exchanges() -> None:
    # 64,000.5 on every exchange, and nobody quotes the third.
    at, btc, off = int(PRICES["BTC"] * 10_000), "Crypto.BTC/USD", "Crypto.SOL/USD"
    markets = market(price=at, moving=False), market(off, price=2_000_000, moving=False), market("Crypto.OTHER/USD")
    node = Node(OracleNetwork(*markets))
    asked = {"reference_exchanges": ("coinbase", "kraken", "bitstamp"), "max_deviation_confs": Decimal(20)}
    async with node.watching("pythnet_feeds", **asked):
        run = await node.ticks(1)
        assert node.of(run, btc, "deviation").reason == "near"
        assert (node.of(run, off, "deviation").status, node.of(run, off, "deviation").reason) == (CRITICAL, "deviating")
        assert "3311.51bps, 997.1 confidence intervals" in node.of(run, off, "deviation").message
        assert [one.check for one in result(run, markets[2].feed_id).verdicts if one.check == "deviation"] == []
        down = {name: lambda _: reply(451, b"not here", clock=node.clock) for name in ("coinbase", "kraken")}
        node.exchanges.faults |= down
        run = await node.ticks(1)
        assert (node.of(run, btc, "deviation").status, node.of(run, btc, "deviation").reason) == (UNKNOWN, "no_reference")
        assert node.of(run, btc, "feed_offline").status is OK


async def test_a_page_of_the_list_that_is_lost_makes_no_feed_disappear() -> None:
    node = Node(OracleNetwork(market(), market("Crypto.BAD/USD", corrupt="product"), market("Crypto.ETH/USD")))
    eth, btc = node.network.markets["Crypto.ETH/USD"], node.network.markets["Crypto.BTC/USD"]
    async with node.watching("pythnet_feeds", listing_every=60 * S, feeds=(btc.symbol, eth.symbol, "Crypto.NEW/USD")):
        run = await node.ticks(1)
        assert verdict(run, eth.feed_id)[0] is OK
        assert verdict(run, "Crypto.NEW/USD") == (CRITICAL, "no_such_feed")
        # ETH stands on the second page, and nobody can tell what else does.
        node.network.page_lost = True
        run = await node.ticks(8)
        assert verdict(run, eth.feed_id) == (CRITICAL, "decode")
        assert verdict(run, "Crypto.NEW/USD") == (CRITICAL, "decode")
        assert verdict(run, btc.feed_id)[0] is OK
        node.network.page_lost, eth.listed = False, False
        run = await node.ticks(8)
        assert verdict(run, eth.feed_id) == (CRITICAL, "missing"), "a product that is broken is no page that is lost"


@pytest.mark.parametrize("name", ["pythnet_feeds", "pythnet_publishers"])
async def test_a_node_that_is_down_is_told_once(name: str) -> None:
    node = Node(OracleNetwork(market(), market("Crypto.ETH/USD")))
    node.down = True
    async with node.watching(name):
        run = await node.ticks(1)
        assert [one.target.id for one in run.results] == [NODE]
        assert verdict(run, NODE)[0] is CRITICAL
        node.down = False
        run = await node.ticks(4)
        assert {one.status for one in run.results} <= {OK, SKIPPED}
        node.down = True
        run = await node.ticks(1)
        assert verdict(run, NODE)[0] is CRITICAL
        feeds = [market.feed_id for market in node.network.markets.values()]
        assert {verdict(run, feed) for feed in feeds} == {(UNKNOWN, "behind_endpoint")}


@pytest.mark.parametrize("name", ["pythnet_feeds", "pythnet_publishers"])
async def test_what_a_node_keeps_back_is_unknown_and_what_it_gives_is_judged(name: str) -> None:
    """A hundred accounts to a call: the second call fails."""
    markets = [market(f"Crypto.C{number:03d}/USD") for number in range(120)]
    node = Node(OracleNetwork(*markets))
    second = str(markets[-1].price_key)
    async with node.watching(name, feeds=tuple(one.symbol for one in markets)):
        run = await node.ticks(2)
        assert len(run.results) == 121
        node.refuses = lambda item: item["method"] == "getMultipleAccounts" and second in item["params"][0]
        run = await node.ticks(1)
        assert verdict(run, NODE)[0] is CRITICAL
        said = [verdict(run, one.feed_id) for one in markets]
        assert said.count((UNKNOWN, "behind_endpoint")) == 20
        assert {status for status, reason in said if reason != "behind_endpoint"} <= {OK, SKIPPED}
        node.refuses = lambda _: False
        run = await node.ticks(1)
        assert (UNKNOWN, "behind_endpoint") not in {verdict(run, one.feed_id) for one in markets}


async def test_feeds_by_symbol_and_what_nobody_knows() -> None:
    node = Node(OracleNetwork(market(), market("Crypto.ETH/USD")))
    limits = {"Crypto.ETX/USD": module_of(load("pythnet_feeds")).Limits(max_slots=7)}
    async with node.watching("pythnet_feeds", feeds=("Crypto.ETH/USD", "Crypto.BTX/USD"), by_symbol=limits):
        run = await node.ticks(1)
    assert verdict(run, node.network.markets["Crypto.ETH/USD"].feed_id)[0] is OK
    assert verdict(run, "Crypto.BTX/USD") == (CRITICAL, "no_such_feed")
    assert verdict(run, "Crypto.ETX/USD") == (CRITICAL, "no_such_feed")
    assert len(run.results) == 4
