"""Exchanges asked together: each answered and failing for itself, under one deadline; limits in every exchange's own way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.clients.exchanges import ExchangesClient
from probekit.codecs.exchanges import MARKETS, VENUES, Market
from probekit.model import RequestRecord
from probekit.model.reference_price import MedianRule, ReferencePrice, median
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.units import Instant
from tests.unit.codecs.exchanges.bodies import BODIES, TIME_S

BTC, SOL, USDT = "Crypto.BTC/USD", "Crypto.SOL/USD", "Crypto.USDT/USD"
PRICES = {"BTC": Decimal("64000.5"), "SOL": Decimal("150.25"), "USDT": Decimal("0.9995")}
NAMES = {
    "coinbase": {"BTC-USD": "BTC", "SOL-USD": "SOL", "USDT-USD": "USDT"},
    "kraken": {"XXBTZUSD": "BTC", "SOLUSD": "SOL", "USDTZUSD": "USDT"},
    "binance": {"BTCUSDT": "BTC", "SOLUSDT": "SOL"},
    "okx": {"BTC-USDT": "BTC", "SOL-USDT": "SOL"},
    "bitstamp": {"BTC/USD": "BTC", "SOL/USD": "SOL", "USDT/USD": "USDT"},
    "coingecko": {"bitcoin/usd": "BTC", "solana/usd": "SOL", "tether/usd": "USDT"},
}
HOSTS = {urlsplit(venue.base_url).hostname: name for name, venue in VENUES.items()}
IN_DOLLARS = ["coinbase", "kraken", "bitstamp", "coingecko"]

Answer = Callable[[Request], Any]


class Exchanges:
    """All of them behind one transport. ``faults`` replace an exchange's answers."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock(Instant.from_seconds(TIME_S))
        self.faults: dict[str, Answer] = {}
        self.transport = ReplyTransport(self._reply)
        options = {"timeout": timedelta(seconds=5)} | options
        self.client = ExchangesClient(transport=self.transport, clock=self.clock, **options)

    def asked(self, exchange: str) -> list[str]:
        base = VENUES[exchange].base_url
        return [one.url.removeprefix(base) for one in self.transport.requests if one.url.startswith(base)]

    def _reply(self, request: Request) -> Any:
        name = HOSTS[urlsplit(request.url).hostname]
        if name in self.faults:
            return self.faults[name](request)
        return self.good(request)

    def good(self, request: Request) -> Response:
        name = HOSTS[urlsplit(request.url).hostname]
        listed = NAMES[name]
        if name == "coinbase":
            listed = {market: base for market, base in listed.items() if f"/{market}/" in request.url}
        return reply(200, BODIES[name]({market: PRICES[base] for market, base in listed.items()}), clock=self.clock)

    def answer(self, status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> Callable[[Request], Response]:
        raw = body if isinstance(body, bytes | str) else json.dumps(body)
        return lambda _: reply(status, raw, dict(headers or {}), clock=self.clock)


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges()


def shown(error: object) -> str:
    assert isinstance(error, errors.ProbekitError)
    return error.message


# -- what they say -------------------------------------------------------------------------------------------------------------


async def test_prices_in_dollars_of_all_that_have_them(exchanges: Exchanges) -> None:
    reads = await exchanges.client.prices([BTC, SOL, BTC])
    assert reads.symbols == (BTC, SOL)
    found = reads.of(BTC)
    assert list(found.values) == IN_DOLLARS
    assert found.failures == reads.failures == {}
    assert {one.price for one in reads.prices(BTC)} == {PRICES["BTC"]}
    assert {one.quote for one in reads.prices(BTC)} == {"USD"}
    kraken, coinbase = found.values["kraken"], found.values["coinbase"]
    assert (kraken.market, kraken.source_time, kraken.observed_at) == ("XXBTZUSD", None, exchanges.clock.now())
    assert kraken.no_time == "Kraken's ticker carries no time"
    assert (kraken.bid, kraken.ask) == (PRICES["BTC"], PRICES["BTC"] + 1)
    assert (coinbase.source_time, coinbase.no_time) == (Instant(TIME_S * 10**9 + 250_000_000), "")
    assert median(reads.prices(SOL), now=exchanges.clock.now()).price == PRICES["SOL"]


async def test_one_request_for_many_symbols_where_the_exchange_takes_them(exchanges: Exchanges) -> None:
    await exchanges.client.prices([BTC, SOL], stand_ins=["USDT"])
    assert {name: len(exchanges.asked(name)) for name in VENUES} == dict.fromkeys(VENUES, 1) | {"coinbase": 2}
    for request in exchanges.transport.requests:
        assert request.headers == (("accept", "application/json"),)


async def test_a_stand_in_is_asked_for_by_name_and_says_what_it_is(exchanges: Exchanges) -> None:
    reads = await exchanges.client.prices([BTC, USDT], stand_ins=["USDT"])
    found = reads.of(BTC).values
    assert {source: one.quote for source, one in found.items()} == dict.fromkeys(IN_DOLLARS, "USD") | {
        "binance": "USDT",
        "okx": "USDT",
    }
    now = exchanges.clock.now()
    assert median(found.values(), now=now).count == 4
    rate = median(reads.prices(USDT), now=now)
    converted = [one if one.quote == "USD" else one.converted(rate.price, "USD", by="USDT/USD") for one in found.values()]
    both = median(converted, now=now)
    assert (both.count, len(both.dissenters)) == (6, 0)


async def test_coingecko_is_coarse_and_its_age_is_judged(exchanges: Exchanges) -> None:
    await exchanges.clock.advance(timedelta(minutes=10))
    reads = await exchanges.client.prices([BTC])
    now = exchanges.clock.now()
    coarse = MedianRule(min_sources=1, max_ages={"coingecko": timedelta(minutes=11)})
    assert "coingecko" not in [one.source for one in median(reads.prices(BTC), now=now, rule=MedianRule(min_sources=1)).sources]
    assert "coingecko" in [one.source for one in median(reads.prices(BTC), now=now, rule=coarse).sources]


async def test_some_exchanges_and_markets_of_ones_own() -> None:
    markets = [Market("Crypto.XYZ/USD", "kraken", "XXBTZUSD", "USD"), Market(BTC, "kraken", "XXBTZUSD", "USD")]
    box = Exchanges(exchanges=["kraken"], markets=markets)
    reads = await box.client.prices(["Crypto.XYZ/USD", BTC])
    # Two symbols of one market, which is asked for once.
    assert [one.price for symbol in reads.symbols for one in reads.prices(symbol)] == [PRICES["BTC"]] * 2
    assert box.asked("kraken") == ["/0/public/Ticker?pair=XXBTZUSD"]
    assert list(reads.answers) == ["kraken"]


async def test_nothing_asked_for(exchanges: Exchanges) -> None:
    reads = await exchanges.client.prices([])
    assert (reads.symbols, reads.failures, exchanges.transport.requests) == ((), {}, [])


async def test_what_nobody_knows(exchanges: Exchanges) -> None:
    with pytest.raises(ValueError, match=r"no market is known for 'Crypto.BTC/USB'; nearest: Crypto.BTC/USD"):
        await exchanges.client.prices(["Crypto.BTC/USB"])
    for wrong in (["mtgox"], []):
        with pytest.raises(ValueError, match="no exchange is named"):
            ExchangesClient(wrong, transport=exchanges.transport)
    with pytest.raises(ValueError, match="mtgox"):
        ExchangesClient(base_urls={"mtgox": "https://x.test"}, transport=exchanges.transport)


# -- what goes wrong -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ((429, "slow down"), errors.RateLimited),
        ((503, "<html>"), errors.ServerError),
        ((500, ""), errors.ServerError),
        ((403, "<html>firewall"), errors.Unauthorized),
        ((451, "not in your country"), errors.Unauthorized),
        ((302, ""), errors.StatusError),
        ((200, "<html>a page"), errors.DecodeError),
        ((200, ""), errors.DecodeError),
        ((200, "5"), errors.DecodeError),
        (errors.ConnectError("refused"), errors.ConnectError),
    ],
    ids=["429", "503", "500", "403", "451", "302", "page", "nothing", "number", "refused"],
)
async def test_a_failure_is_its_exchanges_alone(name: str, fault: Any, error: type[Exception]) -> None:
    box = Exchanges()
    box.faults[name] = (lambda _: fault) if isinstance(fault, Exception) else box.answer(*fault)
    reads = await box.client.prices([BTC, SOL], stand_ins=["USDT"])
    assert type(reads.of(BTC).failures[name]) is error
    assert type(reads.of(SOL).failures[name]) is error
    for symbol in (BTC, SOL):
        assert set(reads.of(symbol).values) == set(VENUES) - {name}
    assert list(reads.failures) == [name]
    assert shown(reads.failures[name])


