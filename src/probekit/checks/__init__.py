"""Pure judgements: frozen thresholds with units in their types. Nothing here fetches or reads a clock."""

from probekit.checks.agreement import Agreement, SignedPoint
from probekit.checks.balance_age import AgeMemory, BalanceAge
from probekit.checks.balance_floor import BalanceFloor, FloorMemory
from probekit.checks.base import Check, Fold, Rule
from probekit.checks.confidence import ConfidenceRatio
from probekit.checks.continuity import ContinuityMemory, StreamContinuity, StreamState
from probekit.checks.cross_chain_deviation import CrossChainDeviation, DeviationMemory
from probekit.checks.cross_chain_lag import CrossChainLag
from probekit.checks.deadline import Deadline
from probekit.checks.deviation import Deviation
from probekit.checks.endpoint_quorum import EndpointQuorum
from probekit.checks.freshness import Freshness
from probekit.checks.head_age import HeadAge
from probekit.checks.heartbeat import Heartbeat
from probekit.checks.http import HttpAnswer, HttpAssertions, HttpBody, HttpHop, StatusRange, Wanted
from probekit.checks.landing import LandedWithin
from probekit.checks.latency import LatencyBudget, LatencyMemory, LatencySample
from probekit.checks.migration import Migration
from probekit.checks.outflow import Outflow, OutflowMemory, Taken
from probekit.checks.proof import ProofResult, ProofValidity
from probekit.checks.push_stage import PushMemory, PushStage
from probekit.checks.runway import Runway, RunwayMemory
from probekit.checks.signer_set_expiry import SignerSetExpiry
from probekit.checks.signer_set_match import SignerSetMatch
from probekit.checks.slot_lag import SlotLag
from probekit.checks.stages import StageBudget, StageMemory
from probekit.checks.verification_depth import VerificationDepth

__all__ = [
    "AgeMemory",
    "Agreement",
    "BalanceAge",
    "BalanceFloor",
    "Check",
    "ConfidenceRatio",
    "ContinuityMemory",
    "CrossChainDeviation",
    "CrossChainLag",
    "Deadline",
    "Deviation",
    "DeviationMemory",
    "EndpointQuorum",
    "FloorMemory",
    "Fold",
    "Freshness",
    "HeadAge",
    "Heartbeat",
    "HttpAnswer",
    "HttpAssertions",
    "HttpBody",
    "HttpHop",
    "LandedWithin",
    "LatencyBudget",
    "LatencyMemory",
    "LatencySample",
    "Migration",
    "Outflow",
    "OutflowMemory",
    "ProofResult",
    "ProofValidity",
    "PushMemory",
    "PushStage",
    "Rule",
    "Runway",
    "RunwayMemory",
    "SignedPoint",
    "SignerSetExpiry",
    "SignerSetMatch",
    "SlotLag",
    "StageBudget",
    "StageMemory",
    "StatusRange",
    "StreamContinuity",
    "StreamState",
    "Taken",
    "VerificationDepth",
    "Wanted",
]
