"""What a pool of RPC endpoints tells of its calls and of its endpoints: the records that spans and metrics are made from."""

from __future__ import annotations

import enum

import msgspec

from probekit.errors import ErrorType
from probekit.units import Instant


class EndpointState(enum.StrEnum):
    """What a pool thinks of an endpoint, best first."""

    ALIVE = "alive"
    LAGGING = "lagging"
    LIMITED = "limited"
    OUT_OF_SYNC = "out_of_sync"
    UNREACHABLE = "unreachable"
    WRONG_CHAIN = "wrong_chain"


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
    bytes are those of all attempts. ``number`` tells it from other calls of the process: the records of its HTTP requests have
    it too.
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
    number: int = 0


class StateChange(msgspec.Struct, frozen=True):
    """An endpoint of a pool went from one state to another, and why."""

    endpoint: str
    before: EndpointState
    after: EndpointState
    reason: str
    at: Instant
    chain: str = ""
