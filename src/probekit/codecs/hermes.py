"""The JSON of Hermes v2, both ways: price updates, feed metadata, stake caps, readiness, and the words of its errors.

Prices decode straight into :class:`~probekit.model.PriceUpdate`. The TWAP endpoint is left out: it has answered 400
("deprecated and no longer available") since 2026-02. Source: pyth-crosschain ``apps/hermes/server/src/{api,state}``.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec

from probekit.errors import DecodeError
from probekit.model import Feed, FeedId, MarketHours, PriceUpdate, StakeCap

Encoding = Literal["hex", "base64"]


class Binary(msgspec.Struct, frozen=True):
    """The signed part of an answer: accumulator updates as text, one per slot and 255 messages."""

    encoding: Encoding
    data: tuple[str, ...]

    def decoded(self) -> tuple[bytes, ...]:
        """The raw accumulator updates. Raises ``DecodeError``."""
        try:
            if self.encoding == "hex":
                return tuple(binascii.unhexlify(text) for text in self.data)
            return tuple(binascii.a2b_base64(text.encode("ascii"), strict_mode=True) for text in self.data)
        except (binascii.Error, ValueError) as error:
            raise DecodeError(f"binary.data is not {self.encoding}: {error}", raw=self.data[0] if self.data else "") from None


class PriceAnswer(msgspec.Struct, frozen=True):
    """An answer of ``/v2/updates/price/...``, or one event of the stream. ``parsed`` is ``None`` when it was not asked for."""

    binary: Binary
    parsed: tuple[PriceUpdate, ...] | None = None


class _RawAnswer(msgspec.Struct, frozen=True):
    binary: Binary
    parsed: tuple[msgspec.Raw, ...]


class _Named(msgspec.Struct, frozen=True):
    id: str


class _FeedRow(msgspec.Struct, frozen=True):
    id: str
    attributes: dict[str, str]


class _StakeCapRow(msgspec.Struct, frozen=True):
    publisher: str
    cap: Annotated[int, msgspec.Meta(ge=0)]


class _StakeCapsRow(msgspec.Struct, frozen=True):
    publisher_stake_caps: tuple[_StakeCapRow, ...]


class StakeCapsAnswer(msgspec.Struct, frozen=True):
    """An answer of ``/v2/updates/publisher_stake_caps/latest``; publishers are base58, as served."""

    binary: Binary
    parsed: tuple[_StakeCapsRow, ...] | None = None

    def caps(self) -> tuple[StakeCap, ...]:
        """All caps of the answer; ``publisher`` is base58 here."""
        return tuple(StakeCap(row.publisher, row.cap) for one in self.parsed or () for row in one.publisher_stake_caps)


class ReadinessFields(msgspec.Struct, frozen=True):
    """The JSON of a ``/ready`` that answers 503."""

    has_completed_recently: bool = False
    is_not_behind: bool = False
    is_metadata_loaded: bool = False
    latest_completed_slot: int | None = None
    latest_observed_slot: int | None = None
    latest_completed_unix_timestamp: int | None = None
    price_feeds_metadata_len: int = 0


_PRICES: Final = msgspec.json.Decoder(PriceAnswer, strict=False)
_RAW_PRICES: Final = msgspec.json.Decoder(_RawAnswer)
_ONE_PRICE: Final = msgspec.json.Decoder(PriceUpdate, strict=False)
_FEEDS: Final = msgspec.json.Decoder(list[_FeedRow])
_RAW_FEEDS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ONE_FEED: Final = msgspec.json.Decoder(_FeedRow)
_NAMED: Final = msgspec.json.Decoder(_Named)
_CAPS: Final = msgspec.json.Decoder(StakeCapsAnswer, strict=False)
_READY: Final = msgspec.json.Decoder(ReadinessFields)

# RecursionError: msgspec guards its own stack and raises it for absurd nesting.
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_prices(body: bytes) -> PriceAnswer:
    """Decode an answer or a stream event. Raises ``DecodeError`` for anything that is not one.

    NaN and prices outside 64 bits are refused; unknown keys are ignored. A conf has no upper bound here: one that is absurd is
    for the confidence check to call so. A feed given twice is for whoever sorts the feeds to refuse (``Batch``).
    :func:`decode_prices_apart` keeps the neighbours of a price that is refused.
    """
    try:
        return _PRICES.decode(body)
    except _BROKEN as error:
        raise DecodeError(f"not a price answer: {error}", raw=body) from None


def decode_prices_apart(body: bytes) -> tuple[PriceAnswer, dict[FeedId, DecodeError]]:
    """:func:`decode_prices`, but a price that does not decode is its own feed's error and not that of its neighbours.

    Raises ``DecodeError`` where nothing is left, and where it is no JSON at all.
    """
    errors: dict[FeedId, DecodeError] = {}
    try:
        return decode_prices(body), errors
    except DecodeError as whole:
        try:
            answer = _RAW_PRICES.decode(body)
        except _BROKEN:
            raise whole from None
        good: list[PriceUpdate] = []
        for raw in answer.parsed:
            try:
                good.append(_ONE_PRICE.decode(raw))
            except _BROKEN as error:
                feed_id = _id_of(raw)
                if feed_id is not None:
                    errors[feed_id] = DecodeError(f"not a price of {feed_id.short}: {error}", raw=bytes(raw))
        if not good:
            raise
        return PriceAnswer(answer.binary, tuple(good)), errors


def _id_of(raw: msgspec.Raw) -> FeedId | None:
    """The id of an object that does not decode otherwise, as far as it has one."""
    try:
        return FeedId(_NAMED.decode(raw).id)
    except (*_BROKEN, ValueError):
        return None


def decode_feeds(body: bytes) -> tuple[Feed, ...]:
    """Decode ``/v2/price_feeds``. Raises ``DecodeError`` where nothing of it is a feed. A schedule that does not parse stays
    with its text and the reason.

    A row that does not decode takes no other with it: it is a feed that is not described, or none where it has no id.
    """
    try:
        return tuple(map(_feed, _FEEDS.decode(body)))
    except (*_BROKEN, ValueError) as error:
        try:
            found = [_feed_apart(raw) for raw in _RAW_FEEDS.decode(body)]
        except _BROKEN:
            found = []
        feeds = tuple(feed for feed in found if feed is not None)
        if not any(feed.described for feed in feeds):
            raise DecodeError(f"not a list of feeds: {error}", raw=body) from None
        return feeds


def _feed_apart(raw: msgspec.Raw) -> Feed | None:
    try:
        return _feed(_ONE_FEED.decode(raw))
    except (*_BROKEN, ValueError) as error:
        feed_id = _id_of(raw)
        return None if feed_id is None else Feed(feed_id, "", hours_error=f"not a feed's row: {error}", described=False)


def _feed(row: _FeedRow) -> Feed:
    attributes = row.attributes
    schedule = attributes.get("schedule")
    hours, problem = None, None
    if schedule is not None:
        try:
            hours = MarketHours.parse(schedule)
        except DecodeError as error:
            problem = error.message
    asset_class = attributes.get("asset_type", "").strip().lower().replace(" ", "_")
    return Feed(FeedId(row.id), attributes.get("symbol", ""), asset_class, schedule, hours, problem, attributes)


def decode_stake_caps(body: bytes) -> StakeCapsAnswer:
    """Decode the publisher stake caps. Raises ``DecodeError``."""
    try:
        return _CAPS.decode(body)
    except _BROKEN as error:
        raise DecodeError(f"not an answer of stake caps: {error}", raw=body) from None


def decode_readiness(body: bytes) -> ReadinessFields:
    """Decode the JSON of a 503 from ``/ready``. Raises ``DecodeError``."""
    try:
        return _READY.decode(body)
    except _BROKEN as error:
        raise DecodeError(f"not a readiness report: {error}", raw=body) from None


_UNKNOWN_IDS: Final = re.compile(r"Price ids not found:([\s,x0-9a-fA-F]*)")
_UNENTITLED: Final = re.compile(r"Not entitled: feed (?:0x)?([0-9a-fA-F]{64})")
_ID: Final = re.compile(r"\b0x([0-9a-fA-F]{64})\b")


def unknown_ids(body: str) -> tuple[FeedId, ...]:
    """The ids that a 404 body names as unknown; none where it is another 404."""
    match = _UNKNOWN_IDS.search(body)
    return () if match is None else tuple(FeedId(one) for one in _ID.findall(match[1]))


def unentitled_id(body: str) -> FeedId | None:
    """The one id that a 403 body names; ``None`` where the refusal is not about an id."""
    match = _UNENTITLED.search(body)
    return None if match is None else FeedId(match[1])


def _point(price: int, conf: int, expo: int, publish_time: int) -> dict[str, object]:
    return {"price": str(price), "conf": str(conf), "expo": expo, "publish_time": publish_time}


def encode_prices(updates: Iterable[PriceUpdate] | None, binary: Sequence[bytes], encoding: Encoding = "hex") -> bytes:
    """An answer as Hermes writes it; ``updates`` of ``None`` leaves ``parsed`` out."""
    data = [one.hex() if encoding == "hex" else binascii.b2a_base64(one, newline=False).decode() for one in binary]
    answer: dict[str, object] = {"binary": {"encoding": encoding, "data": data}}
    if updates is not None:
        answer["parsed"] = [
            {
                "id": str(one.id),
                "price": _point(one.point.price, one.point.conf, one.point.expo, one.point.publish_time),
                "ema_price": _point(one.ema_point.price, one.ema_point.conf, one.ema_point.expo, one.ema_point.publish_time),
                "metadata": one.metadata,
            }
            for one in updates
        ]
    return msgspec.json.encode(answer)


def encode_feeds(feeds: Iterable[Feed]) -> bytes:
    """The body of ``/v2/price_feeds``."""
    rows = [{"id": str(feed.id), "attributes": dict(sorted(feed.attributes.items()))} for feed in feeds]
    return msgspec.json.encode(rows)
