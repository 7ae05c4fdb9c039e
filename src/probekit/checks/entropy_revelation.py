"""Does the service reveal the right numbers?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Observation, Status, Verdict
from probekit.model.entropy_watch import RevelationSeen
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class EntropyRevelation:
    """Rule over what the service says of a request that waits: CRITICAL ``wrong_revelation`` when its number does not belong to
    the hash chain that is committed to on chain, ``withheld`` when it gives none although the request waits, ``unknown_chain``
    when it does not work on the chain. UNKNOWN ``unchecked`` when the chain did not tell whether the request still waits. OK
    when it is proven, waits for confirmations, or nothing is to be revealed.
    """

    name: ClassVar[str] = "entropy_revelation"

    def __call__(self, observation: Observation[RevelationSeen], *, now: Instant) -> Verdict:
        seen = observation.value
        match seen.outcome:
            case "wrong":
                return Verdict(self.name, Status.CRITICAL, "wrong_revelation", seen.text)
            case "withheld":
                return Verdict(self.name, Status.CRITICAL, "withheld", seen.text)
            case "unknown_chain":
                return Verdict(self.name, Status.CRITICAL, "unknown_chain", seen.text)
            case "unchecked":
                return Verdict(self.name, Status.UNKNOWN, "unchecked", seen.text)
            case "proven":
                return Verdict(self.name, Status.OK, "proven", seen.text)
            case "needs_confirmations":
                return Verdict(self.name, Status.OK, "needs_confirmations", seen.text)
            case "nothing_pending" | "revealed":
                return Verdict(self.name, Status.OK, "nothing_pending", seen.text)
