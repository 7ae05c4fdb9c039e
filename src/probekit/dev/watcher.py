"""What a demonstration watches beside its faults: verdicts that nobody asked for, and a machine that stalls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from probekit.dev.board import Key, Seen
from probekit.model import Status

STEP_S = 0.05
STALL_S = 0.25
"""A step that comes this much too late is a stall."""


@dataclass
class Stalls:
    """How long this process did not get to run: the bounds are about verdicts, not about the machine under them."""

    total_s: float = 0.0

    async def sleep(self, seconds: float) -> None:
        """Sleep in short steps, and count how much too long they took."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            step_s, before_s = min(left_s, STEP_S), time.monotonic()
            await asyncio.sleep(step_s)
            late_s = time.monotonic() - before_s - step_s
            if late_s >= STALL_S:
                self.total_s += late_s


@dataclass
class Watcher:
    """Knows which targets may be other than OK at the moment; anything else that is gets written down."""

    stalls: Stalls
    excused: set[Key] = field(default_factory=set)
    warming: bool = True
    unexpected: list[str] = field(default_factory=list)
    vantage: list[str] = field(default_factory=list)
    lossy: list[str] = field(default_factory=list)

    def __call__(self, key: Key, seen: Seen) -> None:
        if seen.status in (Status.OK, Status.SKIPPED) or key in self.excused:
            return
        line = f"{key[0]} {seen.name}: {seen.status.upper()} {seen.verdict.reason}: {seen.verdict.message}"
        if seen.verdict.reason in ("vantage", "clock"):
            # The machine stalled, and the probe said so instead of blaming the oracle.
            self.vantage.append(line)
        elif seen.verdict.reason == "lossy":
            # The sandbox runs on the same machine: slots it did not get to sign are gaps in its streams.
            self.lossy.append(line)
        elif not (self.warming and seen.status is Status.UNKNOWN):
            self.unexpected.append(line)

    def conclude(self) -> None:
        """Put gaps where they belong, once it is known whether the machine stalled."""
        (self.vantage if self.stalls.total_s else self.unexpected).extend(self.lossy)
        self.lossy = []
