"""Do the pods run?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from probekit.checks.parts import of_listing, require
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Listing, Pod
from probekit.units import Instant, format_ns, to_ns

_IMAGE: Final = frozenset(
    ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable")
)
_NO_TROUBLE: Final = frozenset(("", "ContainerCreating", "PodInitializing"))
"""What a container waits for in a pod that is starting; anything else but those above is that it cannot be made or started."""


@dataclass(frozen=True, slots=True)
class PodHealth:
    """Rule over a listing of pods; the words are the kubelet's and the scheduler's own.

    ``crash_loop`` (CRITICAL from ``crash_restarts`` restarts on, WARNING before: one crash says CrashLoopBackOff, too).
    WARNING at once and CRITICAL beyond ``grace``: ``image_pull``, ``container_error`` (it cannot be made or started: a missing
    ConfigMap, a wrong command), ``unschedulable``. CRITICAL beyond ``grace`` and SKIPPED ``starting`` before: ``pod_pending``,
    ``pod_not_ready``. WARNING ``pod_failed`` and ``evicted`` for ``remember``, then SKIPPED ``ended``; WARNING
    ``stuck_terminating`` for one that should have gone ``grace`` ago, SKIPPED ``terminating`` before. Times count from when the
    pod was last ready, or made.

    Raises ``ValueError`` when ``grace`` or ``remember`` is negative, or ``crash_restarts`` below 1.
    """

    grace: timedelta = timedelta(minutes=5)
    crash_restarts: int = 3
    remember: timedelta = timedelta(hours=1)
    name: ClassVar[str] = "pod_health"

    def __post_init__(self) -> None:
        require(
            (self.grace >= timedelta(0), f"grace must not be negative, but is {self.grace}"),
            (self.remember >= timedelta(0), f"remember must not be negative, but is {self.remember}"),
            (self.crash_restarts >= 1, f"crash_restarts must be at least 1, not {self.crash_restarts}"),
        )

    def __call__(self, observation: Observation[Listing], *, now: Instant) -> Verdict:
        listing = observation.value
        judged = [part for one in listing.objects if (part := self._part(one, now)) is not None]
        return of_listing(
            Verdict(self.name, Status.OK, "running", "every pod runs, or has ended well"),
            Verdict(self.name, Status.SKIPPED, "nothing_listed", "there is no pod to judge"),
            judged,
            listing,
        )

    def _part(self, pod: Pod, now: Instant) -> Verdict | None:
        if pod.deleted_at is not None:
            over_ns, grace_ns = now.since(pod.deleted_at), to_ns(self.grace)
            words = f"{pod.name} should have been gone {format_ns(over_ns)} ago"
            if over_ns > grace_ns:
                return Verdict(self.name, Status.WARNING, "stuck_terminating", words, over_ns, grace_ns, "ns", pod.name)
            return Verdict(self.name, Status.SKIPPED, "terminating", f"{pod.name} is being deleted", scope=pod.name)
        if pod.phase == "Succeeded" or (pod.unready_since is None and not any(one.waiting for one in pod.containers)):
            return None
        if pod.phase == "Failed":
            return self._failed(pod, now)
        return self._not_running(pod, now.since(pod.unready_since or pod.created_at))

    def _failed(self, pod: Pod, now: Instant) -> Verdict:
        ended = [one.ended_at for one in pod.containers if one.ended_at is not None]
        ago_ns = now.since(max(ended, default=pod.unready_since or pod.created_at))
        codes = ", ".join(f"{one.name}: {one.ended} ({one.ended_code})" for one in pod.containers if one.ended)
        words = f"{pod.name} failed {format_ns(ago_ns)} ago: {pod.reason} {pod.message} {codes}".rstrip()
        if ago_ns > to_ns(self.remember):
            return Verdict(self.name, Status.SKIPPED, "ended", words, scope=pod.name)
        reason = "evicted" if pod.reason == "Evicted" else "pod_failed"
        return Verdict(self.name, Status.WARNING, reason, words, scope=pod.name)

    def _not_running(self, pod: Pod, lasted_ns: int) -> Verdict:
        grace_ns = to_ns(self.grace)
        over = lasted_ns > grace_ns
        status = Status.CRITICAL if over else Status.WARNING
        for_long = f"for {format_ns(lasted_ns)}"

        def stuck(status: Status, reason: str, words: str) -> Verdict:
            return Verdict(self.name, status, reason, f"{words}, {for_long}", lasted_ns, grace_ns, "ns", pod.name)

        for one in pod.containers:
            said = f"{pod.name} {one.name}: {one.waiting}: {one.waiting_message}".removesuffix(": ")
            if one.waiting == "CrashLoopBackOff":
                last = f", last {one.ended} ({one.ended_code})" if one.ended else ""
                words = f"{said}, {one.restarts} restarts{last}"
                often = Status.CRITICAL if one.restarts >= self.crash_restarts else Status.WARNING
                limit = self.crash_restarts
                return Verdict(self.name, often, "crash_loop", words, one.restarts, limit, "count", pod.name)
            if one.waiting in _IMAGE:
                return stuck(status, "image_pull", said)
            if one.waiting not in _NO_TROUBLE:
                return stuck(status, "container_error", said)
        if pod.unschedulable:
            return stuck(status, "unschedulable", f"{pod.name} finds no node: {pod.unschedulable}")
        if not over:
            return Verdict(self.name, Status.SKIPPED, "starting", f"{pod.name} is not ready, {for_long}", scope=pod.name)
        if pod.phase == "Pending":
            waits = f"{pod.name} is pending {for_long}"
            return Verdict(self.name, Status.CRITICAL, "pod_pending", waits, lasted_ns, grace_ns, "ns", pod.name)
        words = f"{pod.name} is {pod.phase} and not ready {for_long}"
        return Verdict(self.name, Status.CRITICAL, "pod_not_ready", words, lasted_ns, grace_ns, "ns", pod.name)
