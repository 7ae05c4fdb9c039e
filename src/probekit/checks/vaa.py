"""Do signed messages arrive where they are read, in time, in order and with signatures to spare?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.verdict import MeasureName
from probekit.model.wormhole import EmitterView
from probekit.units import Instant, format_ns, to_ns

_NOT_INDEXED: Final = (
    "not to be had here: guardians' nodes refuse Pythnet's messages, and those of the pro root are in no index"
)


@dataclass(frozen=True, slots=True)
class VaaDelay:
    """Rule over an :class:`~probekit.model.wormhole.EmitterView`: from a message's own time to its arrival, against
    ``max_delay``.

    CRITICAL ``vaa_missing`` for a message that exists (another source has it, or the next one is here) and is not here
    after that; WARNING ``vaa_late`` for one that arrived with this look and was not here in time. The arrival lies between
    two looks: late is what was still absent when it should have been here. SKIPPED ``pending`` before any arrival was
    seen, ``not_indexed`` where there are none to be had.
    """

    max_delay: timedelta
    name: ClassVar[str] = "vaa_delay"

    def __post_init__(self) -> None:
        if self.max_delay <= timedelta(0):
            raise ValueError(f"max_delay must be positive, not {self.max_delay}")

    @property
    def records(self) -> tuple[tuple[MeasureName, int | None], ...]:
        """The histogram of arrivals, with the limit among its edges."""
        return (("vaa.delay", to_ns(self.max_delay)),)

    def __call__(self, observation: Observation[EmitterView], *, now: Instant) -> Verdict:
        view, limit_ns = observation.value, to_ns(self.max_delay)
        if not view.indexed:
            return Verdict(self.name, Status.SKIPPED, "not_indexed", _NOT_INDEXED)
        measured = [one for one in view.arrived if one.measured]
        lost = f"; {view.lost} before were given up" if view.lost else ""
        measures = tuple(Measure("vaa.delay", one.delay_ns, "ns") for one in measured)
        lacking = [one for one in view.pending if now.since(one.since) > limit_ns]
        if lacking:
            oldest = min(lacking, key=lambda one: one.since.ns)
            age_ns = now.since(oldest.since)
            more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            words = (
                f"sequence {oldest.sequence} is not here {format_ns(age_ns)} after its time{more}, limit {format_ns(limit_ns)}"
            )
            return Verdict(self.name, Status.CRITICAL, "vaa_missing", words, age_ns, limit_ns, "ns", measures=measures)
        late = [one for one in measured if one.delay_at_least_ns > limit_ns]
        if late:
            worst = max(late, key=lambda one: one.delay_at_least_ns)
            words = (
                f"sequence {worst.sequence} came {format_ns(worst.delay_at_least_ns)} to {format_ns(worst.delay_ns)} after its "
                f"time, limit {format_ns(limit_ns)}"
            )
            value_ns = worst.delay_at_least_ns
            return Verdict(self.name, Status.WARNING, "vaa_late", words, value_ns, limit_ns, "ns", measures=measures)
        if not measured:
            waiting = f"; waiting for {view.pending[0].sequence}" if view.pending else ""
            if view.newest is None:
                return Verdict(self.name, Status.SKIPPED, "pending", f"no message has been seen here yet{waiting}")
            words = f"nothing new since sequence {view.newest.sequence}{waiting}{lost}"
            return Verdict(self.name, Status.OK, "nothing_new", words)
        slowest = max(measured, key=lambda one: one.delay_ns)
        words = f"sequence {slowest.sequence} came at most {format_ns(slowest.delay_ns)} after its time{lost}"
        return Verdict(self.name, Status.OK, "in_time", words, slowest.delay_ns, limit_ns, "ns", measures=measures)


@dataclass(frozen=True, slots=True)
class EmitterLag:
    """Rule over an :class:`~probekit.model.wormhole.EmitterView`: how far its newest message is behind the newest that
    exists, in numbers, in slots and in time; and whether the emitter still speaks.

    CRITICAL ``emitter_behind`` when it is more than ``max_lag`` behind by the messages' own times. CRITICAL
    ``emitter_silent`` when the newest message anywhere is older than ``max_silence``; never without one. SKIPPED
    ``pending`` without any message, and ``not_indexed``.
    """

    max_lag: timedelta
    max_silence: timedelta | None = None
    name: ClassVar[str] = "emitter_lag"

    def __post_init__(self) -> None:
        for field in ("max_lag", "max_silence"):
            value = getattr(self, field)
            if value is not None and value <= timedelta(0):
                raise ValueError(f"{field} must be positive, not {value}")

    def __call__(self, observation: Observation[EmitterView], *, now: Instant) -> Verdict:
        view, limit_ns = observation.value, to_ns(self.max_lag)
        if not view.indexed:
            return Verdict(self.name, Status.SKIPPED, "not_indexed", _NOT_INDEXED)
        newest, announced = view.newest, view.announced
        times = [one.vaa_time for one in (newest, announced) if one is not None]
        if not times:
            return Verdict(self.name, Status.SKIPPED, "pending", "no message has been seen anywhere yet")
        last = max(times)
        measures: list[Measure] = []
        if newest is not None:
            measures.append(Measure("vaa.age", now.since(newest.vaa_time), "ns"))
        if self.max_silence is not None and now.since(last) > to_ns(self.max_silence):
            silence_ns, most_ns = now.since(last), to_ns(self.max_silence)
            words = f"its last message is {format_ns(silence_ns)} old, limit {format_ns(most_ns)}"
            return Verdict(
                self.name, Status.CRITICAL, "emitter_silent", words, silence_ns, most_ns, "ns", measures=tuple(measures)
            )
        if newest is None:
            return Verdict(self.name, Status.SKIPPED, "pending", "no message has been seen here yet")
        if announced is None:
            return Verdict(
                self.name, Status.OK, "newest", f"sequence {newest.sequence}, {newest.vaa_time}", measures=tuple(measures)
            )
        # Read a moment later, a place may be ahead of what was announced.
        numbers = max(0, announced.sequence - newest.sequence)
        behind_ns = max(0, announced.vaa_time.since(newest.vaa_time))
        shown = f"sequence {newest.sequence} is {numbers} behind"
        measures.append(Measure("vaa.sequences_behind", numbers, "count"))
        if announced.slot is not None and newest.slot is not None:
            slots = max(0, announced.slot - newest.slot)
            measures.append(Measure("vaa.slots_behind", slots, "slots"))
            shown += f", {slots} slots"
        shown += f", {format_ns(behind_ns)}"
        late = behind_ns > limit_ns
        return Verdict(
            self.name,
            Status.CRITICAL if late else Status.OK,
            "emitter_behind" if late else "newest",
            f"{shown}, limit {format_ns(limit_ns)}" if late else shown,
            behind_ns,
            limit_ns,
            "ns",
            measures=tuple(measures),
        )


@dataclass(frozen=True, slots=True)
class SignatureMargin:
    """Rule over an :class:`~probekit.model.wormhole.EmitterView`: signatures of its newest message above the quorum of the
    set in force, against ``min_margin``.

    WARNING ``thin_quorum`` below it: guardians that did not sign in time. WARNING ``other_set`` for a message of another
    set than the one in force. A message may gain signatures after it was first read. SKIPPED ``pending`` without any, and
    ``not_indexed``.
    """

    min_margin: int = 0
    name: ClassVar[str] = "signature_margin"

    def __post_init__(self) -> None:
        if not 0 <= self.min_margin <= 255:
            raise ValueError(f"min_margin must lie between 0 and 255, not {self.min_margin}")

    def __call__(self, observation: Observation[EmitterView], *, now: Instant) -> Verdict:
        view = observation.value
        if not view.indexed:
            return Verdict(self.name, Status.SKIPPED, "not_indexed", _NOT_INDEXED)
        if view.newest is None:
            return Verdict(self.name, Status.SKIPPED, "pending", "no message has been seen here yet")
        one = view.newest
        if one.quorum is None:
            words = f"sequence {one.sequence} is signed by set {one.set_index}, and set {one.set_in_force} is in force"
            return Verdict(self.name, Status.WARNING, "other_set", words)
        margin = one.signatures - one.quorum
        thin = margin < self.min_margin
        words = f"sequence {one.sequence} has {one.signatures} signatures, {margin} above the quorum of {one.quorum}"
        return Verdict(
            self.name,
            Status.WARNING if thin else Status.OK,
            "thin_quorum" if thin else "signed",
            f"{words}, wanted {self.min_margin}" if thin else words,
            margin,
            self.min_margin,
            "count",
            measures=(Measure("vaa.signature_margin", margin, "count"),),
        )
