"""The machine's clock, moved on by what a test says that something took: real exchanges, without the waiting."""

from __future__ import annotations

from probekit.clock import SYSTEM_CLOCK
from probekit.units import Instant


class ShiftedClock:
    """``shift_ns`` is how much was spent."""

    def __init__(self) -> None:
        self.shift_ns = 0

    def now(self) -> Instant:
        return SYSTEM_CLOCK.now()

    def monotonic_ns(self) -> int:
        return SYSTEM_CLOCK.monotonic_ns() + self.shift_ns

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        await SYSTEM_CLOCK.sleep_until_ns(deadline_ns - self.shift_ns)
