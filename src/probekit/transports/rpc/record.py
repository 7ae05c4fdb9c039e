"""What a pool tells of each call: one record, from which spans and metrics are made."""

from __future__ import annotations

from collections.abc import Callable

from probekit.model.rpc import Attempt, CallRecord, StateChange

__all__ = ["Attempt", "CallObserver", "CallRecord", "ChangeObserver", "StateChange"]

CallObserver = Callable[[CallRecord], None]
ChangeObserver = Callable[[StateChange], None]
