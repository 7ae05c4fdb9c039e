"""Are a chain's blocks looked at as they come?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.contract_events import ScanState
from probekit.units import Instant, to_ns


@dataclass(frozen=True, slots=True)
class ScanReach:
    """Rule over how far a chain was looked at: WARNING ``catching_up`` where more than ``max_behind`` blocks are still to be
    looked at, UNKNOWN ``gap`` for ``hold`` after some were left out, SKIPPED ``watching`` before the first was looked at.
    Blocks that left the chain after they were looked at are told in the sentence.
    """

    max_behind: int = 1_000
    hold: timedelta = timedelta(minutes=10)
    name: ClassVar[str] = "scan_reach"

    def __post_init__(self) -> None:
        if self.max_behind < 0:
            raise ValueError(f"max_behind must not be negative, but is {self.max_behind}")
        if self.hold <= timedelta(0):
            raise ValueError(f"hold must be positive, not {self.hold}")

    def __call__(self, observation: Observation[ScanState], *, now: Instant) -> Verdict:
        scan = observation.value
        behind = max(scan.due - scan.last, 0)
        replaced = f"; {scan.reorganised} times blocks left the chain, {scan.depth} of them last" if scan.reorganised else ""
        words = f"looked at up to {scan.last} of {scan.due}, the head is {scan.head}, limit {self.max_behind} behind{replaced}"

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            measures = (Measure("scan.behind", behind, "count"),)
            return Verdict(self.name, status, reason, message, behind, self.max_behind, "count", measures=measures)

        if scan.gap_at is not None and now.since(scan.gap_at) <= to_ns(self.hold):
            return verdict(Status.UNKNOWN, "gap", f"{scan.gap}; {words}")
        if behind > self.max_behind:
            return verdict(Status.WARNING, "catching_up", words)
        if scan.nothing_looked_at:
            return verdict(Status.SKIPPED, "watching", f"no block was looked at yet: the first is {scan.first}; {words}")
        return verdict(Status.OK, "abreast", words)
