"""Pure judgements: frozen thresholds with units in their types. Nothing here fetches or reads a clock."""

from probekit.checks.agreement import Agreement, SignedPoint
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
from probekit.checks.latency import LatencyBudget, LatencyMemory, LatencySample
from probekit.checks.migration import Migration
from probekit.checks.proof import ProofResult, ProofValidity
from probekit.checks.push_stage import PushMemory, PushStage
from probekit.checks.slot_lag import SlotLag
from probekit.checks.verification_depth import VerificationDepth

__all__ = [
    "Agreement",
    "Check",
    "ConfidenceRatio",
    "ContinuityMemory",
    "CrossChainDeviation",
    "CrossChainLag",
    "Deadline",
    "Deviation",
    "DeviationMemory",
    "EndpointQuorum",
    "Fold",
    "Freshness",
    "HeadAge",
    "Heartbeat",
    "LatencyBudget",
    "LatencyMemory",
    "LatencySample",
    "Migration",
    "ProofResult",
    "ProofValidity",
    "PushMemory",
    "PushStage",
    "Rule",
    "SignedPoint",
    "SlotLag",
    "StreamContinuity",
    "StreamState",
    "VerificationDepth",
]
