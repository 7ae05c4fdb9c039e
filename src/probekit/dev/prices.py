"""Feeds and prices of the sandbox: a pure function of (seed, feed, time), in integers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from probekit.codecs.keccak import keccak256
from probekit.model import Feed, FeedId, MarketHours, PriceMessage
from probekit.units import NS_PER_S

_REAL: Final = (
    ("Crypto.BTC/USD", "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43", 11_500_000_000_000),
    ("Crypto.ETH/USD", "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace", 420_000_000_000),
    ("Crypto.SOL/USD", "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d", 21_000_000_000),
)
_EXPO: Final = -8
_KNOT_S: Final = 20
"""Seconds between the points the path is interpolated over."""
_EMA_WINDOW_S: Final = 60

ALWAYS: Final = "America/New_York;O,O,O,O,O,O,O;"


@dataclass(frozen=True, slots=True)
class Market:
    """A feed of the sandbox with the level its price moves around (mantissa under exponent -8)."""

    feed: Feed
    level: int


def markets(count: int) -> tuple[Market, ...]:
    """``count`` feeds: the well-known ones first, then made-up crypto pairs; the same every time."""
    made = []
    for number in range(count):
        if number < len(_REAL):
            symbol, feed_id, level = _REAL[number]
        else:
            symbol = f"Crypto.SBX{number:04d}/USD"
            feed_id = keccak256(symbol.encode()).hex()
            level = 1_000_000 * (1 + int(feed_id[:6], 16))
        made.append(market(symbol, feed_id, level, "Crypto"))
    return tuple(made)


def market(symbol: str, feed_id: str, level: int, asset_type: str, schedule: str = ALWAYS) -> Market:
    """One feed with its attributes as Hermes serves them."""
    attributes = {
        "asset_type": asset_type,
        "base": symbol.partition(".")[2].partition("/")[0],
        "description": f"sandbox {symbol}",
        "display_symbol": symbol.partition(".")[2],
        "quote_currency": symbol.rpartition("/")[2],
        "schedule": schedule,
        "symbol": symbol,
    }
    hours = MarketHours.parse(schedule)
    return Market(Feed(FeedId(feed_id), symbol, asset_type.lower(), schedule, hours, None, attributes), level)


def price_at(market: Market, seed: int, at_ns: int) -> int:
    """The price's mantissa: within 2 % of the level, moving at most 4 % in 20 seconds, never jumping."""
    knot, within_ns = divmod(at_ns, _KNOT_S * NS_PER_S)
    before, after = _knot(market.feed.id, seed, knot), _knot(market.feed.id, seed, knot + 1)
    moved = before * (_KNOT_S * NS_PER_S - within_ns) + after * within_ns
    return market.level + market.level * moved // (_KNOT_S * NS_PER_S * 50_000)


@lru_cache(maxsize=16_384)
def _knot(feed_id: str, seed: int, knot: int) -> int:
    """A number in -1000..1000."""
    digest = hashlib.blake2b(f"{seed}/{feed_id}/{knot}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2001 - 1000


def message_at(market: Market, seed: int, at_ns: int, every_ns: int) -> PriceMessage:
    """The message a market publishes at ``at_ns``; times in whole seconds, as Pyth has them."""
    price = price_at(market, seed, at_ns)
    ema = price_at(market, seed, at_ns - _EMA_WINDOW_S * NS_PER_S)
    published = at_ns // NS_PER_S
    return PriceMessage(
        str(market.feed.id),
        price,
        price // 4_000,
        _EXPO,
        published,
        (at_ns - every_ns) // NS_PER_S,
        (price + ema) // 2,
        price // 3_500,
    )
