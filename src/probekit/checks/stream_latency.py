"""Do a stream's updates arrive while they are still new?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.lazer_pace import StreamPace
from probekit.model.verdict import MeasureName
from probekit.units import Instant, format_ns, to_ns


class PaceMemory(msgspec.Struct, frozen=True):
    """The last ages at arrival, oldest first, when the newest of them came, and how far this clock could be off then."""

    samples: tuple[int, ...] = ()
    last_at: Instant | None = None
    error_ns: int | None = None


@dataclass(frozen=True, slots=True)
class StreamLatency:
    """Fold over the pace of a stream: the ``percentile`` (nearest rank) of the last ``samples`` ages at arrival against
    ``budget``. An age is from a feed's own time stamp to the update being here.

    CRITICAL ``over_budget`` above it; SKIPPED ``pending`` below ``min_samples``, and ``quiet`` once nothing new came for
    ``max_silence``: what is silent is told by other checks. An age is a difference of two clocks: where nothing bounds this
    one's error, or it is above a third of ``budget``, or half of the updates lie ahead of it by more than that error, UNKNOWN
    ``clock``. State: at most ``samples`` integers.
    """

    budget: timedelta
    percentile: int = 95
    samples: int = 500
    min_samples: int = 20
    max_silence: timedelta = timedelta(seconds=10)
    name: ClassVar[str] = "stream_latency"

    def __post_init__(self) -> None:
        if self.budget <= timedelta(0) or self.max_silence <= timedelta(0):
            raise ValueError("budget and max_silence must be positive")
        if not 1 <= self.percentile <= 100:
            raise ValueError(f"percentile must lie between 1 and 100, not {self.percentile}")
        if not 1 <= self.min_samples <= self.samples <= 10_000:
            raise ValueError("1 <= min_samples <= samples <= 10000 must hold")

    @property
    def records(self) -> tuple[tuple[MeasureName, int | None], ...]:
        """The histogram of ages, with the budget among its edges."""
        return (("stream.latency", to_ns(self.budget)),)

    def init(self) -> PaceMemory:
        return PaceMemory()

    def step(
        self, state: PaceMemory, observation: Observation[StreamPace] | None, *, now: Instant
    ) -> tuple[PaceMemory, Verdict]:
        limit_ns = to_ns(self.budget)
        measures: tuple[Measure, ...] = ()
        if observation is not None and observation.value.arrival_ns:
            new = observation.value.arrival_ns
            state = PaceMemory((*state.samples, *new)[-self.samples :], now, observation.clock_error_ns)
            measures = tuple(Measure("stream.latency", max(age_ns, 0), "ns") for age_ns in new)
        error_ns = state.error_ns

        def verdict(status: Status, reason: str, message: str, value_ns: int | None = None) -> tuple[PaceMemory, Verdict]:
            return state, Verdict(self.name, status, reason, message, value_ns, limit_ns, "ns", measures=measures)

        silent_ns = 0 if state.last_at is None else now.since(state.last_at)
        if silent_ns > to_ns(self.max_silence):
            # What comes after it is another story than what came before.
            state = PaceMemory((), state.last_at, state.error_ns)
            return verdict(Status.SKIPPED, "quiet", f"nothing new for {format_ns(silent_ns)}")
        count = len(state.samples)
        if count < self.min_samples:
            return verdict(Status.SKIPPED, "pending", f"{count} of {self.min_samples} updates with a new price")
        if error_ns is None or error_ns * 3 > limit_ns:
            off = "nothing bounds this clock's error" if error_ns is None else f"this clock may be off by {format_ns(error_ns)}"
            return verdict(Status.UNKNOWN, "clock", f"{off}, and the budget is {format_ns(limit_ns)}")
        ordered = sorted(state.samples)
        middle_ns, value_ns, p99_ns = (ordered[_rank(count, percent)] for percent in (50, self.percentile, 99))
        if middle_ns < -error_ns:
            words = (
                f"half of the updates lie {format_ns(-middle_ns)} ahead of this clock, which is off by {format_ns(error_ns)}"
            )
            return verdict(Status.UNKNOWN, "clock", f"{words} at most")
        shown = (
            f"p{self.percentile} of {count} is {format_ns(value_ns)}, budget {format_ns(limit_ns)}; "
            f"p50 {format_ns(middle_ns)}, p99 {format_ns(p99_ns)}"
        )
        if value_ns > limit_ns:
            return verdict(Status.CRITICAL, "over_budget", shown, value_ns)
        return verdict(Status.OK, "within_budget", shown, value_ns)


def _rank(count: int, percent: int) -> int:
    return (count * percent + 99) // 100 - 1
