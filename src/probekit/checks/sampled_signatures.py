"""Are the updates of a stream signed by whom they should be?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.model.lazer_pace import SignatureSample
from probekit.units import Instant, format_ns, to_ns


class SignatureMemory(msgspec.Struct, frozen=True):
    """How many held, and when the newest; and the newest that did not: when, and why."""

    held: int = 0
    held_at: Instant | None = None
    broken_at: Instant | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SampledSignatures:
    """Fold over samples of a stream's signatures: CRITICAL ``not_verified`` while one within ``window`` did not verify; the
    sentence has its error. SKIPPED ``pending`` before the first, and ``quiet`` where none within ``window`` was sampled.
    """

    window: timedelta = timedelta(minutes=5)
    name: ClassVar[str] = "sampled_signatures"

    def __post_init__(self) -> None:
        if self.window <= timedelta(0):
            raise ValueError(f"window must be positive, not {self.window}")

    def init(self) -> SignatureMemory:
        return SignatureMemory()

    def step(
        self, state: SignatureMemory, observation: Observation[SignatureSample] | None, *, now: Instant
    ) -> tuple[SignatureMemory, Verdict]:
        if observation is not None:
            sample = observation.value
            held_at = now if sample.held else state.held_at
            state = msgspec.structs.replace(state, held=state.held + sample.held, held_at=held_at)
            if sample.problem:
                problem = f"{sample.error_type}: {sample.problem}"
                state = msgspec.structs.replace(state, broken_at=now, problem=problem)
        if state.broken_at is not None and now.since(state.broken_at) <= to_ns(self.window):
            ago = format_ns(now.since(state.broken_at))
            return state, Verdict(self.name, Status.CRITICAL, "not_verified", f"{ago} ago: {state.problem}")
        if state.held_at is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "no update was verified yet")
        if now.since(state.held_at) > to_ns(self.window):
            ago = format_ns(now.since(state.held_at))
            return state, Verdict(self.name, Status.SKIPPED, "quiet", f"no update was sampled for {ago}")
        return state, Verdict(self.name, Status.OK, "verified", f"{state.held} sampled updates verified")
