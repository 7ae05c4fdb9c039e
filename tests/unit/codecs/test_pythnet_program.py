"""What the program makes of a price account: its messages, and the aggregate of its quotes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import messages, pythnet
from probekit.codecs.pythnet import Aggregate, aggregate, counts
from probekit.model import PriceMessage, TwapMessage
from probekit.model.pythnet import Cumulative, PriceAccount, PriceHead, PriceInfo, TradingStatus

KEY = bytes(range(32))
ACCOUNT = PriceAccount(
    expo=-8,
    last_slot=77,
    ema_price_value=98,
    ema_conf_value=4,
    aggregated_at=1_700_000_002,
    prev_timestamp=1_700_000_001,
    prev_price=99,
    prev_conf=3,
    agg_price=100,
    agg_conf=2,
    agg_status_code=1,
    sums=Cumulative(-(2**100), 2**100, 5).pack(),
)


def test_a_trading_feed_emits_its_aggregate() -> None:
    message = pythnet.price_message(ACCOUNT, KEY)
    assert message == PriceMessage(KEY.hex(), 100, 2, -8, 1_700_000_002, 1_700_000_001, 98, 4)
    assert len(messages.encode(message)) == 85
    assert pythnet.twap_message(ACCOUNT, KEY) == TwapMessage(
        KEY.hex(), -(2**100), 2**100, 5, -8, 1_700_000_002, 1_700_000_001, 77
    )


@pytest.mark.parametrize("status", [0, 2, 3, 4, 9])
def test_any_other_feed_repeats_its_previous_price(status: int) -> None:
    account = PriceAccount(**{name: getattr(ACCOUNT, name) for name in ACCOUNT.__struct_fields__} | {"agg_status_code": status})
    message = pythnet.price_message(account, KEY)
    assert message == PriceMessage(KEY.hex(), 99, 3, -8, 1_700_000_001, 1_700_000_001, 98, 4)
    assert pythnet.twap_message(account, KEY).publish_time == 1_700_000_001


def test_a_negative_average_confidence_wraps_as_in_the_program() -> None:
    message = pythnet.price_message(PriceAccount(ema_conf_value=-1), KEY)
    assert message.ema_conf == 2**64 - 1
    assert messages.decode(messages.encode(message)) == message


def test_accounts_without_messages() -> None:
    with pytest.raises(ValueError, match="version 1"):
        pythnet.price_message(PriceHead(version=1, sums=b""), KEY)
    with pytest.raises(ValueError, match="version 1"):
        pythnet.twap_message(PriceHead(version=1, sums=b""), KEY)
    with pytest.raises(ValueError, match="cumulative"):
        pythnet.twap_message(PriceHead(sums=b""), KEY)


def quote(price: int, conf: int, slot: int = 100, status: int = 1) -> PriceInfo:
    return PriceInfo(price, conf, status, 0, slot)


@pytest.mark.parametrize(
    ("quotes", "expected"),
    [
        ([], Aggregate(None, None, 0)),
        ([quote(100, 10)], Aggregate(100, 10, 1)),
        # Votes 90 95 100 105 110 115: quartiles 95 and 110, middle (100 + 105) / 2 rounded down.
        ([quote(100, 10), quote(105, 10)], Aggregate(102, 8, 2)),
        ([quote(-100, 10), quote(-105, 10)], Aggregate(-103, 8, 2)),
        # One wild quote of three moves nothing: votes 90 99 100 100 100 101 110 550 1000.
        ([quote(100, 1), quote(100, 10), quote(550, 450)], Aggregate(100, 10, 3)),
    ],
)
def test_aggregation(quotes: list[PriceInfo], expected: Aggregate) -> None:
    assert aggregate(quotes, slot=100) == expected
    assert aggregate(quotes, slot=100).status is (TradingStatus.TRADING if quotes else TradingStatus.UNKNOWN)


def test_too_few_publishers() -> None:
    two = [quote(100, 10), quote(101, 10)]
    assert aggregate(two, slot=100, min_publishers=2).status is TradingStatus.TRADING
    assert aggregate(two, slot=100, min_publishers=3) == Aggregate(None, None, 2)


@pytest.mark.parametrize(
    ("one", "limit", "expected"),
    [
        (quote(1, 1), 0, True),
        (quote(1, 1, slot=75), 0, True),
        (quote(1, 1, slot=74), 0, False),
        (quote(1, 1, slot=50), 50, True),
        (quote(1, 1, slot=49), 50, False),
        (quote(1, 1, slot=101), 0, True),
        (quote(1, 0), 0, False),
        (quote(1, 1, status=0), 0, False),
        (quote(1, 1, status=4), 0, False),
        (quote(0, 2**63 - 1), 0, True),
        (quote(0, 2**63), 0, False),
        (quote(2**63 - 1, 1), 0, False),
        (quote(2**63 - 2, 1), 0, True),
        (quote(-(2**63), 1), 0, False),
        (quote(-(2**63) + 1, 1), 0, True),
    ],
)
def test_which_quotes_count(one: PriceInfo, limit: int, expected: bool) -> None:
    assert counts(one, slot=100, max_latency=limit) is expected
    assert aggregate([one], slot=100, max_latency=limit).num_quoters == expected


@given(st.lists(st.tuples(st.integers(-(2**61), 2**61), st.integers(1, 2**61)), min_size=1, max_size=64), st.randoms())
def test_the_aggregate_lies_among_its_votes_whatever_their_order(pairs: list[tuple[int, int]], random: Random) -> None:
    quotes = [quote(price, conf) for price, conf in pairs]
    made = aggregate(quotes, slot=100)
    assert made.num_quoters == len(quotes)
    assert made.price is not None
    assert made.conf is not None
    assert min(price - conf for price, conf in pairs) <= made.price <= max(price + conf for price, conf in pairs)
    assert 0 < made.conf < 2**63
    random.shuffle(quotes)
    assert aggregate(quotes, slot=100) == made


@pytest.mark.parametrize(("slots", "limit", "down"), [(1, 0, 5), (25, 0, 5), (26, 0, 6), (60, 50, 15), (0, 0, 5)])
def test_sums_grow_by_the_gap(slots: int, limit: int, down: int) -> None:
    grown = pythnet.accumulate(Cumulative(10, 20, 5), -7, 3, slots=slots, max_latency=limit)
    assert grown == Cumulative(10 - 7 * slots, 20 + 3 * slots, down)
