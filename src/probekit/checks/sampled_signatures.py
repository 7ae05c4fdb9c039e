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
    """How many held, and the newest that did not: when, and why."""

    held: int = 0
    broken_at: Instant | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SampledSignatures:
    """Fold over samples of a stream's signatures: CRITICAL ``not_verified`` while one within ``window`` did not verify; the
    sentence has its error. SKIPPED ``pending`` before the first. What is not sampled is not judged.
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
            sample, held = observation.value, state.held + observation.value.held
            state = SignatureMemory(held, state.broken_at, state.problem)
            if sample.problem:
                state = SignatureMemory(held, now, f"{sample.error_type}: {sample.problem}")
        if state.broken_at is not None and now.since(state.broken_at) <= to_ns(self.window):
            ago = format_ns(now.since(state.broken_at))
            return state, Verdict(self.name, Status.CRITICAL, "not_verified", f"{ago} ago: {state.problem}")
        if not state.held:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "no update was verified yet")
        return state, Verdict(self.name, Status.OK, "verified", f"{state.held} sampled updates verified")
