"""The JSON of Pyth Benchmarks: updates of the past, feeds, and charts by TradingView's UDF.

One malformed item of an answer is that item's own ``DecodeError``; its neighbours stay. Unknown members are kept where a model
has ``extra``, ignored elsewhere. Numbers are read from their text, never through a float. Left out: ``/v1/price_differences/``
(floats made by the service), ``symbol_info`` (the list of feeds says as much) and ``streaming`` (Hermes streams proofs).

Sources: OpenAPI description of benchmarks.pyth.network, version 0.3.6; pyth-crosschain ``apps/hermes/server/src/state/
benchmarks.rs``; TradingView's documentation, "UDF".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

import msgspec

from probekit.codecs.hermes import Binary, PriceAnswer
from probekit.errors import DecodeError
from probekit.model import Feed, FeedId, PriceUpdate
from probekit.model.benchmarks import Bar, BarHistory, ChartConfig, ChartMatch, ChartSymbol, ListedFeed, MarketState
from probekit.model.price import UnixSeconds
from probekit.units import Instant

T = TypeVar("T")

# RecursionError: msgspec guards its own stack and raises it for absurd nesting.
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MAX_EXPONENT: Final = 64
_MAX_DIGITS: Final = 80
"""No price has more; reading or printing a number of a billion digits is no bounded work."""

_UPDATE: Final = msgspec.json.Decoder(PriceUpdate, strict=False)


class PastUpdate(msgspec.Struct, frozen=True):
    """An answer for one moment. ``malformed`` holds what does not read of it, by feed id where that much is readable."""

    answer: PriceAnswer
    malformed: tuple[tuple[FeedId | None, DecodeError], ...] = ()


class _UpdateFields(msgspec.Struct):
    binary: Binary
    parsed: msgspec.Raw = msgspec.Raw(b"null")


class _Identified(msgspec.Struct):
    id: str


def decode_update(body: bytes) -> PastUpdate:
    """``/v1/updates/price/{timestamp}``. Raises ``DecodeError`` when the whole is none.

    ``parsed`` is a list, a single object in answers about the early past, or absent.
    """
    fields = _decoded(body, _UpdateFields, "an update of the past")
    raw = bytes(fields.parsed).strip()
    if raw == b"null":
        return PastUpdate(PriceAnswer(fields.binary, None))
    items = [fields.parsed] if raw[:1] == b"{" else _decoded(raw, list[msgspec.Raw], "an update of the past")
    found: list[PriceUpdate] = []
    malformed: list[tuple[FeedId | None, DecodeError]] = []
    for item in items:
        try:
            found.append(_UPDATE.decode(item))
        except _BROKEN as error:
            malformed.append((_id_of(item), DecodeError(f"not a price: {error}", raw=bytes(item))))
    return PastUpdate(PriceAnswer(fields.binary, tuple(found)), tuple(malformed))


def decode_updates(body: bytes) -> tuple[PastUpdate | DecodeError, ...]:
    """``/v1/updates/price/{timestamp}/{interval}``: an answer for each moment. Raises ``DecodeError`` when it is no list."""
    return tuple(_own(decode_update, bytes(item)) for item in _decoded(body, list[msgspec.Raw], "a list of updates"))


def _id_of(item: msgspec.Raw) -> FeedId | None:
    try:
        return FeedId(msgspec.json.decode(item, type=_Identified).id)
    except (*_BROKEN, ValueError):
        return None


# -- feeds -----------------------------------------------------------------------------------------------------------------


class _Hours(msgspec.Struct):
    is_open: bool
    next_open: UnixSeconds | None = None
    next_close: UnixSeconds | None = None


class _FeedFields(msgspec.Struct):
    id: str
    attributes: dict[str, str]
    market_hours: _Hours | None = None


def decode_feeds(body: bytes) -> tuple[ListedFeed | DecodeError, ...]:
    """``/v1/price_feeds/``. Raises ``DecodeError`` when it is no list."""
    return tuple(_own(decode_feed, bytes(item)) for item in _decoded(body, list[msgspec.Raw], "a list of feeds"))


def decode_feed(body: bytes) -> ListedFeed:
    """``/v1/price_feeds/{id}``. Raises ``DecodeError``."""
    fields = _decoded(body, _FeedFields, "a feed")
    try:
        feed = Feed.from_row(fields.id, fields.attributes)
    except ValueError as error:
        raise DecodeError(f"not a feed: {error}", raw=body) from None
    hours = fields.market_hours
    market = None if hours is None else MarketState(hours.is_open, _instant(hours.next_open), _instant(hours.next_close))
    return ListedFeed(feed, market, _extra(body, _FeedFields))


def _instant(seconds: int | None) -> Instant | None:
    return None if seconds is None else Instant.from_seconds(seconds)


# -- charts ----------------------------------------------------------------------------------------------------------------


class ShimError(msgspec.Struct, frozen=True):
    """``s: error``: the chart service's own word, with status 200."""

    message: str


class _Status(msgspec.Struct):
    s: str | None = None
    errmsg: str = ""


class _ConfigFields(msgspec.Struct):
    supported_resolutions: tuple[str, ...]
    supports_search: bool = False


