"""Do containers restart, and are they killed for want of memory?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from probekit.checks.parts import MOST_OBJECTS, gathered, require
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Container, Listing, Pod
from probekit.units import Instant, format_ns, to_ns

_MOST_TRACKS: Final = 5_000
_MOST_LIMIT: Final = 100


class Track(msgspec.Struct, frozen=True, gc=False):
    """How often a container had restarted when: ``points`` are (time in ns, count), each a change, but for the first.
    ``listed_ns`` is when it was last seen.
    """

    key: str
    points: tuple[tuple[int, int], ...]
    listed_ns: int = 0


class RestartMemory(msgspec.Struct, frozen=True):
    """At most 5,000 containers that ever restarted, with the changes of one window. ``whole_at`` is when a listing last had all
    of them: a container that has no track had not restarted then.
    """

    tracks: tuple[Track, ...] = ()
    whole_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class ContainerRestarts:
    """Fold over listings of pods: a container's restarts within ``window``. CRITICAL ``restarting`` above ``max_restarts``,
    WARNING above ``warn_restarts``; WARNING ``oom_killed`` where one was killed for its memory within the window.

    Of what was before the first listing, or the first after a whole window without one, a pod's age and a container's last end
    tell: all restarts of a pod younger than the window count, and of an older one the last.

    Raises ``ValueError`` unless ``0 <= warn_restarts <= max_restarts <= 100`` and ``window`` is positive.
    """

    max_restarts: int = 5
    warn_restarts: int = 2
    window: timedelta = timedelta(hours=1)
    name: ClassVar[str] = "container_restarts"

    def __post_init__(self) -> None:
        require(
            (
                0 <= self.warn_restarts <= self.max_restarts <= _MOST_LIMIT,
                f"warn_restarts and max_restarts must be 0 to {_MOST_LIMIT} in this order, "
                f"not {self.warn_restarts} and {self.max_restarts}",
            ),
            (self.window > timedelta(0), f"window must be positive, not {self.window}"),
        )

    def init(self) -> RestartMemory:
        return RestartMemory()

    def step(
        self, state: RestartMemory, observation: Observation[Listing] | None, *, now: Instant
    ) -> tuple[RestartMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "nothing_listed", "nothing new was listed")
        listing = observation.value
        before = {one.key: one for one in state.tracks}
        tracks: dict[str, Track] = {}
        judged: list[Verdict] = []
        containers = 0
        for pod in listing.objects:
            containers += len(pod.containers)
            for one in pod.containers:
                if one.restarts:
                    key = f"{pod.uid or pod.name}/{one.name}"
                    track = self._track(before.get(key), key, pod, one, state.whole_at, now)
                    tracks[key] = track
                    part = self._part(pod, one, one.restarts - track.points[0][1], now)
                else:
                    part = self._part(pod, one, 0, now)
                if part is not None:
                    judged.append(part)
        whole = not listing.problems and len(tracks) <= _MOST_TRACKS
        if listing.problems:
            # Whoever is not there may only not have been listed; after a whole window that is all the same.
            from_ns = now.ns - to_ns(self.window)
            tracks = {**{key: one for key, one in before.items() if one.listed_ns >= from_ns}, **tracks}
        verdict = gathered(
            Verdict(self.name, Status.OK, "steady", f"no container restarted more than {self.warn_restarts} times"),
            Verdict(self.name, Status.SKIPPED, "nothing_listed", "there is no container to judge"),
            judged,
            total=containers,
            most_parts=MOST_OBJECTS,
        )
        kept = tuple(tracks.values())[:_MOST_TRACKS]
        return RestartMemory(kept, now if whole else None), verdict

    def _track(self, track: Track | None, key: str, pod: Pod, one: Container, whole_at: Instant | None, now: Instant) -> Track:
        from_ns = now.ns - to_ns(self.window)
        known = track is not None and track.listed_ns >= from_ns
        if whole_at is not None and whole_at.ns < from_ns:
            whole_at = None  # what it has restarted since may be long ago
        points = track.points if track is not None and known else _first(pod, one, whole_at, from_ns, now)
        if points[-1][1] > one.restarts:
            points = ((now.ns, one.restarts),)  # a new container under the old name
        elif points[-1][1] < one.restarts:
            points = (*points, (now.ns, one.restarts))
        # The last point before the window is what its restarts are counted from.
        while len(points) > 1 and points[1][0] <= from_ns:
            points = points[1:]
        # Each is a restart at least: more than these are over any limit without the oldest, too.
        return Track(key, points[-(self.max_restarts + 2) :], now.ns)

    def _part(self, pod: Pod, one: Container, restarts: int, now: Instant) -> Verdict | None:
        killed = one.ended == "OOMKilled" and one.ended_at is not None and now.since(one.ended_at) <= to_ns(self.window)
        memory = ", killed for its memory" if killed else ""
        last = f", last {one.ended} ({one.ended_code})" if one.ended else ""
        words = f"{pod.name} {one.name} restarted {restarts} times in {format_ns(to_ns(self.window))}{last}{memory}"
        if restarts > self.warn_restarts:
            over = restarts > self.max_restarts
            status = Status.CRITICAL if over else Status.WARNING
            limit = self.max_restarts if over else self.warn_restarts
            return Verdict(self.name, status, "restarting", words, restarts, limit, "count", f"{pod.name}/{one.name}")
        if killed:
            return Verdict(self.name, Status.WARNING, "oom_killed", words, scope=f"{pod.name}/{one.name}")
        return None


def _first(pod: Pod, one: Container, whole_at: Instant | None, from_ns: int, now: Instant) -> tuple[tuple[int, int], ...]:
    """What to count from, for a container that is seen to have restarted for the first time."""
    if whole_at is not None:
        return ((whole_at.ns, 0), (now.ns, one.restarts))
    if pod.created_at.ns > from_ns:
        return ((pod.created_at.ns, 0), (now.ns, one.restarts))
    if one.ended_at is not None and one.ended_at.ns > from_ns:
        return ((from_ns, one.restarts - 1), (one.ended_at.ns, one.restarts))
    return ((now.ns, one.restarts),)
