"""The JSON of Benchmarks: exact numbers, each item for itself, and damage that only ever is a ``DecodeError``."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import benchmarks as codec
from probekit.codecs.benchmarks import ShimError
from probekit.errors import DecodeError
from probekit.model import FeedId, PricePoint, PriceUpdate
from probekit.model.benchmarks import Bar, BarHistory
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.clients.archive import BARS, CONFIG, MATCH, SYMBOL, numbers

ID = "ab" * 32
POINT = {"price": "100", "conf": "1", "expo": -2, "publish_time": 1_716_440_381}
PRICE = {"id": ID, "price": POINT, "ema_price": POINT, "metadata": {"slot": 5, "prev_publish_time": 1_716_440_380}}
UPDATE = {"binary": {"encoding": "hex", "data": ["504e4155"]}, "parsed": [PRICE, PRICE | {"id": "cd" * 32}]}
FEED = {"id": ID, "market_hours": {"is_open": False, "next_open": 5, "next_close": 6}, "attributes": {"symbol": "Crypto.X/USD"}}
BODIES: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "update": (codec.decode_update, json.dumps(UPDATE).encode()),
    "updates": (codec.decode_updates, json.dumps([UPDATE, UPDATE]).encode()),
    "feed": (codec.decode_feed, json.dumps(FEED).encode()),
    "feeds": (codec.decode_feeds, json.dumps([FEED]).encode()),
    "config": (codec.decode_config, json.dumps(CONFIG).encode()),
    "symbol": (codec.decode_symbol, json.dumps(SYMBOL).encode()),
    "search": (codec.decode_search, json.dumps([MATCH]).encode()),
    "history": (codec.decode_history, numbers(BARS)),
}

prices = st.builds(lambda mantissa, places: Decimal(f"{mantissa}e-{places}"), st.integers(0, 10**40), st.integers(0, 20))


def table_of(values: list[str], times: list[int]) -> dict[str, Any]:
    """A table whose four columns of values are the same."""
    return {"s": "ok", "t": times} | dict.fromkeys("ohlc", values)


@given(st.lists(st.tuples(st.integers(0, 2**33), prices, prices, prices, prices), max_size=8))
def test_bars_are_read_as_they_are_written(rows: list[tuple[int, Decimal, Decimal, Decimal, Decimal]]) -> None:
    columns = {name: [row[at] for row in rows] for at, name in enumerate("tohlc")}
    found = codec.decode_history(numbers({"s": "ok", **columns}))
    assert isinstance(found, BarHistory)
    for bar, row in zip(found.bars, rows, strict=True):
        assert isinstance(bar, Bar)
        assert [bar.time_s, *(str(value) for value in (bar.open, bar.high, bar.low, bar.close))] == [
            row[0],
            *(str(value) for value in row[1:]),
        ]
        assert bar.volume is None


EXACT = ["0.1", "0.30000000000000004", "27299.123456789012345678901234567890", "1e2", "123456789012345678901234567890"]


@pytest.mark.parametrize("text", EXACT)
def test_no_number_goes_through_a_float(text: str) -> None:
    found = codec.decode_history(numbers(table_of([text], [1])))
    assert isinstance(found, BarHistory)
    (bar,) = found.readable
    assert bar.close == Decimal(text)
    assert codec.decode_config(b'{"supported_resolutions":[],"new":0.10}').extra == {"new": Decimal("0.10")}


NO_PRICE = ["null", "true", '"1.5"', '"Infinity"', "[]", "1e65", "1e-99", "1" * 81, "0." + "1" * 99, "1e999999999999999999999"]


@pytest.mark.parametrize("text", NO_PRICE)
def test_what_is_no_price_is_that_bars_error(text: str) -> None:
    found = codec.decode_history(numbers(table_of(["1", text, "1"], [1, 2, 3])))
    assert isinstance(found, BarHistory)
    first, bad, last = found.bars
    assert isinstance(bad, DecodeError)
    assert isinstance(bad.raw, bytes)
    assert text.encode() in bad.raw
    assert (first, last) == (Bar(1, *[Decimal(1)] * 4), Bar(3, *[Decimal(1)] * 4))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"s":"ok","t":[1],"o":[],"h":[],"l":[],"c":[]}', "1, 0, 0, 0, 0 rows"),
        (b'{"s":"ok","t":[],"o":[],"h":[],"l":[],"c":[],"v":[1]}', "0, 0, 0, 0, 0, 1 rows"),
        (b'{"s":"no_data","t":[1],"o":[1],"h":[1],"l":[1],"c":[1]}', "says no_data"),
        (b'{"s":"maybe"}', "maybe"),
        (b"{}", "missing required field `s`"),
    ],
)
def test_a_table_that_is_none(body: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        codec.decode_history(body)


def test_the_shims_own_error() -> None:
    assert codec.decode_history(b'{"s":"error","errmsg":"no"}') == ShimError("no")
    assert codec.decode_symbol(b'{"s":"error"}') == ShimError("")
    with pytest.raises(DecodeError, match="steps of 1 / 0"):
        codec.decode_symbol(json.dumps(SYMBOL | {"pricescale": 0}).encode())


def test_an_update_in_each_of_its_shapes() -> None:
    listed = codec.decode_update(json.dumps(UPDATE).encode())
    assert listed.answer.parsed is not None
    assert [update.id for update in listed.answer.parsed] == [ID, "cd" * 32]
    single = codec.decode_update(json.dumps(UPDATE | {"parsed": {n: m for n, m in PRICE.items() if n != "metadata"}}).encode())
    point = PricePoint(100, 1, -2, 1_716_440_381)
    assert single.answer.parsed == (PriceUpdate(ID, point, point),)
    for absent in ({"binary": UPDATE["binary"]}, UPDATE | {"parsed": None}):
        assert codec.decode_update(json.dumps(absent).encode()).answer.parsed is None


@pytest.mark.parametrize(
    ("bad", "whose"),
    [
        (PRICE | {"id": ID, "price": POINT | {"price": str(2**63)}}, FeedId(ID)),
        (PRICE | {"ema_price": None}, FeedId(ID)),
        (PRICE | {"id": "short"}, None),
        ({}, None),
        (7, None),
        (None, None),
    ],
)
def test_one_malformed_price(bad: Any, whose: FeedId | None) -> None:
    found = codec.decode_update(json.dumps(UPDATE | {"parsed": [bad, PRICE | {"id": "cd" * 32}]}).encode())
    assert found.answer.parsed is not None
    assert [update.id for update in found.answer.parsed] == ["cd" * 32]
    ((named, error),) = found.malformed
    assert named == whose
    assert json.loads(error.raw) == bad


def test_a_feeds_market() -> None:
    feed = codec.decode_feed(json.dumps(FEED | {"new": 1}).encode())
    assert feed.market is not None
    assert feed.market.next_close is not None
    assert (feed.market.is_open, feed.market.next_close.seconds, feed.extra) == (False, 6, {"new": 1})
    assert codec.decode_feed(json.dumps(FEED | {"market_hours": None}).encode()).market is None
    with pytest.raises(DecodeError, match="not a feed id"):
        codec.decode_feed(json.dumps(FEED | {"id": "x"}).encode())


@pytest.mark.parametrize("name", BODIES)
def test_every_mutation_decodes_or_is_a_decode_error(name: str) -> None:
    decode, body = BODIES[name]
    outcomes = {decodes_or_refuses(decode, mutated) for mutated in mutations(body)}
    assert outcomes == {True, False}


@given(st.binary(max_size=200), st.sampled_from(sorted(BODIES)))
def test_arbitrary_bytes(data: bytes, name: str) -> None:
    decodes_or_refuses(BODIES[name][0], data)


@pytest.mark.parametrize("name", BODIES)
def test_unknown_members_that_are_absurd(name: str) -> None:
    decode, body = BODIES[name]
    if body[:1] == b"{":
        decodes_or_refuses(decode, body[:-1] + b',"new":1e99999999999999999999999}')
        decodes_or_refuses(decode, body[:-1] + b',"new":' + b"[" * 5_000 + b"]" * 5_000 + b"}")
    else:
        decodes_or_refuses(decode, b"[" * 5_000 + b"]" * 5_000)


def test_a_number_of_a_million_digits_costs_no_more_than_its_text() -> None:
    body = numbers(table_of(["9" * 1_000_000], [1]))
    assert peak_bytes(lambda: codec.decode_history(body)) < 60_000_000
