"""Is every volume claim bound?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.checks.parts import of_listing
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Claim, Listing
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class ClaimBound:
    """Rule over a listing of PersistentVolumeClaims: CRITICAL ``claim_lost``, and ``claim_pending`` beyond ``grace``.

    Until then it is SKIPPED ``binding``; so is one that no pod asks for, ``no_consumer``: many storage classes bind no claim
    before that. Raises ``ValueError`` when ``grace`` is negative.
    """

    grace: timedelta = timedelta(minutes=5)
    name: ClassVar[str] = "claim_bound"

    def __post_init__(self) -> None:
        if self.grace < timedelta(0):
            raise ValueError(f"grace must not be negative, but is {self.grace}")

    def __call__(self, observation: Observation[Listing], *, now: Instant) -> Verdict:
        listing = observation.value
        judged = [part for one in listing.objects if (part := self._part(one, now)) is not None]
        return of_listing(
            Verdict(self.name, Status.OK, "bound", "every claim is bound"),
            Verdict(self.name, Status.SKIPPED, "nothing_listed", "there is no claim to judge"),
            judged,
            listing,
        )

    def _part(self, claim: Claim, now: Instant) -> Verdict | None:
        if claim.phase == "Lost":
            words = f"{claim.name} has lost its volume"
            return Verdict(self.name, Status.CRITICAL, "claim_lost", words, scope=claim.name)
        if claim.phase == "Bound":
            return None
        age_ns, grace_ns = now.since(claim.created_at), to_ns(self.grace)
        of_class = f" of class {claim.storage_class}" if claim.storage_class else ""
        words = f"{claim.name}{of_class} is {claim.phase or 'without a phase'} for {format_ns(age_ns)}"
        if claim.used is False:
            return Verdict(self.name, Status.SKIPPED, "no_consumer", f"{words}: no pod asks for it", scope=claim.name)
        if age_ns <= grace_ns:
            return Verdict(self.name, Status.SKIPPED, "binding", words, scope=claim.name)
        return Verdict(self.name, Status.CRITICAL, "claim_pending", words, age_ns, grace_ns, "ns", claim.name)
