"""Kraken: ``GET /0/public/Ticker?pair=...``, many markets in one request.

``{"error": [...], "result": {pair: {"a": [ask, ...], "b": [bid, ...], "c": [last, ...]}}}``, numbers as text. Pairs are
answered under Kraken's full names (``XXBTZUSD`` for XBTUSD, but ``SOLUSD``), so these are asked for. There is no time in it.
Errors come with status 200; one unknown pair refuses all of them. Source: docs.kraken.com, "Get Ticker Information", "Errors".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
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
    side_of,
)
from probekit.errors import DecodeError

_KINDS: Final = (
    ("EAPI:Rate limit", RefusalKind.RATE_LIMITED),
    ("EGeneral:Too many requests", RefusalKind.RATE_LIMITED),
    ("EGeneral:Temporary lockout", RefusalKind.RATE_LIMITED),
    ("EService:Throttled", RefusalKind.RATE_LIMITED),
    ("EService: Throttled", RefusalKind.RATE_LIMITED),
    ("EQuery:Unknown asset pair", RefusalKind.UNKNOWN_MARKET),
    ("EQuery:Invalid asset pair", RefusalKind.UNKNOWN_MARKET),
    ("EService", RefusalKind.UNAVAILABLE),
    ("EGeneral:Internal error", RefusalKind.UNAVAILABLE),
)


def queries(markets: Sequence[str]) -> tuple[Query, ...]:
    """One for all."""
    return (Query("/0/public/Ticker?pair=" + quote(",".join(markets), safe=","), tuple(markets)),) if markets else ()


def read(body: bytes, markets: Sequence[str]) -> dict[str, Tick | DecodeError]:
    """Each pair by its full name."""
    result = object_of(parsed_object(body).get("result"), "a result", body)
    return each({market: result[market] for market in markets if market in result}, _tick)


def _tick(item: Any) -> Tick:
    fields = object_of(item, "a ticker")
    first = {name: _first(fields, name) for name in ("a", "b", "c")}
    return Tick(price_of(first, "c"), None, side_of(first, "b"), side_of(first, "a"))


def _first(fields: dict[str, Any], name: str) -> Any:
    row = fields.get(name)
    if row is None:
        return None
    if not isinstance(row, list) or not row:
        raise DecodeError(f"{name}: {row!r:.80} is no list", raw=repr(fields)[:200])
    return row[0]


def refusal(status: int, body: bytes) -> Refusal | None:
    """What the list of errors says; one that begins with W is a warning, and no refusal."""
    told = parsed_or_none(body)
    listed = told.get("error") if isinstance(told, dict) else None
    errors = [one for one in listed if isinstance(one, str) and not one.startswith("W")] if isinstance(listed, list) else []
    if not errors:
        return None
    kinds = (kind for words, kind in _KINDS for one in errors if one.startswith(words))
    return Refusal(next(kinds, RefusalKind.OTHER), "; ".join(errors)[:200])


VENUE: Final = Venue("kraken", "https://api.kraken.com", queries, read, refusal, no_time="Kraken's ticker carries no time")
