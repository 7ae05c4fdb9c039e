"""Does every message of a stream read?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, Protocol

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.units import Instant, format_ns, to_ns

_WORDS: Final = 400


class Rejecting(Protocol):
    """A stream's condition, such as :class:`StreamState`: how many messages were none since it was opened, and the newest."""

    @property
    def rejected(self) -> int: ...

    @property
    def rejection(self) -> str: ...


class MessagesMemory(msgspec.Struct, frozen=True):
    """How many were ever rejected, how many of them lately, when the newest of them was, and why."""

    counted: int = 0
    lately: int = 0
    broken_at: Instant | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StreamMessages:
    """Fold over stream states, by what they count as rejected: CRITICAL ``bad_message`` while within ``window`` there was a
    message that is none, or an error that the service told. The sentence has how many, and the newest. The state is two
    counts, an instant and that sentence.
    """

    window: timedelta = timedelta(minutes=5)
    name: ClassVar[str] = "stream_messages"

    def __post_init__(self) -> None:
        if self.window <= timedelta(0):
            raise ValueError(f"window must be positive, not {self.window}")

    def init(self) -> MessagesMemory:
        return MessagesMemory()

    def step(
        self, state: MessagesMemory, observation: Observation[Rejecting] | None, *, now: Instant
    ) -> tuple[MessagesMemory, Verdict]:
        if state.broken_at is not None and now.since(state.broken_at) > to_ns(self.window):
            state = MessagesMemory(state.counted)
        if observation is not None:
            stream = observation.value
            # One that is opened anew counts from zero again.
            new = stream.rejected - state.counted if stream.rejected >= state.counted else stream.rejected
            state = msgspec.structs.replace(state, counted=stream.rejected)
            if new:
                state = MessagesMemory(stream.rejected, state.lately + new, now, stream.rejection[:_WORDS])
        if state.broken_at is None:
            return state, Verdict(self.name, Status.OK, "readable", "no message lately that does not read")
        ago = format_ns(now.since(state.broken_at))
        words = f"{state.lately} messages lately are no updates, the newest {ago} ago: {state.problem}"
        return state, Verdict(self.name, Status.CRITICAL, "bad_message", words, state.lately, 0, "count")