@given(
    st.fixed_dictionaries(
        {
            name: st.none()
            | st.tuples(
                st.sampled_from([200, 204, 301, 400, 403, 404, 418, 429, 451, 500, 503]),
                st.binary(max_size=30) | st.sampled_from([b"{}", b"[]", b"null", b'{"error":["EQuery:Unknown asset pair"]}']),
            )
            for name in VENUES
        }
    )
)
async def test_whatever_they_answer_the_others_have_their_prices(answers: dict[str, tuple[int, bytes] | None]) -> None:
    box = Exchanges()
    box.faults = {name: box.answer(*answer) for name, answer in answers.items() if answer is not None}
    reads = await box.client.prices([BTC, SOL], stand_ins=["USDT"])
    for symbol in (BTC, SOL):
        found = reads.of(symbol)
        assert set(found.values) == {name for name, answer in answers.items() if answer is None}
        assert set(found.values) | set(found.failures) == set(VENUES)


@pytest.mark.parametrize(
    ("name", "status", "body", "retry_after", "error", "wait_ns"),
    [
        ("binance", 429, {"code": -1003, "msg": "Too much request weight used"}, "7", errors.RateLimited, 7 * 10**9),
        ("binance", 418, {"code": -1003, "msg": "IP banned until 1789207320000"}, "120", errors.RateLimited, 120 * 10**9),
        ("binance", 418, "", None, errors.RateLimited, None),
        ("kraken", 200, {"error": ["EAPI:Rate limit exceeded"]}, None, errors.RateLimited, None),
        ("kraken", 200, {"error": ["EService:Unavailable"]}, None, errors.ServerError, None),
        ("kraken", 200, {"error": ["EGeneral:Invalid arguments"]}, None, errors.StatusError, None),
        ("okx", 429, {"code": "50011", "msg": "Too Many Requests", "data": []}, None, errors.RateLimited, None),
        ("okx", 200, {"code": "50011", "msg": "Too Many Requests", "data": []}, None, errors.RateLimited, None),
        ("okx", 200, {"code": "50001", "msg": "Service temporarily unavailable"}, None, errors.ServerError, None),
        ("coinbase", 429, {"message": "Public rate limit exceeded"}, "1", errors.RateLimited, 10**9),
        ("bitstamp", 400, {"response_code": "400.002"}, None, errors.RateLimited, None),
        ("coingecko", 429, {"status": {"error_code": 429, "error_message": "x"}}, "60", errors.RateLimited, 60 * 10**9),
    ],
)
async def test_limits_in_their_own_words(
    name: str, status: int, body: Any, retry_after: str | None, error: type[errors.StatusError], wait_ns: int | None
) -> None:
    box = Exchanges(exchanges=[name])
    box.faults[name] = box.answer(status, body, {} if retry_after is None else {"retry-after": retry_after})
    found = (await box.client.prices([BTC], stand_ins=["USDT"])).of(BTC).failures[name]
    assert type(found) is error
    assert isinstance(found, errors.StatusError)
    assert found.status == status
    assert getattr(found, "retry_after_ns", None) == wait_ns
    assert len(box.transport.requests) == 1, "a limit is never tried again"


