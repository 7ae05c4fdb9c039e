"""How many slots ago was a feed posted?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import ReceiverFeed
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class SlotLag:
    """Rule over a push feed on Solana: the slot of the read minus the slot that posted it, against ``max_slots``.

    Further is CRITICAL ``slots_behind``; without ``max_slots`` it is measured only. A slot posted after the one of the read
    counts as none. Outside market hours, and where nothing is posted, it is SKIPPED.
    """

    max_slots: int | None = None
    name: ClassVar[str] = "slot_lag"

    def __post_init__(self) -> None:
        if self.max_slots is not None and self.max_slots < 1:
            raise ValueError(f"max_slots must be at least 1, not {self.max_slots}")

    def __call__(self, observation: Observation[ReceiverFeed], *, now: Instant) -> Verdict:
        seen, limit = observation.value, self.max_slots
        if seen.posted_slot is None:
            return Verdict(self.name, Status.SKIPPED, "nothing_stored", "nobody has posted it on this cluster")
        behind = max(seen.head.number - seen.posted_slot, 0)
        measures = (Measure("feed.slot_lag", behind, "slots"),)
        shown = f"posted at slot {seen.posted_slot}, read at {seen.head.number}: {behind} slots behind"

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, behind, limit, "slots", measures=measures)

        if limit is None:
            return verdict(Status.OK, "measured", shown)
        hours = None if observation.feed is None else observation.feed.hours
        if behind > limit and hours is not None and not hours.is_open(now):
            return verdict(Status.SKIPPED, "market_closed", f"the market is closed; {shown}")
        if behind > limit:
            return verdict(Status.CRITICAL, "slots_behind", f"{shown}, limit {limit}")
        return verdict(Status.OK, "posted", f"{shown}, limit {limit}")
