"""The price path: a pure function of seed, feed and time, within its bounds, and silent while its market is closed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.dev.prices import MAX_MARKETS, market, markets, message_at, price_at
from probekit.units import NS_PER_MS, NS_PER_S, Instant

EVERY = 400 * NS_PER_MS
MARKETS = markets(40)
times = st.integers(min_value=1_700_000_000 * NS_PER_S, max_value=2_000_000_000 * NS_PER_S)


def test_well_known_feeds_come_first_and_ids_are_distinct() -> None:
    made = markets(MAX_MARKETS)
    assert [one.feed.symbol for one in made[:3]] == ["Crypto.BTC/USD", "Crypto.ETH/USD", "Crypto.SOL/USD"]
    assert made[0].feed.id == "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
    assert len({one.feed.id for one in made}) == len({one.feed.symbol for one in made}) == MAX_MARKETS
    assert made[:40] == MARKETS


def test_first_sixteen_never_close_and_then_come_markets_with_hours() -> None:
    assert {one.feed.asset_class for one in MARKETS[:16]} == {"crypto"}
    assert {one.feed.asset_class for one in MARKETS[16:24]} == {"fx", "metal", "equity"}
    sunday_morning = Instant.parse("2026-09-13T10:00:00Z")
    assert [one.feed.hours.is_open(sunday_morning) for one in MARKETS if one.feed.hours] == [True] * 16 + [False] * 8 + [
        True
    ] * 16


@pytest.mark.parametrize("count", [0, -1, MAX_MARKETS + 1])
def test_count_outside_the_range_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 2000"):
        markets(count)


@given(times, st.integers(min_value=0, max_value=39), st.integers(min_value=0, max_value=9))
def test_prices_stay_near_their_level_and_never_jump(at: int, number: int, seed: int) -> None:
    one = MARKETS[number]
    price, later = price_at(one, seed, at), price_at(one, seed, at + EVERY)
    assert abs(price - one.level) * 1000 <= one.level * 21
    # 4 % in 600 s and 8 bps in 5 s, rounded.
    assert abs(later - price) * 10_000 <= one.level + 20_000


@given(times, st.integers(min_value=0, max_value=39))
def test_message_is_the_same_every_time_and_another_with_another_seed(at: int, number: int) -> None:
    one = MARKETS[number]
    first = message_at(one, 7, at, EVERY)
    assert first == message_at(markets(40)[number], 7, at, EVERY)
    assert first.price > 0
    assert first.conf > 0
    assert first.prev_publish_time <= first.publish_time <= at // NS_PER_S
    if one.level > 10**9:
        assert {message_at(one, seed, at, EVERY).price for seed in range(8)} != {first.price}


def test_closed_market_keeps_its_last_message() -> None:
    apple = next(one for one in MARKETS if one.feed.symbol == "Equity.US.AAPL/USD")
    saturday, monday = Instant.parse("2026-09-12T12:00:00Z"), Instant.parse("2026-09-14T13:29:59Z")
    friday_close = Instant.parse("2026-09-11T20:00:00Z")
    closed = message_at(apple, 1, saturday.ns, EVERY)
    assert closed == message_at(apple, 1, monday.ns, EVERY)
    assert closed.publish_time == closed.prev_publish_time == friday_close.seconds - 1
    opened = message_at(apple, 1, monday.ns + NS_PER_S, EVERY)
    assert opened.publish_time == monday.seconds + 1


def test_market_that_never_opens_is_two_weeks_old() -> None:
    shut = market("Equity.US.SHUT/USD", "11" * 32, 10**8, "Equity", "America/New_York;C,C,C,C,C,C,C;")
    at = Instant.parse("2026-09-12T12:00:00Z")
    assert at.seconds - message_at(shut, 1, at.ns, EVERY).publish_time == 14 * 86_400 + 1
