"""Does every publisher of a feed still publish, while its market is open?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.checks.parts import gathered, nothing_judged, require, scope_of
from probekit.model import Observation, Status, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import QuoteSheet
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class PublisherOffline:
    """Rule over a sheet of quotes: slots since each publisher's newest quote, against ``max_slots``.

    A publisher is CRITICAL ``offline`` from ``max_slots`` on; beyond ``abandoned_slots``, or without a quote at all, the
    reason is ``abandoned``, which is a state of its own and never a pass: CRITICAL, or WARNING with ``abandoned_warns``. A
    closed market, the first ``open_grace`` of an open one and a feed not yet in production are SKIPPED. ``per_publisher`` has
    thresholds of their own.

    Raises ``ValueError`` unless ``0 < max_slots < abandoned_slots`` and ``open_grace >= 0``.
    """

    max_slots: int = 25
    abandoned_slots: int = 10_000
    open_grace: timedelta = timedelta(seconds=60)
    abandoned_warns: bool = False
    per_publisher: tuple[tuple[Pubkey, PublisherOffline], ...] = ()
    name: ClassVar[str] = "publisher_offline"

    def __post_init__(self) -> None:
        require(
            (self.max_slots > 0, f"max_slots must be positive, not {self.max_slots}"),
            (
                self.abandoned_slots > self.max_slots,
                f"abandoned_slots must be above max_slots, not {self.abandoned_slots} against {self.max_slots}",
            ),
            (self.open_grace >= timedelta(0), "open_grace must not be negative"),
        )

    def __call__(self, observation: Observation[QuoteSheet], *, now: Instant) -> Verdict:
        sheet = observation.value
        if not sheet.in_production:
            asks = f"announced: asks for {sheet.price.min_publishers} publishers"
            return nothing_judged(Verdict(self.name, Status.SKIPPED, "not_in_production", asks), len(sheet))
        if sheet.hours_error is not None:
            words = f"the market schedule does not parse: {sheet.hours_error}"
            return nothing_judged(Verdict(self.name, Status.UNKNOWN, "schedule_unreadable", words), len(sheet))
        if sheet.market == "closed":
            return nothing_judged(Verdict(self.name, Status.SKIPPED, "market_closed", "the market is closed"), len(sheet))
        oldest = sheet.slot - self.max_slots
        late = [place for place, at in enumerate(sheet.pub_slots) if at <= oldest]
        own = dict(self.per_publisher)
        if own:
            others = [place for place, key in enumerate(sheet.publishers) if key in own]
            late = sorted({*late, *others})
        opened_for_ns = sheet.opened_for_ns(now)
        judged = []
        for place in late:
            part = own.get(sheet.publishers[place], self)._part(sheet, place, opened_for_ns)  # type: ignore[call-overload]
            if part is not None:
                judged.append(part)
        ok = f"all publishers quoted in the last {self.max_slots} slots"
        idle = "no publisher is late yet and the market has just opened"
        return gathered(
            Verdict(self.name, Status.OK, "publishing", ok),
            Verdict(self.name, Status.SKIPPED, "market_opening", idle),
            judged,
            total=len(sheet),
        )

    def _part(self, sheet: QuoteSheet, place: int, opened_for_ns: int | None) -> Verdict | None:
        lag = sheet.slot - sheet.pub_slots[place]
        if lag < self.max_slots:
            return None
        label = sheet.labels[place]
        shown = f"{label} quoted {lag} slots ago" if sheet.pub_slots[place] else f"{label} never quoted"
        scope = scope_of(sheet.publishers[place])
        if opened_for_ns is not None and opened_for_ns <= to_ns(self.open_grace):
            opened = f"{shown}; the market opened {format_ns(opened_for_ns)} ago"
            return Verdict(self.name, Status.SKIPPED, "market_opening", opened, lag, self.max_slots, "slots", scope)
        if lag > self.abandoned_slots or not sheet.pub_slots[place]:
            status = Status.WARNING if self.abandoned_warns else Status.CRITICAL
            words = f"{shown}, abandoned from {self.abandoned_slots}"
            return Verdict(self.name, status, "abandoned", words, lag, self.abandoned_slots, "slots", scope)
        words = f"{shown}, limit {self.max_slots}"
        return Verdict(self.name, Status.CRITICAL, "offline", words, lag, self.max_slots, "slots", scope)
