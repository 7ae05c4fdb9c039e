"""Does what an endpoint called final stay so?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.model.endpoint_head import EndpointHead, FinalPoint
from probekit.units import Instant, format_ns, to_ns


class FinalMemory(msgspec.Struct, frozen=True):
    """The highest finalized number that the endpoint told, its block's own time where that is told, and since when it tells a
    lower one; ``None`` while it does not.
    """

    highest: int | None = None
    time: Instant | None = None
    fell_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class FinalityHolds:
    """Fold over an endpoint: its finalized block (slot) never goes back, and is never above its safe (confirmed) one.

    Back by more than ``tolerance`` is CRITICAL ``went_back`` for ``hold``, after which the lower number is taken for the new
    beginning: less than that is what two nodes behind one address differ by. It is counted in the blocks' own time, because
    an epoch of Ethereum is 32 of its blocks and a thousand of a rollup's; ``tolerance_slots`` stands in where a family tells no
    time of a finalized slot. Finalized above safe is WARNING ``out_of_order``. Where no finalized one is told, SKIPPED
    ``no_finality``. One number and two times are remembered.
    """

    tolerance: timedelta = timedelta(minutes=15)
    tolerance_slots: int = 150
    hold: timedelta = timedelta(minutes=10)
    name: ClassVar[str] = "finality_holds"

    def __post_init__(self) -> None:
        if self.tolerance < timedelta(0):
            raise ValueError(f"tolerance must not be negative, but is {self.tolerance}")
        if self.tolerance_slots < 0:
            raise ValueError(f"tolerance_slots must not be negative, but is {self.tolerance_slots}")
        if self.hold <= timedelta(0):
            raise ValueError(f"hold must be positive, not {self.hold}")

    def init(self) -> FinalMemory:
        return FinalMemory()

    def step(
        self, state: FinalMemory, observation: Observation[EndpointHead] | None, *, now: Instant
    ) -> tuple[FinalMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "nothing new was seen")
        seen, at = observation.value, observation.observed_at
        if seen.final is None or seen.final.number is None:
            return state, Verdict(self.name, Status.SKIPPED, "no_finality", "the endpoint tells nothing that is final")
        number, highest = seen.final.number, state.highest
        if highest is None or number >= highest or (state.fell_at is not None and at.since(state.fell_at) > to_ns(self.hold)):
            state = FinalMemory(number, seen.final.time)
        else:
            back, back_ns = highest - number, _time_back_ns(state, seen.final)
            fell_at = at if state.fell_at is None else state.fell_at
            if back > self.tolerance_slots if back_ns is None else back_ns > to_ns(self.tolerance):
                allowed = f"{self.tolerance_slots} {seen.counted}" if back_ns is None else format_ns(to_ns(self.tolerance))
                far = f"{back} {seen.counted}" if back_ns is None else f"{back} {seen.counted} and {format_ns(back_ns)}"
                words = (
                    f"{seen.final.level} {number}, {far} below {highest} that was final before, tolerance {allowed}; for "
                    f"{format_ns(at.since(fell_at))}"
                )
                state = FinalMemory(highest, state.time, fell_at)
                if back_ns is None:
                    verdict = Verdict(self.name, Status.CRITICAL, "went_back", words, back, self.tolerance_slots, "count")
                else:
                    limit_ns = to_ns(self.tolerance)
                    verdict = Verdict(self.name, Status.CRITICAL, "went_back", words, back_ns, limit_ns, "ns")
                return state, verdict
            state = FinalMemory(highest, state.time)
        if seen.soft is not None and seen.soft.number is not None and seen.soft.number < number:
            words = f"{seen.final.level} {number} is above {seen.soft.level} {seen.soft.number}"
            return state, Verdict(self.name, Status.WARNING, "out_of_order", words)
        before = "none higher was final before"
        if state.highest is not None and state.highest > number:
            before = f"{state.highest - number} {seen.counted} below {state.highest} that was final before, within tolerance"
        return state, Verdict(self.name, Status.OK, "holding", f"{seen.final.level} {number}, {before}")


def _time_back_ns(state: FinalMemory, final: FinalPoint) -> int | None:
    """How far ``final`` is before the highest, in the blocks' own time; ``None`` where either has none."""
    return None if state.time is None or final.time is None else state.time.since(final.time)
