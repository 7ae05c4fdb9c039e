"""Public tickers of exchanges, one file each, and which of their markets stand for which of Pyth's symbols."""

from __future__ import annotations

from typing import Final

from probekit.codecs.exchanges import binance, bitstamp, coinbase, coingecko, kraken, okx
from probekit.codecs.exchanges.markets import MARKETS, Market, choose
from probekit.codecs.exchanges.venue import Query, Refusal, RefusalKind, Tick, Venue

VENUES: Final[dict[str, Venue]] = {one.VENUE.name: one.VENUE for one in (coinbase, kraken, binance, okx, bitstamp, coingecko)}
"""All of them, by name."""

__all__ = ["MARKETS", "VENUES", "Market", "Query", "Refusal", "RefusalKind", "Tick", "Venue", "choose"]
