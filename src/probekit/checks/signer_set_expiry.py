"""Is the end of a signer set near?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.signer_set import SetSighting
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class SignerSetExpiry:
    """Rule over the set that a place has in force: CRITICAL ``expired`` from its expiry on, WARNING ``expiring`` within
    ``warn_before`` of it.

    A set without an expiry is OK ``no_expiry``: it ends when another is installed. Raises ``ValueError`` when
    ``warn_before`` is negative.
    """

    warn_before: timedelta = timedelta(days=7)
    name: ClassVar[str] = "signer_set_expiry"

    def __post_init__(self) -> None:
        if self.warn_before < timedelta(0):
            raise ValueError(f"warn_before must not be negative, but is {self.warn_before}")

    def __call__(self, observation: Observation[SetSighting], *, now: Instant) -> Verdict:
        expires_at = observation.value.expires_at
        if expires_at is None:
            return Verdict(self.name, Status.OK, "no_expiry", "no end is set")
        left_ns, limit_ns = expires_at.since(now), to_ns(self.warn_before)
        ends = f"at {expires_at}"
        if left_ns <= 0:
            status, reason, message = Status.CRITICAL, "expired", f"the set expired {format_ns(-left_ns)} ago, {ends}"
        elif left_ns <= limit_ns:
            status, reason, message = Status.WARNING, "expiring", f"the set expires in {format_ns(left_ns)}, {ends}"
        else:
            status, reason, message = Status.OK, "valid", f"the set expires in {format_ns(left_ns)}, {ends}"
        measures = (Measure("signer_set.time_left", left_ns, "ns"),)
        return Verdict(self.name, status, reason, message, left_ns, limit_ns, "ns", measures=measures)
