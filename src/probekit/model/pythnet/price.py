"""Price accounts: one feed's aggregate and averages, and the quote of every publisher.

Numbers stand in the values as they stand in the account: prices are mantissas under its exponent, slots are Pythnet's own,
times are Unix seconds. What follows from them is a property, made when it is read. Source: pyth-client
``program/rust/src/accounts/price.rs`` and ``program/c/src/oracle/oracle.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Any, Final

import msgspec

from probekit.model.feed import FeedId
from probekit.model.price import Price
from probekit.model.pubkey import Pubkey
from probekit.units import Instant

DEFAULT_MAX_LATENCY: Final = 25
"""Slots; what a ``max_latency`` of zero means."""
QUOTE_SIZE: Final = 96
"""Bytes of one publisher's quote in a price account."""
NULL_KEY: Final = bytes(32)

_INFO: Final = struct.Struct("<qQIIQ")
_SANE_TIMES: Final = range(1_577_836_800, 4_102_444_800)
"""The years 2020 to 2099. Accounts of early program versions keep other data where the times stand now."""


class TradingStatus(IntEnum):
    """State of an aggregate or a quote. A code that this release does not know counts as unknown, like the program does."""

    UNKNOWN = 0
    TRADING = 1
    HALTED = 2
    AUCTION = 3
    IGNORED = 4
    """A quote whose confidence is too wide for its price: kept, never counted."""

    @classmethod
    def _missing_(cls, value: object) -> TradingStatus:
        return cls.UNKNOWN


class PriceFlags(IntFlag):
    """Bits of a price account's ``flags``."""

    ACCUMULATOR_V2 = 1
    """The validator aggregates at the end of each slot, not the publishers' transactions."""
    MESSAGE_BUFFER_CLEARED = 2


class PriceInfo(msgspec.Struct, frozen=True, gc=False):
    """A price with its confidence and status, published for ``pub_slot``; mantissas under the account's exponent."""

    price: int = 0
    conf: int = 0
    status_code: int = 0
    corp_act: int = 0
    pub_slot: int = 0

    @property
    def status(self) -> TradingStatus:
        return TradingStatus(self.status_code)

    @classmethod
    def unpack(cls, raw: bytes) -> PriceInfo:
        """From the 32 bytes of an account. Raises ``ValueError`` for another length."""
        if len(raw) != _INFO.size:
            raise ValueError(f"a price info has {_INFO.size} bytes, not {len(raw)}")
        return cls(*_INFO.unpack(raw))

    def pack(self) -> bytes:
        """The inverse of :meth:`unpack`. Raises ``ValueError`` when a field does not fit its place."""
        try:
            return _INFO.pack(self.price, self.conf, self.status_code, self.corp_act, self.pub_slot)
        except struct.error as error:
            raise ValueError(f"a field of a price info does not fit its place: {error}") from None


NO_PRICE: Final = PriceInfo()
"""What stands in the place of a submission before there is one."""


class Quote(msgspec.Struct, frozen=True, gc=False):
    """One publisher's part of a price account: its newest submission, and the one that the last aggregation took."""

    publisher_key: bytes
    """32 bytes; :attr:`publisher` prints as base58."""
    aggregate_raw: bytes = bytes(32)
    """The submission that the last aggregation took, as in the account; :attr:`aggregate` has its fields."""
    price: int = 0
    conf: int = 0
    status_code: int = 0
    corp_act: int = 0
    pub_slot: int = 0

    @classmethod
    def of(cls, publisher: bytes, latest: PriceInfo = NO_PRICE, aggregate: PriceInfo = NO_PRICE) -> Quote:
        """From its two submissions. Raises ``ValueError`` when a field of ``aggregate`` does not fit its place."""
        one = latest
        return cls(publisher, aggregate.pack(), one.price, one.conf, one.status_code, one.corp_act, one.pub_slot)

    @property
    def publisher(self) -> Pubkey:
        return Pubkey(self.publisher_key)

    @property
    def status(self) -> TradingStatus:
        """Of the newest submission."""
        return TradingStatus(self.status_code)

    @property
    def latest(self) -> PriceInfo:
        return PriceInfo(self.price, self.conf, self.status_code, self.corp_act, self.pub_slot)

    @property
    def aggregate(self) -> PriceInfo:
        """The submission that the last aggregation took; all zero for a publisher who had none."""
        return PriceInfo.unpack(self.aggregate_raw)


