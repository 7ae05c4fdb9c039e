"""Feeds and prices of the sandbox: a pure function of (seed, feed, time), in integers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from probekit.codecs.keccak import keccak256
from probekit.model import Feed, FeedId, MarketHours, PriceMessage
from probekit.units import NS_PER_S, Instant

MAX_MARKETS: Final = 2_000
ALWAYS: Final = "America/New_York;O,O,O,O,O,O,O;"
_FX: Final = "America/New_York;O,O,O,O,0000-1700,C,1700-2400;1224/0000-1700,1225/1700-2400,1231/0000-1700,0101/1700-2400"
_METAL: Final = "America/New_York;" + "0000-1700&1800-2400," * 4 + "0000-1700,C,1800-2400;1225/C,0101/C"
_EQUITY: Final = "America/New_York;" + "0930-1600," * 5 + "C,C;1224/0930-1300,1225/C,0101/C,0619/C,0704/C"

# The main network's public ids, so that a configuration written against the sandbox fits the real service as it is.
_CRYPTO: Final = (
    ("Crypto.BTC/USD", "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43", 11_500_000_000_000),
    ("Crypto.ETH/USD", "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace", 420_000_000_000),
    ("Crypto.SOL/USD", "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d", 21_000_000_000),
)
_SCHEDULED: Final = (
    ("FX.EUR/USD", "a995d00bb36a63cef7fd2c287dc105fc8f3d93779f062f09551b0af3e81ec30b", 116_000, "FX", _FX, -5),
    ("FX.GBP/USD", "84c2dde9633d93d1bcad84e7dc41c9d56578b7ec52fabedc1f335d673df0a7c1", 134_000, "FX", _FX, -5),
    ("FX.USD/JPY", "ef2c98c804ba503c6a707e38be4dfbb16683775f195b091252bf24693042fd52", 148_000, "FX", _FX, -3),
    ("Metal.XAU/USD", "765d2ba906dbc32ca17cc11f5310a89e9ee1f6420508c63861f2f8ba4ee34bb2", 3_700_000, "Metal", _METAL, -3),
    ("Metal.XAG/USD", "f2fb02c32b055c805e7238d628e5e9dadef274376114eb1f012337cabe93871e", 4_200_000, "Metal", _METAL, -5),
    (
        "Equity.US.AAPL/USD",
        "49f6b65cb1de6b10eaf75e7c03ca029c306d0357e91b5311b175084a5ad55688",
        23_500_000,
        "Equity",
        _EQUITY,
        -5,
    ),
    (
        "Equity.US.TSLA/USD",
        "16dad506d7db8da01c87581c87ca897a012a153557d4d578c3b9c9e1bc0632f1",
        41_000_000,
        "Equity",
        _EQUITY,
        -5,
    ),
    (
        "Equity.US.SPY/USD",
        "19e09bb805456ada3979a7d1cbb4b6d63babc3a0f8e8a9509f68afa5c4c11cd5",
        66_000_000,
        "Equity",
        _EQUITY,
        -5,
    ),
)
_SCHEDULED_FROM: Final = 16
"""Feeds with market hours come after this many that never close: a small sandbox shows the same on a Sunday."""

_SCALE: Final = 10**9
_SLOW: Final = (600 * NS_PER_S, 20_000_000)
"""Period of its knots, and amplitude in parts of 10**9: 2 %."""
_FAST: Final = (5 * NS_PER_S, 400_000)
_EMA_BEHIND_NS: Final = 60 * NS_PER_S
_LONGEST_CLOSE_NS: Final = 14 * 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Market:
    """A feed of the sandbox with the level its price moves around: a mantissa under ``expo``."""

    feed: Feed
    level: int
    expo: int = -8


def markets(count: int) -> tuple[Market, ...]:
    """``count`` feeds, the same every time: three well-known and thirteen made-up crypto pairs, then FX, metals and equities
    with their market hours, then more made-up pairs. Raises ``ValueError`` outside 1 to 2,000.
    """
    if not 1 <= count <= MAX_MARKETS:
        raise ValueError(f"a sandbox has 1 to {MAX_MARKETS} feeds, not {count}")
    made = []
    for number in range(count):
        if number < len(_CRYPTO):
            symbol, feed_id, level = _CRYPTO[number]
            made.append(market(symbol, feed_id, level, "Crypto"))
        elif 0 <= number - _SCHEDULED_FROM < len(_SCHEDULED):
            made.append(market(*_SCHEDULED[number - _SCHEDULED_FROM]))
        else:
            symbol = f"Crypto.SBX{number:04d}/USD"
            feed_id = keccak256(symbol.encode()).hex()
            made.append(market(symbol, feed_id, 1_000_000 * (1 + int(feed_id[:6], 16)), "Crypto"))
    return tuple(made)


def market(symbol: str, feed_id: str, level: int, asset_type: str, schedule: str = ALWAYS, expo: int = -8) -> Market:
    """One feed with its attributes as Hermes serves them."""
    attributes = {
        "asset_type": asset_type,
        "base": symbol.rpartition(".")[2].partition("/")[0],
        "description": f"sandbox {symbol}",
        "display_symbol": symbol.rpartition(".")[2],
        "quote_currency": symbol.rpartition("/")[2],
        "schedule": schedule,
        "symbol": symbol,
    }
    hours = MarketHours.parse(schedule)
    return Market(Feed(FeedId(feed_id), symbol, asset_type.lower(), schedule, hours, None, attributes), level, expo)


def price_at(market: Market, seed: int, at_ns: int) -> int:
    """The price's mantissa: a slow walk within 2 % of the level with a fast one of 4 bps on it, never jumping."""
    feed_id, level = market.feed.id, market.level
    moved = _walk(feed_id, seed, at_ns, *_SLOW) + _walk(feed_id, seed, at_ns, *_FAST)
    return level + level * moved // _SCALE


