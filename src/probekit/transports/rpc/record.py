"""What a pool tells of each call: one record, from which spans and metrics are made."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from probekit.errors import ErrorType
from probekit.transports.rpc.endpoint import EndpointState
from probekit.units import Instant


class Attempt(msgspec.Struct, frozen=True):
    """One request to one endpoint. ``hedge``: sent while an earlier one was still out. ``error_type`` is ``cancelled`` for the
    slower of two.
    """

    endpoint: str
    elapsed_ns: int
    hedge: bool = False
    error_type: ErrorType | None = None


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call, or one batch, from the asking to the answer with all its attempts. ``items`` is 1 for a call of its own;
    ``failed_items`` counts those of a batch that ended in an error. ``chain`` is the pool's name.
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
