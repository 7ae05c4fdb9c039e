"""Does an endpoint's head move, by this host's count of time?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.model.endpoint_head import EndpointHead
from probekit.units import Instant, format_ns, to_ns


class StandMemory(msgspec.Struct, frozen=True):
    """The highest head and block height that the endpoint showed, each with when it was first seen; ``None`` before that."""

    number: int | None = None
    since: Instant | None = None
    height: int | None = None
    height_since: Instant | None = None


@dataclass(frozen=True, slots=True)
class HeadStall:
    """Fold over an endpoint: how long ago its head was last seen to rise, against ``max_stall``.

    Longer is CRITICAL ``stalled``, whatever the blocks' own times say. Where slots may be skipped and the height of blocks
    stands still while slots go on: CRITICAL ``no_blocks``. A head that falls back (another node behind the address, a reorg)
    has not risen until it is above where it was. Two numbers and two times are remembered.
    """

    max_stall: timedelta = timedelta(seconds=60)
    name: ClassVar[str] = "head_stall"

    def __post_init__(self) -> None:
        if self.max_stall <= timedelta(0):
            raise ValueError(f"max_stall must be positive, not {self.max_stall}")

    def init(self) -> StandMemory:
        return StandMemory()

    def step(
        self, state: StandMemory, observation: Observation[EndpointHead] | None, *, now: Instant
    ) -> tuple[StandMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "nothing new was seen")
        seen, at = observation.value, observation.observed_at
        number, since = self._higher(state.number, state.since, seen.head.number, at)
        height, height_since = state.height, state.height_since
        if seen.height is not None:
            height, height_since = self._higher(height, height_since, seen.height, at)
        state = StandMemory(number, since, height, height_since)
        limit_ns = to_ns(self.max_stall)
        stood_ns, blocks_ns = at.since(since), 0 if height_since is None else at.since(height_since)
        shown = f"head {number} was first seen {format_ns(stood_ns)} ago, limit {format_ns(limit_ns)}"
        if seen.head.number < number:
            shown += f"; it shows {seen.head.number} now"
        if stood_ns > limit_ns:
            return state, Verdict(self.name, Status.CRITICAL, "stalled", shown, stood_ns, limit_ns, "ns")
        if blocks_ns > limit_ns:
            words = f"block height {height} was first seen {format_ns(blocks_ns)} ago while slots go on; {shown}"
            return state, Verdict(self.name, Status.CRITICAL, "no_blocks", words, blocks_ns, limit_ns, "ns")
        return state, Verdict(self.name, Status.OK, "rising", shown, stood_ns, limit_ns, "ns")

    @staticmethod
    def _higher(known: int | None, since: Instant | None, number: int, at: Instant) -> tuple[int, Instant]:
        if known is None or since is None or number > known:
            return number, at
        return known, since