def _ema_at(market: Market, seed: int, at_ns: int) -> int:
    """What an average makes of the path: the slow walk alone, a minute behind."""
    return market.level + market.level * _walk(market.feed.id, seed, at_ns - _EMA_BEHIND_NS, *_SLOW) // _SCALE


def _walk(feed_id: str, seed: int, at_ns: int, period_ns: int, amplitude: int) -> int:
    number, within_ns = divmod(at_ns, period_ns)
    before, after = _knot(feed_id, seed, period_ns, number), _knot(feed_id, seed, period_ns, number + 1)
    return (before * (period_ns - within_ns) + after * within_ns) * amplitude // (1_000 * period_ns)


@lru_cache(maxsize=32_768)
def _knot(feed_id: str, seed: int, period_ns: int, number: int) -> int:
    """A number in -1000..1000."""
    digest = hashlib.blake2b(f"{seed}/{feed_id}/{period_ns}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2001 - 1000


def message_at(market: Market, seed: int, at_ns: int, every_ns: int) -> PriceMessage:
    """The message a market publishes at ``at_ns``; times in whole seconds, as Pyth has them.

    A closed market goes on publishing the last price of its session, with ``publish_time`` and ``prev_publish_time`` of then.
    """
    published_ns = at_ns if market.feed.schedule == ALWAYS else _last_open_ns(market.feed.hours, at_ns, every_ns)
    previous_ns = published_ns - every_ns if published_ns == at_ns else published_ns
    price = price_at(market, seed, published_ns)
    ema = _ema_at(market, seed, published_ns)
    return PriceMessage(
        str(market.feed.id),
        price,
        max(price // 4_000, 1),
        market.expo,
        published_ns // NS_PER_S,
        previous_ns // NS_PER_S,
        ema,
        max(ema // 3_500, 1),
    )


def _last_open_ns(hours: MarketHours | None, at_ns: int, every_ns: int) -> int:
    at = Instant(at_ns)
    if hours is None or hours.is_open(at):
        return at_ns
    since = hours.session(at).since
    closed_ns = at_ns - _LONGEST_CLOSE_NS if since is None else since.ns
    # The last publication before the close, which is itself no longer in the session.
    return (closed_ns - 1) // every_ns * every_ns
