"""Is an exchange fast enough, often enough?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.verdict import MeasureName
from probekit.units import Instant, format_ns, to_ns


class LatencySample(msgspec.Struct, frozen=True, gc=False):
    """How long one exchange took, in ns on the monotonic clock; ``stage`` names what was timed. ``None``: there was nothing to
    ask for, and nothing was.
    """

    elapsed_ns: int | None
    stage: str = "total"


class LatencyMemory(msgspec.Struct, frozen=True):
    """The last samples, oldest first: at most ``LatencyBudget.samples``."""

    samples: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LatencyBudget:
    """Fold over latency samples: the ``percentile`` (nearest rank) of the last ``samples`` against ``budget``.

    CRITICAL ``over_budget`` above it; SKIPPED ``pending`` below ``min_samples``, and where there was nothing to ask for. One
    slow exchange never fails a percentile below 100 once there are enough samples. State: at most ``samples`` integers.
    """

    budget: timedelta
    percentile: int = 95
    samples: int = 100
    min_samples: int = 1
    name: ClassVar[str] = "latency_budget"

    def __post_init__(self) -> None:
        if self.budget <= timedelta(0):
            raise ValueError(f"budget must be positive, not {self.budget}")
        if not 1 <= self.percentile <= 100:
            raise ValueError(f"percentile must lie between 1 and 100, not {self.percentile}")
        if not 1 <= self.min_samples <= self.samples <= 10_000:
            raise ValueError("1 <= min_samples <= samples <= 10000 must hold")

    @property
    def records(self) -> tuple[tuple[MeasureName, int | None], ...]:
        """The histogram of samples, with the budget among its edges."""
        return (("latency", to_ns(self.budget)),)

    def init(self) -> LatencyMemory:
        return LatencyMemory()

    def step(
        self, state: LatencyMemory, observation: Observation[LatencySample] | None, *, now: Instant
    ) -> tuple[LatencyMemory, Verdict]:
        measures: tuple[Measure, ...] = ()
        if observation is not None:
            elapsed_ns = observation.value.elapsed_ns
            if elapsed_ns is None:
                return state, Verdict(self.name, Status.SKIPPED, "pending", "there was nothing to ask for")
            state = LatencyMemory((*state.samples, elapsed_ns)[-self.samples :])
            measures = (Measure("latency", elapsed_ns, "ns"),)
        count = len(state.samples)
        if count < self.min_samples or count == 0:
            return state, Verdict(
                self.name, Status.SKIPPED, "pending", f"{count} of {self.min_samples} samples", measures=measures
            )
        rank = (count * self.percentile + 99) // 100 - 1
        value_ns, limit_ns = sorted(state.samples)[rank], to_ns(self.budget)
        shown = f"p{self.percentile} of {count} is {format_ns(value_ns)}, budget {format_ns(limit_ns)}"
        over = value_ns > limit_ns
        return state, Verdict(
            self.name,
            Status.CRITICAL if over else Status.OK,
            "over_budget" if over else "within_budget",
            shown,
            value_ns,
            limit_ns,
            "ns",
            measures=measures,
        )
