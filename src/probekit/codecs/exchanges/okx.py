"""OKX: ``GET /api/v5/market/ticker?instId=...`` for one market, ``/tickers?instType=SPOT`` for all.

``{"code": "0", "msg": "", "data": [{"instId", "last", "bidPx", "askPx", "ts", ...}]}``, all as text, ``ts`` in milliseconds. An
error is a ``code`` other than 0, with status 200 or not; 50011 is the rate limit. Source: www.okx.com/docs-v5, "Get tickers",
"Error Code".
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
    rows_by,
    side_of,
    time_of,
)
from probekit.errors import DecodeError
from probekit.units import NS_PER_MS

_KINDS: Final = {
    "50011": RefusalKind.RATE_LIMITED,
    "50040": RefusalKind.RATE_LIMITED,
    "50061": RefusalKind.RATE_LIMITED,
    "51001": RefusalKind.UNKNOWN_MARKET,
    "50001": RefusalKind.UNAVAILABLE,
    "50004": RefusalKind.UNAVAILABLE,
    "50013": RefusalKind.UNAVAILABLE,
    "50026": RefusalKind.UNAVAILABLE,
}


def queries(markets: Sequence[str]) -> tuple[Query, ...]:
    """One: for the market, or for all there are where it is more than one."""
    if len(markets) == 1:
        return (Query(f"/api/v5/market/ticker?instId={quote(markets[0], safe='')}", tuple(markets)),)
    return (Query("/api/v5/market/tickers?instType=SPOT", tuple(markets)),) if markets else ()


def read(body: bytes, markets: Sequence[str]) -> dict[str, Tick | DecodeError]:
    """Each instrument by its id."""
    return each(rows_by(body, parsed_object(body).get("data"), "instId", markets), _tick)


def _tick(item: Any) -> Tick:
    fields = object_of(item, "a ticker")
    return Tick(price_of(fields, "last"), time_of(fields, "ts", NS_PER_MS), side_of(fields, "bidPx"), side_of(fields, "askPx"))


def refusal(status: int, body: bytes) -> Refusal | None:
    """What the code says."""
    told = parsed_or_none(body)
    code = told.get("code") if isinstance(told, dict) else None
    if not isinstance(code, str) or code == "0":
        return None
    return Refusal(_KINDS.get(code, RefusalKind.OTHER), f"{code} {told.get('msg', '')}"[:200])


VENUE: Final = Venue("okx", "https://www.okx.com", queries, read, refusal)
