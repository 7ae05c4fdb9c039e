"""Pure judgements: frozen thresholds with units in their types. Nothing here fetches or reads a clock."""

from probekit.checks.agreement import Agreement, SignedPoint
from probekit.checks.base import Check, Fold, Rule
from probekit.checks.confidence import ConfidenceRatio
from probekit.checks.continuity import ContinuityMemory, StreamContinuity, StreamState
from probekit.checks.deviation import Deviation
from probekit.checks.freshness import Freshness
from probekit.checks.http import HttpAnswer, HttpAssertions, HttpBody, HttpHop, StatusRange, Wanted
from probekit.checks.latency import LatencyBudget, LatencyMemory, LatencySample
from probekit.checks.proof import ProofResult, ProofValidity

__all__ = [
    "Agreement",
    "Check",
    "ConfidenceRatio",
    "ContinuityMemory",
    "Deviation",
    "Fold",
    "Freshness",
    "HttpAnswer",
    "HttpAssertions",
    "HttpBody",
    "HttpHop",
    "LatencyBudget",
    "LatencyMemory",
    "LatencySample",
    "ProofResult",
    "ProofValidity",
    "Rule",
    "SignedPoint",
    "StatusRange",
    "StreamContinuity",
    "StreamState",
    "Wanted",
]
