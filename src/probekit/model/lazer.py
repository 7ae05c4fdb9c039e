"""Pyth Pro (Lazer): channels, properties, what an update says of a feed, its signed and parsed forms, signers.

Prices are mantissas under the feed's exponent, times whole microseconds since the Unix epoch. Source: pyth-lazer-public
``sdk/rust/protocol`` and Pyth's developer documentation, "Payload Reference".
"""

from __future__ import annotations

from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec

from probekit.errors import DecodeError
from probekit.model.evm import Address
from probekit.model.price import Price
from probekit.model.pubkey import Pubkey, base58
from probekit.units import NS_PER_US, Instant, to_ns

SOCKETS: Final = tuple(f"wss://pyth-lazer-{number}.dourolabs.app/v1/stream" for number in range(3))
"""The streams of the public routers. All of them at once: deployments take one down at a time."""


class Channel(StrEnum):
    """How often a subscription is told: at once, or at whole multiples of a period."""

    REAL_TIME = "real_time"
    FIXED_50MS = "fixed_rate@50ms"
    FIXED_200MS = "fixed_rate@200ms"
    FIXED_1000MS = "fixed_rate@1000ms"

    @classmethod
    def of(cls, value: int | str) -> Channel | None:
        """By name, or by number as an integer or text; ``None`` for one that this release does not know."""
        try:
            return cls(str(value))
        except ValueError:
            return _CHANNELS.get(str(value))

    @property
    def number(self) -> int:
        """What a payload calls it."""
        return _CHANNEL_NUMBERS[self]

    @property
    def period_us(self) -> int | None:
        """Time stamps are multiples of it; ``None`` for the one without a beat."""
        return _PERIODS_US.get(self)


_CHANNEL_NUMBERS: Final = {channel: number for number, channel in enumerate(Channel, start=1)}
_CHANNELS: Final = {str(number): channel for channel, number in _CHANNEL_NUMBERS.items()}
_PERIODS_US: Final = {Channel.FIXED_50MS: 50_000, Channel.FIXED_200MS: 200_000, Channel.FIXED_1000MS: 1_000_000}


class FeedProperty(IntEnum):
    """What can be asked of a feed, by its number in a payload."""

    PRICE = 0
    BEST_BID_PRICE = 1
    BEST_ASK_PRICE = 2
    PUBLISHER_COUNT = 3
    EXPONENT = 4
    CONFIDENCE = 5
    FUNDING_RATE = 6
    FUNDING_TIMESTAMP = 7
    FUNDING_RATE_INTERVAL = 8
    MARKET_SESSION = 9
    EMA_PRICE = 10
    EMA_CONFIDENCE = 11
    FEED_UPDATE_TIMESTAMP = 12

    @property
    def wire_name(self) -> str:
        """Its name in JSON: ``bestBidPrice``."""
        first, *others = self.name.lower().split("_")
        return first + "".join(word.capitalize() for word in others)

    @property
    def field(self) -> str:
        """Where :class:`FeedValues` keeps it."""
        return _FIELDS[self]


_FIELDS: Final = {
    FeedProperty.PRICE: "price_mantissa",
    FeedProperty.BEST_BID_PRICE: "best_bid_mantissa",
    FeedProperty.BEST_ASK_PRICE: "best_ask_mantissa",
    FeedProperty.PUBLISHER_COUNT: "publisher_count",
    FeedProperty.EXPONENT: "expo",
    FeedProperty.CONFIDENCE: "conf_mantissa",
    FeedProperty.FUNDING_RATE: "funding_rate_mantissa",
    FeedProperty.FUNDING_TIMESTAMP: "funding_timestamp_us",
    FeedProperty.FUNDING_RATE_INTERVAL: "funding_rate_interval_us",
    FeedProperty.MARKET_SESSION: "market_session",
    FeedProperty.EMA_PRICE: "ema_price_mantissa",
    FeedProperty.EMA_CONFIDENCE: "ema_conf_mantissa",
    FeedProperty.FEED_UPDATE_TIMESTAMP: "feed_update_timestamp_us",
}
DEFAULT_PROPERTIES: Final = (
    FeedProperty.PRICE,
    FeedProperty.CONFIDENCE,
    FeedProperty.EXPONENT,
    FeedProperty.PUBLISHER_COUNT,
    FeedProperty.MARKET_SESSION,
    FeedProperty.FEED_UPDATE_TIMESTAMP,
)
"""What it takes to read a price and to know whether it is alive."""


