"""Is the price on a chain near that of its source?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import ChainFeed
from probekit.model.spell import began
from probekit.units import Bps, Instant, format_ns, to_ns


class DeviationMemory(msgspec.Struct, frozen=True):
    """Since when the price has been too far off, and since when it could not be judged; ``None`` while neither is so."""

    since: Instant | None = None
    blind: Instant | None = None


@dataclass(frozen=True, slots=True)
class CrossChainDeviation:
    """Fold over a feed on a chain: ``|stored - source| / |source|`` in bps against ``max_deviation``, at which pushers update.

    An update takes time: further off is WARNING ``moving`` until that has lasted for ``lands_within``, then CRITICAL
    ``deviating``. What could not be judged, or was not seen, for longer than that begins anew. The state is two instants. A
    source older than the chain's price by more than ``lands_within`` judges nothing: UNKNOWN ``source_behind``; so does none
    (``no_source``), one at zero (``zero_source``), and one under an exponent that is no price's (``no_ratio``). A feed never
    pushed and a closed market are SKIPPED. Negative prices are judged by their magnitude. With ``max_head_age`` one that is too
    far off is UNKNOWN ``rpc_lagging`` where the chain's newest block is older by a clock that can tell: a nearer one may be
    stored.

    Raises ``ValueError`` when ``max_deviation`` or ``max_head_age`` is not positive, or ``lands_within`` negative.
    """

    max_deviation: Bps
    lands_within: timedelta = timedelta(seconds=60)
    max_head_age: timedelta | None = None
    name: ClassVar[str] = "cross_chain_deviation"

    def __post_init__(self) -> None:
        if self.max_deviation.value <= 0:
            raise ValueError(f"max_deviation must be positive, not {self.max_deviation}")
        if self.lands_within < timedelta(0):
            raise ValueError(f"lands_within must not be negative, but is {self.lands_within}")
        if self.max_head_age is not None and self.max_head_age <= timedelta(0):
            raise ValueError(f"max_head_age must be positive, not {self.max_head_age}")

    def init(self) -> DeviationMemory:
        return DeviationMemory()

    def step(
        self, state: DeviationMemory, observation: Observation[ChainFeed] | None, *, now: Instant
    ) -> tuple[DeviationMemory, Verdict]:
        limit, nothing, blind = self.max_deviation.value, DeviationMemory(), self.unseen(state, now=now)

        def unknown(reason: str, message: str) -> Verdict:
            return Verdict(self.name, Status.UNKNOWN, reason, message, None, limit, "bps")

        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "nothing new was seen", None, limit, "bps")
        seen = observation.value
        if seen.stored is None:
            return nothing, Verdict(self.name, Status.SKIPPED, "nothing_stored", "nobody has pushed it to this chain")
        hours = None if observation.feed is None else observation.feed.hours
        if hours is not None and not hours.is_open(now):
            return nothing, Verdict(self.name, Status.SKIPPED, "market_closed", "the market is closed", None, limit, "bps")
        source, stored = seen.source, seen.stored
        if source is None:
            return blind, unknown("no_source", f"no price of the source: {seen.source_problem or 'none was asked'}")
        lead_ns = stored.publish_time.since(source.publish_time)
        if lead_ns > to_ns(self.lands_within):
            return blind, unknown(
                "source_behind", f"the chain's price was published {format_ns(lead_ns)} after the source's newest"
            )
        if source.price.mantissa == 0:
            return blind, unknown("zero_source", "the source's price is zero, and nothing is a part of it")
        try:
            deviation = stored.price.deviation(source.price)
        except ValueError as error:
            return blind, unknown("no_ratio", str(error))
        shown = f"{stored.price} against {source.price} of the source, {format_ns(-lead_ns)} newer: {deviation.value:.2f}bps"
        measures = (Measure("feed.deviation", deviation.value, "bps"),)

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, deviation.value, limit, "bps", measures=measures)

        if deviation <= self.max_deviation:
            return nothing, verdict(Status.OK, "near", f"{shown}, limit {self.max_deviation}")
        head, age = seen.head, self.max_head_age
        if age is not None and head.doubt(age, observation.clock_error_ns, now=now) == "old":
            words = f"head {head.number} is {format_ns(now.since(head.time))} old: newer may be stored; {shown}"
            return blind, verdict(Status.UNKNOWN, "rpc_lagging", words)
        patience_ns = to_ns(self.lands_within)
        since = began(state.since, state.blind, now=now, forget_ns=patience_ns)
        lasted_ns = now.since(since)
        words = f"{shown}, limit {self.max_deviation} for {format_ns(lasted_ns)}, {format_ns(patience_ns)} allowed"
        if lasted_ns > patience_ns:
            return DeviationMemory(since), verdict(Status.CRITICAL, "deviating", words)
        return DeviationMemory(since), verdict(Status.WARNING, "moving", words)

    def unseen(self, state: DeviationMemory, *, now: Instant) -> DeviationMemory:
        """The state after a tick that could not be judged."""
        return DeviationMemory(state.since, state.blind or now)
