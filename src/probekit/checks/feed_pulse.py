"""Is a feed of Pyth Pro alive, by its own time stamp?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.lazer import Freshness, TradingSession
from probekit.model.lazer_pace import FeedPulse
from probekit.units import NS_PER_US, Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class PulseAge:
    """Rule over the newest that was told of a feed: now minus its own time stamp (``feedUpdateTimestamp``) against ``max_age``.

    A price that is there proves nothing, since old ones are sent again: without the time stamp it is UNKNOWN ``untold``, and
    CRITICAL ``never`` where the feed says that it never had a price, ``no_price`` where it tells none. Past the limit CRITICAL
    ``stale``; ahead of this clock by more than its error and ``max_ahead`` CRITICAL ``from_the_future``. Fresh, but not told on
    every channel that was asked for, is WARNING ``left_out``. A session that the feed calls closed is SKIPPED
    ``market_closed``. Where nothing bounds this clock's error, or it is above a third of the limit, UNKNOWN ``clock``.
    """

    max_age: timedelta
    max_ahead: timedelta = timedelta(seconds=2)
    name: ClassVar[str] = "pulse_age"

    def __post_init__(self) -> None:
        if self.max_age <= timedelta(0):
            raise ValueError(f"max_age must be positive, not {self.max_age}")
        if self.max_ahead < timedelta(0):
            raise ValueError("max_ahead must not be negative")

    def __call__(self, observation: Observation[FeedPulse], *, now: Instant) -> Verdict:
        pulse, limit_ns, error_ns = observation.value, to_ns(self.max_age), observation.clock_error_ns
        age_ns = None if pulse.updated_us is None else now.ns - pulse.updated_us * NS_PER_US

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            measures = () if age_ns is None else (Measure("feed.age", age_ns, "ns"),)
            return Verdict(self.name, status, reason, message, age_ns, limit_ns, "ns", measures=measures)

        if pulse.session is TradingSession.CLOSED:
            return verdict(Status.SKIPPED, "market_closed", "the feed says that its market is closed")
        if pulse.state is Freshness.NEVER:
            return verdict(Status.CRITICAL, "never", "the feed says that it never had a price")
        if age_ns is None:
            return verdict(Status.UNKNOWN, "untold", "the feed's own time stamp is not told, and a price alone proves nothing")
        if error_ns is None or error_ns * 3 > limit_ns:
            off = "nothing bounds this clock's error" if error_ns is None else f"this clock may be off by {format_ns(error_ns)}"
            return verdict(Status.UNKNOWN, "clock", f"{off}, limit {format_ns(limit_ns)}")
        told = f"told by {pulse.endpoint}, {pulse.publisher_count} publishers" if pulse.endpoint else "told"
        if age_ns < -(to_ns(self.max_ahead) + error_ns):
            return verdict(Status.CRITICAL, "from_the_future", f"made {format_ns(-age_ns)} ahead of this clock; {told}")
        shown = f"made {format_ns(age_ns)} ago, limit {format_ns(limit_ns)}; {told}"
        if age_ns > limit_ns:
            return verdict(Status.CRITICAL, "stale", shown)
        if not pulse.has_price:
            return verdict(Status.CRITICAL, "no_price", f"no price beside its time stamp; {told}")
        if pulse.lacking:
            return verdict(Status.WARNING, "left_out", f"{shown}; but {pulse.lacking}")
        return verdict(Status.OK, "fresh", shown)
