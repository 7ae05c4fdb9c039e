"""Pure judgements: frozen thresholds with units in their types. Nothing here fetches or reads a clock."""

from probekit.checks.agreement import Agreement, SignedPoint
from probekit.checks.balance_age import AgeMemory, BalanceAge
from probekit.checks.balance_floor import BalanceFloor, FloorMemory
from probekit.checks.base import Check, Fold, Rule
from probekit.checks.confidence import ConfidenceRatio
from probekit.checks.continuity import ContinuityMemory, StreamContinuity, StreamState
from probekit.checks.deviation import Deviation
from probekit.checks.freshness import Freshness
from probekit.checks.landing import LandedWithin
from probekit.checks.latency import LatencyBudget, LatencyMemory, LatencySample
from probekit.checks.outflow import Outflow, OutflowMemory, Taken
from probekit.checks.proof import ProofResult, ProofValidity
from probekit.checks.runway import Runway, RunwayMemory
from probekit.checks.signer_set_expiry import SignerSetExpiry
from probekit.checks.signer_set_match import SignerSetMatch
from probekit.checks.stages import StageBudget, StageMemory

__all__ = [
    "AgeMemory",
    "Agreement",
    "BalanceAge",
    "BalanceFloor",
    "Check",
    "ConfidenceRatio",
    "ContinuityMemory",
    "Deviation",
    "FloorMemory",
    "Fold",
    "Freshness",
    "LandedWithin",
    "LatencyBudget",
    "LatencyMemory",
    "LatencySample",
    "Outflow",
    "OutflowMemory",
    "ProofResult",
    "ProofValidity",
    "Rule",
    "Runway",
    "RunwayMemory",
    "SignedPoint",
    "SignerSetExpiry",
    "SignerSetMatch",
    "StageBudget",
    "StageMemory",
    "StreamContinuity",
    "StreamState",
    "Taken",
]
