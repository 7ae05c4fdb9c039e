"""Is the price young enough, while its market is open?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, PriceUpdate, Status, Verdict
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class Freshness:
    """Rule over a price update: ``age = now - publish_time`` against ``max_age``.

    The age is split where Hermes says when its proof was available: *pipeline* (publish_time to proof) and *delivery*
    (proof to now). Outside market hours the verdict is SKIPPED ``market_closed``; within ``open_grace`` of an opening a
    stale price is SKIPPED ``market_opening``. The local clock's error is part of the measurement: where its bound
    passes a third of the limit, or there is none, the verdict is UNKNOWN ``clock``, never OK. A publish time ahead of
    the clock by more than that error and ``max_ahead`` is CRITICAL ``from_the_future``. publish_time is whole seconds,
    so an age carries up to 1 s of rounding.

    Raises ``ValueError`` when a limit is not positive, or ``warn_age`` is not below ``max_age``.
    """

    max_age: timedelta = timedelta(seconds=10)
    warn_age: timedelta | None = None
    open_grace: timedelta = timedelta(seconds=60)
    max_ahead: timedelta = timedelta(seconds=2)
    name: ClassVar[str] = "freshness"

    def __post_init__(self) -> None:
        if self.max_age <= timedelta(0):
            raise ValueError(f"max_age must be positive, not {self.max_age}")
        if self.warn_age is not None and not timedelta(0) < self.warn_age < self.max_age:
            raise ValueError(f"warn_age must lie between 0 and max_age, not {self.warn_age}")
        if self.open_grace < timedelta(0) or self.max_ahead < timedelta(0):
            raise ValueError("open_grace and max_ahead must not be negative")

    def __call__(self, observation: Observation[PriceUpdate], *, now: Instant) -> Verdict:
        update = observation.value
        limit_ns = to_ns(self.max_age)
        age_ns = now.since(update.publish_time)
        measures = self._measures(update, age_ns, now)

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, age_ns, limit_ns, "ns", measures=measures)

        feed = observation.feed
        opened_for_ns: int | None = None
        if feed is not None:
            if feed.hours_error is not None:
                return verdict(Status.UNKNOWN, "schedule_unreadable", f"the market schedule does not parse: {feed.hours_error}")
            if feed.hours is not None:
                session = feed.hours.session(now)
                if not session.open:
                    until = f" until {session.until}" if session.until is not None else ""
                    return verdict(Status.SKIPPED, "market_closed", f"the market is closed{until}")
                if session.since is not None:
                    opened_for_ns = now.since(session.since)

        error_ns = observation.clock_error_ns
        if error_ns is None:
            return verdict(Status.UNKNOWN, "clock", "nothing bounds this clock's error, so the age means nothing")
        if error_ns * 3 > limit_ns:
            return verdict(
                Status.UNKNOWN,
                "clock",
                f"this clock may be off by {format_ns(error_ns)}, more than a third of the limit {format_ns(limit_ns)}",
            )
        if age_ns < -(to_ns(self.max_ahead) + error_ns):
            return verdict(
                Status.CRITICAL,
                "from_the_future",
                f"published {format_ns(-age_ns)} ahead of this clock (error at most {format_ns(error_ns)})",
            )
        if age_ns > limit_ns:
            if feed is not None and not feed.described:
                return verdict(
                    Status.UNKNOWN,
                    "schedule_unknown",
                    f"last published {format_ns(age_ns)} ago, but the symbol table was never read: the market may be closed",
                )
            if opened_for_ns is not None and opened_for_ns <= to_ns(self.open_grace):
                return verdict(
                    Status.SKIPPED,
                    "market_opening",
                    f"the market opened {format_ns(opened_for_ns)} ago, "
                    f"within the grace of {format_ns(to_ns(self.open_grace))}",
                )
            return verdict(Status.CRITICAL, "stale", f"last published {format_ns(age_ns)} ago, limit {format_ns(limit_ns)}")
        if self.warn_age is not None and age_ns > to_ns(self.warn_age):
            return verdict(
                Status.WARNING,
                "ageing",
                f"last published {format_ns(age_ns)} ago, warning from {format_ns(to_ns(self.warn_age))}",
            )
        return verdict(Status.OK, "fresh", f"published {format_ns(age_ns)} ago, limit {format_ns(limit_ns)}")

    @staticmethod
    def _measures(update: PriceUpdate, age_ns: int, now: Instant) -> tuple[Measure, ...]:
        proven = update.proof_available_time
        if proven is None:
            return (Measure("feed.age", age_ns, "ns"),)
        return (
            Measure("feed.age", age_ns, "ns"),
            Measure("feed.age.pipeline", proven.since(update.publish_time), "ns"),
            Measure("feed.age.delivery", now.since(proven), "ns"),
        )
