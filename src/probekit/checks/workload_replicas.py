"""Does every Deployment, StatefulSet and DaemonSet have its pods, and does its rollout get on?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from probekit.checks.parts import of_listing
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Listing, Workload
from probekit.units import Instant, format_ns, to_ns

_MOST_EPISODES: Final = 1_000
"""Workloads that are followed while something is left to do; of more, each begins anew at every listing."""


class Episode(msgspec.Struct, frozen=True):
    """A workload with something left to do, since ``since``, when its counts last grew. The most that were seen are kept, so
    that pods which come and go are no progress.
    """

    name: str
    since: Instant
    generation: int
    updated: int
    available: int


class ReplicasMemory(msgspec.Struct, frozen=True):
    """At most 1,000 episodes."""

    episodes: tuple[Episode, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkloadReplicas:
    """Fold over listings of workloads. One that is complete (the newest generation observed, every pod updated, ready and
    available, no old one left) is OK; one scaled to zero is SKIPPED ``scaled_to_zero``.

    WARNING while there is progress within ``grace``, CRITICAL beyond it: ``not_observed`` (its controller has not seen its
    newest generation), ``replica_failure`` (pods cannot be made, in the controller's words), ``rolling_out`` (not all are of
    the newest revision, or old ones are left), ``not_ready``. CRITICAL at once: ``progress_deadline_exceeded``. WARNING
    ``paused`` for a rollout that somebody stopped while all its pods are ready, ``misscheduled`` for pods of a DaemonSet where
    they should not be.

    The grace is counted from when it was first seen here: that it began earlier is nowhere to be read.
    Raises ``ValueError`` when ``grace`` is negative.
    """

    grace: timedelta = timedelta(minutes=10)
    name: ClassVar[str] = "workload_replicas"

    def __post_init__(self) -> None:
        if self.grace < timedelta(0):
            raise ValueError(f"grace must not be negative, but is {self.grace}")

    def init(self) -> ReplicasMemory:
        return ReplicasMemory()

    def step(
        self, state: ReplicasMemory, observation: Observation[Listing] | None, *, now: Instant
    ) -> tuple[ReplicasMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "nothing_listed", "nothing new was listed")
        listing = observation.value
        before = {one.name: one for one in state.episodes}
        episodes: list[Episode] = []
        judged: list[Verdict] = []
        for workload in listing.objects:
            if workload.desired == 0 and workload.total == 0 and workload.observed_generation >= workload.generation:
                judged.append(Verdict(self.name, Status.SKIPPED, "scaled_to_zero", f"{workload.name} is scaled to zero"))
            elif not workload.complete:
                episode = _followed(before.get(workload.name), workload, now)
                if len(episodes) < _MOST_EPISODES:
                    episodes.append(episode)
                judged.append(self._part(workload, now.since(episode.since)))
            elif workload.misscheduled:
                words = f"{workload.name} has {workload.misscheduled} pods on nodes where they should not be"
                judged.append(Verdict(self.name, Status.WARNING, "misscheduled", words, scope=workload.name))
        if listing.problems:
            # What could not be listed this time goes on where it was.
            listed = {one.name for one in listing.objects}
            unseen = (one for one in state.episodes if one.name not in listed)
            episodes += list(unseen)[: _MOST_EPISODES - len(episodes)]
        verdict = of_listing(
            Verdict(self.name, Status.OK, "complete", f"all {listing.kind} have the pods that they should have"),
            Verdict(self.name, Status.SKIPPED, "nothing_listed", f"there are no {listing.kind} to judge"),
            judged,
            listing,
        )
        return ReplicasMemory(tuple(episodes)), verdict

    def _part(self, workload: Workload, lasted_ns: int) -> Verdict:
        grace_ns, name = to_ns(self.grace), workload.name
        if workload.stalled:
            words = f"{name}: {workload.stalled} ({workload.counts})"
            return Verdict(self.name, Status.CRITICAL, "progress_deadline_exceeded", words, scope=name)
        status = Status.CRITICAL if lasted_ns > grace_ns else Status.WARNING
        for_long = f"without progress for {format_ns(lasted_ns)}"

        def late(status: Status, reason: str, words: str) -> Verdict:
            return Verdict(self.name, status, reason, f"{words}, {for_long}", lasted_ns, grace_ns, "ns", name)

        if workload.observed_generation < workload.generation:
            seen = f"generation {workload.observed_generation} of {workload.generation}"
            return late(status, "not_observed", f"{name}: its controller has seen {seen}")
        if workload.refused:
            return late(status, "replica_failure", f"{name}: {workload.refused} ({workload.counts})")
        if workload.paused and min(workload.ready, workload.available) >= workload.desired:
            words = f"{name} is paused with {workload.counts}"
            return Verdict(self.name, Status.WARNING, "paused", words, scope=name)
        left = workload.updated < workload.wanted_updated or workload.total > workload.desired
        if left and not workload.paused:
            return late(status, "rolling_out", f"{name} rolls out: {workload.counts}, {workload.total} in all")
        return late(status, "not_ready", f"{name}: {workload.counts}")


def _followed(episode: Episode | None, workload: Workload, now: Instant) -> Episode:
    name, generation, updated, available = workload.name, workload.generation, workload.updated, workload.available
    if episode is None:
        return Episode(name, now, generation, updated, available)
    # Another generation begins to update anew, and gives no time by itself: whoever changes it often would never be late.
    most = episode.updated if episode.generation == generation else updated
    grown = updated > most or available > episode.available
    return Episode(name, now if grown else episode.since, generation, max(updated, most), max(available, episode.available))
