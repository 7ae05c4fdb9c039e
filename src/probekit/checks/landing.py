"""Does a chain take prices as often as it should?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.journey import JourneyProgress
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class LandedWithin:
    """Rule over a feed on one chain: what the chain took last, against the newest that the source brought.

    CRITICAL ``not_landed`` when their publish times are more than ``heartbeat`` apart, or when that much came since the chain
    is watched and none of it landed. Both are of the publishers' clock, so that no clock's error is in it, and a
    source that stands still (a closed market) is nothing that its chains miss. SKIPPED ``pending`` until the source
    brought something, and while nothing has landed within the first ``heartbeat``.
    """

    heartbeat: timedelta
    name: ClassVar[str] = "landed_within"

    def __post_init__(self) -> None:
        if self.heartbeat <= timedelta(0):
            raise ValueError(f"heartbeat must be positive, not {self.heartbeat}")

    def __call__(self, observation: Observation[JourneyProgress], *, now: Instant) -> Verdict:
        seen = observation.value
        first, newest, landed = seen.first_publish_time, seen.newest_publish_time, seen.landed_publish_time
        if first is None or newest is None:
            return Verdict(self.name, Status.SKIPPED, "pending", "the source has brought nothing yet")
        lag_ns, limit_ns = max(newest.since(landed or first), 0), to_ns(self.heartbeat)
        if lag_ns > limit_ns:
            what = "nothing landed since it is watched" if landed is None else f"the last that landed is of {landed}"
            message = f"{what}, {format_ns(lag_ns)} before the source's newest; heartbeat {format_ns(limit_ns)}"
            return Verdict(self.name, Status.CRITICAL, "not_landed", message, lag_ns, limit_ns, "ns", measures=_lag(lag_ns))
        if landed is None:
            message = f"nothing landed in the first {format_ns(lag_ns)}; heartbeat {format_ns(limit_ns)}"
            return Verdict(self.name, Status.SKIPPED, "pending", message)
        message = f"{format_ns(lag_ns)} behind the source, heartbeat {format_ns(limit_ns)}"
        return Verdict(self.name, Status.OK, "landing", message, lag_ns, limit_ns, "ns", measures=_lag(lag_ns))


def _lag(lag_ns: int) -> tuple[Measure, ...]:
    return (Measure("landing.lag", lag_ns, "ns"),)
