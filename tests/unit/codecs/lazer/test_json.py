"""The JSON of routers, streams and the history service."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.lazer import messages, symbols, updates
from probekit.codecs.lazer.messages import (
    ClientRequest,
    IgnoredFeeds,
    PriceRequest,
    ServiceError,
    Subscribed,
    SubscriptionRefused,
    UnknownServiceMessage,
    Unsubscribed,
)
from probekit.codecs.lazer.symbols import Candle
from probekit.codecs.lazer.updates import BinaryEncoding
from probekit.errors import DecodeError
from probekit.model.lazer import (
    Channel,
    Envelope,
    FeedProperty,
    FeedValues,
    LazerPayload,
    LazerUpdate,
    TradingSession,
    UpdateFormat,
)
from probekit.model.lazer_symbols import LazerSymbol, SymbolSession
from probekit.units import Instant
from tests.support.mutation import mutations
from tests.unit.codecs.lazer.strategies import ignored, parsed, parts, requests
from tests.unit.codecs.strategies import unsigned

FEED = {"priceFeedId": 1, "price": "5", "exponent": -8, "confidence": 2, "marketSession": "regular", "feedUpdateTimestamp": 9}
UPDATE = {"parsed": {"timestampUs": "9", "priceFeeds": [FEED]}, "leUnsigned": {"encoding": "hex", "data": "0c4d63590000"}}


def read(row: Any) -> LazerUpdate:
    return updates.decode_update(json.dumps(row).encode())


def payload(row: Any) -> LazerPayload:
    found = read(row).parsed
    assert isinstance(found, LazerPayload)
    return found


@given(unsigned(64), st.none() | parsed, parts, st.sampled_from(("base64", "hex")))
def test_updates_round_trip(
    number: int, told: LazerPayload | None, binary: dict[UpdateFormat, Envelope], encoding: BinaryEncoding
) -> None:
    update = LazerUpdate(told, dict(binary), number)
    assert messages.decode(messages.encode(update, encoding).encode()) == update
    body = msgspec.json.encode(updates.write_update(update, encoding))
    assert updates.decode_update(body) == msgspec.structs.replace(update, subscription_id=None)


@given(unsigned(64), ignored, st.lists(unsigned(32), max_size=3).map(tuple), st.text(min_size=1, max_size=50))
def test_messages_round_trip(number: int, left_out: IgnoredFeeds, feeds: tuple[int, ...], words: str) -> None:
    for message in (
        Subscribed(number),
        Subscribed(number, feeds, left_out),
        Unsubscribed(number),
        SubscriptionRefused(number, words),
        ServiceError(words),
        UnknownServiceMessage("news", {"type": "news", "subscriptionId": number}),
    ):
        assert messages.decode(messages.encode(message).encode()) == message


@given(unsigned(64), requests)
def test_requests_round_trip(number: int, request: PriceRequest) -> None:
    assert messages.decode_client(messages.subscribe(number, request)) == ClientRequest(number, request)
    assert messages.decode_client(messages.unsubscribe(number)) == ClientRequest(number, None)
    assert messages.request_body(request, timestamp_us=5)["timestamp"] == 5


def test_numbers_may_be_text_and_text_numbers() -> None:
    row = {"priceFeedId": "1", "price": 5, "exponent": "-8", "publisherCount": "3", "confidence": "2", "bestBidPrice": None}
    (feed,) = payload({"parsed": {"timestampUs": 9, "priceFeeds": [row]}}).feeds
    served = (FeedProperty.PRICE, FeedProperty.EXPONENT, FeedProperty.PUBLISHER_COUNT, FeedProperty.CONFIDENCE)
    assert feed == FeedValues(1, served, price_mantissa=5, publisher_count=3, expo=-8, conf_mantissa=2)


@pytest.mark.parametrize(
    "broken",
    [
        {"price": "5"},
        {"priceFeedId": -1},
        {"priceFeedId": True},
        {"priceFeedId": 2**32},
        {"priceFeedId": 2, "price": 1.5},
        {"priceFeedId": 2, "price": "1e5"},
        {"priceFeedId": 2, "price": 2**63},
        {"priceFeedId": 2, "price": "9" * 30},
        {"priceFeedId": 2, "publisherCount": -1},
        {"priceFeedId": 2, "marketSession": []},
        7,
        None,
    ],
)
def test_a_broken_feed_costs_no_other_its_price(broken: Any) -> None:
    first, bad, last = payload({"parsed": {"timestampUs": "9", "priceFeeds": [FEED, broken, FEED]}}).feeds
    assert isinstance(first, FeedValues)
    assert first == last
    assert isinstance(bad, DecodeError)
    assert json.loads(bad.raw) == broken


def test_broken_parts_cost_no_other_its_place() -> None:
    binary: list[Any] = [{"encoding": "hex", "data": "zz"}, {"encoding": "rot13", "data": ""}, {"data": 7}, [], {"data": "?"}]
    for part in binary:
        found = read({**UPDATE, "evm": part, "solana": UPDATE["leUnsigned"]})
        assert isinstance(found.parsed, LazerPayload)
        assert isinstance(found.binary[UpdateFormat.EVM], DecodeError)
        assert isinstance(found.binary[UpdateFormat.SOLANA], DecodeError)
        assert found.binary[UpdateFormat.LE_UNSIGNED] == Envelope(UpdateFormat.LE_UNSIGNED, b"")
    parsed: list[Any] = [
        [],
        {},
        {"timestampUs": "x", "priceFeeds": []},
        {"timestampUs": "1"},
        {"timestampUs": "1", "priceFeeds": 1},
    ]
    for told in parsed:
        found = read({**UPDATE, "parsed": told})
        assert isinstance(found.parsed, DecodeError)
        assert isinstance(found.binary[UpdateFormat.LE_UNSIGNED], Envelope)


def test_what_is_not_known_is_kept() -> None:
    row = {**FEED, "marketSession": "lunch", "halted": {"since": 1.25}}
    found = read({"parsed": {"timestampUs": "9", "priceFeeds": [row], "round": 3}, "aptos": {"data": ""}})
    assert isinstance(found.parsed, LazerPayload)
    (feed,) = found.parsed.feeds
    assert isinstance(feed, FeedValues)
    assert feed.market_session == "lunch"
    # No float anywhere, not even there.
    assert feed.extra == {"halted": {"since": Decimal("1.25")}}
    assert (found.parsed.extra, found.extra) == ({"round": 3}, {"aptos": {"data": ""}})
    number = payload({"parsed": {"timestampUs": "9", "priceFeeds": [{**FEED, "marketSession": 7}]}}).by_id[1]
    assert number.market_session == 7
    news = messages.decode(b'{"type":"maintenance","at":5}')
    assert news == UnknownServiceMessage("maintenance", {"type": "maintenance", "at": 5})


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"null", b"[" * 5000, b"\xff", b'{"a":1e999999999999999999999}'])
def test_what_is_no_update(body: bytes) -> None:
    for decode in (updates.decode_update, messages.decode, symbols.decode_symbol, symbols.decode_candles):
        with pytest.raises(DecodeError) as caught:
            decode(body)
        assert caught.value.raw == body


def test_damaged_messages_decode_or_are_refused() -> None:
    whole = json.dumps({"type": "streamUpdated", "subscriptionId": 1, **UPDATE}).encode()
    outcomes = set()
    for changed in mutations(whole):
        try:
            messages.decode(changed)
        except DecodeError as error:
            assert error.raw == changed
            outcomes.add(False)
        else:
            outcomes.add(True)
    assert outcomes == {True, False}


def test_both_spellings_of_an_error() -> None:
    spelled: list[tuple[dict[str, str], str]] = [({"error": "a"}, "a"), ({"message": "b"}, "b"), ({}, "no reason given")]
    for row, words in (*spelled, ({"error": "A", "message": "b"}, "A: b")):
        assert messages.decode(json.dumps({"type": "error", **row}).encode()) == ServiceError(words)
        refused = messages.decode(json.dumps({"type": "subscriptionError", "subscriptionId": 3, **row}).encode())
        assert refused == SubscriptionRefused(3, words)


def test_an_older_service_tells_less_of_ignored_feeds() -> None:
    row = {"type": "subscribedWithInvalidFeedIdsIgnored", "subscriptionId": 1, "subscribedFeedIds": [1],
           "ignoredInvalidFeedIds": {"unknownIds": [2], "paused": [3]}}  # fmt: skip
    found = messages.decode(json.dumps(row).encode())
    assert found == Subscribed(1, (1,), IgnoredFeeds(unknown_ids=(2,), extra={"paused": [3]}))


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({}, "either price feed ids or symbols"),
        ({"priceFeedIds": [1], "symbols": ["a"]}, "either"),
        ({"priceFeedIds": []}, "at least one feed"),
        ({"priceFeedIds": [1, 1]}, "named twice"),
        ({"priceFeedIds": [1], "properties": ["colour"]}, "unknown property 'colour'"),
        ({"priceFeedIds": [1], "formats": ["aptos"]}, "unknown format"),
        ({"priceFeedIds": [1], "channel": "fixed_rate@1ms"}, "unknown channel"),
        ({"priceFeedIds": [1], "parsed": 1}, "true or false"),
        ({"priceFeedIds": [1], "deliveryFormat": "pigeon"}, "unknown deliveryFormat"),
        ({"priceFeedIds": [1], "parsed": False, "formats": []}, "asks for nothing"),
    ],
)
def test_requests_that_the_service_would_refuse(row: dict[str, Any], match: str) -> None:
    whole = {"type": "subscribe", "subscriptionId": 1, "properties": ["price"], "formats": [], "channel": 3} | row
    with pytest.raises(DecodeError, match=match):
        messages.decode_client(json.dumps(whole))


def test_older_names_of_a_request() -> None:
    row = {"type": "subscribe", "subscriptionId": 1, "symbols": ["a"], "properties": ["price"]}
    row |= {"chains": ["evm"], "channel": "1", "ignoreInvalidFeedIds": True}
    found = messages.decode_client(json.dumps(row)).request
    assert found == PriceRequest(("a",), (FeedProperty.PRICE,), (UpdateFormat.EVM,), Channel.REAL_TIME)


@pytest.mark.parametrize("feeds", [("a", 1), (True,), (-1,), (2**32,), (1.5,)])
def test_feeds_are_numbers_or_symbols(feeds: Any) -> None:
    with pytest.raises(ValueError):
        PriceRequest(feeds)


# -- the history service -------------------------------------------------------------------------------------------------------

SYMBOL = {
    "pyth_lazer_id": 1, "name": "BTCUSD", "symbol": "Crypto.BTC/USD", "description": "BITCOIN", "asset_type": "crypto",
    "instrument_type": "spot", "exponent": -8, "min_publishers": 3, "min_channel": 1, "state": "stable", "interval": None,
    "hermes_id": "e6" * 32, "schedule": "America/New_York;O,O,O,O,O,O,O;", "groups": ["a"], "sponsor": "x",
    "market_sessions": {"regular": {"min_pub": None, "schedule": "UTC;O,O,O,O,O,O,O;", "state": "stable", "more": 1}},
}  # fmt: skip


def test_symbols_each_for_itself() -> None:
    broken: list[Any] = [
        {**SYMBOL, "pyth_lazer_id": None},
        {**SYMBOL, "hermes_id": "abc"},
        {**SYMBOL, "market_sessions": []},
        7,
    ]
    first, *bad, last = symbols.decode_symbols(json.dumps([SYMBOL, *broken, SYMBOL]).encode())
    assert isinstance(first, LazerSymbol)
    assert first == last
    assert all(isinstance(one, DecodeError) for one in bad)
    assert (first.fastest_channel, first.expo, first.extra) == (Channel.REAL_TIME, -8, {"sponsor": "x"})
    session = first.sessions["regular"]
    assert (session.min_publishers, session.extra) == (None, {"more": 1})
    assert session.hours is not None
    assert session.hours.is_open(Instant.from_seconds(0))


def test_a_schedule_that_does_not_parse_costs_no_symbol() -> None:
    found = symbols.decode_symbol(json.dumps({**SYMBOL, "schedule": "never"}).encode())
    assert found.schedule == "never"
    with pytest.raises(DecodeError):
        _ = found.hours
    assert symbols.decode_symbol(json.dumps({**SYMBOL, "schedule": None}).encode()).hours is None


def test_the_older_table_of_sessions() -> None:
    row = {**SYMBOL, "market_sessions": None, "market_session_schedule": {"regular": "UTC;O,O,O,O,O,O,O;", "pre_market": None}}
    assert symbols.decode_symbol(json.dumps(row).encode()).sessions == {"regular": SymbolSession("UTC;O,O,O,O,O,O,O;")}


def test_candles_are_exact() -> None:
    row = {"s": "ok", "t": [60, 120, "x"], "o": [1, 2.5, 1], "h": [3, 3.1, 1], "l": [1, 2, 1], "c": [2, 2.25, 1], "v": []}
    first, second, broken = symbols.decode_candles(json.dumps(row).encode())
    one, two, three = Decimal(1), Decimal(2), Decimal(3)
    assert first == Candle(Instant.from_seconds(60), one, three, one, two)
    assert second == Candle(Instant.from_seconds(120), Decimal("2.5"), Decimal("3.1"), two, Decimal("2.25"))
    assert isinstance(broken, DecodeError)
    assert symbols.decode_candles(b'{"s":"no_data"}') == ()


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"s": "error", "errmsg": "no such symbol"}, "no such symbol"),
        ({"s": "ok", "t": [1]}, "o is"),
        ({"s": "ok", "t": [1], "o": [], "h": [], "l": [], "c": []}, "different lengths"),
        ({}, "s is"),
    ],
)
def test_candles_that_are_none(row: Any, match: str) -> None:
    with pytest.raises(DecodeError, match=match):
        symbols.decode_candles(json.dumps(row).encode())


def test_access_tokens_are_secrets() -> None:
    body = {"access_token": "canary-jwt-7731", "expires_at": "2026-09-12T10:00:00.123456789Z", "token_type": "Bearer"}
    found = symbols.decode_access_token(json.dumps(body).encode())
    assert found.token.reveal() == "canary-jwt-7731"
    assert found.expires_at == Instant.parse("2026-09-12T10:00:00.123456Z")
    assert "canary" not in repr(found)
    wrong: list[Any] = [{**body, "expires_at": "soon"}, {**body, "expires_at": None}, {"access_token": ""}, []]
    for broken in wrong:
        with pytest.raises(DecodeError) as caught:
            symbols.decode_access_token(json.dumps(broken).encode())
        assert "canary" not in str(caught.value) + str(caught.value.raw)
        assert caught.value.__context__ is None


def test_names_on_the_wire() -> None:
    assert [which.wire_name for which in FeedProperty] == [
        "price", "bestBidPrice", "bestAskPrice", "publisherCount", "exponent", "confidence", "fundingRate", "fundingTimestamp",
        "fundingRateInterval", "marketSession", "emaPrice", "emaConfidence", "feedUpdateTimestamp",
    ]  # fmt: skip
    assert [session.wire_name for session in TradingSession] == ["regular", "preMarket", "postMarket", "overNight", "closed"]
    assert [(channel.number, channel.period_us) for channel in Channel] == [
        (1, None),
        (2, 50_000),
        (3, 200_000),
        (4, 1_000_000),
    ]
    assert [Channel.of(value) for value in (3, "3", "real_time", 0, 5, "", "fixed_rate@1ms")] == [
        Channel.FIXED_200MS, Channel.FIXED_200MS, Channel.REAL_TIME, None, None, None, None,
    ]  # fmt: skip
