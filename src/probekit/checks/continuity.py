"""Does the stream keep flowing, in order and without holes?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.units import Instant, format_ns, to_ns


class StreamState(msgspec.Struct, frozen=True):
    """A stream's condition: cumulative counters since it was first opened, and when data last came."""

    connected: bool
    last_event_at: Instant | None
    opened_at: Instant
    gaps: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    unplanned_closes: int = 0
    dropped: int = 0
    reason: str = ""
    """Why it is not connected, as a sentence."""
    rejected: int = 0
    """Messages that are none, and errors that the service told."""
    rejection: str = ""
    """The newest of them, as a sentence."""


class ContinuityMemory(msgspec.Struct, frozen=True):
    """The last state seen, the faults ever counted, and what that count was at times within the window and just before it."""

    last: StreamState | None = None
    marks: tuple[tuple[Instant, int], ...] = ()
    faults: int = 0
    """Over all streams: one that is opened anew counts from zero again, and takes nothing back."""


@dataclass(frozen=True, slots=True)
class StreamContinuity:
    """Fold over stream states.

    CRITICAL ``silent_stream`` when nothing came for ``max_silence`` (judged at every tick, so a dead stream is found
    without its help), CRITICAL ``disconnected`` when it has been down for that long; WARNING ``lossy`` when gaps,
    reordering, drops and unplanned closes within ``window`` pass ``max_faults``; of faults between two judgements
    it is not known when they were, so they count from the later one. The state holds at most ``MAX_MARKS`` marks.
    """

    max_silence: timedelta = timedelta(seconds=20)
    window: timedelta = timedelta(minutes=5)
    max_faults: int = 10
    name: ClassVar[str] = "stream_continuity"
    MAX_MARKS: ClassVar[int] = 64

    def __post_init__(self) -> None:
        if self.max_silence <= timedelta(0) or self.window <= timedelta(0):
            raise ValueError("max_silence and window must be positive")
        if self.max_faults < 0:
            raise ValueError("max_faults must not be negative")

    def init(self) -> ContinuityMemory:
        return ContinuityMemory()

    def step(
        self, state: ContinuityMemory, observation: Observation[StreamState] | None, *, now: Instant
    ) -> tuple[ContinuityMemory, Verdict]:
        stream = observation.value if observation is not None else state.last
        if stream is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "the stream has not been opened yet")
        counted, before = _faults(stream), 0 if state.last is None else _faults(state.last)
        faults = state.faults + (counted - before if counted >= before else counted)
        oldest = now.ns - to_ns(self.window)
        # The first mark is of before the first judgement: what that one tells counts from now on.
        marks = state.marks or ((now, state.faults),)
        # The newest mark before the window stays: it is what the window began with.
        marks = marks[max(sum(at.ns <= oldest for at, _ in marks) - 1, 0) :]
        recent = faults - marks[0][1]
        # A message rate must not decide how long the window is: marks are a part of the window apart.
        if now.since(marks[-1][0]) * (self.MAX_MARKS - 2) >= to_ns(self.window):
            marks = (*marks, (now, faults))[-self.MAX_MARKS :]
        silence_ns = now.since(stream.last_event_at or stream.opened_at)
        limit_ns = to_ns(self.max_silence)
        measures = (
            Measure("stream.silence", max(silence_ns, 0), "ns"),
            Measure("stream.gaps", stream.gaps, "count"),
            Measure("stream.duplicates", stream.duplicates, "count"),
            Measure("stream.out_of_order", stream.out_of_order, "count"),
        )
        if silence_ns > limit_ns:
            reason = "silent_stream" if stream.connected else "disconnected"
            because = f": {stream.reason}" if stream.reason and not stream.connected else ""
            verdict = Verdict(
                self.name,
                Status.CRITICAL,
                reason,
                f"nothing came for {format_ns(silence_ns)}, limit {format_ns(limit_ns)}{because}",
                silence_ns,
                limit_ns,
                "ns",
                measures=measures,
            )
        elif recent > self.max_faults:
            verdict = Verdict(
                self.name,
                Status.WARNING,
                "lossy",
                f"{recent} gaps, reorderings, drops and breaks within {format_ns(to_ns(self.window))}, limit {self.max_faults}",
                recent,
                self.max_faults,
                "count",
                measures=measures,
            )
        else:
            verdict = Verdict(
                self.name,
                Status.OK,
                "flowing",
                f"last event {format_ns(max(silence_ns, 0))} ago",
                silence_ns,
                limit_ns,
                "ns",
                measures=measures,
            )
        return ContinuityMemory(stream, marks, faults), verdict


def _faults(stream: StreamState) -> int:
    return stream.gaps + stream.out_of_order + stream.dropped + stream.unplanned_closes
