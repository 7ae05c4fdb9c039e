"""How many publishers may a feed lose before it has no price?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.checks.parts import require
from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.pythnet import OracleFeed
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class PublisherMargin:
    """Rule over an oracle feed: quotes that counted in the last aggregation minus the feed's ``min_publishers``.

    CRITICAL ``below_minimum`` when it is negative: such a feed has no price. WARNING ``thin_margin`` below ``min_margin``.
    SKIPPED while the market is closed and for a feed not yet in production. Raises ``ValueError`` for a negative
    ``min_margin``.
    """

    min_margin: int = 1
    name: ClassVar[str] = "publisher_margin"

    def __post_init__(self) -> None:
        require((self.min_margin >= 0, f"min_margin must not be negative, not {self.min_margin}"))

    def __call__(self, observation: Observation[OracleFeed], *, now: Instant) -> Verdict:
        feed = observation.value
        price = feed.price
        margin = price.num_quoters - price.min_publishers
        measures = (Measure("feed.publishers.margin", margin, "count"),)

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, margin, self.min_margin, "count", measures=measures)

        if not feed.in_production:
            return verdict(Status.SKIPPED, "not_in_production", f"announced: asks for {price.min_publishers} publishers")
        if feed.hours_error is not None:
            return verdict(Status.UNKNOWN, "schedule_unreadable", f"the market schedule does not parse: {feed.hours_error}")
        if feed.market == "closed":
            return verdict(Status.SKIPPED, "market_closed", "the market is closed")
        shown = f"{price.num_quoters} of {price.num_components} publishers count, {price.min_publishers} are needed"
        if margin < 0:
            return verdict(Status.CRITICAL, "below_minimum", shown)
        if margin < self.min_margin:
            return verdict(Status.WARNING, "thin_margin", f"{shown}; warning below {self.min_margin} to spare")
        return verdict(Status.OK, "enough_publishers", shown)
