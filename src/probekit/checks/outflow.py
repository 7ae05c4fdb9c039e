"""Did money leave that nobody was to take?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.model.wallet import MAX_SPENDS, Holding, Spending
from probekit.units import Amount, Instant, format_decimal, to_ns


class Taken(msgspec.Struct, frozen=True):
    """One outflow: coins that left, the most that would have been usual, and the read that showed it."""

    coins: Decimal
    limit: Decimal
    unit: str
    height: int
    at: Instant


class OutflowMemory(msgspec.Struct, frozen=True):
    """How the wallet has spent (bounded by :class:`~probekit.model.wallet.Spending`), and the last outflow."""

    spending: Spending = Spending()
    taken: Taken | None = None


@dataclass(frozen=True, slots=True)
class Outflow:
    """Fold over what a wallet holds: CRITICAL ``outflow`` when one step takes more than ``max_outflow``, or more than
    ``factor`` times what such a step usually takes, once ``min_spends`` decreases were seen. It names the amount and stays for
    ``hold``.

    The limit is ``factor`` times the median decrease, or in a long step three times the robust rate, whichever is more.
    Without ``max_outflow`` and before ``min_spends`` it is SKIPPED ``pending``. ``max_outflow`` in another unit is UNKNOWN
    ``wrong_unit``. State: as :class:`Runway`, and one outflow. Raises ``ValueError`` for limits that cannot be.
    """

    max_outflow: Amount | None = None
    factor: int = 20
    min_spends: int = 16
    window: timedelta = timedelta(hours=24)
    hold: timedelta = timedelta(hours=1)
    name: ClassVar[str] = "outflow"

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"factor must be at least 2, not {self.factor}")
        if not 1 <= self.min_spends <= MAX_SPENDS:
            raise ValueError(f"min_spends must lie between 1 and {MAX_SPENDS}, not {self.min_spends}")
        if self.window <= timedelta(0) or self.hold < timedelta(0):
            raise ValueError("window must be positive, hold not negative")

    def init(self) -> OutflowMemory:
        return OutflowMemory()

    def step(
        self, state: OutflowMemory, observation: Observation[Holding] | None, *, now: Instant
    ) -> tuple[OutflowMemory, Verdict]:
        spending, taken = state.spending, state.taken
        known = len(spending.spends) >= self.min_spends
        if observation is not None:
            holding, seen_at = observation.value, observation.observed_at
            if not holding.measured_in(self.max_outflow):
                return state, Verdict(
                    self.name,
                    Status.UNKNOWN,
                    "wrong_unit",
                    f"the balance is in {holding.unit}, max_outflow is {self.max_outflow}",
                )
            spending, step = spending.after(holding, seen_at, to_ns(self.window), factor=self.factor)
            limits = [] if self.max_outflow is None else [self.max_outflow.value]
            if step is not None and step.usual is not None and known:
                limits.append(holding.of(step.usual))
            if step is not None and limits and holding.of(step.spent) > min(limits):
                taken = Taken(holding.of(step.spent), min(limits), holding.unit, holding.height, seen_at)
        if taken is not None and now.since(taken.at) > to_ns(self.hold):
            taken = None
        state = OutflowMemory(spending, taken)
        if taken is not None:
            message = (
                f"{format_decimal(taken.coins)} {taken.unit} left in one step, seen at {taken.height}, {taken.at}; "
                f"limit {format_decimal(taken.limit)} {taken.unit}"
            )
            return state, Verdict(self.name, Status.CRITICAL, "outflow", message, taken.coins, taken.limit, "coins")
        if self.max_outflow is None and len(spending.spends) < self.min_spends:
            told = f"{len(spending.spends)} of {self.min_spends} decreases seen"
            return state, Verdict(self.name, Status.SKIPPED, "pending", told)
        return state, Verdict(self.name, Status.OK, "usual", "no step took more than is usual")
