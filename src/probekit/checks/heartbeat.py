"""Is a feed on a chain updated as often as its pushers promise?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import ChainFeed
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Rule over a feed on a chain: its age against ``heartbeat`` and the ``lands_within`` that a push may take on top.

    A feed never pushed is CRITICAL ``never_pushed``, whatever the market does. The age is judged by the chain's own time, the
    clock that its consumers have: past both limits CRITICAL ``overdue``, past the heartbeat alone WARNING ``late``. By this
    host's clock the same price may be older, where the chain or its endpoint stands still: that alone is WARNING
    ``chain_behind``, and the chain's own target says more. Outside market hours the verdict is SKIPPED ``market_closed``;
    within ``open_grace`` of an opening an overdue feed is SKIPPED ``market_opening``. A publish time ahead of this clock by
    more than its error and ``max_ahead`` is CRITICAL ``from_the_future``. Without a bound of this clock's error only the
    chain's time judges.

    Raises ``ValueError`` when ``heartbeat`` is not positive or another is negative.
    """

    heartbeat: timedelta
    lands_within: timedelta = timedelta(seconds=60)
    open_grace: timedelta = timedelta(minutes=5)
    max_ahead: timedelta = timedelta(seconds=5)
    name: ClassVar[str] = "heartbeat"

    def __post_init__(self) -> None:
        if self.heartbeat <= timedelta(0):
            raise ValueError(f"heartbeat must be positive, not {self.heartbeat}")
        if min(self.lands_within, self.open_grace, self.max_ahead) < timedelta(0):
            raise ValueError("lands_within, open_grace and max_ahead must not be negative")

    def __call__(self, observation: Observation[ChainFeed], *, now: Instant) -> Verdict:
        seen, heartbeat_ns = observation.value, to_ns(self.heartbeat)
        limit_ns = heartbeat_ns + to_ns(self.lands_within)
        stored = seen.stored
        if stored is None:
            why = f": {seen.absent}" if seen.absent else ""
            return Verdict(self.name, Status.CRITICAL, "never_pushed", f"nobody has pushed it to this chain{why}")
        published, error_ns = stored.publish_time, observation.clock_error_ns
        chain_ns, here_ns = seen.head.time.since(published), now.since(published)
        measures = (Measure("feed.age.chain", chain_ns, "ns"), Measure("feed.age", here_ns, "ns"))

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, chain_ns, limit_ns, "ns", measures=measures)

        ages = f"{format_ns(chain_ns)} old by the chain's time at {seen.head.number}, {format_ns(here_ns)} by this clock"
        limits = f"heartbeat {format_ns(heartbeat_ns)} and {format_ns(to_ns(self.lands_within))} to land"
        feed, opened_for_ns = observation.feed, None
        if feed is not None:
            if feed.hours_error is not None:
                return verdict(Status.UNKNOWN, "schedule_unreadable", f"the market schedule does not parse: {feed.hours_error}")
            if feed.hours is not None:
                session = feed.hours.session(now)
                if not session.open:
                    until = f" until {session.until}" if session.until is not None else ""
                    return verdict(Status.SKIPPED, "market_closed", f"the market is closed{until}; {ages}")
                if session.since is not None:
                    opened_for_ns = now.since(session.since)
        if error_ns is not None and here_ns < -(to_ns(self.max_ahead) + error_ns):
            return verdict(
                Status.CRITICAL, "from_the_future", f"{ages}: ahead of a clock that is off by {format_ns(error_ns)} at most"
            )
        behind_here = error_ns is not None and here_ns - error_ns > limit_ns
        if chain_ns > limit_ns or behind_here:
            if feed is not None and not feed.described:
                return verdict(
                    Status.UNKNOWN,
                    "schedule_unknown",
                    f"{ages}, but the symbol table was never read: the market may be closed",
                )
            if opened_for_ns is not None and opened_for_ns <= to_ns(self.open_grace):
                return verdict(
                    Status.SKIPPED,
                    "market_opening",
                    f"{ages}; the market opened {format_ns(opened_for_ns)} ago, grace {format_ns(to_ns(self.open_grace))}",
                )
        if chain_ns > limit_ns:
            return verdict(Status.CRITICAL, "overdue", f"{ages}, past {limits}")
        if behind_here:
            return verdict(Status.WARNING, "chain_behind", f"{ages}, past {limits} but for a chain that stands still")
        if chain_ns > heartbeat_ns:
            return verdict(Status.WARNING, "late", f"{ages}, past its heartbeat {format_ns(heartbeat_ns)} and still landing")
        return verdict(Status.OK, "kept", f"{ages}, within {limits}")
