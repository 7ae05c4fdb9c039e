"""Would the contract itself still hand out its price?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import ChainFeed
from probekit.units import NS_PER_S, Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class Deadline:
    """Rule over a feed on a chain: the distance of its publish time from the block's time against the contract's own valid
    period, as ``getPrice`` takes it: in either direction, and equal still passes.

    Past it CRITICAL ``past_valid_period``, or WARNING where it is not ``required``: a contract read by consumers who bring
    their own updates is past it most of the time. A contract without such a period, and a feed never pushed, are SKIPPED; so
    is a closed market, and ``open_grace`` after an opening.
    """

    required: bool = True
    open_grace: timedelta = timedelta(minutes=5)
    name: ClassVar[str] = "deadline"

    def __post_init__(self) -> None:
        if self.open_grace < timedelta(0):
            raise ValueError(f"open_grace must not be negative, but is {self.open_grace}")

    def __call__(self, observation: Observation[ChainFeed], *, now: Instant) -> Verdict:
        seen = observation.value
        if seen.stored is None:
            return Verdict(self.name, Status.SKIPPED, "nothing_stored", "nobody has pushed it to this chain")
        if seen.valid_period_s is None:
            return Verdict(self.name, Status.SKIPPED, "no_valid_period", "the contract names no valid period")
        age_ns, limit_ns = seen.head.time.since(seen.stored.publish_time), seen.valid_period_s * NS_PER_S
        margin_ns = limit_ns - abs(age_ns)
        measures = (Measure("feed.valid_margin", margin_ns, "ns"),)
        shown = f"{format_ns(age_ns)} old by the chain's time at {seen.head.number}, valid for {format_ns(limit_ns)}"

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, abs(age_ns), limit_ns, "ns", measures=measures)

        hours = None if observation.feed is None else observation.feed.hours
        if margin_ns < 0 and hours is not None:
            session = hours.session(now)
            if not session.open:
                return verdict(Status.SKIPPED, "market_closed", f"the market is closed; {shown}")
            if session.since is not None and now.since(session.since) <= to_ns(self.open_grace):
                return verdict(Status.SKIPPED, "market_opening", f"the market has just opened; {shown}")
        if margin_ns < 0:
            return verdict(
                Status.CRITICAL if self.required else Status.WARNING,
                "past_valid_period",
                f"{shown}: getPrice refuses it with StalePrice",
            )
        return verdict(Status.OK, "valid", f"{shown}, {format_ns(margin_ns)} left")
