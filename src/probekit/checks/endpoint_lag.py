"""Does an endpoint tell updates when the others do?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.lazer_pace import StreamPace
from probekit.units import Bps, Instant, format_ns, to_ns


class LagMemory(msgspec.Struct, frozen=True):
    """How far behind the first the last updates came, oldest first, when the newest of them did, and whether there was no other
    endpoint to compare with.
    """

    behind: tuple[int, ...] = ()
    last_at: Instant | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class EndpointLag:
    """Fold over the pace of a stream: the ``percentile`` of how long its updates came after the first endpoint's, against
    ``max_lag``; WARNING ``lagging`` above it, since the others deliver.

    Only the monotonic clock of this host is in it, so no clock's error is. SKIPPED ``pending`` below ``min_samples``, ``quiet``
    once nothing came for ``max_silence``, and ``alone`` while no other endpoint tells anything to compare with. Measured is
    also the share of updates that it was first with: what is left of it once duplicates are taken out. State: at most
    ``samples`` integers.
    """

    max_lag: timedelta = timedelta(milliseconds=100)
    percentile: int = 95
    samples: int = 500
    min_samples: int = 20
    max_silence: timedelta = timedelta(seconds=10)
    name: ClassVar[str] = "endpoint_lag"

    def __post_init__(self) -> None:
        if self.max_lag <= timedelta(0) or self.max_silence <= timedelta(0):
            raise ValueError("max_lag and max_silence must be positive")
        if not 1 <= self.percentile <= 100:
            raise ValueError(f"percentile must lie between 1 and 100, not {self.percentile}")
        if not 1 <= self.min_samples <= self.samples <= 10_000:
            raise ValueError("1 <= min_samples <= samples <= 10000 must hold")

    def init(self) -> LagMemory:
        return LagMemory()

    def step(self, state: LagMemory, observation: Observation[StreamPace] | None, *, now: Instant) -> tuple[LagMemory, Verdict]:
        limit_ns = to_ns(self.max_lag)

        def skipped(reason: str, message: str) -> Verdict:
            return Verdict(self.name, Status.SKIPPED, reason, message, None, limit_ns, "ns")

        if state.alone if observation is None else not observation.value.rivals:
            return LagMemory(alone=True), skipped("alone", "no other endpoint tells this channel: nothing to compare with")
        if observation is not None and observation.value.behind_ns:
            state = LagMemory((*state.behind, *observation.value.behind_ns)[-self.samples :], now)
        if state.last_at is not None and now.since(state.last_at) > to_ns(self.max_silence):
            silent = f"nothing to compare for {format_ns(now.since(state.last_at))}"
            return LagMemory((), state.last_at), skipped("quiet", silent)
        count = len(state.behind)
        if count < self.min_samples:
            return state, skipped("pending", f"{count} of {self.min_samples} updates compared")
        value_ns = sorted(state.behind)[(count * self.percentile + 99) // 100 - 1]
        first = Bps.of(state.behind.count(0), count)
        measures = (Measure("stream.behind", value_ns, "ns"), Measure("stream.first_share", first.value, "bps"))
        shown = (
            f"p{self.percentile} of {count} is {format_ns(value_ns)} behind the first, limit {format_ns(limit_ns)}; "
            f"first with {first.value / Decimal(100):.0f} %, duplicates the rest"
        )
        late = value_ns > limit_ns
        return state, Verdict(
            self.name,
            Status.WARNING if late else Status.OK,
            "lagging" if late else "abreast",
            shown,
            value_ns,
            limit_ns,
            "ns",
            measures=measures,
        )
