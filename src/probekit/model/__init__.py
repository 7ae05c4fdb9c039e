"""Frozen values: what everything above is said in. Pure."""

from probekit.model.feed import Feed, FeedId
from probekit.model.market_hours import MarketHours, MarketSession
from probekit.model.observation import Comparison, Failure, Observation, Phases, RequestRecord, Target
from probekit.model.price import Price, PricePoint, PriceUpdate, UpdateMetadata
from probekit.model.run import Evidence, ProbeRun, TargetResult
from probekit.model.vantage import Vantage, VantageHealth
from probekit.model.verdict import Measure, Status, Tally, Verdict, worst
from probekit.model.verified import (
    Message,
    PriceMessage,
    StakeCap,
    StakeCapsMessage,
    TrustRoot,
    TwapMessage,
    UnknownMessage,
    Verified,
)

__all__ = [
    "Comparison",
    "Evidence",
    "Failure",
    "Feed",
    "FeedId",
    "MarketHours",
    "MarketSession",
    "Measure",
    "Message",
    "Observation",
    "Phases",
    "Price",
    "PriceMessage",
    "PricePoint",
    "PriceUpdate",
    "ProbeRun",
    "RequestRecord",
    "StakeCap",
    "StakeCapsMessage",
    "Status",
    "Tally",
    "Target",
    "TargetResult",
    "TrustRoot",
    "TwapMessage",
    "UnknownMessage",
    "UpdateMetadata",
    "Vantage",
    "VantageHealth",
    "Verdict",
    "Verified",
    "worst",
]