def decode_config(body: bytes) -> ChartConfig:
    """``config``. Raises ``DecodeError``."""
    fields = _decoded(body, _ConfigFields, "a chart configuration")
    return ChartConfig(fields.supported_resolutions, fields.supports_search, _extra(body, _ConfigFields))


class _SymbolFields(msgspec.Struct):
    name: str
    ticker: str
    timezone: str
    pricescale: int
    minmov: int = 1
    description: str = ""
    session: str = ""
    supported_resolutions: tuple[str, ...] = ()
    exchange: str = ""
    s: str = ""


def decode_symbol(body: bytes) -> ChartSymbol | ShimError:
    """``symbols``. Raises ``DecodeError``."""
    refused = _refused(body)
    if refused is not None:
        return refused
    fields = _decoded(body, _SymbolFields, "a chart symbol")
    if fields.pricescale <= 0 or fields.minmov <= 0:
        raise DecodeError(f"a chart symbol with steps of {fields.minmov} / {fields.pricescale}", raw=body)
    return ChartSymbol(
        fields.name,
        fields.ticker,
        fields.description,
        fields.session,
        fields.timezone,
        fields.pricescale,
        fields.minmov,
        fields.supported_resolutions,
        fields.exchange,
        _extra(body, _SymbolFields),
    )


def decode_search(body: bytes) -> tuple[ChartMatch | DecodeError, ...]:
    """``search``. Raises ``DecodeError`` when it is no list."""
    items = _decoded(body, list[msgspec.Raw], "a list of symbols")
    return tuple(_own(lambda raw: _decoded(raw, ChartMatch, "a symbol found"), bytes(item)) for item in items)


class _Columns(msgspec.Struct):
    s: Literal["ok", "no_data"]
    t: list[msgspec.Raw] = []
    o: list[msgspec.Raw] = []
    h: list[msgspec.Raw] = []
    l: list[msgspec.Raw] = []  # noqa: E741
    c: list[msgspec.Raw] = []
    v: list[msgspec.Raw] | None = None
    next_time: UnixSeconds | None = msgspec.field(name="nextTime", default=None)


def decode_history(body: bytes) -> BarHistory | ShimError:
    """``history``: a table by columns. Raises ``DecodeError`` when it is none, or its columns differ in length."""
    refused = _refused(body)
    if refused is not None:
        return refused
    table = _decoded(body, _Columns, "a history of bars")
    columns = [table.t, table.o, table.h, table.l, table.c]
    # Some services leave volumes out, by an empty column.
    if table.v:
        columns.append(table.v)
    if len({len(column) for column in columns}) != 1:
        lengths = ", ".join(str(len(column)) for column in columns)
        raise DecodeError(f"a history whose columns have {lengths} rows", raw=body)
    if table.s == "no_data" and table.t:
        raise DecodeError(f"a history of {len(table.t)} bars that says no_data", raw=body)
    return BarHistory(tuple(_own(_bar, row) for row in zip(*columns, strict=True)), table.next_time)


def _bar(row: tuple[msgspec.Raw, ...]) -> Bar:
    raw = b"[" + b",".join(bytes(cell) for cell in row) + b"]"
    time_s = _cell(row[0], UnixSeconds, raw)
    return Bar(time_s, *(_number(cell, raw) for cell in row[1:]))


def _number(cell: msgspec.Raw, raw: bytes) -> Decimal:
    text = bytes(cell).strip()
    # A string would read as a number too, infinity included.
    if text[:1] != b'"' and len(text) <= _MAX_DIGITS:
        found: Decimal = _cell(cell, Decimal, raw)
        if abs(found.adjusted()) <= _MAX_EXPONENT:
            return found
    raise DecodeError(f"a bar with {text[:40]!r} for a value", raw=raw)


def _cell(cell: msgspec.Raw, shape: Any, raw: bytes) -> Any:
    try:
        return msgspec.json.decode(cell, type=shape)
    except _BROKEN as error:
        raise DecodeError(f"a bar that does not read: {error}", raw=raw) from None


def _refused(body: bytes) -> ShimError | None:
    status = _decoded(body, _Status, "an answer of the chart service")
    return ShimError(status.errmsg[:200]) if status.s == "error" else None


# -- what all share --------------------------------------------------------------------------------------------------------


def _decoded(body: bytes, shape: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except _BROKEN as error:
        raise DecodeError(f"not {what}: {error}", raw=body) from None


def _extra(body: bytes, shape: type[msgspec.Struct]) -> dict[str, object]:
    """The members that ``shape`` does not know; numbers with a point as decimals."""
    known = {field.encode_name for field in msgspec.structs.fields(shape)}
    try:
        members: dict[str, object] = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(body)
    except (*_BROKEN, ArithmeticError) as error:
        raise DecodeError(f"an unknown member that does not read: {error}", raw=body) from None
    return {name: member for name, member in members.items() if name not in known}


def _own(read: Any, item: Any) -> Any:
    """What ``read`` gives, or the item's own error."""
    try:
        return read(item)
    except DecodeError as error:
        return error
