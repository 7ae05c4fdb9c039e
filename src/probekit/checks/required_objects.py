"""Are the objects there that must be?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.checks.parts import MOST_OBJECTS, gathered
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Listing
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class RequiredObjects:
    """Rule over a listing: every object of ``names`` (``namespace/name``) is there, else CRITICAL ``missing_object``; UNKNOWN
    ``not_seen`` where it may be among those that could not be listed. How it is, is another check's to say.

    Raises ``ValueError`` for no name, or one that is not ``namespace/name``.
    """

    names: tuple[str, ...]
    name: ClassVar[str] = "required_objects"

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("names must not be empty")
        for one in self.names:
            namespace, slash, name = one.partition("/")
            if not (namespace and slash and name) or "/" in name:
                raise ValueError(f"{one!r} is no namespace/name")

    def __call__(self, observation: Observation[Listing], *, now: Instant) -> Verdict:
        listing = observation.value
        there = {one.name for one in listing.objects}
        unread = {one.scope for one in listing.problems}
        judged = []
        for wanted in self.names:
            if wanted in there:
                continue
            if unread & {"", wanted, wanted.partition("/")[0]}:
                words = f"{wanted} is not among the {listing.kind} that could be listed"
                judged.append(Verdict(self.name, Status.UNKNOWN, "not_seen", words, scope=wanted))
            else:
                words = f"there is no {wanted} among {len(listing.objects)} {listing.kind}"
                judged.append(Verdict(self.name, Status.CRITICAL, "missing_object", words, scope=wanted))
        ok = Verdict(self.name, Status.OK, "all_there", f"all {len(self.names)} {listing.kind} that must be there are")
        return gathered(ok, ok, judged, total=len(self.names), most_parts=MOST_OBJECTS)
