"""Pure judgements: frozen thresholds with units in their types. Nothing here fetches or reads a clock."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from probekit.checks.base import Check, Fold, Rule

if TYPE_CHECKING:
    from probekit.checks.accuracy import AccuracyMemory, FeedAccuracy
    from probekit.checks.agreement import Agreement, SignedPoint
    from probekit.checks.archive_lag import ArchiveLag
    from probekit.checks.balance_age import AgeMemory, BalanceAge
    from probekit.checks.balance_floor import BalanceFloor, FloorMemory
    from probekit.checks.bar_holds import BarHolds
    from probekit.checks.confidence import ConfidenceRatio
    from probekit.checks.continuity import ContinuityMemory, StreamContinuity, StreamState
    from probekit.checks.cross_chain_deviation import CrossChainDeviation, DeviationMemory
    from probekit.checks.cross_chain_lag import CrossChainLag
    from probekit.checks.deadline import Deadline
    from probekit.checks.deviation import Deviation
    from probekit.checks.endpoint_lag import EndpointLag, LagMemory
    from probekit.checks.endpoint_quorum import EndpointQuorum
    from probekit.checks.feed_offline import FeedOffline
    from probekit.checks.feed_pulse import PulseAge
    from probekit.checks.freshness import Freshness
    from probekit.checks.head_age import HeadAge
    from probekit.checks.heartbeat import Heartbeat
    from probekit.checks.http import HttpAnswer, HttpAssertions, HttpBody, HttpHop, StatusRange, Wanted
    from probekit.checks.landing import LandedWithin
    from probekit.checks.latency import LatencyBudget, LatencyMemory, LatencySample
    from probekit.checks.migration import Migration
    from probekit.checks.outflow import Outflow, OutflowMemory, Taken
    from probekit.checks.past_parity import ParityMemory, PastParity
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
    from probekit.checks.sampled_signatures import SampledSignatures, SignatureMemory
    from probekit.checks.signer_set_expiry import SignerSetExpiry
    from probekit.checks.signer_set_match import SignerSetMatch
    from probekit.checks.slot_lag import SlotLag
    from probekit.checks.stages import StageBudget, StageMemory
    from probekit.checks.stream_latency import PaceMemory, StreamLatency
    from probekit.checks.trading import AggregateConfidence, AggregateDeviation
    from probekit.checks.verification_depth import VerificationDepth

# A probe uses a few of them, and each loads what it judges: names are imported when first used.
_WHERE = {
    "AccuracyMemory": "accuracy",
    "AgeMemory": "balance_age",
    "AggregateConfidence": "trading",
    "AggregateDeviation": "trading",
    "Agreement": "agreement",
    "ArchiveLag": "archive_lag",
    "BalanceAge": "balance_age",
    "BalanceFloor": "balance_floor",
    "BarHolds": "bar_holds",
    "ConfidenceRatio": "confidence",
    "ContinuityMemory": "continuity",
    "CrossChainDeviation": "cross_chain_deviation",
    "CrossChainLag": "cross_chain_lag",
    "Deadline": "deadline",
    "Deviation": "deviation",
    "DeviationMemory": "cross_chain_deviation",
    "EndpointLag": "endpoint_lag",
    "EndpointQuorum": "endpoint_quorum",
    "FeedAccuracy": "accuracy",
    "FeedOffline": "feed_offline",
    "FloorMemory": "balance_floor",
    "Freshness": "freshness",
    "HeadAge": "head_age",
    "Heartbeat": "heartbeat",
    "HttpAnswer": "http",
    "HttpAssertions": "http",
    "HttpBody": "http",
    "HttpHop": "http",
    "LagMemory": "endpoint_lag",
    "LandedWithin": "landing",
    "LatencyBudget": "latency",
    "LatencyMemory": "latency",
    "LatencySample": "latency",
    "Migration": "migration",
    "Outflow": "outflow",
    "OutflowMemory": "outflow",
    "PaceMemory": "stream_latency",
    "ParityMemory": "past_parity",
    "PastParity": "past_parity",
    "ProofResult": "proof",
    "ProofValidity": "proof",
    "PublisherConfidence": "publisher_confidence",
    "PublisherMargin": "publisher_margin",
    "PublisherOffline": "publisher_offline",
    "PublisherPrice": "publisher_price",
    "PublisherScore": "publisher_score",
    "PublisherStalled": "publisher_stalled",
    "PublisherWithinConfidence": "publisher_within_confidence",
    "PulseAge": "feed_pulse",
    "PushMemory": "push_stage",
    "PushStage": "push_stage",
    "Runway": "runway",
    "RunwayMemory": "runway",
    "SampledSignatures": "sampled_signatures",
    "Score": "publisher_score",
    "ScoreMemory": "publisher_score",
    "SignatureMemory": "sampled_signatures",
    "SignedPoint": "agreement",
    "SignerSetExpiry": "signer_set_expiry",
    "SignerSetMatch": "signer_set_match",
    "SlotLag": "slot_lag",
    "StageBudget": "stages",
    "StageMemory": "stages",
    "StallMemory": "publisher_stalled",
    "StatusRange": "http",
    "StreamContinuity": "continuity",
    "StreamLatency": "stream_latency",
    "StreamState": "continuity",
    "Taken": "outflow",
    "VerificationDepth": "verification_depth",
    "Wanted": "http",
}

__all__ = [
    "AccuracyMemory",
    "AgeMemory",
    "AggregateConfidence",
    "AggregateDeviation",
    "Agreement",
    "ArchiveLag",
    "BalanceAge",
    "BalanceFloor",
    "BarHolds",
    "Check",
    "ConfidenceRatio",
    "ContinuityMemory",
    "CrossChainDeviation",
    "CrossChainLag",
    "Deadline",
    "Deviation",
    "DeviationMemory",
    "EndpointLag",
    "EndpointQuorum",
    "FeedAccuracy",
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
    "LagMemory",
    "LandedWithin",
    "LatencyBudget",
    "LatencyMemory",
    "LatencySample",
    "Migration",
    "Outflow",
    "OutflowMemory",
    "PaceMemory",
    "ParityMemory",
    "PastParity",
    "ProofResult",
    "ProofValidity",
    "PublisherConfidence",
    "PublisherMargin",
    "PublisherOffline",
    "PublisherPrice",
    "PublisherScore",
    "PublisherStalled",
    "PublisherWithinConfidence",
    "PulseAge",
    "PushMemory",
    "PushStage",
    "Rule",
    "Runway",
    "RunwayMemory",
    "SampledSignatures",
    "Score",
    "ScoreMemory",
    "SignatureMemory",
    "SignedPoint",
    "SignerSetExpiry",
    "SignerSetMatch",
    "SlotLag",
    "StageBudget",
    "StageMemory",
    "StallMemory",
    "StatusRange",
    "StreamContinuity",
    "StreamLatency",
    "StreamState",
    "Taken",
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
