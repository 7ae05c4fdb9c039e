"""Is the confidence interval narrow enough against the price?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from probekit.model import Feed, Measure, Observation, PriceUpdate, Status, Verdict
from probekit.units import Bps, Instant


@dataclass(frozen=True, slots=True)
class ConfidenceRatio:
    """Rule over a price update: ``conf / |price|`` in basis points against ``max_ratio``.

    At ``min_ratio`` or below, where one is given, it is WARNING ``narrow_confidence``: 0 bps asks for a confidence at all.
    A price of zero has no ratio: CRITICAL ``zero_price`` unless ``conf`` is zero as well, which Pyth uses for "no price
    yet": also CRITICAL, ``no_price``. Negative prices are judged by their magnitude. Outside market hours the verdict
    is SKIPPED; where those cannot be known, what would be a fault is UNKNOWN, ``schedule_unreadable`` or
    ``schedule_unknown``: the market may be closed.
    """

    max_ratio: Bps = Bps(Decimal(200))
    warn_ratio: Bps | None = None
    min_ratio: Bps | None = None
    name: ClassVar[str] = "confidence_ratio"

    def __post_init__(self) -> None:
        if self.max_ratio.value <= 0:
            raise ValueError(f"max_ratio must be positive, not {self.max_ratio}")
        if self.warn_ratio is not None and not 0 < self.warn_ratio.value < self.max_ratio.value:
            raise ValueError(f"warn_ratio must lie between 0 and max_ratio, not {self.warn_ratio}")
        if self.min_ratio is not None and not 0 <= self.min_ratio.value < (self.warn_ratio or self.max_ratio).value:
            raise ValueError(f"min_ratio must lie between 0 and the other limits, not {self.min_ratio}")

    def __call__(self, observation: Observation[PriceUpdate], *, now: Instant) -> Verdict:
        point = observation.value.point
        limit = self.max_ratio.value
        feed = observation.feed
        if feed is not None and feed.hours is not None and not feed.hours.is_open(now):
            return Verdict(self.name, Status.SKIPPED, "market_closed", "the market is closed", None, limit, "bps")
        unjudgeable = self._unjudgeable(feed)
        if unjudgeable is not None and (point.price == 0 or self._faulty(Bps.of(point.conf, point.price))):
            return unjudgeable
        if point.price == 0:
            if point.conf == 0:
                return Verdict(
                    self.name, Status.CRITICAL, "no_price", "price and conf are both zero: no price", None, limit, "bps"
                )
            return Verdict(self.name, Status.CRITICAL, "zero_price", "the price is zero", None, limit, "bps")
        ratio = Bps.of(point.conf, point.price)
        measures = (Measure("feed.confidence_ratio", ratio.value, "bps"),)
        shown = f"conf is {ratio.value:.2f}bps of the price"

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, ratio.value, limit, "bps", measures=measures)

        if ratio > self.max_ratio:
            return verdict(Status.CRITICAL, "wide_confidence", f"{shown}, limit {self.max_ratio}")
        if self.warn_ratio is not None and ratio > self.warn_ratio:
            return verdict(Status.WARNING, "widening_confidence", f"{shown}, warning from {self.warn_ratio}")
        if self.min_ratio is not None and ratio <= self.min_ratio:
            return verdict(Status.WARNING, "narrow_confidence", f"{shown}, at most {self.min_ratio}")
        return verdict(Status.OK, "narrow", f"{shown}, limit {self.max_ratio}")

    def _faulty(self, ratio: Bps) -> bool:
        return ratio > (self.warn_ratio or self.max_ratio) or (self.min_ratio is not None and ratio <= self.min_ratio)

    def _unjudgeable(self, feed: Feed | None) -> Verdict | None:
        """Why a fault cannot be told from a closed market."""
        if feed is None or (feed.described and feed.hours_error is None):
            return None
        limit = self.max_ratio.value
        if feed.hours_error is not None:
            why = f"the market schedule does not parse: {feed.hours_error}"
            return Verdict(self.name, Status.UNKNOWN, "schedule_unreadable", why, None, limit, "bps")
        why = "the symbol table was never read: the market may be closed"
        return Verdict(self.name, Status.UNKNOWN, "schedule_unknown", why, None, limit, "bps")
