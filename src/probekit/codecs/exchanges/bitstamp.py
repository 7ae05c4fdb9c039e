"""Bitstamp: ``GET /api/v2/ticker/``, all markets in one request.

A list of objects with ``pair``, ``last``, ``bid``, ``ask`` and ``timestamp`` as text, the last in Unix seconds: of the answer,
on Bitstamp's clock. The limits (400 a second, 10,000 in ten minutes) have codes of their own. Source: www.bitstamp.net/api,
"Ticker", "Request limits" and "Error codes".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

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
from probekit.units import NS_PER_S

_LIMITS: Final = ("400.002", "400.067", "400.068")


def queries(markets: Sequence[str]) -> tuple[Query, ...]:
    """One for all there are."""
    return (Query("/api/v2/ticker/", tuple(markets)),) if markets else ()


def read(body: bytes, markets: Sequence[str]) -> dict[str, Tick | DecodeError]:
    """Each pair by its name, ``BTC/USD``."""
    return each(rows_by(body, parsed(body), "pair", markets), _tick)


def _tick(item: Any) -> Tick:
    fields = object_of(item, "a ticker")
    return Tick(
        price_of(fields, "last"), time_of(fields, "timestamp", NS_PER_S), side_of(fields, "bid"), side_of(fields, "ask")
    )


def refusal(status: int, body: bytes) -> Refusal | None:
    """What the code says; an answer that is a list has none."""
    told = parsed_or_none(body)
    if not isinstance(told, dict):
        return None
    code = next((told[name] for name in ("response_code", "code") if isinstance(told.get(name), str)), "")
    if code in _LIMITS:
        return Refusal(RefusalKind.RATE_LIMITED, code)
    return Refusal(RefusalKind.OTHER, code[:200]) if code else None


VENUE: Final = Venue("bitstamp", "https://www.bitstamp.net", queries, read, refusal)
