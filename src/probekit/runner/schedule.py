"""When a probe runs: a phase by hash, stable over restarts, so that many probes and vantages spread over the
interval.
"""

from __future__ import annotations

import hashlib


def phase_ns(identity: str, interval_ns: int) -> int:
    """Where in the interval ``identity`` (probe and vantage) starts: 0 <= phase < interval."""
    digest = hashlib.sha256(identity.encode()).digest()
    return int.from_bytes(digest[:8], "big") % interval_ns


def next_due_ns(now_ns: int, interval_ns: int, phase: int) -> int:
    """First instant after ``now_ns`` that is ``phase`` into an interval."""
    return (now_ns - phase) // interval_ns * interval_ns + phase + interval_ns


def skipped(previous_due_ns: int, due_ns: int, interval_ns: int) -> int:
    """Ticks between two due times that never ran."""
    return max(0, (due_ns - previous_due_ns + interval_ns // 2) // interval_ns - 1)