class Cumulative(msgspec.Struct, frozen=True, gc=False):
    """Running sums over slots, from whose differences time-weighted averages are taken."""

    price: int = 0
    conf: int = 0
    num_down_slots: int = 0
    unused: int = 0

    @classmethod
    def unpack(cls, raw: bytes) -> Cumulative:
        """From the 48 bytes of an account. Raises ``ValueError`` for another length."""
        if len(raw) != 48:
            raise ValueError(f"cumulative sums have 48 bytes, not {len(raw)}")
        price, conf, down, unused = raw[:16], raw[16:32], raw[32:40], raw[40:]
        return cls(
            int.from_bytes(price, "little", signed=True),
            int.from_bytes(conf, "little"),
            int.from_bytes(down, "little"),
            int.from_bytes(unused, "little"),
        )

    def pack(self) -> bytes:
        """The inverse of :meth:`unpack`. Raises ``ValueError`` when a sum does not fit its place."""
        try:
            return (
                self.price.to_bytes(16, "little", signed=True)
                + self.conf.to_bytes(16, "little")
                + self.num_down_slots.to_bytes(8, "little")
                + self.unused.to_bytes(8, "little")
            )
        except OverflowError as error:
            raise ValueError(f"a cumulative sum does not fit its place: {error}") from None


class PriceHead(msgspec.Struct, frozen=True, gc=False):
    """The fixed part of a price account, which is all that a monitor of aggregates needs.

    A version 1 account has neither averages nor a previous price; those fields are zero there.
    """

    version: int = 2
    size: int = 12_576
    """Populated bytes; may be fewer than the account has."""
    price_type: int = 1
    expo: int = 0
    num_components: int = 0
    """Publishers authorised for the feed."""
    num_quoters: int = 0
    """Quotes that counted in the last aggregation."""
    last_slot: int = 0
    """Slot of the last aggregation that gave a price."""
    valid_slot: int = 0
    """Slot of the aggregation before the last one."""
    ema_price_value: int = 0
    ema_price_numerator: int = 0
    ema_price_denominator: int = 0
    ema_conf_value: int = 0
    ema_conf_numerator: int = 0
    ema_conf_denominator: int = 0
    aggregated_at: int = 0
    """When the last aggregation was tried, Unix seconds; other data in early accounts."""
    min_publishers: int = 0
    message_sent: int = 0
    max_latency: int = 0
    """Slots; zero means the default. Read :attr:`latency_limit`."""
    flags: int = 0
    feed_index: int = 0
    """Number of the feed across the program, 28 bits; zero: none."""
    product_key: bytes = NULL_KEY
    next_key: bytes = NULL_KEY
    prev_slot: int = 0
    """Slot, price, confidence and time of the price before the aggregate."""
    prev_price: int = 0
    prev_conf: int = 0
    prev_timestamp: int = 0
    """Unix seconds; other data in early accounts. Read :attr:`prev_publish_time`."""
    agg_price: int = 0
    agg_conf: int = 0
    agg_status_code: int = 0
    agg_corp_act: int = 0
    agg_pub_slot: int = 0
    aggregator_key: bytes = b""
    """Version 1 only: the publisher whose transaction aggregated last. Empty in version 2."""
    sums: bytes = bytes(48)
    """The cumulative sums, raw; empty in accounts of the older sizes and where only the head was read."""

    @property
    def product(self) -> Pubkey:
        return Pubkey(self.product_key)

    @property
    def next_price(self) -> Pubkey | None:
        """The product's next price account; in practice there is one each."""
        return None if self.next_key == NULL_KEY else Pubkey(self.next_key)

    @property
    def cumulative(self) -> Cumulative | None:
        """The running sums; ``None`` where :attr:`sums` is empty. Raises ``ValueError`` when it is not 48 bytes."""
        return Cumulative.unpack(self.sums) if self.sums else None

    @property
    def aggregate(self) -> PriceInfo:
        return PriceInfo(self.agg_price, self.agg_conf, self.agg_status_code, self.agg_corp_act, self.agg_pub_slot)

    @property
    def status(self) -> TradingStatus:
        """As it stands in the account. It stays ``TRADING`` when nobody aggregates any more: see :meth:`status_at`."""
        return TradingStatus(self.agg_status_code)

    @property
    def latency_limit(self) -> int:
        """How many slots old a quote or an aggregate may be and still count."""
        return self.max_latency or DEFAULT_MAX_LATENCY

    def is_stale(self, slot: int) -> bool:
        """Whether the aggregate is older than the limit at the current ``slot``; exactly at the limit it is not."""
        return slot - self.agg_pub_slot > self.latency_limit

    def status_at(self, slot: int) -> TradingStatus:
        """The status at the current ``slot``: a trading aggregate that has gone stale is of unknown status."""
        status = self.status
        return TradingStatus.UNKNOWN if status is TradingStatus.TRADING and self.is_stale(slot) else status

    @property
    def price(self) -> Price:
        """The aggregate; without meaning unless the status is trading."""
        return Price(self.agg_price, self.expo)

    @property
    def conf(self) -> Price:
        return Price(self.agg_conf, self.expo)

    @property
    def ema_price(self) -> Price:
        return Price(self.ema_price_value, self.expo)

    @property
    def ema_conf(self) -> Price:
        return Price(self.ema_conf_value, self.expo)

    @property
    def publish_time(self) -> Instant | None:
        """What the feed's message carries: the aggregate's time while trading, else the previous price's.

        ``None`` where the account holds no time (version 1, or other data in an early account).
        """
        return _instant(self.aggregated_at if self.agg_status_code == TradingStatus.TRADING else self.prev_timestamp)

    @property
    def prev_publish_time(self) -> Instant | None:
        """Time of the previous price; ``None`` where the account holds none."""
        return _instant(self.prev_timestamp)


