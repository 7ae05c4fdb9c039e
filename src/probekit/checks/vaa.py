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


def _unbounded(error_ns: int | None, limit_ns: int) -> str:
    """Why an age says nothing against a limit, for this clock; empty where it does."""
    if error_ns is None:
        return f"nothing bounds this clock's error, limit {format_ns(limit_ns)}"
    if error_ns * 3 > limit_ns:
        return f"this clock may be off by {format_ns(error_ns)}, more than a third of the limit {format_ns(limit_ns)}"
    return ""


@dataclass(frozen=True, slots=True)
class VaaDelay:
    """Rule over an :class:`~probekit.model.wormhole.EmitterView`: from a message's own time to its arrival, against
    ``max_delay``.

    CRITICAL ``not_verified`` while something is here in the place of a message that does not read or verify. CRITICAL
    ``vaa_missing`` for a message that exists (another source has it, or a later one is here) and is not here
    after that; WARNING ``vaa_late`` for one that arrived with this look and was not here in time. The arrival lies between
    two looks: late is what was still absent when it should have been here. SKIPPED ``pending`` before any arrival was
    seen, ``not_indexed`` where there are none to be had.

    A delay is a difference of two clocks: where nothing bounds this one's error, or it is above a third of ``max_delay``, or a
    message arrives before its own time by more than that error and ``max_ahead``, UNKNOWN ``clock``.
    """

    max_delay: timedelta
    max_ahead: timedelta = timedelta(seconds=30)
    name: ClassVar[str] = "vaa_delay"

    def __post_init__(self) -> None:
        if self.max_delay <= timedelta(0):
            raise ValueError(f"max_delay must be positive, not {self.max_delay}")
        if self.max_ahead < timedelta(0):
            raise ValueError(f"max_ahead must not be negative, not {self.max_ahead}")

    @property
    def records(self) -> tuple[tuple[MeasureName, int | None], ...]:
        """The histogram of arrivals, with the limit among its edges."""
        return (("vaa.delay", to_ns(self.max_delay)),)

    def __call__(self, observation: Observation[EmitterView], *, now: Instant) -> Verdict:
        view, limit_ns, error_ns = observation.value, to_ns(self.max_delay), observation.clock_error_ns
        if not view.indexed:
            return Verdict(self.name, Status.SKIPPED, "not_indexed", _NOT_INDEXED)
        measured = [one for one in view.arrived if one.measured]
        lost = f"; {view.lost} before were given up" if view.lost else ""
        measures = tuple(Measure("vaa.delay", max(one.delay_ns, 0), "ns") for one in measured)
        if broken := next((one for one in view.pending if one.problem), None):
            words = f"sequence {broken.sequence} is not what is here: {broken.error_type}: {broken.problem}"
            kind = broken.error_type
            return Verdict(self.name, Status.CRITICAL, "not_verified", words, error_type=kind, measures=measures)
        if view.newest is None and not view.pending:
            return Verdict(self.name, Status.SKIPPED, "pending", f"no message has been seen here yet{lost}")
        if off := _unbounded(error_ns, limit_ns):
            return Verdict(self.name, Status.UNKNOWN, "clock", off, measures=measures)
        soonest = min(measured, key=lambda one: one.delay_ns, default=None)
        if soonest is not None and soonest.delay_ns < -(to_ns(self.max_ahead) + (error_ns or 0)):
            words = (
                f"sequence {soonest.sequence} came {format_ns(-soonest.delay_ns)} before its own time by this clock, "
                f"which is off by {format_ns(error_ns or 0)} at most"
            )
            return Verdict(self.name, Status.UNKNOWN, "clock", words, measures=measures)
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
        words = f"sequence {slowest.sequence} came at most {format_ns(max(slowest.delay_ns, 0))} after its time{lost}"
        return Verdict(self.name, Status.OK, "in_time", words, slowest.delay_ns, limit_ns, "ns", measures=measures)


@dataclass(frozen=True, slots=True)
class EmitterLag:
    """Rule over an :class:`~probekit.model.wormhole.EmitterView`: how far its newest message is behind the newest that
    exists, in numbers, in slots and in time; and whether the emitter still speaks.

    CRITICAL ``emitter_silent`` when the newest message anywhere is older than ``max_silence``; never without one. CRITICAL
    ``emitter_behind`` when it is more than ``max_lag`` behind by the messages' own times: no clock of ours is in that. Silence
    is by this clock: where nothing bounds its error, or that is above a third of ``max_silence``, UNKNOWN ``clock``. SKIPPED
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
        measures: list[Measure] = []
        if newest is not None:
            measures.append(Measure("vaa.age", max(now.since(newest.vaa_time), 0), "ns"))
        off, most_ns, silence_ns = "", None, now.since(max(times))
        if self.max_silence is not None:
            most_ns = to_ns(self.max_silence)
            off = _unbounded(observation.clock_error_ns, most_ns)
        if most_ns is not None and silence_ns > most_ns and not off:
            words = f"its last message is {format_ns(silence_ns)} old, limit {format_ns(most_ns)}"
            return Verdict(
                self.name, Status.CRITICAL, "emitter_silent", words, silence_ns, most_ns, "ns", measures=tuple(measures)
            )
        behind_ns: int | None = None
        shown = "no message has been seen here yet" if newest is None else f"sequence {newest.sequence}, {newest.vaa_time}"
        if newest is not None and announced is not None:
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

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            limit = None if behind_ns is None else limit_ns
            return Verdict(self.name, status, reason, message, behind_ns, limit, "ns", measures=tuple(measures))

        if behind_ns is not None and behind_ns > limit_ns:
            return verdict(Status.CRITICAL, "emitter_behind", f"{shown}, limit {format_ns(limit_ns)}")
        if off:
            return verdict(Status.UNKNOWN, "clock", f"no telling whether it still speaks: {off}; {shown}")
        if newest is None:
            return verdict(Status.SKIPPED, "pending", shown)
        return verdict(Status.OK, "newest", shown)


@dataclass(frozen=True, slots=True)
class SignatureMargin:
    """Rule over an :class:`~probekit.model.wormhole.EmitterView`: signatures of its newest message above the quorum of the
    set in force, against ``min_margin``.

    WARNING ``thin_quorum`` below it: guardians that did not sign in time. WARNING ``other_set`` for a message of another
    set than the one in force, of a later one or sent when that was in force already; one that may have been sent before is
    SKIPPED ``older_set``: an emitter that is quiet keeps the set of its last word. A message may gain signatures after it was
    first read. SKIPPED ``pending`` without any, and ``not_indexed``.
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
            older = one.set_in_force is not None and one.set_index < one.set_in_force
            error_ns = observation.clock_error_ns
            if older and (one.set_since is None or error_ns is None or one.vaa_time.since(one.set_since) <= error_ns):
                sent = f"{words}: it was sent at {one.vaa_time}, which may be before that"
                return Verdict(self.name, Status.SKIPPED, "older_set", sent)
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
