"""Does a feed of the oracle program still aggregate, while its market is open?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.checks.parts import require
from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.pythnet import OracleFeed
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class FeedOffline:
    """Rule over an oracle feed: slots since the last aggregate that traded, against ``max_slots``.

    CRITICAL ``offline`` from ``max_slots`` on; beyond ``abandoned_slots`` the reason is ``abandoned``, which is a state of
    its own and never a pass: CRITICAL, or WARNING with ``abandoned_warns``. A closed market, the first ``open_grace`` of an
    open one and a feed not yet in production are SKIPPED. Slots are those of the answering node; source of the rule:
    pyth-observer.

    Raises ``ValueError`` unless ``0 < max_slots < abandoned_slots`` and ``open_grace >= 0``.
    """

    max_slots: int = 120
    abandoned_slots: int = 100_000
    open_grace: timedelta = timedelta(seconds=60)
    abandoned_warns: bool = False
    name: ClassVar[str] = "feed_offline"

    def __post_init__(self) -> None:
        require(
            (self.max_slots > 0, f"max_slots must be positive, not {self.max_slots}"),
            (
                self.abandoned_slots > self.max_slots,
                f"abandoned_slots must be above max_slots, not {self.abandoned_slots} against {self.max_slots}",
            ),
            (self.open_grace >= timedelta(0), "open_grace must not be negative"),
        )

    def __call__(self, observation: Observation[OracleFeed], *, now: Instant) -> Verdict:
        feed = observation.value
        lag = feed.slot_lag
        measures = (Measure("feed.slot_lag", lag, "slots"),)

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, lag, self.max_slots, "slots", measures=measures)

        if not feed.in_production:
            return verdict(Status.SKIPPED, "not_in_production", f"announced: asks for {feed.price.min_publishers} publishers")
        if feed.hours_error is not None:
            return verdict(Status.UNKNOWN, "schedule_unreadable", f"the market schedule does not parse: {feed.hours_error}")
        if feed.market == "closed":
            return verdict(Status.SKIPPED, "market_closed", "the market is closed")
        if lag < self.max_slots:
            return verdict(Status.OK, "aggregating", f"aggregated {lag} slots ago, limit {self.max_slots}")
        shown = f"the last aggregate is {lag} slots old"
        opened_for_ns = feed.opened_for_ns(now)
        if opened_for_ns is not None and opened_for_ns <= to_ns(self.open_grace):
            grace = format_ns(to_ns(self.open_grace))
            opened = f"the market opened {format_ns(opened_for_ns)} ago, within the grace of {grace}"
            return verdict(Status.SKIPPED, "market_opening", f"{shown}; {opened}")
        if lag > self.abandoned_slots:
            return verdict(
                Status.WARNING if self.abandoned_warns else Status.CRITICAL,
                "abandoned",
                f"{shown}, abandoned from {self.abandoned_slots}",
            )
        return verdict(Status.CRITICAL, "offline", f"{shown}, limit {self.max_slots}")