class TradingSession(IntEnum):
    """The session of its market that a feed says it is in."""

    REGULAR = 0
    PRE_MARKET = 1
    POST_MARKET = 2
    OVER_NIGHT = 3
    CLOSED = 4

    @property
    def wire_name(self) -> str:
        """Its name in JSON: ``preMarket``."""
        first, *others = self.name.lower().split("_")
        return first + "".join(word.capitalize() for word in others)


class UpdateFormat(StrEnum):
    """How the bytes of an update are laid out and signed."""

    EVM = "evm"
    """Big-endian payload, secp256k1."""
    SOLANA = "solana"
    """Little-endian payload, ed25519."""
    LE_ECDSA = "leEcdsa"
    """Little-endian payload, secp256k1."""
    LE_UNSIGNED = "leUnsigned"

    @property
    def is_signed(self) -> bool:
        return self is not UpdateFormat.LE_UNSIGNED


class Freshness(StrEnum):
    """What a feed's own time stamp says beside that of the message it came in."""

    NEW = "new"
    """The price was made for this message."""
    CARRIED = "carried"
    """An older price, sent again."""
    AHEAD = "ahead"
    """A time stamp later than the message's: one of them is wrong."""
    NEVER = "never"
    """The feed says that it never had a price."""
    UNTOLD = "untold"
    """No time stamp: not asked for, or absent from JSON, which does not tell that from never. It proves nothing."""


class FeedFreshness(msgspec.Struct, frozen=True):
    """How alive a feed is, measured at an instant; a price that is there proves nothing, since old ones are sent again."""

    feed_id: int
    state: Freshness
    age_ns: int | None
    """Since the price was made; negative when that lies ahead. ``None`` where it is not told."""
    message_age_ns: int
    """Since the message's own time stamp."""
    publisher_count: int | None
    session: TradingSession | int | str | None
    has_price: bool

    def within(self, max_age: timedelta) -> bool:
        """Whether there is a price known to be no older than ``max_age``."""
        known = self.state in (Freshness.NEW, Freshness.CARRIED) and self.age_ns is not None
        return known and self.has_price and self.age_ns is not None and self.age_ns <= to_ns(max_age)


class FeedValues(msgspec.Struct, frozen=True):
    """One feed in an update. ``properties`` are those served, in the order of the wire; one without a value is ``None``.

    Mantissas are under ``expo``; the properties without ``_mantissa`` are ``None`` while ``expo`` is unknown.
    ``market_session`` is a number or a text where this release does not know the session. ``extra`` keeps JSON members that
    it does not know.
    """

    feed_id: int
    properties: tuple[FeedProperty, ...] = ()
    price_mantissa: int | None = None
    best_bid_mantissa: int | None = None
    best_ask_mantissa: int | None = None
    publisher_count: int | None = None
    expo: int | None = None
    conf_mantissa: int | None = None
    funding_rate_mantissa: int | None = None
    funding_timestamp_us: int | None = None
    funding_rate_interval_us: int | None = None
    market_session: TradingSession | int | str | None = None
    ema_price_mantissa: int | None = None
    ema_conf_mantissa: int | None = None
    feed_update_timestamp_us: int | None = None
    extra: dict[str, Any] = {}

    def value(self, which: FeedProperty) -> Any:
        """One property's raw value."""
        return getattr(self, _FIELDS[which])

    def _price(self, mantissa: int | None) -> Price | None:
        return None if mantissa is None or self.expo is None else Price(mantissa, self.expo)

    @property
    def price(self) -> Price | None:
        return self._price(self.price_mantissa)

    @property
    def best_bid(self) -> Price | None:
        return self._price(self.best_bid_mantissa)

    @property
    def best_ask(self) -> Price | None:
        return self._price(self.best_ask_mantissa)

    @property
    def conf(self) -> Price | None:
        return self._price(self.conf_mantissa)

    @property
    def funding_rate(self) -> Price | None:
        """Of a funding rate feed; under the same exponent as its price."""
        return self._price(self.funding_rate_mantissa)

    @property
    def ema_price(self) -> Price | None:
        return self._price(self.ema_price_mantissa)

    @property
    def ema_conf(self) -> Price | None:
        return self._price(self.ema_conf_mantissa)

    def under(self, expo: int) -> FeedValues:
        """The same with the exponent that the symbol table gives, where the update carries none."""
        return self if self.expo is not None else msgspec.structs.replace(self, expo=expo)

    def freshness(self, timestamp_us: int, *, at: Instant) -> FeedFreshness:
        """How alive the feed is at ``at``; ``timestamp_us`` is that of the payload it came in."""
        updated_us = self.feed_update_timestamp_us
        if updated_us is None:
            served = FeedProperty.FEED_UPDATE_TIMESTAMP in self.properties
            state = Freshness.NEVER if served else Freshness.UNTOLD
        elif updated_us == timestamp_us:
            state = Freshness.NEW
        else:
            state = Freshness.CARRIED if updated_us < timestamp_us else Freshness.AHEAD
        return FeedFreshness(
            self.feed_id,
            state,
            None if updated_us is None else at.ns - updated_us * NS_PER_US,
            at.ns - timestamp_us * NS_PER_US,
            self.publisher_count,
            self.market_session,
            self.price_mantissa is not None,
        )


