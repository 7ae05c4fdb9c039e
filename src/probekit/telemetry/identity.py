"""Trace and span ids, derived from a run's id: spans, log records and exemplars agree without passing anything around."""

from __future__ import annotations

from typing import Final

_MASK: Final = 2**64 - 1
# An odd constant (2**64 over the golden ratio): n -> n * constant visits every 64-bit value once, so ids of a run differ.
_STRIDE: Final = 0x9E3779B97F4A7C15


def trace_id(run_id: str) -> int:
    """The run's id as a trace id."""
    return int(run_id, 16)


def span_id(run_id: str, number: int) -> int:
    """Span ``number`` of a run's trace, never zero: 0 is the root, 1 the first attempt on the wire."""
    return ((int(run_id[:16], 16) + number * _STRIDE) & _MASK) or 1


class Sampler:
    """Which runs become traces: a share of all, chosen by the low half of the trace id as the specification's ratio sampler
    does.
    """

    def __init__(self, ratio: float = 1.0) -> None:
        self.ratio = ratio
        self._bound = round(ratio * 2**64)

    def samples(self, run_id: str) -> bool:
        """Whether this run's trace is kept. Metrics and log records do not depend on it."""
        return int(run_id[16:], 16) < self._bound
