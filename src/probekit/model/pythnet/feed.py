"""One feed of the oracle program as checks judge it: its account, the slot it was read at, and its market's state."""

from __future__ import annotations

from typing import Final, Literal, Self

import msgspec

from probekit.errors import ProbekitError
from probekit.model.market_hours import MarketSession
from probekit.model.observation import Comparison
from probekit.model.price import PricePoint, PriceUpdate, UpdateMetadata
from probekit.model.pythnet.price import PriceColumns, PriceHead, TradingStatus
from probekit.units import Instant

COMING_SOON_MIN_PUBLISHERS: Final = 10
"""By convention a feed that asks for so many publishers is announced, not yet in production. Source: pyth-observer."""


class OracleFeed(msgspec.Struct, frozen=True, kw_only=True):
    """A feed at ``slot``. ``session`` is ``None`` where it has no schedule (always open); ``hours_error`` says why one did not
    parse. ``reference`` is a price of elsewhere to hold it against, ``reference_error`` why there is none.
    """

    feed_id: str
    symbol: str
    slot: int
    price: PriceHead
    session: MarketSession | None = None
    hours_error: str | None = None
    reference: PriceUpdate | None = None
    reference_error: ProbekitError | None = None

    @property
    def in_production(self) -> bool:
        """False for a feed that is announced: ``min_publishers`` of 10 and above, or none at all (accounts of version 1)."""
        return self.price.version > 1 and self.price.min_publishers < COMING_SOON_MIN_PUBLISHERS

    @property
    def market(self) -> Literal["open", "closed", "unreadable"]:
        if self.hours_error is not None:
            return "unreadable"
        return "open" if self.session is None or self.session.open else "closed"

    def opened_for_ns(self, now: Instant) -> int | None:
        """Since when the market is open; ``None`` where no opening is known."""
        if self.session is None or not self.session.open or self.session.since is None:
            return None
        return now.since(self.session.since)

    @property
    def slot_lag(self) -> int:
        """Slots since the last aggregate that traded."""
        return max(0, self.slot - self.price.last_slot)

    @property
    def trading(self) -> bool:
        """Whether the aggregate trades and is no older than the feed's own latency limit."""
        return self.price.status_at(self.slot) is TradingStatus.TRADING

    @property
    def update(self) -> PriceUpdate:
        """The aggregate as a price update; the epoch where the account holds no time."""
        price = self.price
        published = price.publish_time or Instant(0)
        point = PricePoint(price.agg_price, price.agg_conf, price.expo, published.seconds)
        return PriceUpdate(self.feed_id, point, point, UpdateMetadata(price.agg_pub_slot))

    @property
    def comparison(self) -> Comparison[PriceUpdate]:
        """``pythnet`` beside ``reference``."""
        values = {"pythnet": self.update}
        if self.reference is not None:
            values["reference"] = self.reference
        return Comparison(values, {} if self.reference_error is None else {"reference": self.reference_error})


class QuoteSheet(OracleFeed, frozen=True, kw_only=True):
    """A feed with its publishers' newest quotes as columns of one length, in the account's order.

    ``labels`` are the publishers' names, where known, else their keys. ``fresh`` are the places of the quotes that trade and
    are no further from the aggregate's slot than the feed's latency limit.
    """

    publishers: tuple[bytes, ...]
    labels: tuple[str, ...]
    prices: tuple[int, ...]
    confs: tuple[int, ...]
    status_codes: tuple[int, ...]
    pub_slots: tuple[int, ...]
    fresh: tuple[int, ...]

    @classmethod
    def of(
        cls,
        feed_id: str,
        symbol: str,
        slot: int,
        price: PriceColumns,
        *,
        publishers: tuple[bytes, ...] | None = None,
        labels: tuple[str, ...],
        session: MarketSession | None = None,
        hours_error: str | None = None,
    ) -> Self:
        """From an account; ``publishers`` where the caller has unpacked them already."""
        codes, slots = price.status_codes, price.pub_slots
        first, last = price.agg_pub_slot - price.latency_limit, price.agg_pub_slot + price.latency_limit
        both = enumerate(zip(codes, slots, strict=True))
        fresh = tuple([place for place, (code, at) in both if code == 1 and first <= at <= last])
        return cls(
            feed_id=feed_id,
            symbol=symbol,
            slot=slot,
            price=price,
            session=session,
            hours_error=hours_error,
            publishers=price.publishers if publishers is None else publishers,
            labels=labels,
            prices=price.prices,
            confs=price.confs,
            status_codes=codes,
            pub_slots=slots,
            fresh=fresh,
        )

    @property
    def comparable(self) -> tuple[int, ...]:
        """The places whose quotes can be held against the aggregate: the fresh ones, while it trades itself."""
        return self.fresh if self.trading else ()

    def near(self, place: int) -> bool:
        """Whether a quote, whatever its status, is no further from the aggregate's slot than the feed's latency limit."""
        return abs(self.pub_slots[place] - self.price.agg_pub_slot) <= self.price.latency_limit

    def __len__(self) -> int:
        return len(self.publishers)
