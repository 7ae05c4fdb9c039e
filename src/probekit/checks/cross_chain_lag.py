"""How far is a feed on a chain behind its source?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import ChainFeed
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class CrossChainLag:
    """Rule over a feed on a chain: the source's newest publish time minus the stored one's, against ``max_lag``.

    Further behind is CRITICAL ``lagging``, never pushed CRITICAL ``never_pushed``; a chain ahead of the source is OK, and the
    lag negative. A source that stands still shows no lag. Without a source UNKNOWN ``no_source``; outside market hours, and for
    ``open_grace`` after an opening, a lag is SKIPPED, and UNKNOWN ``schedule_unreadable`` where the hours do not parse.

    With ``max_head_age`` it is as :class:`PushStage` has it: neither is told where the chain's newest block is older than that,
    since newer may be stored: UNKNOWN ``rpc_lagging``; nor where this clock cannot tell: UNKNOWN ``clock``.
    """

    max_lag: timedelta
    open_grace: timedelta = timedelta(minutes=5)
    max_head_age: timedelta | None = None
    name: ClassVar[str] = "cross_chain_lag"

    def __post_init__(self) -> None:
        if self.max_lag <= timedelta(0):
            raise ValueError(f"max_lag must be positive, not {self.max_lag}")
        if self.open_grace < timedelta(0):
            raise ValueError(f"open_grace must not be negative, but is {self.open_grace}")
        if self.max_head_age is not None and self.max_head_age <= timedelta(0):
            raise ValueError(f"max_head_age must be positive, not {self.max_head_age}")

    def __call__(self, observation: Observation[ChainFeed], *, now: Instant) -> Verdict:
        seen, limit_ns = observation.value, to_ns(self.max_lag)
        if seen.stored is None:
            never = f"nobody has pushed it to this chain: {seen.absent}"
            return self._doubt(observation, never, now) or Verdict(self.name, Status.CRITICAL, "never_pushed", never)
        if seen.source is None:
            why = seen.source_problem or "none was asked"
            return Verdict(self.name, Status.UNKNOWN, "no_source", f"no price of the source: {why}", None, limit_ns, "ns")
        lag_ns = seen.source.publish_time.since(seen.stored.publish_time)
        measures = (Measure("feed.source_lag", lag_ns, "ns"),)
        shown = f"{format_ns(lag_ns)} behind the source, limit {format_ns(limit_ns)}"

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, lag_ns, limit_ns, "ns", measures=measures)

        if lag_ns <= limit_ns:
            return verdict(Status.OK, "level", shown)
        feed = observation.feed
        if feed is not None and feed.hours_error is not None:
            return verdict(Status.UNKNOWN, "schedule_unreadable", f"its hours do not parse: {feed.hours_error}; {shown}")
        if feed is not None and feed.hours is not None:
            session = feed.hours.session(now)
            if not session.open:
                return verdict(Status.SKIPPED, "market_closed", f"the market is closed; {shown}")
            if session.since is not None and now.since(session.since) <= to_ns(self.open_grace):
                return verdict(Status.SKIPPED, "market_opening", f"the market has just opened; {shown}")
        return self._doubt(observation, shown, now) or verdict(Status.CRITICAL, "lagging", shown)

    def _doubt(self, observation: Observation[ChainFeed], shown: str, now: Instant) -> Verdict | None:
        """Why nobody is at fault yet; ``None`` where nothing speaks for that."""
        head, limit = observation.value.head, self.max_head_age
        doubt = "" if limit is None else head.doubt(limit, observation.clock_error_ns, now=now)
        if doubt == "clock":
            message = f"this clock cannot tell how old the chain's head is; {shown}"
            return Verdict(self.name, Status.UNKNOWN, "clock", message)
        if doubt == "old":
            message = f"head {head.number} is {format_ns(now.since(head.time))} old: newer may be stored; {shown}"
            return Verdict(self.name, Status.UNKNOWN, "rpc_lagging", message)
        return None
