"""Pure judgements: frozen thresholds with units in their types. Nothing here fetches or reads a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probekit._lazy import exported
from probekit.checks.base import Check, Fold, Rule

if TYPE_CHECKING:
    from probekit.checks.accuracy import AccuracyMemory, FeedAccuracy
    from probekit.checks.agreement import Agreement, SignedPoint
    from probekit.checks.archive_lag import ArchiveLag
    from probekit.checks.balance_age import AgeMemory, BalanceAge
    from probekit.checks.balance_floor import BalanceFloor, FloorMemory
    from probekit.checks.bar_holds import BarHolds
    from probekit.checks.certificate import CertificateExpiry, CertificateName, CertificateTrust, TlsStrength
    from probekit.checks.claim_bound import ClaimBound
    from probekit.checks.confidence import ConfidenceRatio
    from probekit.checks.container_restarts import ContainerRestarts, RestartMemory
    from probekit.checks.continuity import ContinuityMemory, StreamContinuity, StreamState
    from probekit.checks.cron_on_time import CronOnTime
    from probekit.checks.cross_chain_deviation import CrossChainDeviation, DeviationMemory
    from probekit.checks.cross_chain_lag import CrossChainLag
    from probekit.checks.deadline import Deadline
    from probekit.checks.deviation import Deviation
    from probekit.checks.dns import DissentMemory, DnsAgreement, DnsAssertions
    from probekit.checks.endpoint_lag import EndpointLag, LagMemory
    from probekit.checks.endpoint_quorum import EndpointQuorum
    from probekit.checks.entropy_callbacks import EntropyCallbacks
    from probekit.checks.entropy_pending import EntropyPending
    from probekit.checks.entropy_provider import EntropyProvider
    from probekit.checks.entropy_revelation import EntropyRevelation
    from probekit.checks.event_absent import EventAbsent
    from probekit.checks.event_matched import EventMatched
    from probekit.checks.feed_offline import FeedOffline
    from probekit.checks.feed_pulse import PulseAge
    from probekit.checks.finality_holds import FinalityHolds, FinalMemory
    from probekit.checks.finality_lag import FinalityLag
    from probekit.checks.freshness import Freshness
    from probekit.checks.grpc_health import GrpcHealth
    from probekit.checks.guardians import GuardianHeartbeats
    from probekit.checks.head_age import HeadAge
    from probekit.checks.head_lag import HeadLag
    from probekit.checks.head_stall import HeadStall, StandMemory
    from probekit.checks.heartbeat import Heartbeat
    from probekit.checks.http import HttpAnswer, HttpAssertions, HttpBody, HttpHop, StatusRange, Wanted
    from probekit.checks.issued_certificates import IssuedCertificates
    from probekit.checks.job_outcome import JobOutcome
    from probekit.checks.landing import LandedWithin
    from probekit.checks.latency import LatencyBudget, LatencyMemory, LatencySample
    from probekit.checks.migration import Migration
    from probekit.checks.node_sync import NodeSync
    from probekit.checks.objects_listed import ObjectsListed
    from probekit.checks.outflow import Outflow, OutflowMemory, Taken
    from probekit.checks.past_parity import ParityMemory, PastParity
    from probekit.checks.pod_health import PodHealth
    from probekit.checks.prometheus import DataAge, QueryAssertions
    from probekit.checks.proof import ProofResult, ProofValidity
    from probekit.checks.publisher_confidence import PublisherConfidence
    from probekit.checks.publisher_margin import PublisherMargin
    from probekit.checks.publisher_offline import PublisherOffline
    from probekit.checks.publisher_price import PublisherPrice
    from probekit.checks.publisher_score import PublisherScore, Score, ScoreMemory
    from probekit.checks.publisher_stalled import PublisherStalled, StallMemory
    from probekit.checks.publisher_within_confidence import PublisherWithinConfidence
    from probekit.checks.push_stage import PushMemory, PushStage
    from probekit.checks.required_objects import RequiredObjects
    from probekit.checks.rpc_agreement import RpcAgreement
    from probekit.checks.runway import Runway, RunwayMemory
    from probekit.checks.sampled_signatures import SampledSignatures, SignatureMemory
    from probekit.checks.scan_reach import ScanReach
    from probekit.checks.signer_set_expiry import SignerSetExpiry
    from probekit.checks.signer_set_match import SignerSetMatch
    from probekit.checks.slot_lag import SlotLag
    from probekit.checks.stages import StageBudget, StageMemory
    from probekit.checks.stream_latency import PaceMemory, StreamLatency
    from probekit.checks.stream_messages import MessagesMemory, StreamMessages
    from probekit.checks.tcp import TcpAnswer, TcpDialogue, Turn
    from probekit.checks.trading import AggregateConfidence, AggregateDeviation
    from probekit.checks.transfer_landed import TransferLanded
    from probekit.checks.update_landed import UpdateLanded
    from probekit.checks.vaa import EmitterLag, SignatureMargin, VaaDelay
    from probekit.checks.verification_depth import VerificationDepth
    from probekit.checks.websocket import WebSocketAnswer, WebSocketMessage, WebSocketPing
    from probekit.checks.workload_replicas import ReplicasMemory, WorkloadReplicas

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
    "CertificateExpiry": "certificate",
    "CertificateName": "certificate",
    "CertificateTrust": "certificate",
    "ClaimBound": "claim_bound",
    "ConfidenceRatio": "confidence",
    "ContainerRestarts": "container_restarts",
    "ContinuityMemory": "continuity",
    "CronOnTime": "cron_on_time",
    "CrossChainDeviation": "cross_chain_deviation",
    "CrossChainLag": "cross_chain_lag",
    "DataAge": "prometheus",
    "Deadline": "deadline",
    "Deviation": "deviation",
    "DeviationMemory": "cross_chain_deviation",
    "DissentMemory": "dns",
    "DnsAgreement": "dns",
    "DnsAssertions": "dns",
    "EmitterLag": "vaa",
    "EndpointLag": "endpoint_lag",
    "EndpointQuorum": "endpoint_quorum",
    "EntropyCallbacks": "entropy_callbacks",
    "EntropyPending": "entropy_pending",
    "EntropyProvider": "entropy_provider",
    "EntropyRevelation": "entropy_revelation",
    "EventAbsent": "event_absent",
    "EventMatched": "event_matched",
    "FeedAccuracy": "accuracy",
    "FeedOffline": "feed_offline",
    "FinalMemory": "finality_holds",
    "FinalityHolds": "finality_holds",
    "FinalityLag": "finality_lag",
    "FloorMemory": "balance_floor",
    "Freshness": "freshness",
    "GrpcHealth": "grpc_health",
    "GuardianHeartbeats": "guardians",
    "HeadAge": "head_age",
    "HeadLag": "head_lag",
    "HeadStall": "head_stall",
    "Heartbeat": "heartbeat",
    "HttpAnswer": "http",
    "HttpAssertions": "http",
    "HttpBody": "http",
    "HttpHop": "http",
    "IssuedCertificates": "issued_certificates",
    "JobOutcome": "job_outcome",
    "LagMemory": "endpoint_lag",
    "LandedWithin": "landing",
    "LatencyBudget": "latency",
    "LatencyMemory": "latency",
    "LatencySample": "latency",
    "MessagesMemory": "stream_messages",
    "Migration": "migration",
    "NodeSync": "node_sync",
    "ObjectsListed": "objects_listed",
    "Outflow": "outflow",
    "OutflowMemory": "outflow",
    "PaceMemory": "stream_latency",
    "ParityMemory": "past_parity",
    "PastParity": "past_parity",
    "PodHealth": "pod_health",
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
    "QueryAssertions": "prometheus",
    "ReplicasMemory": "workload_replicas",
    "RequiredObjects": "required_objects",
    "RestartMemory": "container_restarts",
    "RpcAgreement": "rpc_agreement",
    "Runway": "runway",
    "RunwayMemory": "runway",
    "SampledSignatures": "sampled_signatures",
    "ScanReach": "scan_reach",
    "Score": "publisher_score",
    "ScoreMemory": "publisher_score",
    "SignatureMargin": "vaa",
    "SignatureMemory": "sampled_signatures",
    "SignedPoint": "agreement",
    "SignerSetExpiry": "signer_set_expiry",
    "SignerSetMatch": "signer_set_match",
    "SlotLag": "slot_lag",
    "StageBudget": "stages",
    "StageMemory": "stages",
    "StallMemory": "publisher_stalled",
    "StandMemory": "head_stall",
    "StatusRange": "http",
    "StreamContinuity": "continuity",
    "StreamLatency": "stream_latency",
    "StreamMessages": "stream_messages",
    "StreamState": "continuity",
    "Taken": "outflow",
    "TcpAnswer": "tcp",
    "TcpDialogue": "tcp",
    "TlsStrength": "certificate",
    "TransferLanded": "transfer_landed",
    "Turn": "tcp",
    "UpdateLanded": "update_landed",
    "VaaDelay": "vaa",
    "VerificationDepth": "verification_depth",
    "Wanted": "http",
    "WebSocketAnswer": "websocket",
    "WebSocketMessage": "websocket",
    "WebSocketPing": "websocket",
    "WorkloadReplicas": "workload_replicas",
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
    "CertificateExpiry",
    "CertificateName",
    "CertificateTrust",
    "Check",
    "ClaimBound",
    "ConfidenceRatio",
    "ContainerRestarts",
    "ContinuityMemory",
    "CronOnTime",
    "CrossChainDeviation",
    "CrossChainLag",
    "DataAge",
    "Deadline",
    "Deviation",
    "DeviationMemory",
    "DissentMemory",
    "DnsAgreement",
    "DnsAssertions",
    "EmitterLag",
    "EndpointLag",
    "EndpointQuorum",
    "EntropyCallbacks",
    "EntropyPending",
    "EntropyProvider",
    "EntropyRevelation",
    "EventAbsent",
    "EventMatched",
    "FeedAccuracy",
    "FeedOffline",
    "FinalMemory",
    "FinalityHolds",
    "FinalityLag",
    "FloorMemory",
    "Fold",
    "Freshness",
    "GrpcHealth",
    "GuardianHeartbeats",
    "HeadAge",
    "HeadLag",
    "HeadStall",
    "Heartbeat",
    "HttpAnswer",
    "HttpAssertions",
    "HttpBody",
    "HttpHop",
    "IssuedCertificates",
    "JobOutcome",
    "LagMemory",
    "LandedWithin",
    "LatencyBudget",
    "LatencyMemory",
    "LatencySample",
    "MessagesMemory",
    "Migration",
    "NodeSync",
    "ObjectsListed",
    "Outflow",
    "OutflowMemory",
    "PaceMemory",
    "ParityMemory",
    "PastParity",
    "PodHealth",
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
    "QueryAssertions",
    "ReplicasMemory",
    "RequiredObjects",
    "RestartMemory",
    "RpcAgreement",
    "Rule",
    "Runway",
    "RunwayMemory",
    "SampledSignatures",
    "ScanReach",
    "Score",
    "ScoreMemory",
    "SignatureMargin",
    "SignatureMemory",
    "SignedPoint",
    "SignerSetExpiry",
    "SignerSetMatch",
    "SlotLag",
    "StageBudget",
    "StageMemory",
    "StallMemory",
    "StandMemory",
    "StatusRange",
    "StreamContinuity",
    "StreamLatency",
    "StreamMessages",
    "StreamState",
    "Taken",
    "TcpAnswer",
    "TcpDialogue",
    "TlsStrength",
    "TransferLanded",
    "Turn",
    "UpdateLanded",
    "VaaDelay",
    "VerificationDepth",
    "Wanted",
    "WebSocketAnswer",
    "WebSocketMessage",
    "WebSocketPing",
    "WorkloadReplicas",
]


def __getattr__(name: str) -> Any:
    return exported(__name__, name, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
