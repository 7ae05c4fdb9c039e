"""Updates as the router writes them: JSON with a ``parsed`` part and binary forms as text, and the binary frames of a
WebSocket, both ways.

``parsed`` is ``{timestampUs, priceFeeds: [{priceFeedId, ...}]}``; an absent value has no member. Prices are texts, the other
numbers are numbers; either is read. A binary form is ``{encoding, data}``.

Frame: magic 4 · subscription id u64 big-endian · to its end: length u16 big-endian, part. A part begins with its own magic:
that of JSON, then the text of ``parsed``, or one of :mod:`probekit.codecs.lazer.envelope`.

Source: pyth-lazer-public ``sdk/rust/protocol/src/{api,binary_update,message}.rs``.
"""

from __future__ import annotations

import binascii
from typing import Any, Final, Literal

import msgspec

from probekit.codecs.lazer import envelope, values
from probekit.errors import DecodeError
from probekit.model.lazer import (
    Envelope,
    FeedProperty,
    FeedValues,
    LazerPayload,
    LazerUpdate,
    TradingSession,
    UpdateFormat,
)

BinaryEncoding = Literal["base64", "hex"]

FRAME_MAGIC: Final = bytes.fromhex("7377881b")
JSON_MAGIC: Final = bytes.fromhex("9a10dac4")
_FRAME_HEAD: Final = len(FRAME_MAGIC) + 8

_RANGES: Final = {
    FeedProperty.PUBLISHER_COUNT: values.U16,
    FeedProperty.EXPONENT: values.I16,
    FeedProperty.FUNDING_TIMESTAMP: values.U64,
    FeedProperty.FUNDING_RATE_INTERVAL: values.U64,
    FeedProperty.FEED_UPDATE_TIMESTAMP: values.U64,
}
_AS_TEXT: Final = (
    FeedProperty.PRICE,
    FeedProperty.BEST_BID_PRICE,
    FeedProperty.BEST_ASK_PRICE,
    FeedProperty.EMA_PRICE,
)
_BY_WIRE_NAME: Final = {
    which.wire_name: (which, which.field, _RANGES.get(which, values.I64)) for which in FeedProperty if which != 9
}
_SESSIONS: Final = {session.wire_name: session for session in TradingSession}
_SESSION: Final = FeedProperty.MARKET_SESSION.wire_name


def read_update(row: Any, *, subscription_id: int | None = None) -> LazerUpdate:
    """An update from decoded JSON, its parts each for itself. Raises ``ValueError`` where it is no object at all."""
    members = values.table(row, "an update")
    found: LazerPayload | DecodeError | None = None
    if members.get("parsed") is not None:
        try:
            found = _read_parsed(members["parsed"])
        except ValueError as error:
            found = DecodeError(f"parsed: {error}", raw=values.shown(members["parsed"]))
    binary: dict[UpdateFormat, Envelope | DecodeError] = {}
    for form in UpdateFormat:
        part = members.get(form)
        if part is not None:
            try:
                binary[form] = envelope.decode(_read_binary(part), form)
            except DecodeError as error:
                binary[form] = error
            except ValueError as error:
                binary[form] = DecodeError(f"{form}: {error}", raw=values.shown(part))
    extra = values.rest(members, ("parsed", "type", "subscriptionId", *UpdateFormat))
    return LazerUpdate(found, binary, subscription_id, extra)


def decode_update(body: bytes) -> LazerUpdate:
    """An answer of the router. Raises ``DecodeError`` where it is none; a part that is none is its own error."""
    row = values.parsed(body, "an update")
    try:
        return read_update(row)
    except ValueError as error:
        raise DecodeError(str(error), raw=body) from None


def _read_parsed(row: Any) -> LazerPayload:
    members = values.table(row, "parsed")
    feeds = values.each(values.array(members.get("priceFeeds"), "priceFeeds"), _read_feed, "a feed")
    timestamp_us = values.integer(members.get("timestampUs"), "timestampUs", values.U64)
    return LazerPayload(timestamp_us, None, feeds, extra=values.rest(members, ("timestampUs", "priceFeeds")))


def _read_feed(row: Any) -> FeedValues:
    members = dict(values.table(row, "a feed"))
    feed_id = values.integer(members.pop("priceFeedId", None), "priceFeedId", values.U32)
    served: list[FeedProperty] = []
    found: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in members.items():
        known = _BY_WIRE_NAME.get(name)
        if known is not None and value is not None:
            which, field, within = known
            found[field] = values.integer(value, name, within)
            served.append(which)
        elif name == _SESSION and value is not None:
            found["market_session"] = _session(value)
            served.append(FeedProperty.MARKET_SESSION)
        elif known is None and name != _SESSION:
            extra[name] = value
    return FeedValues(feed_id, tuple(served), extra=extra, **found)


def _session(value: Any) -> TradingSession | int | str:
    if isinstance(value, str):
        known = _SESSIONS.get(value)
        return values.text(value, _SESSION) if known is None else known
    return values.integer(value, _SESSION, values.I16)


