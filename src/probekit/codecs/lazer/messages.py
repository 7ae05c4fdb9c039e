"""What goes over the WebSocket besides updates, and the bodies of requests, both ways.

A subscription names feeds by number or by symbol, never both. Error texts stand under ``message`` or ``error``: both are read.
Source: pyth-lazer-public ``sdk/rust/protocol/src/api.rs`` and Pyth's developer documentation, "Error Codes".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeVar

import msgspec

from probekit.codecs.lazer import values
from probekit.codecs.lazer.updates import BinaryEncoding, decode_frame, is_frame, read_update, write_update
from probekit.errors import DecodeError
from probekit.model.lazer import DEFAULT_PROPERTIES, Channel, FeedProperty, LazerUpdate, UpdateFormat

F = TypeVar("F", int, str)


class PriceRequest(msgspec.Struct, frozen=True):
    """What is asked for: of which feeds, which properties, in which forms, on which channel.

    ``feeds`` are all numbers or all symbols. ``delivery`` and ``ignore_invalid`` belong to subscriptions alone: with the latter
    a feed that cannot be had costs no other feed its prices. Raises ``ValueError`` for what the service would refuse.
    """

    feeds: tuple[int, ...] | tuple[str, ...]
    properties: tuple[FeedProperty, ...] = DEFAULT_PROPERTIES
    formats: tuple[UpdateFormat, ...] = ()
    channel: Channel = Channel.FIXED_200MS
    parsed: bool = True
    encoding: BinaryEncoding = "base64"
    delivery: Literal["json", "binary"] = "json"
    ignore_invalid: bool = True

    def __post_init__(self) -> None:
        for what, named in (("feeds", self.feeds), ("properties", self.properties), ("formats", self.formats)):
            if len(set(named)) != len(named):
                raise ValueError(f"{what} are named twice")
        if not self.feeds or not self.properties:
            raise ValueError("a request names at least one feed and one property")
        if not self.parsed and not self.formats:
            raise ValueError("a request without the parsed part and without a form asks for nothing")
        by_number = all(isinstance(feed, int) and not isinstance(feed, bool) for feed in self.feeds)
        if not by_number and not all(isinstance(feed, str) for feed in self.feeds):
            raise ValueError("feeds are named by number or by symbol, not both")
        if by_number and any(feed not in values.U32 for feed in self.feeds):
            raise ValueError("a feed's number has 32 bits")

    @property
    def by_symbol(self) -> bool:
        return isinstance(self.feeds[0], str)

    def with_feeds(self, feeds: Iterable[F]) -> PriceRequest:
        """The same of other feeds."""
        return msgspec.structs.replace(self, feeds=tuple(feeds))


def request_body(request: PriceRequest, *, timestamp_us: int | None = None) -> dict[str, Any]:
    """The members of a REST request; ``timestamp_us`` asks for the past."""
    body: dict[str, Any] = {
        "symbols" if request.by_symbol else "priceFeedIds": list(request.feeds),
        "properties": [which.wire_name for which in request.properties],
        "formats": [str(form) for form in request.formats],
        "channel": str(request.channel),
        "jsonBinaryEncoding": request.encoding,
        "parsed": request.parsed,
    }
    return body if timestamp_us is None else body | {"timestamp": timestamp_us}


def subscribe(subscription_id: int, request: PriceRequest) -> str:
    """The text that opens a subscription."""
    more = {"deliveryFormat": request.delivery, "ignoreInvalidFeeds": request.ignore_invalid}
    return _text({"type": "subscribe", "subscriptionId": subscription_id, **request_body(request), **more})


def unsubscribe(subscription_id: int) -> str:
    """The text that ends a subscription."""
    return _text({"type": "unsubscribe", "subscriptionId": subscription_id})


def _text(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


# -- what the service says ---------------------------------------------------------------------------------------------------


class IgnoredFeeds(msgspec.Struct, frozen=True):
    """Feeds left out of a subscription, by the reason."""

    unknown_ids: tuple[int, ...] = ()
    unknown_symbols: tuple[str, ...] = ()
    unsupported_channels: tuple[int, ...] = ()
    unstable: tuple[int, ...] = ()
    not_entitled: tuple[int, ...] = ()
    extra: dict[str, Any] = {}


class Subscribed(msgspec.Struct, frozen=True):
    """A subscription is open. ``feed_ids`` is ``None`` where all that were asked for are in it."""

    subscription_id: int
    feed_ids: tuple[int, ...] | None = None
    ignored: IgnoredFeeds = IgnoredFeeds()


class Unsubscribed(msgspec.Struct, frozen=True):
    subscription_id: int


class SubscriptionRefused(msgspec.Struct, frozen=True):
    """A subscription was not opened, or not ended."""

    subscription_id: int
    reason: str


class ServiceError(msgspec.Struct, frozen=True):
    """Of the whole connection, or of a message that the service could not read."""

    reason: str


class UnknownServiceMessage(msgspec.Struct, frozen=True):
    """Of a type that this release does not know; as served."""

    type: str
    members: dict[str, Any]


ServiceMessage = LazerUpdate | Subscribed | Unsubscribed | SubscriptionRefused | ServiceError | UnknownServiceMessage


def decode(data: bytes) -> ServiceMessage:
    """One message, JSON or a frame. Raises ``DecodeError`` where it is neither."""
    if is_frame(data):
        return decode_frame(data)
    row = values.parsed(data, "a message")
    try:
        return _read(values.table(row, "a message"))
    except ValueError as error:
        raise DecodeError(str(error), raw=data) from None


def _read(row: dict[str, Any]) -> ServiceMessage:
    kind = values.text(row.get("type"), "type")
    if kind == "error":
        return ServiceError(error_text(row))
    if kind not in _OF_A_SUBSCRIPTION:
        return UnknownServiceMessage(kind, row)
    number = values.integer(row.get("subscriptionId"), "subscriptionId", values.U64)
    if kind == "streamUpdated":
        return read_update(row, subscription_id=number)
    if kind == "subscriptionError":
        return SubscriptionRefused(number, error_text(row))
    if kind == "unsubscribed":
        return Unsubscribed(number)
    if kind == "subscribed":
        return Subscribed(number)
    feeds = tuple(_numbers(row, "subscribedFeedIds"))
    return Subscribed(number, feeds, _ignored(values.table(row.get("ignoredInvalidFeedIds") or {}, "ignoredInvalidFeedIds")))


_OF_A_SUBSCRIPTION: Final = (
    "streamUpdated",
    "subscribed",
    "subscribedWithInvalidFeedIdsIgnored",
    "unsubscribed",
    "subscriptionError",
)


def error_text(row: dict[str, Any]) -> str:
    """The words of an error object, ``message`` and ``error`` where both are there."""
    words = [str(row[name]) for name in ("error", "message") if isinstance(row.get(name), str)]
    return ": ".join(words)[:1_000] or "no reason given"


def _numbers(row: dict[str, Any], name: str) -> list[int]:
    return [values.integer(one, name, values.U32) for one in values.array(row.get(name) or [], name)]


def _ignored(row: dict[str, Any]) -> IgnoredFeeds:
    names = ("unknownIds", "unsupportedChannels", "unstable", "notEntitled")
    unknown, channels, unstable, refused = (tuple(_numbers(row, name)) for name in names)
    symbols = [values.text(one, "unknownSymbols") for one in values.array(row.get("unknownSymbols") or [], "unknownSymbols")]
    extra = values.rest(row, (*names, "unknownSymbols"))
    return IgnoredFeeds(unknown, tuple(symbols), channels, unstable, refused, extra)


# -- the service's side --------------------------------------------------------------------------------------------------------


def encode(message: ServiceMessage, encoding: BinaryEncoding = "base64") -> str:
    """The JSON that the service sends. Raises ``ValueError`` for an update without a subscription, or with broken parts."""
    match message:
        case LazerUpdate():
            if message.subscription_id is None:
                raise ValueError("an update of a stream belongs to a subscription")
            head = {"type": "streamUpdated", "subscriptionId": message.subscription_id}
            return _text(head | write_update(message, encoding))
        case Subscribed(feed_ids=None):
            return _text({"type": "subscribed", "subscriptionId": message.subscription_id})
        case Subscribed():
            ignored = message.ignored
            kinds = {
                "unknownIds": ignored.unknown_ids,
                "unknownSymbols": ignored.unknown_symbols,
                "unsupportedChannels": ignored.unsupported_channels,
                "unstable": ignored.unstable,
                "notEntitled": ignored.not_entitled,
            }
            return _text(
                {
                    "type": "subscribedWithInvalidFeedIdsIgnored",
                    "subscriptionId": message.subscription_id,
                    "subscribedFeedIds": message.feed_ids,
                    "ignoredInvalidFeedIds": kinds | ignored.extra,
                }
            )
        case Unsubscribed():
            return _text({"type": "unsubscribed", "subscriptionId": message.subscription_id})
        case SubscriptionRefused():
            number = message.subscription_id
            return _text({"type": "subscriptionError", "subscriptionId": number, "error": message.reason})
        case ServiceError():
            return _text({"type": "error", "error": message.reason})
        case UnknownServiceMessage():
            return _text({**message.members, "type": message.type})


class ClientRequest(msgspec.Struct, frozen=True):
    """A message of a client: what it asks for, or ``None`` where it ends the subscription."""

    subscription_id: int
    request: PriceRequest | None


def decode_client(text: bytes | str) -> ClientRequest:
    """A client's message, as the service reads it. Raises ``DecodeError``."""
    row = values.parsed(text, "a message")
    try:
        members = values.table(row, "a message")
        number = values.integer(members.get("subscriptionId"), "subscriptionId", values.U64)
        if members.get("type") == "unsubscribe":
            return ClientRequest(number, None)
        if members.get("type") != "subscribe":
            raise ValueError(f"a message of type {str(members.get('type'))[:40]!r}")
        return ClientRequest(number, read_request(members))
    except ValueError as error:
        raise DecodeError(str(error), raw=text) from None


