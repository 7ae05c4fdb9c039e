"""CoinGecko: ``GET /api/v3/simple/price?ids=...&vs_currencies=...``, many coins in one request. A market is ``bitcoin/usd``.

``{"bitcoin": {"usd": 67187.33, "last_updated_at": 1711356300}}``, numbers as JSON numbers, the time in Unix seconds. It is an
average over exchanges, not one more of them, and coarse: renewed every minute at best, without a key up to every ten; its time
tells. An unknown coin is left out. Limits are a 429. Source: docs.coingecko.com, "Coin Price by IDs" and "Common Errors & Rate
Limit".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from probekit.codecs.exchanges.venue import (
    Query,
    Refusal,
    RefusalKind,
    Tick,
    Venue,
    each,
    object_of,
    parsed_object,
    parsed_or_none,
    price_of,
    time_of,
)
from probekit.errors import DecodeError
from probekit.units import NS_PER_S


def queries(markets: Sequence[str]) -> tuple[Query, ...]:
    """One for all; it also answers for combinations that were not asked for."""
    if not markets:
        return ()
    coins = quote(",".join(dict.fromkeys(market.partition("/")[0] for market in markets)), safe=",-")
    currencies = quote(",".join(dict.fromkeys(market.partition("/")[2] for market in markets)), safe=",")
    options = "include_last_updated_at=true&precision=full"
    return (Query(f"/api/v3/simple/price?ids={coins}&vs_currencies={currencies}&{options}", tuple(markets)),)


def read(body: bytes, markets: Sequence[str]) -> dict[str, Tick | DecodeError]:
    """Each coin and currency."""
    found = parsed_object(body)
    asked = {market: market.partition("/") for market in markets}

    def tick(market: str) -> Tick:
        coin, _, currency = asked[market]
        fields = object_of(found[coin], "a coin")
        timed = fields.get("last_updated_at") is not None
        return Tick(price_of(fields, currency), time_of(fields, "last_updated_at", NS_PER_S) if timed else None)

    return each({market: market for market, (coin, _, _) in asked.items() if coin in found}, tick)


def refusal(status: int, body: bytes) -> Refusal | None:
    """``{"status": {"error_code": 429, ...}}``, with status 429 or another."""
    told = parsed_or_none(body)
    error = told.get("status") if isinstance(told, dict) else None
    code = error.get("error_code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        return None
    return Refusal(RefusalKind.RATE_LIMITED if code == 429 else RefusalKind.OTHER, str(code))


VENUE: Final = Venue("coingecko", "https://api.coingecko.com", queries, read, refusal, no_time="it was left out")
