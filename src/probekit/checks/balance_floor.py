"""Does a wallet hold enough?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.wallet import Holding
from probekit.units import Amount, Instant


class FloorMemory(msgspec.Struct, frozen=True):
    """The newest state that was read."""

    newest: Holding | None = None


@dataclass(frozen=True, slots=True)
class BalanceFloor:
    """Fold over what a wallet holds: CRITICAL ``below_floor`` under ``critical``, WARNING ``low`` under ``warn``.

    Amounts are compared exactly. A read of an older block or slot than the newest seen is not judged: a lagging endpoint must
    not bring back a balance of the past. A threshold in another unit than the wallet's is UNKNOWN ``wrong_unit``. State: one
    holding. Raises ``ValueError`` unless ``critical`` is below ``warn``, both in one unit.
    """

    critical: Amount
    warn: Amount | None = None
    name: ClassVar[str] = "balance_floor"

    def __post_init__(self) -> None:
        if self.warn is not None and self.warn.unit != self.critical.unit:
            raise ValueError(f"critical is in {self.critical.unit}, warn in {self.warn.unit}: one unit for both")
        if self.warn is not None and self.warn.value <= self.critical.value:
            raise ValueError(f"warn must be above critical: {self.warn} is not above {self.critical}")

    def init(self) -> FloorMemory:
        return FloorMemory()

    def step(
        self, state: FloorMemory, observation: Observation[Holding] | None, *, now: Instant
    ) -> tuple[FloorMemory, Verdict]:
        newest = state.newest
        if observation is not None and (newest is None or observation.value.height >= newest.height):
            newest = observation.value
        if newest is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "the balance has not been read yet")
        state, limit = FloorMemory(newest), self.critical
        if newest.unit != limit.unit:
            return state, Verdict(
                self.name, Status.UNKNOWN, "wrong_unit", f"the balance is in {newest.unit}, the floor in {limit.unit}"
            )
        if newest.coins < limit.value:
            status, reason, told = Status.CRITICAL, "below_floor", f"the floor is {limit}"
        elif self.warn is not None and newest.coins < self.warn.value:
            status, reason, told, limit = Status.WARNING, "low", f"warning below {self.warn}", self.warn
        else:
            status, reason, told = Status.OK, "funded", f"the floor is {limit}"
        message = f"{newest.text(newest.amount)} at {newest.height}, {told}"
        measures = (Measure("wallet.balance", newest.coins, "coins"),)
        return state, Verdict(self.name, status, reason, message, newest.coins, limit.value, "coins", measures=measures)
