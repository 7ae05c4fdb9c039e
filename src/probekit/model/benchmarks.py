"""What Pyth Benchmarks tells: feeds with their market's state, and charts by TradingView's UDF. Times are whole Unix seconds.

Chart values are exact decimals, as written. Source: OpenAPI description of benchmarks.pyth.network, version 0.3.6.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

import msgspec

from probekit.errors import DecodeError
from probekit.model.feed import Feed
from probekit.model.price import PriceUpdate
from probekit.model.verified import TrustRoot
from probekit.units import Instant

Resolution = Literal["1", "2", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M"]
"""Length of a bar: minutes, or a day, week or month."""
RESOLUTIONS: Final[tuple[Resolution, ...]] = ("1", "2", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")


class MarketState(msgspec.Struct, frozen=True, gc=False):
    """A market at the moment of the answer. ``next_open`` and ``next_close`` are ``None`` for one that never does."""

    is_open: bool
    next_open: Instant | None = None
    next_close: Instant | None = None


class ListedFeed(msgspec.Struct, frozen=True):
    """A feed of the list. ``extra`` keeps the members that this release does not know."""

    feed: Feed
    market: MarketState | None = None
    extra: dict[str, object] = {}


class ChartConfig(msgspec.Struct, frozen=True):
    """What the chart service offers. ``extra`` keeps the members that this release does not know."""

    supported_resolutions: tuple[str, ...]
    supports_search: bool = False
    extra: dict[str, object] = {}


class ChartSymbol(msgspec.Struct, frozen=True):
    """A symbol as charts draw it. Values move in steps of ``min_movement / price_scale``. ``extra`` keeps all other members."""

    name: str
    ticker: str
    description: str
    session: str
    timezone: str
    price_scale: int
    min_movement: int
    supported_resolutions: tuple[str, ...]
    exchange: str = ""
    extra: dict[str, object] = {}

    @property
    def step(self) -> Decimal:
        """The least movement that a chart shows."""
        return Decimal(self.min_movement) / Decimal(self.price_scale)


class ChartMatch(msgspec.Struct, frozen=True):
    """A symbol that a search found."""

    symbol: str
    ticker: str
    full_name: str
    description: str
    type: str
    exchange: str = ""


class Bar(msgspec.Struct, frozen=True):
    """Open, highest, lowest and last value of the time from ``time_s`` on. ``volume`` is zero for Pyth's own prices, ``None``
    where the answer has none.
    """

    time_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None

    @property
    def time(self) -> Instant:
        """When the bar begins."""
        return Instant.from_seconds(self.time_s)


class BarHistory(msgspec.Struct, frozen=True):
    """Bars in the order served; one that does not read is its own error. Without any, ``next_time_s`` is where earlier ones
    are, if the service says so.
    """

    bars: tuple[Bar | DecodeError, ...]
    next_time_s: int | None = None

    @property
    def readable(self) -> tuple[Bar, ...]:
        """The bars that read."""
        return tuple(bar for bar in self.bars if isinstance(bar, Bar))


class PastPrice(msgspec.Struct, frozen=True):
    """An update of the past: as the JSON says it, and the signed message behind it, as hex, with the root and slot that sign
    it.
    """

    update: PriceUpdate
    root: TrustRoot
    slot: int | None
    message: str


class PastPair(msgspec.Struct, frozen=True):
    """One feed at one second, at Hermes and at Benchmarks; ``problem`` says why there is nothing of Hermes. Nothing of
    Benchmarks is a second that it does not have.
    """

    second: int
    hermes: PastPrice | None
    benchmarks: PastPrice | None
    problem: str = ""


class ArchiveReach(msgspec.Struct, frozen=True, gc=False):
    """How long ago the newest second is that an archive has of those asked for, and the oldest that it does not have yet."""

    found_ns: int | None
    absent_ns: int | None = None
    feed: str = ""
    """The symbol it was asked for; empty where no market is open, or was at any of them."""
    whole: bool = True
    """Whether all of them were asked for: not those of before the market opened."""


class BarSample(msgspec.Struct, frozen=True):
    """A price and the bar of its minute; without a bar ``problem`` says why. ``second`` is 0 where there is no price yet."""

    second: int
    price: Decimal
    bar: Bar | None
    problem: str = ""
    served: bool = True
    """Whether the service has charts at all."""