@pytest.mark.parametrize("name", VENUES)
async def test_one_malformed_item_costs_no_other(name: str) -> None:
    box = Exchanges(exchanges=[name])

    def fault(request: Request) -> Response:
        answer = box.good(request)
        answer.body = answer.body.replace(str(PRICES["BTC"]).encode(), b'"x"' if name == "coingecko" else b"x")
        return answer

    box.faults[name] = fault
    reads = await box.client.prices([BTC, SOL], stand_ins=["USDT"])
    assert isinstance(reads.of(BTC).failures[name], errors.DecodeError)
    assert reads.of(SOL).values[name].price == PRICES["SOL"]
    assert reads.failures == {}


@pytest.mark.parametrize("name", [name for name in VENUES if name != "coinbase"])
async def test_a_market_that_is_left_out(name: str) -> None:
    box = Exchanges(exchanges=[name])
    box.faults[name] = lambda _: reply(
        200, BODIES[name]({market: PRICES[base] for market, base in NAMES[name].items() if base == "SOL"}), clock=box.clock
    )
    reads = await box.client.prices([BTC, SOL], stand_ins=["USDT"])
    missing = reads.of(BTC).failures[name]
    assert isinstance(missing, errors.Missing)
    assert "leaves out" in missing.message
    assert reads.of(SOL).values[name].price == PRICES["SOL"]


@pytest.mark.parametrize(
    ("name", "gone", "body", "status"),
    [
        ("kraken", "XXBTZUSD", {"error": ["EQuery:Unknown asset pair"]}, 200),
        ("binance", "BTCUSDT", {"code": -1121, "msg": "Invalid symbol."}, 400),
        ("coinbase", "BTC-USD", {"message": "NotFound"}, 404),
    ],
)
async def test_a_market_that_is_gone_is_found_out_and_costs_no_other(name: str, gone: str, body: Any, status: int) -> None:
    box = Exchanges(exchanges=[name])

    def fault(request: Request) -> Response:
        return box.answer(status, body)(request) if gone in request.url else box.good(request)

    box.faults[name] = fault
    reads = await box.client.prices([BTC, SOL], stand_ins=["USDT"])
    assert isinstance(reads.of(BTC).failures[name], errors.NotFound)
    assert gone in shown(reads.of(BTC).failures[name])
    assert reads.of(SOL).values[name].price == PRICES["SOL"]
    assert len(box.transport.requests) == (2 if name == "coinbase" else 3)


