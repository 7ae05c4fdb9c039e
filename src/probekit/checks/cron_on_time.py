"""Are CronJobs run when they are due?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.checks.parts import of_listing
from probekit.errors import DecodeError
from probekit.model import Observation, Status, Verdict
from probekit.model.cron import CronSchedule
from probekit.model.kubernetes import CronJob, Listing
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class CronOnTime:
    """Rule over a listing of CronJobs: each was last run when its schedule last said so, ``grace`` ago or longer.

    CRITICAL ``missed_schedule``; WARNING ``still_running`` where the run before has not ended and they may not overlap;
    WARNING ``cron_suspended`` (SKIPPED with ``suspended_is_meant``); UNKNOWN ``unreadable_schedule``. How its Jobs end is
    theirs to say. Raises ``ValueError`` when ``grace`` is negative.
    """

    grace: timedelta = timedelta(minutes=5)
    suspended_is_meant: bool = False
    name: ClassVar[str] = "cron_on_time"

    def __post_init__(self) -> None:
        if self.grace < timedelta(0):
            raise ValueError(f"grace must not be negative, but is {self.grace}")

    def __call__(self, observation: Observation[Listing], *, now: Instant) -> Verdict:
        listing = observation.value
        judged = [part for one in listing.objects if (part := self._part(one, now)) is not None]
        return of_listing(
            Verdict(self.name, Status.OK, "on_time", "every cron job was run when it was due"),
            Verdict(self.name, Status.SKIPPED, "nothing_listed", "there is no cron job to judge"),
            judged,
            listing,
        )

    def _part(self, cron: CronJob, now: Instant) -> Verdict | None:
        if cron.suspended:
            status = Status.SKIPPED if self.suspended_is_meant else Status.WARNING
            return Verdict(self.name, status, "cron_suspended", f"{cron.name} is suspended", scope=cron.name)
        try:
            due = CronSchedule.parse(cron.schedule, cron.time_zone).due_before(now.plus(-self.grace))
        except DecodeError as error:
            words = f"{cron.name}: {error.message}"
            return Verdict(self.name, Status.UNKNOWN, "unreadable_schedule", words, scope=cron.name)
        if due is None or due < cron.created_at or (cron.last_scheduled is not None and cron.last_scheduled >= due):
            return None
        late_ns, grace_ns = now.since(due), to_ns(self.grace)
        last = "it never was" if cron.last_scheduled is None else f"it was last at {cron.last_scheduled}"
        words = f"{cron.name} was to be run at {due}, {format_ns(late_ns)} ago; {last}"
        if cron.forbids and cron.active:
            held = f"{words}: the run before has not ended"
            return Verdict(self.name, Status.WARNING, "still_running", held, late_ns, grace_ns, "ns", cron.name)
        return Verdict(self.name, Status.CRITICAL, "missed_schedule", words, late_ns, grace_ns, "ns", cron.name)
