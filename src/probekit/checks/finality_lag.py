"""How far behind its head is a chain settled?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.endpoint_head import EndpointHead, FinalPoint
from probekit.units import Instant, format_ns, to_ns


class _Lag(msgspec.Struct, frozen=True):
    """One level's distance from the head against its limits; ``None`` where it, or its time, is not told."""

    words: str
    told: bool = True
    ns: int | None = None
    blocks: int | None = None
    limit_ns: int | None = None
    max_blocks: int | None = None

    @property
    def over_time(self) -> bool:
        return self.ns is not None and self.limit_ns is not None and self.ns > self.limit_ns

    @property
    def over(self) -> bool:
        return self.over_time or (self.blocks is not None and self.max_blocks is not None and self.blocks > self.max_blocks)


@dataclass(frozen=True, slots=True)
class FinalityLag:
    """Rule over an endpoint: its head minus its finalized block (slot), and minus its safe block (confirmed slot), in the
    blocks' own time and in blocks or slots, each against its limit; one of ``None`` is measured only.

    Finalized further behind is CRITICAL ``not_finalizing``, safe (confirmed) further behind WARNING ``not_settling``. A level
    with a limit that the endpoint does not tell is UNKNOWN ``not_told``; where neither has a limit and neither is told, SKIPPED
    ``no_finality``: many a chain has none. A time limit needs the block's time, which Solana's kind does not tell. A settled
    block above the head is no lag: the two may come from different nodes behind one address. No clock is read.
    """

    max_lag: timedelta | None = None
    max_blocks: int | None = None
    max_soft_lag: timedelta | None = None
    max_soft_blocks: int | None = None
    name: ClassVar[str] = "finality_lag"

    def __post_init__(self) -> None:
        for name in ("max_lag", "max_soft_lag"):
            limit = getattr(self, name)
            if limit is not None and limit <= timedelta(0):
                raise ValueError(f"{name} must be positive, not {limit}")
        for name in ("max_blocks", "max_soft_blocks"):
            if (limit := getattr(self, name)) is not None and limit < 1:
                raise ValueError(f"{name} must be at least 1, not {limit}")

    def __call__(self, observation: Observation[EndpointHead], *, now: Instant) -> Verdict:
        seen = observation.value
        final = self._lag(seen, seen.final, self.max_lag, self.max_blocks, "finalized")
        soft = self._lag(seen, seen.soft, self.max_soft_lag, self.max_soft_blocks, "safe")
        measures = (
            *(() if final.blocks is None else (Measure("chain.finality_lag.blocks", final.blocks, "count"),)),
            *(() if final.ns is None else (Measure("chain.finality_lag", final.ns, "ns"),)),
            *(() if soft.blocks is None else (Measure("chain.soft_lag.blocks", soft.blocks, "count"),)),
            *(() if soft.ns is None else (Measure("chain.soft_lag", soft.ns, "ns"),)),
        )
        limited = any(one is not None for one in (self.max_lag, self.max_blocks, self.max_soft_lag, self.max_soft_blocks))
        words = f"head {seen.head.number}; {final.words}; {soft.words}"

        def verdict(status: Status, reason: str, of: _Lag = final) -> Verdict:
            # What is over its limit is the value; else the time where there is one.
            if of.ns is None or (of.over and not of.over_time):
                return Verdict(self.name, status, reason, words, of.blocks, of.max_blocks, "count", measures=measures)
            return Verdict(self.name, status, reason, words, of.ns, of.limit_ns, "ns", measures=measures)

        if final.over:
            return verdict(Status.CRITICAL, "not_finalizing")
        if not (final.told and soft.told):
            return verdict(Status.UNKNOWN, "not_told")
        if soft.over:
            return verdict(Status.WARNING, "not_settling", soft)
        if limited:
            return verdict(Status.OK, "settling")
        if not measures:
            return verdict(Status.SKIPPED, "no_finality")
        return verdict(Status.OK, "measured")

    @staticmethod
    def _lag(
        seen: EndpointHead,
        point: FinalPoint | None,
        max_lag: timedelta | None,
        max_blocks: int | None,
        level: str,
    ) -> _Lag:
        limited = max_lag is not None or max_blocks is not None
        if point is None or point.number is None:
            why = "" if point is None or not point.problem else f": {point.problem}"
            return _Lag(f"{level if point is None else point.level} is not told{why}", told=not limited)
        blocks = max(seen.head.number - point.number, 0)
        ns = None if point.time is None else max(seen.head.time.since(point.time), 0)
        limit_ns = None if max_lag is None else to_ns(max_lag)
        limits = [
            *([] if limit_ns is None else [format_ns(limit_ns)]),
            *([] if max_blocks is None else [f"{max_blocks} {seen.counted}"]),
        ]
        behind = f"{blocks} {seen.counted}" if ns is None else f"{blocks} {seen.counted} and {format_ns(ns)}"
        words = f"{point.level} {point.number}, {behind} behind, limit {' or '.join(limits) or 'none'}"
        return _Lag(words, limit_ns is None or ns is not None, ns, blocks, limit_ns, max_blocks)
