"""Tickers of every exchange: exact numbers, damaged answers, refusals in the exchange's own words, markets as data."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.exchanges import MARKETS, VENUES, Market, RefusalKind, Tick, choose
from probekit.errors import DecodeError
from probekit.units import Instant
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.exchanges.bodies import BODIES, NAMES, TIME_S

prices = st.decimals(min_value="1e-18", max_value=10**12, allow_nan=False, allow_infinity=False, places=18)
TIMES = {
    "coinbase": Instant(TIME_S * 10**9 + 250_000_000),
    "kraken": None,
    "binance": Instant(TIME_S * 10**9 + 250_000_000),
    "okx": Instant(TIME_S * 10**9 + 250_000_000),
    "bitstamp": Instant(TIME_S * 10**9),
    "coingecko": Instant(TIME_S * 10**9),
}


def body_of(name: str, price: Decimal = Decimal("64000.5")) -> bytes:
    return BODIES[name](dict.fromkeys(NAMES[name], price))


def changed(name: str, **changes: Any) -> bytes:
    """An answer whose first item has these members instead; ``...`` leaves one out."""
    told = json.loads(body_of(name))
    item = told
    if name == "kraken":
        item = told["result"][NAMES[name][0]]
    elif name == "okx":
        item = told["data"][0]
    elif name == "coingecko":
        item = told["bitcoin"]
    elif name != "coinbase":
        item = told[0]
    for key, value in changes.items():
        if value is ...:
            del item[key]
        else:
            item[key] = value
    return json.dumps(told).encode()


@pytest.mark.parametrize("name", VENUES)
@given(price=prices)
def test_prices_are_exact(name: str, price: Decimal) -> None:
    found = VENUES[name].read(body_of(name, price), NAMES[name])
    sides = (None, None) if name == "coingecko" else (price, price + 1)
    assert found == dict.fromkeys(NAMES[name], Tick(price, TIMES[name], *sides))


@pytest.mark.parametrize("name", VENUES)
def test_what_is_not_about_a_market_that_was_asked_for_is_left_out(name: str) -> None:
    venue = VENUES[name]
    if name != "coinbase":  # which does not name the market
        assert venue.read(body_of(name), ("nothing/of", *NAMES[name][:1])).keys() == set(NAMES[name][:1])
    empty = {"kraken": b'{"error":[],"result":{}}', "okx": b'{"code":"0","data":[]}', "coingecko": b"{}"}
    if name != "coinbase":
        assert venue.read(empty.get(name, b"[]"), NAMES[name]) == {}
    assert venue.queries(()) == ()


@pytest.mark.parametrize("name", VENUES)
def test_damaged_answers(name: str) -> None:
    body = body_of(name)
    venue = VENUES[name]

    def decode(damaged: bytes) -> None:
        venue.refusal(200, damaged)
        for item in venue.read(damaged, NAMES[name]).values():
            assert isinstance(item, Tick | DecodeError)

    assert decodes_or_refuses(decode, body)
    assert False in [decodes_or_refuses(decode, damaged) for damaged in mutations(body)]


@pytest.mark.parametrize("name", VENUES)
@given(
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["result", "error", "data", "code", "msg", "bitcoin", "usd", "price", "time", "status", "pair"])
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_else(name: str, body: bytes) -> None:
    venue = VENUES[name]
    venue.refusal(200, body)
    venue.refusal(404, body)
    decodes_or_refuses(lambda raw: venue.read(raw, NAMES[name]), body)


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5_000, b"1e999999999", b'"' + b"x" * 10_000])
def test_absurd_answers_cost_little(name: str, body: bytes) -> None:
    assert peak_bytes(lambda: VENUES[name].read(body, NAMES[name])) < 1_000_000


PRICE = {"coinbase": "price", "binance": "lastPrice", "okx": "last", "bitstamp": "last", "coingecko": "usd"}
TIME = {"coinbase": "time", "binance": "closeTime", "okx": "ts", "bitstamp": "timestamp", "coingecko": "last_updated_at"}
BID = {"coinbase": "bid", "binance": "bidPrice", "okx": "bidPx", "bitstamp": "bid"}


@pytest.mark.parametrize(("name", "member"), PRICE.items())
@pytest.mark.parametrize("value", ["", "0", "-5", "NaN", "Infinity", "1_000", "0x10", "1e99", "٣", True, None, [1], 0, ...])
def test_what_is_no_price(name: str, member: str, value: Any) -> None:
    found = VENUES[name].read(changed(name, **{member: value}), NAMES[name])
    assert isinstance(found[NAMES[name][0]], DecodeError)
    assert all(isinstance(found[other], Tick) for other in NAMES[name][1:]), "it costs no other market its price"


@pytest.mark.parametrize(("name", "member"), TIME.items())
@pytest.mark.parametrize("value", ["soon", 5, TIME_S * 10**6, -1, True, [], "2026-09-12T10:00:00"])
def test_what_is_no_time(name: str, member: str, value: Any) -> None:
    found = VENUES[name].read(changed(name, **{member: value}), NAMES[name])
    assert isinstance(found[NAMES[name][0]], DecodeError)
    assert all(isinstance(found[other], Tick) for other in NAMES[name][1:])


def test_coingecko_may_leave_out_its_time() -> None:
    found = VENUES["coingecko"].read(changed("coingecko", last_updated_at=...), NAMES["coingecko"])
    assert found["bitcoin/usd"] == Tick(Decimal("64000.5"))
    assert VENUES["coingecko"].no_time
    assert "no time" in VENUES["kraken"].no_time


@pytest.mark.parametrize(("name", "member"), BID.items())
@pytest.mark.parametrize("value", ["", "0", "0.00000000", None, ...])
def test_a_side_of_the_book_may_be_empty(name: str, member: str, value: Any) -> None:
    tick = VENUES[name].read(changed(name, **{member: value}), NAMES[name])[NAMES[name][0]]
    assert isinstance(tick, Tick)
    assert (tick.bid, tick.ask) == (None, Decimal("64001.5"))
    broken = VENUES[name].read(changed(name, **{member: "-1"}), NAMES[name])[NAMES[name][0]]
    assert isinstance(broken, DecodeError)


@pytest.mark.parametrize("row", [None, [], "5", [None], ["x"]])
def test_krakens_rows(row: Any) -> None:
    found = VENUES["kraken"].read(changed("kraken", c=row), NAMES["kraken"])
    assert isinstance(found["XXBTZUSD"], DecodeError)
    assert isinstance(found["SOLUSD"], Tick)
    no_bid = VENUES["kraken"].read(changed("kraken", b=...), NAMES["kraken"])["XXBTZUSD"]
    assert isinstance(no_bid, Tick)
    assert no_bid.bid is None


@pytest.mark.parametrize(
    ("name", "status", "body", "kind"),
    [
        ("coinbase", 404, '{"message":"NotFound"}', RefusalKind.UNKNOWN_MARKET),
        ("coinbase", 404, "<html>", None),
        ("coinbase", 429, '{"message":"Public rate limit exceeded"}', None),
        ("kraken", 200, '{"error":["EAPI:Rate limit exceeded"]}', RefusalKind.RATE_LIMITED),
        ("kraken", 200, '{"error":["EGeneral:Too many requests"]}', RefusalKind.RATE_LIMITED),
        ("kraken", 200, '{"error":["EService: Throttled: 1789207200"]}', RefusalKind.RATE_LIMITED),
        ("kraken", 200, '{"error":["EService:Unavailable"]}', RefusalKind.UNAVAILABLE),
        ("kraken", 200, '{"error":["EService:Busy"]}', RefusalKind.UNAVAILABLE),
        ("kraken", 200, '{"error":["EQuery:Unknown asset pair"]}', RefusalKind.UNKNOWN_MARKET),
        ("kraken", 200, '{"error":["EGeneral:Invalid arguments"]}', RefusalKind.OTHER),
        ("kraken", 200, '{"error":["WGeneral:Danger"],"result":{}}', None),
        ("kraken", 200, '{"error":[]}', None),
        ("binance", 429, '{"code":-1003,"msg":"Too many requests"}', RefusalKind.RATE_LIMITED),
        ("binance", 400, '{"code":-1121,"msg":"Invalid symbol."}', RefusalKind.UNKNOWN_MARKET),
        ("binance", 503, '{"code":-1008,"msg":"Server is currently overloaded"}', RefusalKind.UNAVAILABLE),
        ("binance", 400, '{"code":-1102,"msg":"Mandatory parameter"}', RefusalKind.OTHER),
        ("binance", 451, '{"code":0,"msg":"Service unavailable from a restricted location"}', RefusalKind.OTHER),
        ("binance", 200, "[]", None),
        ("okx", 429, '{"code":"50011","msg":"Too Many Requests"}', RefusalKind.RATE_LIMITED),
        ("okx", 200, '{"code":"51001","msg":"Instrument ID does not exist"}', RefusalKind.UNKNOWN_MARKET),
        ("okx", 503, '{"code":"50001","msg":"Service temporarily unavailable"}', RefusalKind.UNAVAILABLE),
        ("okx", 400, '{"code":"51000","msg":"Parameter instType error"}', RefusalKind.OTHER),
        ("okx", 200, '{"code":"0","data":[]}', None),
        ("bitstamp", 429, '{"response_code":"400.002"}', RefusalKind.RATE_LIMITED),
        ("bitstamp", 400, '{"code":"400.002"}', RefusalKind.RATE_LIMITED),
        ("bitstamp", 400, '{"code":"400.067"}', RefusalKind.RATE_LIMITED),
        ("bitstamp", 400, '{"code":"400.007"}', RefusalKind.OTHER),
        ("bitstamp", 200, "{}", None),
        ("coingecko", 429, '{"status":{"error_code":429,"error_message":"exceeded"}}', RefusalKind.RATE_LIMITED),
        ("coingecko", 401, '{"status":{"error_code":10002}}', RefusalKind.OTHER),
        ("coingecko", 200, "{}", None),
    ],
)
def test_refusals_in_their_own_words(name: str, status: int, body: str, kind: RefusalKind | None) -> None:
    found = VENUES[name].refusal(status, body.encode())
    assert (None if found is None else found.kind) is kind


@pytest.mark.parametrize("name", VENUES)
def test_an_answer_is_no_refusal(name: str) -> None:
    assert VENUES[name].refusal(200, body_of(name)) is None


PATHS = {
    "coinbase": ["/products/BTC-USD/ticker"],
    "kraken": ["/0/public/Ticker?pair=XXBTZUSD,SOLUSD"],
    "binance": ["/api/v3/ticker/24hr?symbols=%5B%22BTCUSDT%22%2C%22SOLUSDT%22%5D"],
    "okx": ["/api/v5/market/tickers?instType=SPOT"],
    "bitstamp": ["/api/v2/ticker/"],
    "coingecko": ["/api/v3/simple/price?ids=bitcoin,solana&vs_currencies=usd&include_last_updated_at=true&precision=full"],
}


@pytest.mark.parametrize("name", VENUES)
def test_requests(name: str) -> None:
    queries = VENUES[name].queries(NAMES[name])
    assert [one.path for one in queries] == PATHS[name]
    assert tuple(market for one in queries for market in one.markets) == NAMES[name]
    assert len(VENUES["coinbase"].queries(("BTC-USD", "../x"))) == 2
    assert VENUES["coinbase"].queries(("../x",))[0].path == "/products/..%2Fx/ticker"
    assert VENUES["okx"].queries(("BTC-USDT",))[0].path == "/api/v5/market/ticker?instId=BTC-USDT"


# -- markets -------------------------------------------------------------------------------------------------------------------


def test_markets_are_well_formed() -> None:
    for one in MARKETS:
        assert one.exchange in VENUES
        base, quote = one.symbol.removeprefix("Crypto.").split("/")
        assert quote == "USD"
        if one.exchange in ("coinbase", "okx", "bitstamp", "binance"):
            assert one.name.replace("-", "").replace("/", "") == base + one.quote
        elif one.exchange == "kraken":
            assert one.name.endswith("USD")
        else:
            assert one.name.endswith("/usd")
    assert len({(one.symbol, one.exchange, one.quote) for one in MARKETS}) == len(MARKETS)
    assert len({(one.exchange, one.name) for one in MARKETS}) == len(MARKETS)
    assert {one.exchange for one in MARKETS if one.quote == "USDT"} == {"binance", "okx"}


def test_a_stand_in_is_never_taken_by_itself() -> None:
    own = Market("Crypto.BTC/USD", "kraken", "XXBTZUSD", "USD")
    tether = Market("Crypto.BTC/USD", "kraken", "XBTUSDT", "USDT")
    assert choose([tether, own], own.symbol, "kraken") == own
    assert choose([tether, own], own.symbol, "kraken", stand_ins=["USDT"]) == own
    assert choose([tether], own.symbol, "kraken") is None
    assert choose([tether], own.symbol, "kraken", stand_ins=["USDC"]) is None
    assert choose([tether], own.symbol, "kraken", stand_ins=["USDC", "USDT"]) == tether
    assert choose(MARKETS, own.symbol, "binance") is None
