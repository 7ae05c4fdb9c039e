"""What every exchange has in common here: which requests answer for which markets, how an answer reads, how a refusal is told.

Numbers are read from their text, as JSON strings or as JSON numbers, without going through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from probekit.errors import DecodeError
from probekit.model.reference_price import fits
from probekit.units import NS_PER_S, Instant

K = TypeVar("K")

_NUMBER: Final = re.compile(r"-?\d{1,60}(\.\d{0,60})?([eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,20}", re.ASCII)
_EARLIEST_S: Final = 10**9
_LATEST_S: Final = 10**10
"""From 2001 to 2286: a time in another unit than expected is outside."""


class Tick(msgspec.Struct, frozen=True):
    """What a ticker says: the last price, the best bid and ask where it has them, and its time; ``None`` where it has none."""

    price: Decimal
    time: Instant | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None


class RefusalKind(StrEnum):
    """What an exchange's own error means."""

    RATE_LIMITED = "rate_limited"
    UNKNOWN_MARKET = "unknown_market"
    """Of one of the markets asked for; most do not say which."""
    UNAVAILABLE = "unavailable"
    OTHER = "other"


class Refusal(msgspec.Struct, frozen=True):
    """An error that an exchange tells in its body, whatever the status. ``text`` is its own."""

    kind: RefusalKind
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """One request: the path, and the markets (the exchange's own names) that it answers for."""

    path: str
    markets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Venue:
    """An exchange's public tickers.

    ``queries`` gives the requests for some markets. ``read`` gives what an answer says of them, each readable or its own error,
    without those it leaves out; it raises ``DecodeError`` when the whole is none. ``refusal`` finds an error in a body
    (status, body). ``no_time`` says why a tick has no time, where it never has one. ``at_once``: requests under way together.
    """

    name: str
    base_url: str
    queries: Callable[[Sequence[str]], tuple[Query, ...]]
    read: Callable[[bytes, Sequence[str]], dict[str, Tick | DecodeError]]
    refusal: Callable[[int, bytes], Refusal | None]
    no_time: str = ""
    at_once: int = 4


_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)


def parsed(body: bytes) -> Any:
    """JSON with its numbers as ``int`` and ``Decimal``. Raises ``DecodeError``."""
    try:
        return _JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}", raw=body) from None


def parsed_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises ``DecodeError``."""
    return object_of(parsed(body), "an answer", body)


def parsed_or_none(body: bytes) -> Any:
    """JSON, or ``None`` for anything else: to look for an error in."""
    try:
        return parsed(body)
    except DecodeError:
        return None


def object_of(value: Any, what: str, body: bytes = b"") -> dict[str, Any]:
    """A JSON object. Raises ``DecodeError``."""
    if isinstance(value, dict):
        return value
    raise DecodeError(f"{what} that is no object: {_shown(value)}", raw=body or _shown(value))


def rows_by(body: bytes, rows: Any, name: str, markets: Sequence[str]) -> dict[str, Any]:
    """The rows of a list that are about ``markets``, by their member ``name``. Raises ``DecodeError`` when it is no list."""
    if not isinstance(rows, list):
        raise DecodeError("an answer that is no list", raw=body)
    wanted = set(markets)
    return {row[name]: row for row in rows if isinstance(row, dict) and isinstance(row.get(name), str) and row[name] in wanted}


def each(items: Mapping[K, Any], read: Callable[[Any], Tick]) -> dict[K, Tick | DecodeError]:
    """Every item read, or its own error."""
    found: dict[K, Tick | DecodeError] = {}
    for key, item in items.items():
        try:
            found[key] = read(item)
        except DecodeError as error:
            found[key] = error
    return found


def price_of(fields: Mapping[str, Any], name: str) -> Decimal:
    """A price. Raises ``DecodeError``, also for 0: a market without a trade has no price."""
    value = _number(fields, name)
    if value is None or not fits(value):
        raise DecodeError(f"{name}: {_shown(fields.get(name))} is no price", raw=_shown(fields))
    return value


def side_of(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """A bid or ask; ``None`` where that side is empty: left out, null, empty or 0. Raises ``DecodeError``."""
    value = _number(fields, name)
    if value is None or value == 0:
        return None
    if not fits(value):
        raise DecodeError(f"{name}: {_shown(fields.get(name))} is no price", raw=_shown(fields))
    return value


def time_of(fields: Mapping[str, Any], name: str, unit_ns: int) -> Instant:
    """A time in whole units since the Unix epoch, as number or text. Raises ``DecodeError``, also for one in another unit."""
    value = fields.get(name)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not _EARLIEST_S <= value * unit_ns // NS_PER_S < _LATEST_S:
        raise DecodeError(f"{name}: {_shown(value)} is not a time", raw=_shown(fields))
    return Instant(value * unit_ns)


def iso_time_of(fields: Mapping[str, Any], name: str) -> Instant:
    """A time in ISO 8601 with its offset. Raises ``DecodeError``."""
    value = fields.get(name)
    try:
        return Instant.parse(value if isinstance(value, str) else "")
    except ValueError:
        raise DecodeError(f"{name}: {_shown(value)} is not a time", raw=_shown(fields)) from None


def _number(fields: Mapping[str, Any], name: str) -> Decimal | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, Decimal):
        return value
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        raise DecodeError(f"{name}: {_shown(value)} is no number", raw=_shown(fields))
    return Decimal(text)


def _shown(value: Any) -> str:
    return repr(value)[:200]
