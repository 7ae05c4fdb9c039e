"""How far is an endpoint behind the best of its chain?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.endpoint_head import EndpointHead, beyond
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class HeadLag:
    """Rule over an endpoint: the best head of the same tick minus its own, in the blocks' own time against ``max_lag`` and in
    blocks or slots against ``max_blocks``; a limit of ``None`` is none.

    Beyond one CRITICAL ``behind``; further ahead of it than any chain makes blocks, CRITICAL ``wild_head``. Without another
    endpoint to compare with SKIPPED ``alone``, and UNKNOWN ``no_measure`` where no head of several can be believed. No clock is
    read. Endpoints are asked at once and answer when they do: a lag within their answers' time is none.
    """

    max_lag: timedelta | None = timedelta(seconds=30)
    max_blocks: int | None = None
    name: ClassVar[str] = "head_lag"

    def __post_init__(self) -> None:
        if self.max_lag is not None and self.max_lag <= timedelta(0):
            raise ValueError(f"max_lag must be positive, not {self.max_lag}")
        if self.max_blocks is not None and self.max_blocks < 1:
            raise ValueError(f"max_blocks must be at least 1, not {self.max_blocks}")

    def __call__(self, observation: Observation[EndpointHead], *, now: Instant) -> Verdict:
        seen = observation.value
        if seen.best is None and seen.others:
            words = (
                f"head {seen.head.number}: it and {seen.others} more are of the future, or further apart than any chain makes "
                "blocks: none is a measure"
            )
            return Verdict(self.name, Status.UNKNOWN, "no_measure", words)
        if seen.best is None:
            return Verdict(self.name, Status.SKIPPED, "alone", "no other endpoint of this chain answered to compare with")
        blocks, lag_ns = max(seen.best.number - seen.head.number, 0), max(seen.best.time.since(seen.head.time), 0)
        limit_ns = None if self.max_lag is None else to_ns(self.max_lag)
        limits = [
            *([] if limit_ns is None else [format_ns(limit_ns)]),
            *([] if self.max_blocks is None else [f"{self.max_blocks} {seen.counted}"]),
        ]
        shown = (
            f"head {seen.head.number}, best {seen.best.number} at {seen.best_label}: "
            f"{blocks} {seen.counted} and {format_ns(lag_ns)} behind, limit {' or '.join(limits) or 'none'}"
        )
        measures = (Measure("chain.head_lag", lag_ns, "ns"), Measure("chain.head_lag.blocks", blocks, "count"))

        def verdict(status: Status, reason: str, *, by_blocks: bool = False) -> Verdict:
            if by_blocks:
                return Verdict(self.name, status, reason, shown, blocks, self.max_blocks, "count", measures=measures)
            return Verdict(self.name, status, reason, shown, lag_ns, limit_ns, "ns", measures=measures)

        if beyond(seen.head, seen.best):
            words = f"head {seen.head.number}, best that can be {seen.best.number} at {seen.best_label}: no chain makes so many"
            return Verdict(self.name, Status.CRITICAL, "wild_head", words, seen.head.number - seen.best.number, unit="count")
        if limit_ns is not None and lag_ns > limit_ns:
            return verdict(Status.CRITICAL, "behind")
        if self.max_blocks is not None and blocks > self.max_blocks:
            return verdict(Status.CRITICAL, "behind", by_blocks=True)
        return verdict(Status.OK, "level")
