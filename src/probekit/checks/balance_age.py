"""Is what is known of a wallet recent?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.wallet import Holding
from probekit.units import Instant, format_ns, to_ns


class AgeMemory(msgspec.Struct, frozen=True):
    """The newest block or slot that was read, and when it was first seen here."""

    newest: Holding | None = None
    first_seen: Instant | None = None


@dataclass(frozen=True, slots=True)
class BalanceAge:
    """Fold over what a wallet holds: how old the newest state is that any read brought.

    UNKNOWN ``old_state`` beyond ``max_age``: every answer comes in time, and all are of the past, so that a flat line would
    look healthy. The age is counted from the block's own time where the chain tells it, else from when that slot was first seen
    here. State: one holding, one instant. Raises ``ValueError`` when ``max_age`` is not positive.
    """

    max_age: timedelta = timedelta(minutes=5)
    name: ClassVar[str] = "balance_age"

    def __post_init__(self) -> None:
        if self.max_age <= timedelta(0):
            raise ValueError(f"max_age must be positive, not {self.max_age}")

    def init(self) -> AgeMemory:
        return AgeMemory()

    def step(self, state: AgeMemory, observation: Observation[Holding] | None, *, now: Instant) -> tuple[AgeMemory, Verdict]:
        if observation is not None and (state.newest is None or observation.value.height > state.newest.height):
            state = AgeMemory(observation.value, observation.observed_at)
        newest, first_seen = state.newest, state.first_seen
        if newest is None or first_seen is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "the balance has not been read yet")
        age_ns, limit_ns = max(now.since(newest.time or first_seen), 0), to_ns(self.max_age)
        old = age_ns > limit_ns
        told = f"the newest state read is {newest.height}, {format_ns(age_ns)} old, limit {format_ns(limit_ns)}"
        return state, Verdict(
            self.name,
            Status.UNKNOWN if old else Status.OK,
            "old_state" if old else "recent",
            told,
            age_ns,
            limit_ns,
            "ns",
            measures=(Measure("wallet.age", age_ns, "ns"),),
        )
