"""Did something not happen on a chain that should?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.contract_events import EventSighting
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class EventAbsent:
    """Rule over what a rule of events has found: how long ago the last was, by the chain's own time, against ``max_absence``.

    Longer is ``absent``, of the given ``severity``. Until it was watched for that long without one it is SKIPPED ``watching``.
    A chain that stands still is not absence: other probes watch its head. Where it would be absent, and a log or transaction
    that may have been one did not read within ``max_absence``, it is UNKNOWN ``unreadable``; so is a ``gap`` within it.
    """

    max_absence: timedelta
    severity: Literal["warning", "critical"] = "critical"
    name: ClassVar[str] = "event_absent"

    def __post_init__(self) -> None:
        if self.max_absence <= timedelta(0):
            raise ValueError(f"max_absence must be positive, not {self.max_absence}")

    def __call__(self, observation: Observation[EventSighting], *, now: Instant) -> Verdict:
        seen, limit_ns = observation.value, to_ns(self.max_absence)
        where = f"in blocks {seen.first} to {seen.last}"
        if seen.nothing_looked_at or seen.last_time is None or seen.first_time is None:
            return Verdict(self.name, Status.SKIPPED, "watching", f"no block was looked at {where}")
        times = [one.block_time for one in seen.newest if one.block_time is not None]
        last = max(times, key=lambda one: one.ns, default=None)
        absence_ns = max(seen.last_time.since(last or seen.first_time), 0)

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            measures = (
                Measure("event.matches", seen.standing, "count"),
                Measure("event.unreadable", seen.unreadable, "count"),
                Measure("event.absence", absence_ns, "ns"),
            )
            return Verdict(self.name, status, reason, message, absence_ns, limit_ns, "ns", measures=measures)

        gone = max(seen.withdrawn_count, len(seen.withdrawn))
        taken_back = f"; {gone} left the chain again" if gone else ""
        if last is not None and absence_ns <= limit_ns:
            words = (
                f"{seen.newest[-1]}, {format_ns(absence_ns)} before block {seen.last}, limit {format_ns(limit_ns)}{taken_back}"
            )
            return verdict(Status.OK, "present", words)
        if absence_ns <= limit_ns:
            words = f"none yet {where}, {format_ns(absence_ns)} by the chain's time, limit {format_ns(limit_ns)}{taken_back}"
            return verdict(Status.SKIPPED, "watching", words)
        if seen.gap_at is not None and now.since(seen.gap_at) <= limit_ns:
            return verdict(Status.UNKNOWN, "gap", seen.gap)
        if seen.unreadable and (seen.unreadable_at is None or now.since(seen.unreadable_at) <= limit_ns):
            words = f"{seen.unreadable} logs or transactions {where} do not read, the last: {seen.unreadable_text}"
            return verdict(Status.UNKNOWN, "unreadable", f"{words}; none that does for {format_ns(absence_ns)}")
        words = f"none for {format_ns(absence_ns)} up to block {seen.last}, limit {format_ns(limit_ns)}{taken_back}"
        status = Status.CRITICAL if self.severity == "critical" else Status.WARNING
        return verdict(status, "absent", words)
