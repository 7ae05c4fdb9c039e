"""The symbol table of Pyth Pro (Lazer). Source: Pyth's developer documentation, "Symbology Reference"."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from probekit.model.feed import FeedId
from probekit.model.lazer import Channel
from probekit.model.market_hours import MarketHours


class SymbolSession(msgspec.Struct, frozen=True):
    """One session of a feed's market: its schedule as text, how many publishers it takes, its state."""

    schedule: str | None = None
    min_publishers: int | None = None
    state: str | None = None
    extra: dict[str, Any] = {}

    @property
    def hours(self) -> MarketHours | None:
        """The schedule, parsed; ``None`` where there is none. Raises ``DecodeError``."""
        return None if self.schedule is None else parsed_hours(self.schedule)


class LazerSymbol(msgspec.Struct, frozen=True):
    """One entry of the symbol table. ``feed_id`` is the stable key: names repeat.

    ``sessions`` are keyed as served (``regular``, ``pre_market``, ...). ``expo`` is the feed's exponent. ``extra`` keeps what
    this release does not know.
    """

    feed_id: int
    symbol: str
    name: str
    expo: int
    description: str = ""
    asset_type: str = ""
    instrument_type: str = ""
    quote_currency: str | None = None
    min_publishers: int | None = None
    min_channel: str | None = None
    state: str = ""
    interval: str | None = None
    hermes_id: FeedId | None = None
    schedule: str | None = None
    sessions: dict[str, SymbolSession] = {}
    nasdaq_symbol: str | None = None
    cmc_id: int | None = None
    groups: tuple[str, ...] = ()
    expiration_time: str | None = None
    corporate_actions: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = {}

    @property
    def fastest_channel(self) -> Channel | None:
        """The fastest channel that the feed may be asked on; ``None`` where this release does not know it."""
        return None if self.min_channel is None else Channel.of(self.min_channel)

    @property
    def hours(self) -> MarketHours | None:
        """The regular session's schedule, parsed; ``None`` where there is none. Raises ``DecodeError``."""
        return None if self.schedule is None else parsed_hours(self.schedule)


@lru_cache(maxsize=4096)
def parsed_hours(schedule: str) -> MarketHours:
    """Remembered: thousands of symbols share a few schedules. Raises ``DecodeError``."""
    return MarketHours.parse(schedule)
