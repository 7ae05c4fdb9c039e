"""The payload that is signed: feeds and their properties at a time, little-endian or big-endian, both ways.

Layout: magic u32 · time stamp u64 (microseconds) · channel u8 · feed count u8 · each feed: id u32, property count u8 · each
property: number u8, value. Values: i64 for prices and confidences, 0 being none; u16 publisher count; i16 exponent and market
session; a flag u8 and, unless it is 0, an i64 (funding rate) or u64 (times). A value has no length of its own, so a property of
an unknown number makes the rest unreadable: what stood before it is kept.

Source: pyth-lazer-public ``sdk/rust/protocol/src/payload.rs``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, Literal

from probekit.errors import DecodeError
from probekit.model.lazer import FeedProperty, FeedValues, LazerPayload, TradingSession

ByteOrder = Literal["little", "big"]

MAGIC: Final = 0x93C7D375
"""The number that either byte order begins with."""
MAX_SIZE: Final = 0xFFFF
"""An envelope counts its payload in two bytes."""

_ORDERS: Final[dict[ByteOrder, str]] = {"little": "<", "big": ">"}
_KINDS: Final = {
    FeedProperty.PRICE: "price",
    FeedProperty.BEST_BID_PRICE: "price",
    FeedProperty.BEST_ASK_PRICE: "price",
    FeedProperty.PUBLISHER_COUNT: "H",
    FeedProperty.EXPONENT: "h",
    FeedProperty.CONFIDENCE: "price",
    FeedProperty.FUNDING_RATE: "?q",
    FeedProperty.FUNDING_TIMESTAMP: "?Q",
    FeedProperty.FUNDING_RATE_INTERVAL: "?Q",
    FeedProperty.MARKET_SESSION: "session",
    FeedProperty.EMA_PRICE: "price",
    FeedProperty.EMA_CONFIDENCE: "price",
    FeedProperty.FEED_UPDATE_TIMESTAMP: "?Q",
}
_SESSIONS: Final = {int(session): session for session in TradingSession}
Value = int | TradingSession | None
_Reader = Callable[[bytes, int], tuple[Value, int]]


def _plain(order: str, code: str, convert: Callable[[int], Value]) -> _Reader:
    form = struct.Struct(order + code)
    unpack, size = form.unpack_from, form.size

    def read(data: bytes, at: int) -> tuple[Value, int]:
        return convert(unpack(data, at)[0]), at + size

    return read


def _flagged(order: str, code: str) -> _Reader:
    unpack = struct.Struct(order + code).unpack_from

    def read(data: bytes, at: int) -> tuple[Value, int]:
        if not data[at]:
            return None, at + 1
        return unpack(data, at + 1)[0], at + 9

    return read


def _readers(order: str) -> dict[int, tuple[FeedProperty, str, _Reader]]:
    made: dict[int, tuple[FeedProperty, str, _Reader]] = {}
    for which, kind in _KINDS.items():
        if kind == "price":
            read = _plain(order, "q", lambda value: value or None)
        elif kind == "session":
            read = _plain(order, "h", lambda value: _SESSIONS.get(value, value))
        elif kind.startswith("?"):
            read = _flagged(order, kind[1:])
        else:
            read = _plain(order, kind, int)
        made[int(which)] = (which, which.field, read)
    return made


_READERS: Final = {name: _readers(order) for name, order in _ORDERS.items()}
_HEADS: Final = {name: struct.Struct(order + "IQBB") for name, order in _ORDERS.items()}
_FEED_HEADS: Final = {name: struct.Struct(order + "IB") for name, order in _ORDERS.items()}


def order_of(data: bytes) -> ByteOrder:
    """The byte order that a payload's magic tells. Raises ``DecodeError`` when it begins with neither."""
    head = data[:4]
    if head == MAGIC.to_bytes(4, "little"):
        return "little"
    if head == MAGIC.to_bytes(4, "big"):
        return "big"
    raise DecodeError(f"a payload begins with {head.hex() or 'nothing'}, which is no magic of one", raw=data, offset=0)


