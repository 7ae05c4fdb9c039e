"""Rules over prices, asked of a feed of the oracle program while that trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from probekit.checks.base import Rule
from probekit.model import Observation, Status, Verdict
from probekit.model.pythnet import OracleFeed
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class AggregateConfidence:
    """Rule over an oracle feed: ``rule``, a :class:`ConfidenceRatio`, over its aggregate.

    An aggregate that does not trade, or is older than the feed's latency limit, has no meaning: SKIPPED ``not_trading``;
    SKIPPED ``not_in_production`` for a feed that is only announced.
    """

    rule: Rule
    name: ClassVar[str] = "confidence_ratio"

    def __call__(self, observation: Observation[OracleFeed], *, now: Instant) -> Verdict:
        skipped = _skipped(self.name, observation.value)
        return skipped or self.rule(_about(observation, observation.value.update), now=now)


@dataclass(frozen=True, slots=True)
class AggregateDeviation:
    """Rule over an oracle feed: ``rule``, a :class:`Deviation` of ``pythnet`` from ``reference``, over its aggregate and the
    reference that was observed beside it. SKIPPED as :class:`AggregateConfidence` is.
    """

    rule: Rule
    name: ClassVar[str] = "deviation"

    def __call__(self, observation: Observation[OracleFeed], *, now: Instant) -> Verdict:
        skipped = _skipped(self.name, observation.value)
        return skipped or self.rule(_about(observation, observation.value.comparison), now=now)


def _skipped(name: str, feed: OracleFeed) -> Verdict | None:
    if not feed.in_production:
        asks = f"announced: asks for {feed.price.min_publishers} publishers"
        return Verdict(name, Status.SKIPPED, "not_in_production", asks)
    if not feed.trading:
        words = f"the aggregate's status is {feed.price.status_at(feed.slot).name.lower()}"
        return Verdict(name, Status.SKIPPED, "not_trading", words)
    return None


def _about(observation: Observation[OracleFeed], value: Any) -> Observation[Any]:
    """The observation of a part of the feed."""
    return Observation(
        value,
        observation.source,
        observation.observed_at,
        observation.target,
        observation.elapsed_ns,
        observation.clock_error_ns,
        observation.feed,
    )
