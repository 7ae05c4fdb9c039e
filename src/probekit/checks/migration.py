"""Do the two generations of Pyth's programs on Solana agree, and does a consumer read the one that is fit?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Observation, Status, Verdict
from probekit.model.chain_feed import ReceiverFeed
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class Migration:
    """Rule over a push feed on Solana, which both generations of programs may hold.

    Different prices for one publish time are CRITICAL ``contradicting``: one of the two is wrong. Where the account that
    consumers read is not fit to be read and the other is: CRITICAL ``read_the_other``; where neither is: CRITICAL
    ``neither_fit``. A closed market, ``open_grace`` after an opening, and a feed that neither holds are SKIPPED; an unfit feed
    whose market may be closed, since the symbol table was never read, is UNKNOWN.
    """

    open_grace: timedelta = timedelta(minutes=5)
    name: ClassVar[str] = "migration"

    def __post_init__(self) -> None:
        if self.open_grace < timedelta(0):
            raise ValueError(f"open_grace must not be negative, but is {self.open_grace}")

    def __call__(self, observation: Observation[ReceiverFeed], *, now: Instant) -> Verdict:
        seen, feed = observation.value, observation.feed
        migration = seen.migration
        shown = f"consumers read {seen.generation}; {migration.read_reason}"

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message)

        if migration.core is None and migration.pro is None:
            return verdict(Status.SKIPPED, "nothing_stored", "nobody has posted it on this cluster")
        if migration.contradicts:
            return verdict(
                Status.CRITICAL, "contradicting", "core and pro hold different prices for the same publish time: one is wrong"
            )
        if seen.generation in migration.fit:
            return verdict(Status.OK, "fit", shown)
        if feed is not None and feed.hours is not None:
            session = feed.hours.session(now)
            if not session.open:
                return verdict(Status.SKIPPED, "market_closed", f"the market is closed; {shown}")
            if session.since is not None and now.since(session.since) <= to_ns(self.open_grace):
                opened = format_ns(now.since(session.since))
                return verdict(Status.SKIPPED, "market_opening", f"the market opened {opened} ago; {shown}")
        if migration.read is not None:
            return verdict(Status.CRITICAL, "read_the_other", f"{shown}: move consumers to {migration.read}")
        if feed is not None and not feed.described:
            return verdict(Status.UNKNOWN, "schedule_unknown", f"{shown}; the symbol table was never read")
        return verdict(Status.CRITICAL, "neither_fit", shown)
