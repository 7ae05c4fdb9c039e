"""How long does the balance last?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.wallet import Holding, Spending
from probekit.units import NS_PER_S, Instant, format_ns, to_ns


class RunwayMemory(msgspec.Struct, frozen=True):
    """How the wallet has spent over the window: bounded by :class:`~probekit.model.wallet.Spending`."""

    spending: Spending = Spending()


@dataclass(frozen=True, slots=True)
class Runway:
    """Fold over what a wallet holds: the balance over the robust rate at which it is spent, in integers.

    The rate is what was spent within ``window`` over the time watched. Top-ups are left out with their time; a step of more
    than ``outlier_factor`` times the median of those that spent is left out of the sum: that is an outflow's, not the rate's.
    CRITICAL ``short_runway`` under ``critical``, WARNING ``shortening_runway`` under ``warn``; SKIPPED ``pending`` until
    ``min_history`` was watched. Nothing spent: OK ``idle``. State: at most 256 steps and 63 decreases. Raises ``ValueError``
    for limits that do not fit together.
    """

    critical: timedelta = timedelta(hours=24)
    warn: timedelta | None = timedelta(hours=72)
    window: timedelta = timedelta(hours=24)
    min_history: timedelta = timedelta(hours=1)
    outlier_factor: int = 20
    name: ClassVar[str] = "runway"

    def __post_init__(self) -> None:
        if self.critical <= timedelta(0) or (self.warn is not None and self.warn <= self.critical):
            raise ValueError(f"0 < critical < warn must hold, not {self.critical} and {self.warn}")
        if not timedelta(0) < self.min_history <= self.window:
            raise ValueError(f"0 < min_history <= window must hold, not {self.min_history} and {self.window}")
        if self.outlier_factor < 2:
            raise ValueError(f"outlier_factor must be at least 2, not {self.outlier_factor}")

    def init(self) -> RunwayMemory:
        return RunwayMemory()

    def step(
        self, state: RunwayMemory, observation: Observation[Holding] | None, *, now: Instant
    ) -> tuple[RunwayMemory, Verdict]:
        spending = state.spending
        if observation is not None:
            spending, _ = spending.after(
                observation.value, observation.observed_at, to_ns(self.window), factor=self.outlier_factor
            )
            state = RunwayMemory(spending)
        holding, limit_ns = spending.last, to_ns(self.critical)
        burnt, watched_ns = spending.burn(self.outlier_factor)
        if holding is None or watched_ns < to_ns(self.min_history):
            told = f"{format_ns(watched_ns)} of {format_ns(to_ns(self.min_history))} watched"
            return state, Verdict(self.name, Status.SKIPPED, "pending", told)
        if not burnt:
            told = f"nothing was spent in {format_ns(watched_ns)}"
            return state, Verdict(self.name, Status.OK, "idle", told)
        left_ns = holding.amount * watched_ns // burnt
        by_day = burnt * 86_400 * NS_PER_S // watched_ns
        told = f"{holding.text(holding.amount)} lasts {format_ns(left_ns)} at {holding.about(by_day)} a day"
        if left_ns < limit_ns:
            status, reason = Status.CRITICAL, "short_runway"
        elif self.warn is not None and left_ns < to_ns(self.warn):
            status, reason, limit_ns = Status.WARNING, "shortening_runway", to_ns(self.warn)
        else:
            status, reason = Status.OK, "lasting"
        message = f"{told}, limit {format_ns(limit_ns)}"
        measures = (Measure("wallet.runway", left_ns, "ns"),)
        return state, Verdict(self.name, status, reason, message, left_ns, limit_ns, "ns", measures=measures)
