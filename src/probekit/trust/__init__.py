"""Verification of signed updates against trusted sets of either root. Pure: the time is handed in.

``CORE``, ``PRO`` and ``MAINNET`` are the real sets; build another :class:`Trust` for networks of your own.
"""

from probekit.trust.attestation import AttestedBytes, attest, check_parsed, signed_update
from probekit.trust.chosen import NETWORKS, Network, SignerSetOption, chosen
from probekit.trust.registry import (
    BETA,
    CORE,
    CORE_EMITTER,
    EMITTERS,
    HERMES_BETA,
    HERMES_MAINNET,
    MAINNET,
    PRO,
    PRO_EMITTER,
    PRO_STAGING,
)
from probekit.trust.sets import Emitter, SignerSet, Trust
from probekit.trust.vaas import signed_by
from probekit.trust.verification import Claim, Verifier, claim_of, verify

__all__ = [
    "BETA",
    "CORE",
    "CORE_EMITTER",
    "EMITTERS",
    "HERMES_BETA",
    "HERMES_MAINNET",
    "MAINNET",
    "NETWORKS",
    "PRO",
    "PRO_EMITTER",
    "PRO_STAGING",
    "AttestedBytes",
    "Claim",
    "Emitter",
    "Network",
    "SignerSet",
    "SignerSetOption",
    "Trust",
    "Verifier",
    "attest",
    "check_parsed",
    "chosen",
    "claim_of",
    "signed_by",
    "signed_update",
    "verify",
]
