"""Small makers of what checks judge."""

from __future__ import annotations

from datetime import timedelta

from probekit.model import Feed, FeedId, MarketHours, Observation, PricePoint, PriceUpdate, UpdateMetadata
from probekit.units import Instant

ID = FeedId("e6" * 32)
NOW = Instant.parse("2026-09-12T10:00:00Z")


def update(
    *,
    age: timedelta = timedelta(seconds=1),
    price: int = 100_000,
    conf: int = 50,
    expo: int = -2,
    now: Instant = NOW,
    proof_after_s: int | None = 1,
) -> PriceUpdate:
    """An update whose publish_time lies ``age`` before ``now``."""
    published = now.plus(-age).seconds
    point = PricePoint(price, conf, expo, published)
    proven = None if proof_after_s is None else published + proof_after_s
    return PriceUpdate(ID, point, point, UpdateMetadata(7, proven, published - 1))


def feed(schedule: str | None = None, *, error: str | None = None, described: bool = True) -> Feed:
    """A feed with that schedule."""
    hours = None if schedule is None else MarketHours.parse(schedule)
    return Feed(ID, "Test.FEED/USD", "equity", schedule, hours, error, described=described)


def seen(
    value: PriceUpdate, *, of: Feed | None = None, clock_error_ns: int | None = 0, now: Instant = NOW
) -> Observation[PriceUpdate]:
    """An observation of it, made at ``now``."""
    return Observation(value, "test", now, ID, 0, clock_error_ns, of)