async def test_finding_out_ends_at_a_limit() -> None:
    box = Exchanges(exchanges=["kraken"])

    def fault(request: Request) -> Response:
        if len(box.transport.requests) == 1:
            return box.answer(200, {"error": ["EQuery:Unknown asset pair"]})(request)
        return box.answer(200, {"error": ["EAPI:Rate limit exceeded"]})(request)

    box.faults["kraken"] = fault
    reads = await box.client.prices([BTC, SOL, USDT])
    assert {type(reads.of(symbol).failures["kraken"]) for symbol in reads.symbols} == {errors.RateLimited}
    assert len(box.transport.requests) == 2


@pytest.mark.parametrize("name", VENUES)
async def test_one_that_hangs_is_late_by_itself(name: str) -> None:
    box = Exchanges()

    async def hang(_: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("never")

    box.faults[name] = hang
    before = asyncio.all_tasks()
    began_ns = box.clock.monotonic_ns()
    task = asyncio.ensure_future(box.client.prices([BTC, SOL], stand_ins=["USDT"]))
    await box.clock.advance(timedelta(seconds=4.9))
    assert not task.done()
    await box.clock.advance(timedelta(seconds=0.1))
    reads = await task
    assert box.clock.monotonic_ns() - began_ns == 5 * 10**9
    assert isinstance(reads.of(BTC).failures[name], errors.DeadlineExceeded)
    assert "no answer in 5.0s" in shown(reads.of(SOL).failures[name])
    assert set(reads.of(BTC).values) == set(VENUES) - {name}
    await box.clock.settle()
    assert asyncio.all_tasks() == before


async def test_requests_that_wait_for_their_turn_are_late_as_well() -> None:
    symbols = [market.symbol for market in MARKETS if market.exchange == "coinbase"][:12]
    box = Exchanges(exchanges=["coinbase"])
    under_way = 0

    async def hang(_: Request) -> Response:
        nonlocal under_way
        under_way += 1
        await asyncio.Event().wait()
        raise AssertionError("never")

    box.faults["coinbase"] = hang
    task = asyncio.ensure_future(box.client.prices(symbols))
    await box.clock.settle()
    assert under_way == VENUES["coinbase"].at_once
    await box.clock.advance(timedelta(seconds=5))
    reads = await task
    assert {type(reads.of(one).failures["coinbase"]) for one in symbols} == {errors.DeadlineExceeded}


async def test_cancelled(exchanges: Exchanges) -> None:
    async def hang(_: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("never")

    exchanges.faults = dict.fromkeys(VENUES, hang)
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(exchanges.client.prices([BTC, SOL], stand_ins=["USDT"]))
    await exchanges.clock.settle()
    assert exchanges.clock.sleeping > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


# -- keys, mirrors, records ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "header"),
    [("https://api.coingecko.com", "x-cg-demo-api-key"), ("https://pro-api.coingecko.com/", "x-cg-pro-api-key")],
)
async def test_coingeckos_key_goes_to_coingecko_alone(base: str, header: str) -> None:
    key = Secret("k3y-of-the-gecko")
    records: list[RequestRecord] = []
    clock = FakeClock()
    transport = ReplyTransport(lambda _: reply(429, "k3y-of-the-gecko is over its limit", clock=clock))
    client = ExchangesClient(
        ["coingecko", "kraken"],
        transport=transport,
        clock=clock,
        base_urls={"coingecko": base},
        coingecko_key=key,
        observer=records.append,
    )
    reads = await client.prices([BTC])
    sent = {urlsplit(one.url).hostname: one.headers for one in transport.requests}
    assert sent[urlsplit(base).hostname] == (("accept", "application/json"), (header, key))
    assert sent["api.kraken.com"] == (("accept", "application/json"),)
    assert len(records) == 2
    error = reads.of(BTC).failures["coingecko"]
    assert isinstance(error, errors.RateLimited)
    assert "k3y-of-the-gecko" not in error.message + error.body + str(records)


async def test_its_own_transport_is_closed_and_a_callers_is_not(exchanges: Exchanges) -> None:
    async with exchanges.client as client:
        assert isinstance((await client.prices([BTC])).prices(BTC)[0], ReferencePrice)
    assert not exchanges.transport.closed
    async with ExchangesClient():
        pass
