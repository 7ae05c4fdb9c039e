"""What a pool tells of each call: one record, from which spans and metrics are made."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from probekit.model.rpc import Attempt, CallRecord, StateChange

__all__ = ["Attempt", "CallObserver", "CallRecord", "ChangeObserver", "StateChange", "Traffic"]


class Traffic(msgspec.Struct):
    """Counts of what went over the wire: HTTP requests, and the bytes of their bodies. Headers are not counted, nor the body of
    an answer that broke off.
    """

    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


CallObserver = Callable[[CallRecord], None]
ChangeObserver = Callable[[StateChange], None]