def _read_binary(row: Any) -> bytes:
    members = values.table(row, "a binary form")
    data, encoding = members.get("data"), members.get("encoding", "base64")
    if not isinstance(data, str):
        raise ValueError("it has no data")
    try:
        if encoding == "hex":
            return binascii.unhexlify(data.removeprefix("0x"))
        if encoding == "base64":
            return binascii.a2b_base64(data.encode("ascii"), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"its data is not {encoding}: {error}") from None
    raise ValueError(f"an encoding {str(encoding)[:40]!r}")


# -- frames ------------------------------------------------------------------------------------------------------------------


def is_frame(data: bytes) -> bool:
    """Whether a message is a binary frame; no JSON begins like one."""
    return data[:4] == FRAME_MAGIC


def decode_frame(data: bytes) -> LazerUpdate:
    """One frame. Parts are each for themselves; those of a magic that this release does not know stand in ``extra`` under it.

    Raises ``DecodeError`` where the frame itself is none, or has a part twice.
    """
    if not is_frame(data):
        raise DecodeError(f"a frame begins with {data[:4].hex() or 'nothing'}", raw=data, offset=0)
    if len(data) < _FRAME_HEAD:
        raise DecodeError(f"a frame of {len(data)} bytes; its head alone has {_FRAME_HEAD}", raw=data, offset=len(data))
    found: LazerPayload | DecodeError | None = None
    binary: dict[UpdateFormat, Envelope | DecodeError] = {}
    extra: dict[str, Any] = {}
    at = _FRAME_HEAD
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        part = data[at + 2 : at + 2 + size]
        if len(data) - at < 2 or len(part) != size:
            raise DecodeError(f"a frame of {len(data)} bytes ends within a part", raw=data, offset=at)
        form = envelope.format_of(part)
        if part[:4] == JSON_MAGIC and found is None:
            found = _read_parsed_part(part[4:])
        elif form is not None and form not in binary:
            try:
                binary[form] = envelope.decode(part)
            except DecodeError as error:
                binary[form] = error
        elif form is None and part[:4] != JSON_MAGIC:
            extra.setdefault(part[:4].hex(), []).append(part)
        else:
            raise DecodeError(f"a frame has two parts that begin with {part[:4].hex()}", raw=data, offset=at)
        at += 2 + size
    return LazerUpdate(found, binary, int.from_bytes(data[4:12], "big"), extra)


def _read_parsed_part(text: bytes) -> LazerPayload | DecodeError:
    try:
        return _read_parsed(values.parsed(text, "the parsed part of a frame"))
    except DecodeError as error:
        return error
    except ValueError as error:
        return DecodeError(f"parsed: {error}", raw=text)


# -- the other way -------------------------------------------------------------------------------------------------------------


def encode_frame(update: LazerUpdate) -> bytes:
    """A frame as the router writes it. Raises ``ValueError`` when a part is an error, or does not fit."""
    parts = []
    if update.parsed is not None:
        parts.append(JSON_MAGIC + msgspec.json.encode(_write_parsed(update.parsed)))
    parts += [envelope.encode(_sound(part)) for part in update.binary.values()]
    if any(len(part) > 0xFFFF for part in parts):
        raise ValueError("a part of a frame has at most 65,535 bytes")
    head = FRAME_MAGIC + (update.subscription_id or 0).to_bytes(8, "big")
    return head + b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def write_update(update: LazerUpdate, encoding: BinaryEncoding = "base64") -> dict[str, Any]:
    """The members of an update in JSON. Raises ``ValueError`` when a part is an error."""
    members: dict[str, Any] = {}
    if update.parsed is not None:
        members["parsed"] = _write_parsed(update.parsed)
    for form, part in update.binary.items():
        raw = envelope.encode(_sound(part))
        data = raw.hex() if encoding == "hex" else binascii.b2a_base64(raw, newline=False).decode()
        members[str(form)] = {"encoding": encoding, "data": data}
    return members | update.extra


def _sound(part: Envelope | DecodeError) -> Envelope:
    if isinstance(part, DecodeError):
        raise ValueError(f"a part that did not decode: {part}")
    return part


def _write_parsed(payload: LazerPayload | DecodeError) -> dict[str, Any]:
    if isinstance(payload, DecodeError):
        raise ValueError(f"a part that did not decode: {payload}")
    return {"timestampUs": str(payload.timestamp_us), "priceFeeds": [_write_feed(one) for one in payload.feeds]} | payload.extra


def _write_feed(feed: FeedValues | DecodeError) -> dict[str, Any]:
    if isinstance(feed, DecodeError):
        raise ValueError(f"a feed that did not decode: {feed}")
    members: dict[str, Any] = {"priceFeedId": feed.feed_id}
    for which in feed.properties:
        value = feed.value(which)
        if isinstance(value, TradingSession):
            value = value.wire_name
        if value is not None:
            members[which.wire_name] = str(value) if which in _AS_TEXT else value
    return members | feed.extra
