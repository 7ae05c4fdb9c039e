"""What a price account says beyond its fields: staleness, times, and the feed it stands for."""

from __future__ import annotations

import msgspec
import pytest

from probekit.codecs import pythnet as codec
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import PriceColumns, TradingStatus, feed_id
from probekit.units import Instant
from tests.unit.codecs.test_pythnet_price import KEY, SMALL, small


def test_an_aggregate_goes_stale_after_its_latency() -> None:
    for limit, account in ((25, small()), (50, small(max_latency=50))):
        assert account.latency_limit == limit
        assert account.status_at(1_000 + limit) is TradingStatus.TRADING
        assert account.status_at(1_001 + limit) is TradingStatus.UNKNOWN
        assert account.is_stale(1_001 + limit)
        assert not account.is_stale(0)
    halted = small(agg_status_code=2)
    assert halted.status_at(10**9) is TradingStatus.HALTED
    assert small(agg_status_code=77).status is TradingStatus.UNKNOWN


def test_publish_time_is_the_previous_one_while_not_trading() -> None:
    account = small(aggregated_at=1_700_000_010, prev_timestamp=1_700_000_000)
    assert account.publish_time == Instant.from_seconds(1_700_000_010)
    halted = msgspec.structs.replace(account, agg_status_code=2)
    assert halted.publish_time == halted.prev_publish_time == Instant.from_seconds(1_700_000_000)


@pytest.mark.parametrize("seconds", [0, 1, -6_985_016_816_671_081_681, 2**62, 1_577_836_799, 4_102_444_800])
def test_what_is_no_time_is_absent(seconds: int) -> None:
    account = small(aggregated_at=seconds, prev_timestamp=seconds)
    assert account.publish_time is None
    assert account.prev_publish_time is None


def test_the_feed_is_named_by_the_price_account() -> None:
    assert feed_id(Pubkey(KEY)) == FeedId(KEY.hex())
    with pytest.raises(ValueError):
        feed_id(KEY[:31])


def test_values_are_frozen_and_compare() -> None:
    columns = codec.decode_columns(SMALL)
    assert columns == codec.decode_columns(SMALL)
    assert hash(columns) == hash(codec.decode_columns(SMALL))
    with pytest.raises(AttributeError):
        columns.table = b""  # type: ignore[misc]
    assert PriceColumns().publishers == ()
    assert len(PriceColumns()) == 0
