"""The symbol table, candles and access tokens of the history service. Source: Pyth's developer documentation, "Symbology
Reference", "History API" and "Frontend Authentication".
"""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import msgspec

from probekit.codecs.lazer import values
from probekit.errors import DecodeError
from probekit.model.feed import FeedId
from probekit.model.lazer_symbols import LazerSymbol, SymbolSession
from probekit.secret import Secret
from probekit.units import Instant


def decode_symbols(body: bytes) -> tuple[LazerSymbol | DecodeError, ...]:
    """The whole table; an entry that does not read is its own error. Raises ``DecodeError`` where it is no list."""
    rows = values.parsed(body, "a list of symbols")
    try:
        return values.each(values.array(rows, "the table"), _symbol, "a symbol")
    except ValueError as error:
        raise DecodeError(str(error), raw=body) from None


def decode_symbol(body: bytes) -> LazerSymbol:
    """One entry. Raises ``DecodeError``."""
    row = values.parsed(body, "a symbol")
    try:
        return _symbol(row)
    except ValueError as error:
        raise DecodeError(f"a symbol: {error}", raw=body) from None


_KNOWN = (
    "pyth_lazer_id", "symbol", "name", "exponent", "description", "asset_type", "instrument_type", "quote_currency",
    "min_publishers", "min_channel", "state", "interval", "hermes_id", "schedule", "market_sessions", "nasdaq_symbol",
    "cmc_id", "groups", "expiration_time", "corporate_actions", "market_session_schedule",
)  # fmt: skip


def _symbol(row: Any) -> LazerSymbol:
    members = values.table(row, "an entry")
    hermes_id = values.maybe_text(members, "hermes_id")
    actions = values.array(members.get("corporate_actions") or [], "corporate_actions")
    return LazerSymbol(
        feed_id=values.integer(members.get("pyth_lazer_id"), "pyth_lazer_id", values.U32),
        symbol=values.text(members.get("symbol"), "symbol"),
        name=values.maybe_text(members, "name") or "",
        expo=values.integer(members.get("exponent"), "exponent", values.I16),
        description=values.maybe_text(members, "description") or "",
        asset_type=values.maybe_text(members, "asset_type") or "",
        instrument_type=values.maybe_text(members, "instrument_type") or "",
        quote_currency=values.maybe_text(members, "quote_currency"),
        min_publishers=values.maybe_integer(members, "min_publishers", values.U16),
        min_channel=_channel(members.get("min_channel")),
        state=values.maybe_text(members, "state") or "",
        interval=values.maybe_text(members, "interval"),
        hermes_id=None if hermes_id is None else FeedId(hermes_id),
        schedule=values.maybe_text(members, "schedule"),
        sessions=_sessions(members),
        nasdaq_symbol=values.maybe_text(members, "nasdaq_symbol"),
        cmc_id=values.maybe_integer(members, "cmc_id", values.U64),
        groups=tuple(values.text(one, "groups") for one in values.array(members.get("groups") or [], "groups")),
        expiration_time=values.maybe_text(members, "expiration_time"),
        corporate_actions=tuple(values.table(one, "corporate_actions") for one in actions),
        extra=values.rest(members, _KNOWN),
    )


def _channel(value: Any) -> str | None:
    """Its name, or its number as text, as the service takes either."""
    return str(value) if isinstance(value, int) else None if value is None else values.text(value, "min_channel")


def _sessions(members: dict[str, Any]) -> dict[str, SymbolSession]:
    """The newer table; where it is not served, the schedules of the older one."""
    rows = members.get("market_sessions")
    if rows is None:
        older = values.table(members.get("market_session_schedule") or {}, "market_session_schedule")
        return {name: SymbolSession(values.text(schedule, name)) for name, schedule in older.items() if schedule is not None}
    found: dict[str, SymbolSession] = {}
    for name, row in values.table(rows, "market_sessions").items():
        session = values.table(row, name)
        found[name] = SymbolSession(
            values.maybe_text(session, "schedule"),
            values.maybe_integer(session, "min_pub", values.U16),
            values.maybe_text(session, "state"),
            values.rest(session, ("schedule", "min_pub", "state")),
        )
    return found


class Candle(msgspec.Struct, frozen=True):
    """Prices over one period that begins at ``start``, exactly as served."""

    start: Instant
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None


def decode_candles(body: bytes) -> tuple[Candle | DecodeError, ...]:
    """An answer of ``/history``, oldest first; none where the service has no data. Raises ``DecodeError``, also for the
    service's own error and for columns of different lengths; a row that does not read is its own error.
    """
    row = values.parsed(body, "candles")
    try:
        members = values.table(row, "candles")
        status = values.text(members.get("s"), "s")
        if status == "no_data":
            return ()
        if status != "ok":
            raise ValueError(f"the service says {status!r}: {str(members.get('errmsg'))[:200]}")
        columns = [values.array(members.get(name), name) for name in "tohlc"]
        volumes = values.array(members.get("v") or [None] * len(columns[0]), "v")
        if len({len(column) for column in (*columns, volumes)}) != 1:
            raise ValueError("the columns have different lengths")
        return values.each([list(one) for one in zip(*columns, volumes, strict=True)], _candle, "a candle")
    except ValueError as error:
        raise DecodeError(str(error), raw=body) from None


def _candle(row: list[Any]) -> Candle:
    start = Instant.from_seconds(values.integer(row[0], "t", values.I64))
    first, high, low, last = (values.decimal(value, name) for value, name in zip(row[1:5], "ohlc", strict=True))
    return Candle(start, first, high, low, last, None if row[5] is None else values.decimal(row[5], "v"))


class AccessToken(msgspec.Struct, frozen=True):
    """A short-lived token in place of the API key."""

    token: Secret
    expires_at: Instant


def decode_access_token(body: bytes) -> AccessToken:
    """An answer of ``/auth/token``. Raises ``DecodeError``, which does not keep the answer: it holds a secret."""
    with contextlib.suppress(DecodeError, ValueError):
        row = values.table(values.parsed(body, "an access token"), "an access token")
        token = Secret(values.text(row.get("access_token"), "access_token"), origin="the token broker")
        return AccessToken(token, Instant.parse(values.text(row.get("expires_at"), "expires_at")))
    # Outside of the handler: what went wrong in it would go along as the context, and quotes the answer.
    raise DecodeError("the token broker's answer is no access token with its expiry", raw=b"")
