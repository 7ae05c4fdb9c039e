"""How long does an archive take until it has a second?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.benchmarks import ArchiveReach
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class ArchiveLag:
    """Rule over an archive's reach: how old the newest second is that it has, of those asked for, against ``max_lag``.

    Later is WARNING ``lagging``; none of the seconds asked for CRITICAL ``unavailable``. Seconds at which the market was closed
    are not asked for, so that soon after an opening there are few: none of them is SKIPPED ``market_opening`` within
    ``max_lag``, then ``lagging``. Without an open market there is nothing to ask for: SKIPPED ``market_closed``. What is
    measured carries the clock's error: where nothing bounds that, or it is above a third of ``max_lag``, UNKNOWN ``clock``.
    The value is an upper bound: the next nearer second was not there, or was not asked for.
    """

    max_lag: timedelta
    name: ClassVar[str] = "archive_lag"

    def __post_init__(self) -> None:
        if self.max_lag <= timedelta(0):
            raise ValueError(f"max_lag must be positive, not {self.max_lag}")

    def __call__(self, observation: Observation[ArchiveReach], *, now: Instant) -> Verdict:
        reach, limit_ns, error_ns = observation.value, to_ns(self.max_lag), observation.clock_error_ns
        if not reach.feed:
            return Verdict(
                self.name, Status.SKIPPED, "market_closed", "no feed's market is open, or was at the seconds asked for"
            )
        absent = "" if reach.absent_ns is None else f", the one {format_ns(reach.absent_ns)} ago is not"

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            measures = () if reach.found_ns is None else (Measure("archive.lag", reach.found_ns, "ns"),)
            return Verdict(self.name, status, reason, message, reach.found_ns, limit_ns, "ns", measures=measures)

        if error_ns is None or error_ns * 3 > limit_ns:
            off = "nothing bounds this clock's error" if error_ns is None else f"this clock may be off by {format_ns(error_ns)}"
            return verdict(Status.UNKNOWN, "clock", f"{off}, limit {format_ns(limit_ns)}")
        if reach.found_ns is None:
            oldest_ns = reach.absent_ns or 0
            if not reach.whole:
                words = f"of {reach.feed}, whose market opened lately, the second {format_ns(oldest_ns)} ago is not there yet"
                if oldest_ns <= limit_ns:
                    return verdict(Status.SKIPPED, "market_opening", f"{words}, limit {format_ns(limit_ns)}")
                return verdict(Status.WARNING, "lagging", f"{words}, limit {format_ns(limit_ns)}")
            return verdict(
                Status.CRITICAL, "unavailable", f"of {reach.feed} not even the second {format_ns(oldest_ns)} ago is there"
            )
        shown = f"the second {format_ns(reach.found_ns)} ago is there{absent}, limit {format_ns(limit_ns)}"
        if reach.found_ns > limit_ns:
            return verdict(Status.WARNING, "lagging", shown)
        return verdict(Status.OK, "available", shown)
