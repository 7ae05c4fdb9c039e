"""Does a provider of random numbers reveal them in time?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.entropy import CauseKind
from probekit.model.entropy_watch import EntropyLook
from probekit.units import NS_PER_S, Instant

_OF_THE_REQUESTER: Final = (CauseKind.REFUSED, CauseKind.REVERTED, CauseKind.OUT_OF_GAS, CauseKind.SILENT)
"""The reveal is tried and reverts by what the requester's contract does: no provider can mend that."""


@dataclass(frozen=True, slots=True)
class EntropyPending:
    """Rule over a look at a provider: CRITICAL ``stuck`` when a request waits beyond the limit that the look was made with, in
    blocks or in seconds; WARNING ``reveal_refused`` when the reveal of every one that does was tried and reverts by the
    requester's own contract. Where none is stuck, and some did not read, it is UNKNOWN ``unreadable``, and where some were not
    looked at yet UNKNOWN ``catching_up``. OK ``revealing`` otherwise.
    """

    name: ClassVar[str] = "entropy_pending"

    def __call__(self, observation: Observation[EntropyLook], *, now: Instant) -> Verdict:
        seen = observation.value
        measures = [Measure("entropy.pending", seen.pending, "count")]
        if seen.oldest is not None and seen.oldest.age_s is not None:
            measures.append(Measure("entropy.oldest_age", seen.oldest.age_s * NS_PER_S, "ns"))
        elif seen.oldest is None:
            measures.append(Measure("entropy.oldest_age", 0, "ns"))
        unread = f"; {seen.unread} did not read" if seen.unread else ""
        unread += f": {', '.join(map(str, seen.unreadable))}" if seen.unreadable else ""
        if not seen.stuck_count:
            oldest = "" if seen.oldest is None else f", the oldest {seen.oldest.sequence} for {seen.oldest.age}"
            before = f"; none before {seen.since} was looked at" if seen.since is not None and seen.since > 1 else ""
            message = f"{seen.pending} of the last {seen.watched} requests wait{oldest}{unread}{before}"
            status, reason = Status.OK, "revealing"
            if seen.unread:
                status, reason = Status.UNKNOWN, "unreadable"
            elif seen.unlooked:
                status, reason = Status.UNKNOWN, "catching_up"
                message += f"; the newest {seen.unlooked} are not looked at yet"
            return Verdict(self.name, status, reason, message, measures=tuple(measures))
        told = "; ".join(f"{one.sequence} for {one.age}{f' ({one.text})' if one.text else ''}" for one in seen.stuck)
        message = f"{seen.stuck_count} requests are stuck: {told}{unread}"
        explained = len(seen.stuck) == seen.stuck_count and all(one.cause in _OF_THE_REQUESTER for one in seen.stuck)
        return Verdict(
            self.name,
            Status.WARNING if explained else Status.CRITICAL,
            "reveal_refused" if explained else "stuck",
            message,
            measures=tuple(measures),
        )
