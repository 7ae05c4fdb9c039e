"""Do several endpoints serve the same signed bytes?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Comparison, Measure, Observation, Status, TrustRoot, Verdict
from probekit.units import NS_PER_MS, Instant, format_ns, to_ns


class SignedPoint(msgspec.Struct, frozen=True):
    """One signed message of a feed at one endpoint: the join key (root, slot) and the message's bytes, as hex.

    ``slot`` comes from the signed payload, never from served metadata; ``None`` where there was none to be had.
    """

    root: TrustRoot
    slot: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rule over a comparison of each endpoint's recent signed points (newest first), joined by (trust root, slot).

    The same key with different message bytes is a data fault: CRITICAL ``conflicting_data``. Different newest slots are
    delay, in slots and in time (400 ms a slot on the core root, 50 ms on the pro root): WARNING ``lagging`` beyond
    ``max_delay``. Endpoints on different roots cannot be joined: WARNING ``different_roots``. Without a slot, with
    fewer than two sources, or with no slot that two of them served: UNKNOWN. publish_time is whole seconds and proves
    nothing here.
    """

    max_delay: timedelta = timedelta(seconds=5)
    name: ClassVar[str] = "agreement"

    def __post_init__(self) -> None:
        if self.max_delay <= timedelta(0):
            raise ValueError(f"max_delay must be positive, not {self.max_delay}")

    def __call__(self, observation: Observation[Comparison[tuple[SignedPoint, ...]]], *, now: Instant) -> Verdict:
        comparison = observation.value
        histories = {source: points for source, points in sorted(comparison.values.items()) if points}

        def unknown(reason: str, message: str) -> Verdict:
            return Verdict(self.name, Status.UNKNOWN, reason, message)

        if len(histories) < 2:
            absent = "; ".join(f"{source}: {error.message}" for source, error in sorted(comparison.failures.items()))
            return unknown("too_few_sources", f"{len(histories)} of the endpoints answered. {absent}".strip())
        without = [source for source, points in histories.items() if points[0].slot is None]
        if without:
            return unknown("no_slot", f"no signed slot from {', '.join(without)}")

        joined = 0
        first_seen: dict[tuple[TrustRoot, int], tuple[str, str]] = {}
        for source, points in histories.items():
            for point in points:
                if point.slot is None:
                    continue
                first = first_seen.setdefault((point.root, point.slot), (source, point.message))
                joined += first[0] != source
                if first[1] != point.message:
                    return Verdict(
                        self.name,
                        Status.CRITICAL,
                        "conflicting_data",
                        f"{first[0]} and {source} served different signed messages for "
                        f"slot {point.slot} of the {point.root} root",
                    )
        roots = {points[0].root for points in histories.values()}
        if len(roots) > 1:
            by_source = ", ".join(f"{source} {points[0].root}" for source, points in histories.items())
            return Verdict(self.name, Status.WARNING, "different_roots", f"the endpoints serve different roots: {by_source}")

        heads = {source: points[0].slot or 0 for source, points in histories.items()}
        newest = max(heads.values())
        slowest = min(heads, key=heads.__getitem__)
        behind = newest - heads[slowest]
        delay_ns = behind * roots.pop().slot_ns
        limit_ns = to_ns(self.max_delay)
        measures = (Measure("agreement.slot_delay", behind, "slots"), Measure("agreement.delay", delay_ns, "ns"))
        shown = f"{slowest} is {behind} slots ({delay_ns // NS_PER_MS} ms) behind" if behind else "all at the same slot"
        if delay_ns > limit_ns:
            status, reason, message = Status.WARNING, "lagging", f"{shown}, limit {format_ns(limit_ns)}"
        elif not joined:
            status, reason, message = (
                Status.UNKNOWN,
                "no_common_slot",
                f"no slot was served by two endpoints yet; {shown}",
            )
        else:
            status, reason, message = Status.OK, "agreeing", f"{joined} messages compared equal; {shown}"
        return Verdict(self.name, status, reason, message, delay_ns, limit_ns, "ns", measures=measures)
