"""Did the Jobs end well?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.checks.parts import of_listing
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Job, Listing
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """Rule over a listing of Jobs: CRITICAL ``job_deadline_exceeded`` or ``job_failed``, with the controller's words, for as
    long as the Job is there. One of a CronJob that a later one made good is SKIPPED ``made_good``; a suspended one is, too.

    WARNING ``job_running_long`` for one that runs longer than ``max_running``. Raises ``ValueError`` unless that is positive.
    """

    max_running: timedelta | None = None
    name: ClassVar[str] = "job_outcome"

    def __post_init__(self) -> None:
        if self.max_running is not None and self.max_running <= timedelta(0):
            raise ValueError(f"max_running must be positive, not {self.max_running}")

    def __call__(self, observation: Observation[Listing], *, now: Instant) -> Verdict:
        listing = observation.value
        good: dict[str, Instant] = {}
        for job in listing.objects:
            if job.owner and job.state == "complete":
                good[job.owner] = max(job.created_at, good.get(job.owner, job.created_at))
        judged = [part for job in listing.objects if (part := self._part(job, good.get(job.owner), now)) is not None]
        return of_listing(
            Verdict(self.name, Status.OK, "no_failure", "no job has failed"),
            Verdict(self.name, Status.SKIPPED, "nothing_listed", "there is no job to judge"),
            judged,
            listing,
        )

    def _part(self, job: Job, good: Instant | None, now: Instant) -> Verdict | None:
        if job.state == "failed":
            if good is not None and good > job.created_at:
                words = f"{job.name} failed, and a later job of {job.owner} did not"
                return Verdict(self.name, Status.SKIPPED, "made_good", words, scope=job.name)
            ago = "" if job.ended_at is None else f" {format_ns(now.since(job.ended_at))} ago"
            words = f"{job.name} failed{ago}: {job.reason}: {job.message}"
            reason = "job_deadline_exceeded" if job.reason == "DeadlineExceeded" else "job_failed"
            return Verdict(self.name, Status.CRITICAL, reason, words, scope=job.name)
        if job.state == "suspended":
            return Verdict(self.name, Status.SKIPPED, "job_suspended", f"{job.name} is suspended", scope=job.name)
        if job.state == "active" and self.max_running is not None and job.started_at is not None:
            runs_ns, limit_ns = now.since(job.started_at), to_ns(self.max_running)
            if runs_ns > limit_ns:
                words = f"{job.name} has been running for {format_ns(runs_ns)}, limit {format_ns(limit_ns)}"
                return Verdict(self.name, Status.WARNING, "job_running_long", words, runs_ns, limit_ns, "ns", job.name)
        return None
