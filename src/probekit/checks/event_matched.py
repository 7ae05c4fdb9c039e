"""Did something happen on a chain that nobody wants?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, Literal

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.contract_events import EventMatch, EventSighting
from probekit.units import Instant, format_ns, to_ns

_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class EventMatched:
    """Rule over what a rule of events has found: ``matched``, of the given ``severity``, while one that was seen within
    ``hold`` stands. WARNING ``withdrawn`` where all that was seen within it has left the chain again. Each of them, of the last
    20, is a part of the verdict, its place in the chain the scope. SKIPPED ``watching`` before a block was looked at.

    A log that bears the event's topic and does not decode (on Solana, a transaction whose logs are cut off, or were not kept)
    is UNKNOWN ``unreadable`` for ``hold``, where nothing matched within it: the event may be declared wrongly. What could not
    be looked at within it is UNKNOWN ``gap``.
    """

    severity: Literal["warning", "critical"] = "critical"
    hold: timedelta = timedelta(minutes=10)
    name: ClassVar[str] = "event_matched"

    def __post_init__(self) -> None:
        if self.hold <= timedelta(0):
            raise ValueError(f"hold must be positive, not {self.hold}")

    def __call__(self, observation: Observation[EventSighting], *, now: Instant) -> Verdict:
        seen, hold_ns = observation.value, to_ns(self.hold)
        recent = [one for one in seen.newest if now.since(one.seen_at) <= hold_ns]
        gone = [one for one in seen.withdrawn if one.withdrawn_at is not None and now.since(one.withdrawn_at) <= hold_ns]
        measures = (Measure("event.matches", seen.standing, "count"), Measure("event.unreadable", seen.unreadable, "count"))
        where = f"in blocks {seen.first} to {seen.last}"

        def verdict(status: Status, reason: str, message: str, of: Sequence[EventMatch] = ()) -> Verdict:
            parts = tuple(Verdict(self.name, status, reason, f"{one}; of {one.source}", scope=one.place) for one in of)
            return Verdict(self.name, status, reason, message, len(recent), 0, "count", measures=measures, parts=parts)

        more_gone = "at least " if len(gone) == len(seen.withdrawn) < seen.withdrawn_count else ""
        taken_back = f"; {more_gone}{len(gone)} more left the chain again" if gone else ""
        if recent:
            shown = "; ".join(str(one) for one in reversed(recent[-_TOLD:]))
            # Of those that were seen only the last are told one by one: where all of them are recent, so may others be.
            least = "at least " if len(recent) == len(seen.newest) < seen.standing else ""
            words = f"{least}{len(recent)} seen in the last {format_ns(hold_ns)}, {seen.standing} {where}: {shown}{taken_back}"
            status = Status.CRITICAL if self.severity == "critical" else Status.WARNING
            return verdict(status, "matched", words, recent)
        if gone:
            shown = "; ".join(str(one) for one in reversed(gone[-_TOLD:]))
            return verdict(Status.WARNING, "withdrawn", f"{more_gone}{len(gone)} left the chain again: {shown}", gone)
        if seen.gap_at is not None and now.since(seen.gap_at) <= hold_ns:
            return verdict(Status.UNKNOWN, "gap", seen.gap)
        if seen.unreadable and (seen.unreadable_at is None or now.since(seen.unreadable_at) <= hold_ns):
            words = f"{seen.unreadable} logs or transactions {where} do not read, the last: {seen.unreadable_text}"
            return verdict(Status.UNKNOWN, "unreadable", words)
        if seen.nothing_looked_at:
            return verdict(Status.SKIPPED, "watching", f"no block was looked at yet: block {seen.first} is the first")
        before = f"before the last {format_ns(hold_ns)}"
        earlier = f", {seen.standing} {before}" if seen.standing else ""
        unread = f", {seen.unreadable} that did not read {before}" if seen.unreadable else ""
        return verdict(Status.OK, "no_match", f"nothing {where}{earlier}{unread}")
