"""Can a provider of random numbers take more requests, and for what fee?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.entropy_watch import EntropyLook
from probekit.units import Amount, Instant


@dataclass(frozen=True, slots=True)
class EntropyProvider:
    """Rule over a look at a provider: CRITICAL ``not_registered``; ``must_advance`` when the next request is refused until one
    is revealed (LastRevealedTooOld); ``used_up`` when its hash chain is good for fewer than ``critical_remaining`` more.
    WARNING ``running_out`` below ``warn_remaining``, ``dear`` when its fee is above ``max_fee``. UNKNOWN ``wrong_unit`` for a
    ``max_fee`` in another unit. Raises ``ValueError`` unless ``critical_remaining`` is below ``warn_remaining``.
    """

    critical_remaining: int = 1_000
    warn_remaining: int = 10_000
    max_fee: Amount | None = None
    name: ClassVar[str] = "entropy_provider"

    def __post_init__(self) -> None:
        if not 0 < self.critical_remaining < self.warn_remaining:
            raise ValueError("0 < critical_remaining < warn_remaining must hold")

    def __call__(self, observation: Observation[EntropyLook], *, now: Instant) -> Verdict:
        seen = observation.value
        fee = seen.coin.coins(seen.fee_wei)
        if not seen.registered:
            return Verdict(self.name, Status.CRITICAL, "not_registered", f"{seen.provider} is no provider of this contract")
        measures = (Measure("entropy.remaining", seen.remaining, "count"), Measure("entropy.fee", fee, "coins"))
        left = f"{seen.remaining} requests are left of the hash chain"

        def judge(status: Status, reason: str, message: str, limit: int) -> Verdict:
            return Verdict(self.name, status, reason, message, seen.remaining, limit, "count", measures=measures)

        if seen.hash_margin == 0:
            message = f"{seen.provider} must reveal before it takes another request; {left}"
            return Verdict(self.name, Status.CRITICAL, "must_advance", message, measures=measures)
        if seen.remaining < self.critical_remaining:
            return judge(Status.CRITICAL, "used_up", f"{left}, limit {self.critical_remaining}", self.critical_remaining)
        if seen.remaining < self.warn_remaining:
            return judge(Status.WARNING, "running_out", f"{left}, limit {self.warn_remaining}", self.warn_remaining)
        if self.max_fee is not None:
            if self.max_fee.unit != seen.coin.unit:
                message = f"max_fee is in {self.max_fee.unit}, the fee in {seen.coin.unit}"
                return Verdict(self.name, Status.UNKNOWN, "wrong_unit", message, measures=measures)
            if fee > self.max_fee.value:
                message = f"a request costs {seen.coin.text(seen.fee_wei)}, limit {self.max_fee}"
                limit = self.max_fee.value
                return Verdict(self.name, Status.WARNING, "dear", message, fee, limit, "coins", measures=measures)
        return judge(Status.OK, "taking", f"{left}; a request costs {seen.coin.text(seen.fee_wei)}", self.warn_remaining)
