"""Was as much of the posted update verified as its readers want?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Observation, Status, Verdict
from probekit.model.chain_feed import ReceiverFeed
from probekit.model.receiver import FULL, VerificationLevel
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class VerificationDepth:
    """Rule over a push feed on Solana: the verification level of its account against ``wanted``.

    Less is CRITICAL ``under_verified``: readers refuse such an account, or should. Where nothing is posted: SKIPPED.
    """

    wanted: VerificationLevel = FULL
    name: ClassVar[str] = "verification_depth"

    def __call__(self, observation: Observation[ReceiverFeed], *, now: Instant) -> Verdict:
        level = observation.value.level
        if level is None:
            return Verdict(self.name, Status.SKIPPED, "nothing_stored", "nobody has posted it on this cluster")
        if not level.at_least(self.wanted):
            return Verdict(self.name, Status.CRITICAL, "under_verified", f"verified only {level}, {self.wanted} wanted")
        return Verdict(self.name, Status.OK, "verified", f"verified {level}, {self.wanted} wanted")
