"""Pure judgements: frozen thresholds with units in their types. Nothing here fetches or reads a clock."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from probekit.checks.base import Check, Fold, Rule

if TYPE_CHECKING:
    from probekit.checks.agreement import Agreement, SignedPoint
    from probekit.checks.balance_age import AgeMemory, BalanceAge
    from probekit.checks.balance_floor import BalanceFloor, FloorMemory
    from probekit.checks.confidence import ConfidenceRatio
    from probekit.checks.continuity import ContinuityMemory, StreamContinuity, StreamState
    from probekit.checks.cross_chain_deviation import CrossChainDeviation, DeviationMemory
    from probekit.checks.cross_chain_lag import CrossChainLag
    from probekit.checks.deadline import Deadline
    from probekit.checks.deviation import Deviation
    from probekit.checks.endpoint_quorum import EndpointQuorum
    from probekit.checks.feed_offline import FeedOffline
    from probekit.checks.freshness import Freshness
    from probekit.checks.head_age import HeadAge
    from probekit.checks.heartbeat import Heartbeat
    from probekit.checks.http import HttpAnswer, HttpAssertions, HttpBody, HttpHop, StatusRange, Wanted
    from probekit.checks.landing import LandedWithin
    from probekit.checks.latency import LatencyBudget, LatencyMemory, LatencySample
    from probekit.checks.migration import Migration
    from probekit.checks.outflow import Outflow, OutflowMemory, Taken
    from probekit.checks.proof import ProofResult, ProofValidity
    from probekit.checks.publisher_confidence import PublisherConfidence
    from probekit.checks.publisher_margin import PublisherMargin
    from probekit.checks.publisher_offline import PublisherOffline
    from probekit.checks.publisher_price import PublisherPrice
    from probekit.checks.publisher_score import PublisherScore, Score, ScoreMemory
    from probekit.checks.publisher_stalled import PublisherStalled, StallMemory
    from probekit.checks.publisher_within_confidence import PublisherWithinConfidence
    from probekit.checks.push_stage import PushMemory, PushStage
    from probekit.checks.runway import Runway, RunwayMemory
    from probekit.checks.signer_set_expiry import SignerSetExpiry
    from probekit.checks.signer_set_match import SignerSetMatch
    from probekit.checks.slot_lag import SlotLag
    from probekit.checks.stages import StageBudget, StageMemory
    from probekit.checks.trading import AggregateConfidence, AggregateDeviation
    from probekit.checks.transfer_landed import TransferLanded
    from probekit.checks.update_landed import UpdateLanded
    from probekit.checks.verification_depth import VerificationDepth

# A probe uses a few of them, and each loads what it judges: names are imported when first used.
_WHERE = {
    "AgeMemory": "balance_age",
    "AggregateConfidence": "trading",
    "AggregateDeviation": "trading",
    "Agreement": "agreement",
    "BalanceAge": "balance_age",
    "BalanceFloor": "balance_floor",
    "ConfidenceRatio": "confidence",
    "ContinuityMemory": "continuity",
    "CrossChainDeviation": "cross_chain_deviation",
    "CrossChainLag": "cross_chain_lag",
    "Deadline": "deadline",
    "Deviation": "deviation",
    "DeviationMemory": "cross_chain_deviation",
    "EndpointQuorum": "endpoint_quorum",
    "FeedOffline": "feed_offline",
    "FloorMemory": "balance_floor",
    "Freshness": "freshness",
    "HeadAge": "head_age",
    "Heartbeat": "heartbeat",
    "HttpAnswer": "http",
    "HttpAssertions": "http",
    "HttpBody": "http",
    "HttpHop": "http",
    "LandedWithin": "landing",
    "LatencyBudget": "latency",
    "LatencyMemory": "latency",
    "LatencySample": "latency",
    "Migration": "migration",
    "Outflow": "outflow",
    "OutflowMemory": "outflow",
    "ProofResult": "proof",
    "ProofValidity": "proof",
    "PublisherConfidence": "publisher_confidence",
    "PublisherMargin": "publisher_margin",
    "PublisherOffline": "publisher_offline",
    "PublisherPrice": "publisher_price",
    "PublisherScore": "publisher_score",
    "PublisherStalled": "publisher_stalled",
    "PublisherWithinConfidence": "publisher_within_confidence",
    "PushMemory": "push_stage",
    "PushStage": "push_stage",
    "Runway": "runway",
    "RunwayMemory": "runway",
    "Score": "publisher_score",
    "ScoreMemory": "publisher_score",
    "SignedPoint": "agreement",
    "SignerSetExpiry": "signer_set_expiry",
    "SignerSetMatch": "signer_set_match",
    "SlotLag": "slot_lag",
    "StageBudget": "stages",
    "StageMemory": "stages",
    "StallMemory": "publisher_stalled",
    "StatusRange": "http",
    "StreamContinuity": "continuity",
    "StreamState": "continuity",
    "Taken": "outflow",
    "TransferLanded": "transfer_landed",
    "UpdateLanded": "update_landed",
    "VerificationDepth": "verification_depth",
    "Wanted": "http",
}

__all__ = [
    "AgeMemory",
    "AggregateConfidence",
    "AggregateDeviation",
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
    "FeedOffline",
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
    "PublisherConfidence",
    "PublisherMargin",
    "PublisherOffline",
    "PublisherPrice",
    "PublisherScore",
    "PublisherStalled",
    "PublisherWithinConfidence",
    "PushMemory",
    "PushStage",
    "Rule",
    "Runway",
    "RunwayMemory",
    "Score",
    "ScoreMemory",
    "SignedPoint",
    "SignerSetExpiry",
    "SignerSetMatch",
    "SlotLag",
    "StageBudget",
    "StageMemory",
    "StallMemory",
    "StatusRange",
    "StreamContinuity",
    "StreamState",
    "Taken",
    "TransferLanded",
    "UpdateLanded",
    "VerificationDepth",
    "Wanted",
]


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module 'probekit.checks' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"probekit.checks.{where}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
