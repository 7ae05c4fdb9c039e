"""Are a chain's blocks looked at as they come?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.contract_events import ScanState
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class ScanReach:
    """Rule over how far a chain was looked at: WARNING ``catching_up`` where more than ``max_behind`` blocks are still to be
    looked at. Blocks that left the chain after they were looked at are told in the sentence.
    """

    max_behind: int = 1_000
    name: ClassVar[str] = "scan_reach"

    def __post_init__(self) -> None:
        if self.max_behind < 0:
            raise ValueError(f"max_behind must not be negative, but is {self.max_behind}")

    def __call__(self, observation: Observation[ScanState], *, now: Instant) -> Verdict:
        scan = observation.value
        behind = max(scan.due - scan.last, 0)
        replaced = f"; {scan.reorganised} times blocks left the chain, {scan.depth} of them last" if scan.reorganised else ""
        late = behind > self.max_behind
        return Verdict(
            self.name,
            Status.WARNING if late else Status.OK,
            "catching_up" if late else "abreast",
            f"looked at up to {scan.last} of {scan.due}, the head is {scan.head}, limit {self.max_behind} behind{replaced}",
            behind,
            self.max_behind,
            "count",
            measures=(Measure("scan.behind", behind, "count"),),
        )
