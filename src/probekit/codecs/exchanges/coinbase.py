"""Coinbase Exchange: ``GET /products/{id}/ticker``, one request for each market.

An object with ``price``, ``bid``, ``ask`` as text and ``time`` in ISO 8601: of the last trade, which in a quiet market may be a
while ago though the price still holds. Errors are ``{"message": ...}`` with a status of its own; 404 is an unknown product.
The other public endpoint takes many products, but says no time. Source: docs.cdp.coinbase.com, Exchange REST API.
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
    iso_time_of,
    parsed_object,
    parsed_or_none,
    price_of,
    side_of,
)
from probekit.errors import DecodeError


def queries(markets: Sequence[str]) -> tuple[Query, ...]:
    """One for each."""
    return tuple(Query(f"/products/{quote(market, safe='')}/ticker", (market,)) for market in markets)


def read(body: bytes, markets: Sequence[str]) -> dict[str, Tick | DecodeError]:
    """The answer is about the one market asked for, which it does not name."""
    fields = parsed_object(body)
    return each(
        dict.fromkeys(markets, fields),
        lambda one: Tick(price_of(one, "price"), iso_time_of(one, "time"), side_of(one, "bid"), side_of(one, "ask")),
    )


def refusal(status: int, body: bytes) -> Refusal | None:
    """A 404 in JSON is the product's; in any other form it is a wrong address."""
    told = parsed_or_none(body)
    if status == 404 and isinstance(told, dict) and isinstance(told.get("message"), str):
        return Refusal(RefusalKind.UNKNOWN_MARKET, told["message"])
    return None


VENUE: Final = Venue("coinbase", "https://api.exchange.coinbase.com", queries, read, refusal)
