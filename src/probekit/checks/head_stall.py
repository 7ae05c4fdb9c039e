"""Does an endpoint's head move, by this host's count of time?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.model.endpoint_head import EndpointHead
from probekit.units import Instant, format_ns, to_ns


class Standing(msgspec.Struct, frozen=True):
    """One number that should rise.

    ``highest`` and when it was first seen (``since``) and last (``shown_at``); below it, while something lower is shown, the
    newest of that (``lower``) and when it was last seen to rise (``lower_since``).
    """

    highest: int
    since: Instant
    shown_at: Instant
    lower: int | None = None
    lower_since: Instant | None = None

    def shown(self, number: int, at: Instant, *, forget_ns: int) -> Standing:
        """After ``number`` was shown at ``at``. A highest that was not shown for ``forget_ns`` gives way to the lower."""
        if number > self.highest:
            return Standing(number, at, at)
        if number == self.highest:
            return Standing(self.highest, self.since, at)
        lower, lower_since = self.lower, self.lower_since
        if lower is None or lower_since is None:
            # To fall is not to rise: what it fell to is as old as what it fell from.
            lower, lower_since = number, self.since
        else:
            lower, lower_since = number, at if number > lower else lower_since
        if at.since(self.shown_at) > forget_ns:
            return Standing(lower, lower_since, at)
        return Standing(self.highest, self.since, self.shown_at, lower, lower_since)


class StandMemory(msgspec.Struct, frozen=True):
    """How the endpoint's head and its block height stand; ``None`` before the first was shown."""

    number: Standing | None = None
    height: Standing | None = None


@dataclass(frozen=True, slots=True)
class HeadStall:
    """Fold over an endpoint: how long ago its head was last seen to rise, against ``max_stall``.

    Longer is CRITICAL ``stalled``, whatever the blocks' own times say. Where slots may be skipped and the height of blocks
    stands still while slots go on: CRITICAL ``no_blocks``. A head that falls back (another node behind the address, a reorg)
    has not risen until it is above where it was, or until the higher one was not shown for ``max_stall``: one wild head, or a
    node that was taken away, is not held against what follows. Two numbers and their times are remembered.
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
        limit_ns = to_ns(self.max_stall)
        number = _after(state.number, seen.head.number, at, limit_ns)
        height = state.height if seen.height is None else _after(state.height, seen.height, at, limit_ns)
        state = StandMemory(number, height)
        stood_ns, blocks_ns = at.since(number.since), 0 if height is None else at.since(height.since)
        shown = f"head {number.highest} was first seen {format_ns(stood_ns)} ago, limit {format_ns(limit_ns)}"
        if seen.head.number < number.highest:
            shown += f"; it shows {seen.head.number} now"
        if stood_ns > limit_ns:
            return state, Verdict(self.name, Status.CRITICAL, "stalled", shown, stood_ns, limit_ns, "ns")
        if height is not None and blocks_ns > limit_ns:
            words = f"block height {height.highest} was first seen {format_ns(blocks_ns)} ago while slots go on; {shown}"
            return state, Verdict(self.name, Status.CRITICAL, "no_blocks", words, blocks_ns, limit_ns, "ns")
        return state, Verdict(self.name, Status.OK, "rising", shown, stood_ns, limit_ns, "ns")


def _after(known: Standing | None, number: int, at: Instant, limit_ns: int) -> Standing:
    return Standing(number, at, at) if known is None else known.shown(number, at, forget_ns=limit_ns)
