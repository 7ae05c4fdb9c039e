"""feed_accuracy on a fake clock: a sandbox Hermes and exchanges round its prices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from probekit.codecs.exchanges import MARKETS as MARKETS_KNOWN
from probekit.codecs.exchanges import Market
from probekit.dev import faults
from probekit.dev.prices import market as made_market
from probekit.dev.transport import SandboxTransport
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings
from tests.support.exchanges import Tickers
from tests.support.sandbox import FIRST, Lab, S, load, module_of, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("feed_accuracy")
MARKETS = "http://markets"
SYMBOLS = ("Crypto.BTC/USD", "Crypto.ETH/USD")


class Bench(Lab):
    """A lab with exchanges beside Hermes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tickers = Tickers(self.network)
        self.transport = SandboxTransport({FIRST: self.first, MARKETS: self.tickers}, clock=self.clock)

    def options(self, **more: Any) -> dict[str, Any]:
        return {"endpoint": FIRST, "feeds": SYMBOLS, "base_urls": self.tickers.urls(MARKETS)} | more

    async def run(self, **more: Any) -> ProbeRun:
        return await self.once(PROBE, **self.options(**more))


@pytest.fixture
async def bench() -> Bench:
    return Bench()


@pytest.mark.shows("feed_accuracy", "OK")
async def test_prices_that_the_exchanges_pay(bench: Bench) -> None:
    run = await bench.run()
    assert run.status is OK
    assert [verdict(run, one)[1] for one in bench.ids[:2]] == ["accurate", "accurate"]
    assert len([one for one in bench.tickers.asked if "/kraken/" in one]) == 1, "one request for all feeds"


@pytest.mark.shows("feed_accuracy", "OK", "WARNING unconfirmed", "CRITICAL deviating")
async def test_a_feed_that_is_off_warns_first_and_is_critical_when_it_lasts(bench: Bench) -> None:
    for says in bench.tickers.says.values():
        says.bps = 100
    async with bench.watching(PROBE, settings=RunSettings(interval=10 * S), **bench.options()):
        run = await bench.pass_seconds(5)
        assert verdict(run, bench.ids[0]) == (WARNING, "unconfirmed")
        run = await bench.pass_seconds(40)
        assert verdict(run, bench.ids[0]) == (CRITICAL, "deviating")
        assert verdict(run, bench.ids[1]) == (CRITICAL, "deviating")
        for says in bench.tickers.says.values():
            says.bps = 0
        assert verdict(await bench.pass_seconds(15), bench.ids[0]) == (OK, "accurate")


async def test_time_in_which_hermes_failed_is_no_time_that_a_feed_was_off(bench: Bench) -> None:
    for says in bench.tickers.says.values():
        says.bps = 100
    async with bench.watching(PROBE, settings=RunSettings(interval=10 * S), **bench.options()):
        run = await bench.pass_seconds(2)
        assert verdict(run, bench.ids[0]) == (WARNING, "unconfirmed")
        bench.first.inject(faults.ServerError())
        run = await bench.pass_seconds(600)
        assert verdict(run, bench.ids[0]) == (UNKNOWN, "behind_endpoint")
        bench.first.injected[0].clear()
        run = await bench.pass_seconds(10)
        assert verdict(run, bench.ids[0]) == (WARNING, "unconfirmed")
        run = await bench.pass_seconds(40)
        assert verdict(run, bench.ids[0]) == (CRITICAL, "deviating")


async def test_one_exchange_that_is_wrong_late_or_down_is_named_and_judges_nobody(bench: Bench) -> None:
    # The fifth would be okx, which this stand-in does not have: binance is the fourth, in tethers.
    options = {"exchanges": ("coinbase", "kraken", "bitstamp", "binance"), "stand_ins": ("USDT",)}
    bench.tickers.says["coinbase"].bps = 900
    run = await bench.run(**options)
    assert verdict(run, bench.ids[0]) == (OK, "accurate")
    assert "coinbase is left out (outlier" in result(run, bench.ids[0]).verdicts[0].message
    bench.tickers.says["coinbase"].bps = 0
    bench.tickers.says["bitstamp"].behind = timedelta(minutes=5)
    run = await bench.run(**options)
    assert verdict(run, bench.ids[0]) == (OK, "accurate")
    assert "bitstamp is left out (stale" in result(run, bench.ids[0]).verdicts[0].message
    bench.tickers.says["bitstamp"].status = 451
    run = await bench.run(**options)
    assert verdict(run, bench.ids[0]) == (OK, "accurate")
    assert "bitstamp gave none" in result(run, bench.ids[0]).verdicts[0].message


async def test_tethers_are_converted_at_their_own_median(bench: Bench) -> None:
    run = await bench.run(exchanges=("coinbase", "kraken", "binance"), stand_ins=("USDT",))
    told = result(run, bench.ids[0]).verdicts[0]
    assert told.reason == "accurate"
    assert "of 3 exchanges: 0.00bps" in told.message
    # Without a rate nothing is a price in dollars.
    bench.tickers.says["kraken"].status = 503
    run = await bench.run(exchanges=("coinbase", "kraken", "binance"), stand_ins=("USDT",))
    assert verdict(run, bench.ids[0]) == (UNKNOWN, "no_quorum")
    assert "binance: other_quote" in result(run, bench.ids[0]).verdicts[0].message


