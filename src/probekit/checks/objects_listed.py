"""Could every object of a kind be listed?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.checks.parts import MOST_OBJECTS, gathered
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Listing, ListProblem
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class ObjectsListed:
    """Rule over a listing: what is not in it. Its other checks judge what is.

    UNKNOWN ``not_entitled`` (the account may not list it, here or in one namespace), ``not_served`` (the server has no such
    kind; SKIPPED where the kind is ``optional``) and ``list_failed``; CRITICAL ``unreadable`` for an object that does not
    decode, by itself; WARNING ``truncated`` where there are more than were read.
    """

    optional: bool = False
    name: ClassVar[str] = "objects_listed"

    def __call__(self, observation: Observation[Listing], *, now: Instant) -> Verdict:
        listing = observation.value
        judged = [self._part(one) for one in listing.problems]
        ignored = f", {listing.ignored} more are ignored" if listing.ignored else ""
        return gathered(
            Verdict(self.name, Status.OK, "listed", f"{len(listing.objects)} {listing.kind} were listed{ignored}"),
            Verdict(self.name, Status.SKIPPED, "not_served", f"the server has no {listing.kind}"),
            judged,
            # A listing without a problem is one part that is as it should be.
            total=len(judged) or 1,
            most_parts=MOST_OBJECTS,
        )

    def _part(self, problem: ListProblem) -> Verdict:
        scope = problem.scope or None
        if problem.kind == "not_entitled":
            return Verdict(self.name, Status.UNKNOWN, "not_entitled", problem.message, scope=scope)
        if problem.kind == "not_served":
            status = Status.SKIPPED if self.optional else Status.UNKNOWN
            return Verdict(self.name, status, "not_served", problem.message, scope=scope)
        if problem.kind == "truncated":
            return Verdict(self.name, Status.WARNING, "truncated", problem.message, scope=scope)
        if problem.kind == "unreadable":
            words = f"{problem.scope} does not read: {problem.message}"
            return Verdict(self.name, Status.CRITICAL, "unreadable", words, scope=scope)
        return Verdict(self.name, Status.UNKNOWN, "list_failed", problem.message, scope=scope)