class PriceAccount(PriceHead, frozen=True, gc=False):
    """A price account with the quote of every publisher, in the account's order (by key, in new ones)."""

    quotes: tuple[Quote, ...] = ()

    def quote_of(self, publisher: bytes) -> Quote | None:
        """The quote of one publisher."""
        return next((quote for quote in self.quotes if quote.publisher_key == publisher), None)


_Reader = Callable[[bytes], tuple[Any, ...]]


class _Column(dict[int, _Reader]):
    """How to read one column out of a table of so many bytes. At most 128 quotes make a table, so few are ever compiled."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __missing__(self, size: int) -> _Reader:
        made = self[size] = struct.Struct("<" + self.place * (size // QUOTE_SIZE)).unpack
        return made


_PUBLISHERS: Final = _Column("32s64x")
_PRICES: Final = _Column("64xq24x")
_CONFS: Final = _Column("72xQ16x")
_STATUS_CODES: Final = _Column("80xI12x")
_PUB_SLOTS: Final = _Column("88xQ")
_AGG_PRICES: Final = _Column("32xq56x")
_AGG_CONFS: Final = _Column("40xQ48x")
_AGG_STATUS_CODES: Final = _Column("48xI44x")
_AGG_PUB_SLOTS: Final = _Column("56xQ32x")


class PriceColumns(PriceHead, frozen=True, gc=False):
    """A price account with its quotes as columns: one tuple for all publishers' prices, one for their confidences, and so on.

    No object stands for a quote. A column is made when it is read; all have the same length and the account's order. Names
    without ``agg_`` are of the newest submissions, those with it of the ones that the last aggregation took.
    """

    table: bytes = b""
    """The quotes as in the account, 96 bytes each."""

    def __len__(self) -> int:
        return len(self.table) // QUOTE_SIZE

    @property
    def publishers(self) -> tuple[bytes, ...]:
        """32-byte keys. ``Pubkey`` equals and hashes like them, and prints as base58."""
        table = self.table
        return _PUBLISHERS[len(table)](table)

    @property
    def prices(self) -> tuple[int, ...]:
        table = self.table
        return _PRICES[len(table)](table)

    @property
    def confs(self) -> tuple[int, ...]:
        table = self.table
        return _CONFS[len(table)](table)

    @property
    def status_codes(self) -> tuple[int, ...]:
        table = self.table
        return _STATUS_CODES[len(table)](table)

    @property
    def pub_slots(self) -> tuple[int, ...]:
        table = self.table
        return _PUB_SLOTS[len(table)](table)

    @property
    def agg_prices(self) -> tuple[int, ...]:
        table = self.table
        return _AGG_PRICES[len(table)](table)

    @property
    def agg_confs(self) -> tuple[int, ...]:
        table = self.table
        return _AGG_CONFS[len(table)](table)

    @property
    def agg_status_codes(self) -> tuple[int, ...]:
        table = self.table
        return _AGG_STATUS_CODES[len(table)](table)

    @property
    def agg_pub_slots(self) -> tuple[int, ...]:
        table = self.table
        return _AGG_PUB_SLOTS[len(table)](table)


def feed_id(price_account: bytes) -> FeedId:
    """The id of the feed of a price account: the account's own key, not its product's. Raises ``ValueError``."""
    return FeedId(bytes(price_account))


def _instant(seconds: int) -> Instant | None:
    return Instant.from_seconds(seconds) if seconds in _SANE_TIMES else None