async def test_no_exchange_within_reach_is_wrong_here(bench: Bench) -> None:
    run = await bench.run(base_urls=dict.fromkeys(bench.tickers.says, "http://nowhere"))
    assert verdict(run, bench.ids[0]) == (UNKNOWN, "no_quorum")
    assert run.status is UNKNOWN
    assert all(name in result(run, bench.ids[0]).verdicts[0].message for name in ("coinbase", "kraken", "bitstamp"))


async def test_hermes_that_fails_is_told_once(bench: Bench) -> None:
    bench.first.inject(faults.ServerError())
    run = await bench.run()
    assert verdict(run, FIRST) == (CRITICAL, "server_error")
    assert {verdict(run, one) for one in bench.ids[:2]} == {(UNKNOWN, "behind_endpoint")}
    bench.first.injected[0].clear()
    bench.first.inject(faults.Slow(3_000))
    assert verdict(await bench.run(), FIRST) == (CRITICAL, "over_budget")


async def test_a_symbol_table_that_cannot_be_read_and_a_symbol_that_hermes_does_not_have(bench: Bench) -> None:
    run = await bench.run(feeds=("Crypto.BTC/USD", "Crypto.LINK/USD"))
    assert verdict(run, "Crypto.LINK/USD") == (CRITICAL, "no_such_feed")
    assert verdict(run, bench.ids[0]) == (OK, "accurate")
    bench.first.inject(faults.ServerError(everywhere=True))
    assert (await bench.run(feeds=(bench.ids[0],))).status is CRITICAL


async def test_a_feed_by_id_that_no_exchange_trades(bench: Bench) -> None:
    run = await bench.run(feeds=(bench.ids[0], bench.ids[4]))
    assert verdict(run, bench.ids[0]) == (OK, "accurate")
    assert verdict(run, bench.ids[4]) == (UNKNOWN, "no_market")


async def test_a_closed_market_is_not_compared() -> None:
    bench = Bench(feeds=1)
    bench.network.markets = (
        *bench.network.markets,
        made_market("Equity.US.AAPL/USD", "49" * 32, 23_500_000, "Equity", "America/New_York;C,C,C,C,C,C,C;", -5),
    )
    bench.network.index["49" * 32] = 1
    markets = tuple(
        Market("Equity.US.AAPL/USD", exchange, name, "USD")
        for exchange, name in (("coinbase", "AAPL-USD"), ("kraken", "AAPLUSD"), ("bitstamp", "AAPL/USD"))
    )
    bench.tickers.markets = (*MARKETS_KNOWN, *markets)
    run = await bench.run(feeds=("Equity.US.AAPL/USD",), markets=markets)
    assert verdict(run, "49" * 32) == (SKIPPED, "market_closed")


# -- options -----------------------------------------------------------------------------------------------------------------


def test_the_mapping_of_symbols_is_checked_when_it_is_read() -> None:
    with pytest.raises(ValueError, match=r"no market is known for 'Crypto.BTX/USD'; nearest: Crypto.BTC/USD"):
        PROBE.options(feeds=("Crypto.BTX/USD",))
    with pytest.raises(ValueError, match=r"kraken, bitstamp have a market for Crypto.USDC/USD, min_sources is 3"):
        PROBE.options(feeds=("Crypto.USDC/USD",))
    limits = module_of(PROBE).Limits(min_sources=2)
    assert PROBE.options(feeds=("Crypto.USDC/USD",), by_symbol={"Crypto.USDC/USD": limits})
    with pytest.raises(ValueError, match="coinbase, kraken have a market for Crypto.PYTH/USD, min_sources is 3"):
        PROBE.options(feeds=("Crypto.PYTH/USD",))
    with pytest.raises(ValueError, match="stand_ins: 2 of the exchanges must have a market for Crypto.EURC/USD"):
        PROBE.options(feeds=("Crypto.BTC/USD",), stand_ins=("EURC",))


def test_a_class_of_feeds_may_need_fewer_sources() -> None:
    limits = module_of(PROBE).Limits(min_sources=2)
    assert PROBE.options(feeds=("Crypto.PYTH/USD",), by_asset_class={"crypto": limits})


def test_every_problem_is_told_in_one_pass() -> None:
    wrong = {
        "feeds": ("Crypto.BTX/USD",),
        "exchanges": ("coinbase", "krakn", "kraken"),
        "base_urls": {"bitstmp": "http://x"},
        "max_source_ages": {"gecko": S},
        "warn_deviation": PROBE.options(feeds=("Crypto.BTC/USD",)).max_deviation,
    }
    with pytest.raises(ValueError, match="krakn") as caught:
        PROBE.options(**wrong)
    for words in (
        "exchanges: no exchange is named krakn",
        "base_urls: no exchange",
        "max_source_ages: no",
        "BTX",
        "warn_deviation",
    ):
        assert words in str(caught.value), words


def test_a_limit_without_its_unit_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "accuracy.yaml"
    path.write_text("probe: feed_accuracy\noptions:\n  feeds: [Crypto.BTC/USD]\n  max_deviation: 5\n")
    with pytest.raises(Exception, match="50bps or") as caught:
        read_manifest(PROBE, path)
    assert "max_deviation" in str(caught.value)
