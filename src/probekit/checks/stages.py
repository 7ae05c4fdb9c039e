"""Which stage of an update's way is slow?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.model.journey import JourneyProgress
from probekit.units import Instant, format_ns, to_ns

BudgetedStage = Literal["aggregated", "attested", "proven", "arrived", "landed"]


class StageWindow(msgspec.Struct, frozen=True):
    """The last durations of one stage with the bounds of their errors, oldest first."""

    stage: str
    samples: tuple[tuple[int, int | None], ...] = ()


class StageMemory(msgspec.Struct, frozen=True):
    """A window for each stage with a budget: at most ``StageBudget.samples`` pairs in each."""

    windows: tuple[StageWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class StageBudget:
    """Fold over stage durations: each stage's ``percentile`` (nearest rank) of the last ``samples`` against its own budget.

    CRITICAL above it by more than the clocks may be off, with the slow stage as the reason (``slow_attested``, ...); of several
    the one that is most above its budget, all of them in the message. WARNING ``within_error`` above it by less; UNKNOWN
    ``clock`` above it where nothing bounds the error; SKIPPED ``pending`` before the first duration. Durations are signed: a
    negative one counts as it is. A stage without a budget is not judged.
    """

    aggregated: timedelta | None = None
    attested: timedelta | None = None
    proven: timedelta | None = None
    arrived: timedelta | None = None
    landed: timedelta | None = None
    percentile: int = 95
    samples: int = 100
    name: ClassVar[str] = "stage_budget"

    def __post_init__(self) -> None:
        budgets = self._budgets()
        if not budgets:
            raise ValueError("no stage has a budget")
        for stage, limit_ns in budgets.items():
            if limit_ns <= 0:
                raise ValueError(f"the budget of {stage} must be positive")
        if not 1 <= self.percentile <= 100:
            raise ValueError(f"percentile must lie between 1 and 100, not {self.percentile}")
        if not 1 <= self.samples <= 10_000:
            raise ValueError(f"samples must lie between 1 and 10000, not {self.samples}")

    def _budgets(self) -> dict[str, int]:
        given = {
            "aggregated": self.aggregated,
            "attested": self.attested,
            "proven": self.proven,
            "arrived": self.arrived,
            "landed": self.landed,
        }
        return {stage: to_ns(budget) for stage, budget in given.items() if budget is not None}

    def init(self) -> StageMemory:
        return StageMemory(tuple(StageWindow(stage) for stage in self._budgets()))

    def step(
        self, state: StageMemory, observation: Observation[JourneyProgress] | None, *, now: Instant
    ) -> tuple[StageMemory, Verdict]:
        if observation is not None and observation.value.times:
            state = StageMemory(tuple(self._taken(window, observation.value) for window in state.windows))
        budgets, rank = self._budgets(), self._rank
        found = [
            (window.stage, rank(window.samples), budgets[window.stage], len(window.samples))
            for window in state.windows
            if window.samples
        ]
        if not found:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "no stage has been timed yet")
        over = [one for one in found if one[1][0] > one[2]]
        surely = [one for one in over if one[1][1] is not None and one[1][0] - one[1][1] > one[2]]
        unbounded = [one for one in over if one[1][1] is None]
        shown = "; ".join(
            f"{stage}: p{self.percentile} of {count} is {format_ns(value_ns)}"
            f"{'' if error_ns is None else f' ±{format_ns(error_ns)}'}, budget {format_ns(limit_ns)}"
            for stage, (value_ns, error_ns), limit_ns, count in surely or over or found
        )
        stage, (value_ns, _), limit_ns, _ = max(surely or unbounded or over or found, key=lambda one: one[1][0] - one[2])
        if not over:
            return state, Verdict(self.name, Status.OK, "within_budget", shown, value_ns, limit_ns, "ns")
        if not surely:
            if unbounded:
                message = f"{shown}; nothing bounds the error of its clock"
                return state, Verdict(self.name, Status.UNKNOWN, "clock", message, value_ns, limit_ns, "ns")
            return state, Verdict(self.name, Status.WARNING, "within_error", shown, value_ns, limit_ns, "ns")
        if stage == "aggregated":
            reason = "slow_aggregated"
        elif stage == "attested":
            reason = "slow_attested"
        elif stage == "proven":
            reason = "slow_proven"
        elif stage == "arrived":
            reason = "slow_arrived"
        else:
            reason = "slow_landed"
        return state, Verdict(self.name, Status.CRITICAL, reason, shown, value_ns, limit_ns, "ns")

    def _taken(self, window: StageWindow, progress: JourneyProgress) -> StageWindow:
        new = tuple((one.elapsed_ns, one.error_ns) for one in progress.times if one.stage == window.stage)
        return StageWindow(window.stage, (*window.samples, *new)[-self.samples :]) if new else window

    def _rank(self, samples: tuple[tuple[int, int | None], ...]) -> tuple[int, int | None]:
        ordered = sorted(samples, key=lambda one: one[0])
        return ordered[(len(ordered) * self.percentile + 99) // 100 - 1]
