"""Do the callbacks of random numbers succeed?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.entropy_watch import EntropyLook
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class EntropyCallbacks:
    """Rule over a look at a provider: WARNING ``callback_failed`` when more than ``max_failed`` of the requests looked at were
    revealed and the requester's callback failed. The number was revealed; what fails is the contract that asked for it. Where
    no more did, and some requests did not read, it is UNKNOWN ``unreadable``, and where some were not looked at yet UNKNOWN
    ``catching_up``.
    """

    max_failed: int = 0
    name: ClassVar[str] = "entropy_callbacks"

    def __post_init__(self) -> None:
        if self.max_failed < 0:
            raise ValueError(f"max_failed is not below zero, as {self.max_failed} is")

    def __call__(self, observation: Observation[EntropyLook], *, now: Instant) -> Verdict:
        seen = observation.value
        count, limit = seen.failed_count, self.max_failed
        measures = (Measure("entropy.failed", count, "count"),)
        message = f"{count} callbacks failed, limit {limit}"
        if count <= limit and seen.unread:
            told = ", ".join(map(str, seen.unreadable))
            message += f"; {seen.unread} requests did not read{f': {told}' if told else ''}"
            return Verdict(self.name, Status.UNKNOWN, "unreadable", message, count, limit, "count", measures=measures)
        if count <= limit and seen.unlooked:
            message += f"; the newest {seen.unlooked} requests are not looked at yet"
            return Verdict(self.name, Status.UNKNOWN, "catching_up", message, count, limit, "count", measures=measures)
        if count <= limit:
            return Verdict(self.name, Status.OK, "calling_back", message, count, limit, "count", measures=measures)
        told = "; ".join(f"{one.sequence}{f' ({one.text})' if one.text else ''}" for one in seen.failed)
        message += f"; the newest: {told}"
        return Verdict(self.name, Status.WARNING, "callback_failed", message, count, limit, "count", measures=measures)