_PROPERTIES: Final = {which.wire_name: which for which in FeedProperty}


def read_request(row: dict[str, Any]) -> PriceRequest:
    """A request from its members, older names included. Raises ``ValueError``."""
    numbers, symbols = row.get("priceFeedIds"), row.get("symbols")
    if (numbers is None) == (symbols is None):
        raise ValueError("either price feed ids or symbols must be specified, not both")
    feeds: tuple[int, ...] | tuple[str, ...]
    if numbers is not None:
        feeds = tuple(_numbers(row, "priceFeedIds"))
    else:
        feeds = tuple(values.text(one, "symbols") for one in values.array(symbols, "symbols"))
    channel = Channel.of(row.get("channel", ""))
    if channel is None:
        raise ValueError(f"unknown channel {str(row.get('channel'))[:40]!r}")
    properties = [_known(_PROPERTIES, one, "property") for one in values.array(row.get("properties"), "properties")]
    forms = {str(form): form for form in UpdateFormat}
    formats = [_known(forms, one, "format") for one in values.array(row.get("formats", row.get("chains")), "formats")]
    ignore = row.get("ignoreInvalidFeeds", row.get("ignoreInvalidFeedIds", False))
    parsed, delivery = row.get("parsed", True), row.get("deliveryFormat", "json")
    encoding = row.get("jsonBinaryEncoding", "base64")
    if not isinstance(ignore, bool) or not isinstance(parsed, bool):
        raise ValueError("parsed and ignoreInvalidFeeds are true or false")
    if delivery not in ("json", "binary") or encoding not in ("base64", "hex"):
        raise ValueError("unknown deliveryFormat or jsonBinaryEncoding")
    return PriceRequest(feeds, tuple(properties), tuple(formats), channel, parsed, encoding, delivery, ignore)


K = TypeVar("K")


def _known(names: dict[str, K], name: Any, what: str) -> K:
    found = names.get(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"unknown {what} {str(name)[:40]!r}")
    return found