def decode(data: bytes, order: ByteOrder | None = None) -> LazerPayload:
    """Decode a payload; without ``order`` its magic tells. Raises ``DecodeError`` with the offset.

    A property of an unknown number ends the reading: the feeds before it are returned, the rest is in ``unread``. One that a
    feed has twice is refused: no request can ask for it.
    """
    found = order_of(data)
    if order is not None and found != order:
        raise DecodeError(f"a {found}-endian payload where a {order}-endian one belongs", raw=data, offset=0)
    head = _HEADS[found]
    if len(data) < head.size:
        raise DecodeError(f"a payload of {len(data)} bytes; its head alone has {head.size}", raw=data, offset=len(data))
    _, timestamp_us, channel_id, count = head.unpack_from(data)
    feeds: list[FeedValues] = []
    at = head.size
    try:
        for _ in range(count):
            feed, end = _feed(data, at, found)
            if feed is None:
                return LazerPayload(timestamp_us, channel_id, tuple(feeds), data[at:], f"property {data[end]} at byte {end}")
            feeds.append(feed)
            at = end
    except (struct.error, IndexError):
        text = f"{len(data)} bytes end within feed {len(feeds) + 1} of {count}"
        raise DecodeError(text, raw=data, offset=min(at, len(data))) from None
    return LazerPayload(timestamp_us, channel_id, tuple(feeds), trailing=data[at:])


def _feed(data: bytes, at: int, order: ByteOrder) -> tuple[FeedValues | None, int]:
    """A feed and where it ends; ``None`` and where an unknown property stands."""
    head, readers = _FEED_HEADS[order], _READERS[order]
    feed_id, count = head.unpack_from(data, at)
    at += head.size
    served: list[FeedProperty] = []
    values: dict[str, Value] = {}
    for _ in range(count):
        reader = readers.get(data[at])
        if reader is None:
            return None, at
        which, name, read = reader
        if name in values:
            raise DecodeError(f"feed {feed_id} has {which.wire_name} twice", raw=data, offset=at)
        values[name], at = read(data, at + 1)
        served.append(which)
    return FeedValues(feed_id, tuple(served), **values), at  # type: ignore[arg-type]


def encode(payload: LazerPayload, order: ByteOrder) -> bytes:
    """The bytes of a payload: each feed with the properties that it lists, in that order.

    Raises ``ValueError`` when a number does not fit, a feed or ``unread`` is no readable part, or the exponent, the session or
    the publisher count, which have no form for an absent value, is absent.
    """
    if payload.unread:
        raise ValueError("a payload that was not read to its end is not written again")
    prefix = _ORDERS[order]
    if payload.channel_id is None:
        raise ValueError("a payload names its channel; what came as JSON does not")
    try:
        parts = [_HEADS[order].pack(MAGIC, payload.timestamp_us, payload.channel_id, len(payload.feeds))]
        for feed in payload.feeds:
            if not isinstance(feed, FeedValues):
                raise ValueError(f"a feed that did not decode: {feed}")
            parts.append(_FEED_HEADS[order].pack(feed.feed_id, len(feed.properties)))
            for which in feed.properties:
                parts.append(bytes((which,)))
                parts.append(_encoded(which, feed.value(which), prefix))
    except struct.error as error:
        raise ValueError(f"a number of the payload does not fit its place: {error}") from None
    return b"".join(parts) + payload.trailing


def _encoded(which: FeedProperty, value: int | None, prefix: str) -> bytes:
    kind = _KINDS[which]
    if kind == "price":
        return struct.pack(prefix + "q", value or 0)
    if kind.startswith("?"):
        return b"\0" if value is None else b"\1" + struct.pack(prefix + kind[1:], value)
    if not isinstance(value, int):
        raise ValueError(f"{which.wire_name} is {value!r}; it has no form for that")
    return struct.pack(prefix + ("h" if kind == "session" else kind), value)
