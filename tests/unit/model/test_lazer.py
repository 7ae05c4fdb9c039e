"""Lazer values: prices under their exponent, and how alive a feed is."""

from __future__ import annotations

import pickle
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import DecodeError
from probekit.model import Price
from probekit.model.lazer import FeedProperty, FeedValues, Freshness, LazerPayload, TradingSession
from probekit.units import Instant

US = 1_000
AT_US = 1_789_207_200_000_000
SERVED = (FeedProperty.FEED_UPDATE_TIMESTAMP,)
FEED = FeedValues(1, (), 5, 4, 6, 3, -8, 7, -1, 100, 200, TradingSession.REGULAR, 8, 9, AT_US)


def test_prices_are_exact() -> None:
    found = (FEED.price, FEED.best_bid, FEED.best_ask, FEED.conf, FEED.funding_rate, FEED.ema_price, FEED.ema_conf)
    assert found == tuple(Price(mantissa, -8) for mantissa in (5, 4, 6, 7, -1, 8, 9))
    assert FEED.price is not None
    assert FEED.price.decimal == Decimal("0.00000005")


def test_without_an_exponent_there_is_no_price_until_the_symbol_table_gives_it() -> None:
    bare = FeedValues(1, (), 5)
    assert bare.price is None
    assert bare.under(-2).price == Price(5, -2)
    assert FEED.under(-2) is FEED


@pytest.mark.parametrize(
    ("feed", "state", "age_us"),
    [
        (FEED, Freshness.NEW, 250),
        (FeedValues(1, SERVED, 5, feed_update_timestamp_us=AT_US - 1), Freshness.CARRIED, 251),
        (FeedValues(1, SERVED, 5, feed_update_timestamp_us=AT_US + 1), Freshness.AHEAD, 249),
        (FeedValues(1, SERVED, 5), Freshness.NEVER, None),
        (FeedValues(1, (FeedProperty.PRICE,), 5), Freshness.UNTOLD, None),
    ],
)
def test_freshness(feed: FeedValues, state: Freshness, age_us: int | None) -> None:
    found = feed.freshness(AT_US, at=Instant((AT_US + 250) * US))
    assert (found.state, found.message_age_ns) == (state, 250 * US)
    assert found.age_ns == (None if age_us is None else age_us * US)
    known = state in (Freshness.NEW, Freshness.CARRIED)
    assert found.within(timedelta(microseconds=251)) is known
    assert not found.within(timedelta(microseconds=249))


def test_a_price_that_is_there_proves_nothing_and_one_that_is_not_is_not_fresh() -> None:
    stale = FeedValues(1, SERVED, 5, feed_update_timestamp_us=AT_US - 3_600_000_000)
    assert not stale.freshness(AT_US, at=Instant(AT_US * US)).within(timedelta(minutes=59))
    empty = FeedValues(1, SERVED, feed_update_timestamp_us=AT_US).freshness(AT_US, at=Instant(AT_US * US))
    assert not empty.within(timedelta(days=1))
    told = FEED.freshness(AT_US, at=Instant(AT_US * US))
    assert (told.publisher_count, told.session, told.has_price) == (3, TradingSession.REGULAR, True)


@given(st.integers(0, 2**64 - 1), st.none() | st.integers(0, 2**64 - 1), st.integers(0, 2**62))
def test_freshness_is_total(timestamp_us: int, updated_us: int | None, at_ns: int) -> None:
    found = FeedValues(1, SERVED, 5, feed_update_timestamp_us=updated_us).freshness(timestamp_us, at=Instant(at_ns))
    assert (found.age_ns is None) is (updated_us is None)
    assert found.within(timedelta(0)) is (found.age_ns is not None and found.age_ns <= 0 and found.state is not Freshness.AHEAD)


def test_payloads_by_feed() -> None:
    payload = LazerPayload(AT_US, 9, (FEED, DecodeError("x", raw=b""), FeedValues(1), FeedValues(2)))
    assert payload.by_id == {1: FEED, 2: FeedValues(2)}
    assert payload.channel is None
    assert payload.timestamp == Instant(AT_US * US)
    assert {number: one.state for number, one in payload.freshness(at=payload.timestamp).items()} == {
        1: Freshness.NEW,
        2: Freshness.UNTOLD,
    }


def test_values_travel() -> None:
    assert pickle.loads(pickle.dumps(FEED)) == FEED
    with pytest.raises(AttributeError):
        FEED.feed_id = 2  # type: ignore[misc]
    assert msgspec.structs.replace(FEED, feed_id=2).feed_id == 2
