"""The verifier contract of EVM chains (``PythLazer``): a ready call for every function, its answer as a typed value.

Failures are texts: "Insufficient fee provided", "input too short", "invalid evm magic", "invalid signature", "invalid signer"
(unknown or expired). It checks neither the age of an update nor whether it was seen before. Older verifiers lack the getters of
signers. Source: pyth-crosschain ``lazer/contracts/evm/src/PythLazer.sol``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from probekit.codecs.evm.contract import ContractCall, Function
from probekit.codecs.evm.pyth import sorted_out
from probekit.codecs.lazer import payload
from probekit.model.evm import Address
from probekit.model.lazer import LazerPayload, LazerSigner
from probekit.model.pyth_evm import Unanswered
from probekit.units import Instant

VERIFY_UPDATE: Final = Function("verifyUpdate(bytes)", "bytes,address", payable=True)
VERIFICATION_FEE: Final = Function("verification_fee()", "uint256")
IS_VALID_SIGNER: Final = Function("isValidSigner(address)", "bool")
GET_TRUSTED_SIGNERS: Final = Function("getTrustedSigners()", "(address,uint256)[]")
GET_TRUSTED_SIGNER_EXPIRY: Final = Function("getTrustedSignerExpiry(address)", "uint256")
UPDATE_TRUSTED_SIGNER: Final = Function("updateTrustedSigner(address,uint256)")
OWNER: Final = Function("owner()", "address")
VERSION: Final = Function("version()", "string")


class OnChainVerdict(msgspec.Struct, frozen=True):
    """What the contract made of an update: the payload that it hands to its caller, and who signed it."""

    payload: bytes
    signer: Address

    def content(self) -> LazerPayload:
        """The payload, decoded. Raises ``DecodeError``."""
        return payload.decode(self.payload, "big")


class LazerVerifierState(msgspec.Struct, frozen=True):
    """The contract's configuration; what it did not answer is ``None`` and stands in ``unanswered`` with the reason."""

    version: str | None = None
    owner: Address | None = None
    fee_wei: int | None = None
    signers: tuple[LazerSigner, ...] | None = None
    unanswered: tuple[Unanswered, ...] = ()


def verify_update(update: bytes) -> ContractCall[OnChainVerdict]:
    """Verify an update in the form ``evm``. The fee goes with the call; more than it is given back."""
    return VERIFY_UPDATE.call(update).then(lambda row: OnChainVerdict(*row))


def verification_fee() -> ContractCall[int]:
    """Wei for one update."""
    return VERIFICATION_FEE.one()


def is_valid_signer(signer: Address) -> ContractCall[bool]:
    """Whether its signatures count now, by the clock of the block."""
    return IS_VALID_SIGNER.one(signer)


def trusted_signers() -> ContractCall[tuple[LazerSigner, ...]]:
    """All signers with their expiry, expired ones among them. Not in older verifiers."""
    return GET_TRUSTED_SIGNERS.one().then(
        lambda rows: tuple(LazerSigner(bytes(address), Instant.from_seconds(expires_s)) for address, expires_s in rows)
    )


def trusted_signer_expiry(signer: Address) -> ContractCall[Instant | None]:
    """When a signer expires; ``None`` for one that the contract does not know. Not in older verifiers."""
    return GET_TRUSTED_SIGNER_EXPIRY.one(signer).then(lambda seconds: Instant.from_seconds(seconds) if seconds else None)


def update_trusted_signer(signer: Address, expires_at: Instant | None) -> ContractCall[None]:
    """Trust a signer until then; ``None`` removes it. The owner's alone, which is the chain's governance executor."""
    return UPDATE_TRUSTED_SIGNER.nothing(signer, 0 if expires_at is None else expires_at.seconds)


STATE_CALLS: Final[Mapping[str, ContractCall[Any]]] = {
    "version": VERSION.one(),
    "owner": OWNER.one(),
    "fee_wei": VERIFICATION_FEE.one(),
    "signers": trusted_signers(),
}
"""The configuration as calls, each under its name in :class:`LazerVerifierState`: one batch reads all."""


def verifier_state(outcomes: Mapping[str, object]) -> LazerVerifierState:
    """The configuration from the outcomes of :data:`STATE_CALLS`, by name: values, or the errors of those that failed."""
    found, unanswered = sorted_out({name: outcomes.get(name) for name in STATE_CALLS})
    return LazerVerifierState(**found, unanswered=unanswered)
