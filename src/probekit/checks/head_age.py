"""Does the chain move, as far as its endpoints show it?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import ChainState
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class HeadAge:
    """Rule over a chain, or one endpoint's view of it: now minus the newest block's own time against ``max_age``.

    Beyond it CRITICAL ``head_stale``: the chain stands still, or every endpoint asked lags; the message has what the pool
    thinks of each. A block from the future by more than this clock's error and ``max_ahead`` is CRITICAL ``head_ahead``. Where
    nothing bounds the clock's error, or by more than a third of the limit: UNKNOWN ``clock``. Block times are whole seconds.
    """

    max_age: timedelta = timedelta(seconds=60)
    max_ahead: timedelta = timedelta(seconds=30)
    name: ClassVar[str] = "head_age"

    def __post_init__(self) -> None:
        if self.max_age <= timedelta(0):
            raise ValueError(f"max_age must be positive, not {self.max_age}")
        if self.max_ahead < timedelta(0):
            raise ValueError(f"max_ahead must not be negative, but is {self.max_ahead}")

    def __call__(self, observation: Observation[ChainState], *, now: Instant) -> Verdict:
        head, limit_ns, error_ns = observation.value.head, to_ns(self.max_age), observation.clock_error_ns
        age_ns = now.since(head.time)
        measures = (Measure("chain.head_age", age_ns, "ns"),)

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, age_ns, limit_ns, "ns", measures=measures)

        shown = f"head {head.number} is {format_ns(age_ns)} old, limit {format_ns(limit_ns)}"
        if error_ns is None:
            return verdict(Status.UNKNOWN, "clock", f"{shown}, but nothing bounds this clock's error")
        if error_ns * 3 > limit_ns:
            return verdict(
                Status.UNKNOWN, "clock", f"{shown}, but this clock may be off by {format_ns(error_ns)}, more than a third of it"
            )
        if age_ns < -(to_ns(self.max_ahead) + error_ns):
            return verdict(Status.CRITICAL, "head_ahead", f"head {head.number} is {format_ns(-age_ns)} ahead of this clock")
        if age_ns > limit_ns:
            told = "; ".join(f"{one.label} {one.reason or one.state}" for one in observation.value.endpoints)
            whose = f"its endpoints do ({told})" if told else "this endpoint does"
            return verdict(Status.CRITICAL, "head_stale", f"{shown}: the chain stands still, or {whose}")
        return verdict(Status.OK, "moving", shown)
