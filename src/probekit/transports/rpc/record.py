"""What a pool tells of each call: one record, from which spans and metrics are made."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from probekit.errors import ErrorType
from probekit.transports.rpc.endpoint import EndpointState
from probekit.units import Instant


class Traffic(msgspec.Struct):
    """Counts of what went over the wire: HTTP requests, and the bytes of their bodies. Headers are not counted, nor the body of
    an answer that broke off.
    """

    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class Attempt(msgspec.Struct, frozen=True):
    """One endpoint asked once. ``hedge``: asked while an earlier one was still out. ``error_type`` is ``cancelled`` for the
    slower of two. ``requests`` are its HTTP requests: a look at its chain and the parts of a split batch count, 0 when nothing
    left this machine.
    """

    endpoint: str
    elapsed_ns: int
    hedge: bool = False
    error_type: ErrorType | None = None
    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call, or one batch, from the asking to the answer with all its attempts. ``items`` is 1 for a call of its own;
    ``failed_items`` counts those that ended in an error, ``error_type`` is set when all did. ``chain`` is the pool's name; the
    bytes are those of all attempts.
    """

    chain: str
    method: str
    started_at: Instant
    elapsed_ns: int
    attempts: tuple[Attempt, ...]
    items: int = 1
    failed_items: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    error_type: ErrorType | None = None
    rpc_code: int | None = None


class StateChange(msgspec.Struct, frozen=True):
    """An endpoint went from one state to another, and why."""

    endpoint: str
    before: EndpointState
    after: EndpointState
    reason: str
    at: Instant


CallObserver = Callable[[CallRecord], None]
ChangeObserver = Callable[[StateChange], None]
