"""Binance: ``GET /api/v3/ticker/24hr?symbols=[...]``, many markets in one request.

A list of objects with ``symbol``, ``lastPrice``, ``bidPrice``, ``askPrice`` as text and ``closeTime`` in milliseconds, the end
of the rolling day that the statistics are of. Errors are ``{"code": -1003, "msg": ...}``: 429 for too many requests, 418 for an
address that went on after that, both with Retry-After; -1121 is an unknown symbol, which refuses all of them. Binance.com has
no market in US dollars; those in USDT are not the same. Source: developers.binance.com, Spot REST API, "Market Data endpoints",
"LIMITS", "Error codes".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from probekit.codecs.exchanges.venue import (
    Query,
    Refusal,
    RefusalKind,
    Tick,
    Venue,
    each,
    object_of,
    parsed,
    parsed_or_none,
    price_of,
    rows_by,
    side_of,
    time_of,
)
from probekit.errors import DecodeError
from probekit.units import NS_PER_MS

_KINDS: Final = {
    -1003: RefusalKind.RATE_LIMITED,
    -1015: RefusalKind.RATE_LIMITED,
    -1121: RefusalKind.UNKNOWN_MARKET,
    -1100: RefusalKind.UNKNOWN_MARKET,
    -1000: RefusalKind.UNAVAILABLE,
    -1001: RefusalKind.UNAVAILABLE,
    -1006: RefusalKind.UNAVAILABLE,
    -1007: RefusalKind.UNAVAILABLE,
    -1008: RefusalKind.UNAVAILABLE,
    -1016: RefusalKind.UNAVAILABLE,
}
"""-1100, illegal characters, is what a symbol gets that could not be one."""


def queries(markets: Sequence[str]) -> tuple[Query, ...]:
    """One for all."""
    symbols = quote(msgspec.json.encode(list(markets)).decode(), safe="")
    return (Query(f"/api/v3/ticker/24hr?symbols={symbols}", tuple(markets)),) if markets else ()


def read(body: bytes, markets: Sequence[str]) -> dict[str, Tick | DecodeError]:
    """Each symbol by its name."""
    return each(rows_by(body, parsed(body), "symbol", markets), _tick)


def _tick(item: Any) -> Tick:
    fields = object_of(item, "a ticker")
    return Tick(
        price_of(fields, "lastPrice"),
        time_of(fields, "closeTime", NS_PER_MS),
        side_of(fields, "bidPrice"),
        side_of(fields, "askPrice"),
    )


def refusal(status: int, body: bytes) -> Refusal | None:
    """What the code says; an answer that is a list has none."""
    told = parsed_or_none(body)
    if not isinstance(told, dict) or not isinstance(told.get("code"), int):
        return None
    return Refusal(_KINDS.get(told["code"], RefusalKind.OTHER), f"{told['code']} {told.get('msg', '')}"[:200])


VENUE: Final = Venue("binance", "https://api.binance.com", queries, read, refusal)