class LazerPayload(msgspec.Struct, frozen=True):
    """What an update says: feeds at a time, from signed bytes or from the ``parsed`` part of JSON.

    A feed of JSON that does not decode is its own error among the others. ``channel_id`` is ``None`` in JSON. ``unread`` are
    the bytes from the first feed on that has a property this release does not know, and so an end that it does not know.
    ``trailing`` stands behind the last feed; the public parsers let it pass.
    """

    timestamp_us: int
    channel_id: int | None
    feeds: tuple[FeedValues | DecodeError, ...]
    unread: bytes = b""
    unread_why: str = ""
    trailing: bytes = b""
    extra: dict[str, Any] = {}

    @property
    def timestamp(self) -> Instant:
        return Instant(self.timestamp_us * NS_PER_US)

    @property
    def channel(self) -> Channel | None:
        """``None`` in JSON, and for a number that this release does not know."""
        return None if self.channel_id is None else Channel.of(self.channel_id)

    @property
    def by_id(self) -> dict[int, FeedValues]:
        """The feeds that decoded; of two with one id the first."""
        found: dict[int, FeedValues] = {}
        for feed in self.feeds:
            if isinstance(feed, FeedValues):
                found.setdefault(feed.feed_id, feed)
        return found

    def freshness(self, *, at: Instant) -> dict[int, FeedFreshness]:
        """Each feed's, at ``at``."""
        return {feed_id: feed.freshness(self.timestamp_us, at=at) for feed_id, feed in self.by_id.items()}


class Envelope(msgspec.Struct, frozen=True):
    """The bytes of an update: a payload with its signature. Nothing in it is proven before it is verified.

    ``signature`` has 64 bytes (none in ``leUnsigned``); ``recovery_id`` belongs to secp256k1, ``public_key`` to ed25519.
    ``trailing`` stands behind the payload; the public parsers let it pass.
    """

    format: UpdateFormat
    payload: bytes
    signature: bytes = b""
    recovery_id: int | None = None
    public_key: bytes | None = None
    trailing: bytes = b""


class LazerUpdate(msgspec.Struct, frozen=True):
    """An answer of the router, or one message of a stream: ``parsed`` and the binary forms that were asked for.

    Each part that does not decode is its own error. ``extra`` keeps members that this release does not know.
    """

    parsed: LazerPayload | DecodeError | None = None
    binary: dict[UpdateFormat, Envelope | DecodeError] = {}
    subscription_id: int | None = None
    extra: dict[str, Any] = {}


class LazerSigner(msgspec.Struct, frozen=True):
    """Who may sign: a 20-byte address (secp256k1) or a 32-byte key (ed25519), until ``expires_at``.

    ``expires_at`` is ``None`` where it is not known. Raises ``ValueError`` for a key of another length.
    """

    key: bytes
    expires_at: Instant | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.key) not in (20, 32):
            raise ValueError(f"a signer has an address of 20 bytes or a key of 32, not {len(self.key)}")

    def __str__(self) -> str:
        shown = str(Address(self.key)) if len(self.key) == 20 else base58(self.key)
        return f"{shown} ({self.name})" if self.name else shown


class VerifiedPayload(msgspec.Struct, frozen=True):
    """Proof that ``signer`` signed ``payload``, and was trusted at the time asked about. It says nothing of its age."""

    payload: LazerPayload
    format: UpdateFormat
    signer: LazerSigner


class LazerStorage(msgspec.Struct, frozen=True):
    """The Solana verifier's account: who may sign there, and the fee for each update."""

    top_authority: Pubkey
    treasury: Pubkey
    fee_lamports: int
    signers: tuple[LazerSigner, ...]
    """ed25519."""
    ecdsa_signers: tuple[LazerSigner, ...]
