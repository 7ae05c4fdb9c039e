"""Did the signed bytes prove what was served?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from probekit.errors import ProbekitError
from probekit.model import Measure, Observation, Status, TrustRoot, Verdict, Verified
from probekit.model.verdict import MeasureName
from probekit.units import Instant


class ProofResult(msgspec.Struct, frozen=True):
    """What became of verifying one feed's update: who signed, or the error that says why it does not hold."""

    verified: Verified | None = None
    error: ProbekitError | None = None


@dataclass(frozen=True, slots=True)
class ProofValidity:
    """Rule over a proof result: CRITICAL with the verification error's own type as reason, OK when it holds.

    ``expected_root`` narrows it to one trust root: a valid proof of the other is CRITICAL ``wrong_root``.
    """

    expected_root: TrustRoot | None = None
    name: ClassVar[str] = "proof_validity"
    records: ClassVar[tuple[tuple[MeasureName, int | None], ...]] = (("proof.updates", None),)

    def __call__(self, observation: Observation[ProofResult], *, now: Instant) -> Verdict:
        result = observation.value
        if result.error is not None:
            error_type = result.error.error_type
            return Verdict(
                self.name, Status.CRITICAL, error_type, result.error.message, error_type=error_type,
            )  # fmt: skip
        proof = result.verified
        if proof is None:
            return Verdict(self.name, Status.UNKNOWN, "no_proof", "the update carried no signed bytes")
        if self.expected_root is not None and proof.root is not self.expected_root:
            return Verdict(
                self.name,
                Status.CRITICAL,
                "wrong_root",
                f"signed by the {proof.root} root, set {proof.set_index}; expected the {self.expected_root} root",
                error_type="wrong_root",
            )
        return Verdict(
            self.name,
            Status.OK,
            "proven",
            f"{len(proof.signers)} signatures of {proof.root} set {proof.set_index}, quorum {proof.quorum}, slot {proof.slot}",
            measures=(Measure("proof.updates", 1, "count"),),
        )
