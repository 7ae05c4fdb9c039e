"""Observations: a value, where it was seen, when, and how long that took. No judgement."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

from probekit.errors import ErrorType, Phase, ProbekitError
from probekit.model.feed import Feed
from probekit.secret import redact_url
from probekit.units import Instant

T = TypeVar("T")

TargetKind = Literal["feed", "endpoint", "account", "contract", "service", "probe"]
"""``probe`` is the probe itself, where it failed before it knew what to watch."""


AddressFamily = Literal["ipv4", "ipv6"]


class Target(msgspec.Struct, frozen=True):
    """What a run is aimed at. ``id`` is its stable identity; ``label`` is for people; ``feed`` describes it where it
    is one.
    """

    id: str
    kind: TargetKind
    label: str = ""
    feed: Feed | None = None
    behind: str = ""
    """Id of the endpoint target it is seen through: what fails there is told there, once."""

    @classmethod
    def endpoint(cls, url: str) -> Target:
        """The target for a service's base URL. A key in the URL stays out of the id, which goes into every metric."""
        return cls(redact_url(url), "endpoint")

    @property
    def name(self) -> str:
        """The label where there is one, else the id."""
        return self.label or self.id


class Phases(msgspec.Struct, frozen=True, gc=False):
    """Where one exchange's time went, in ns. ``None``: this engine cannot know, or the phase did not happen."""

    queue_ns: int | None = None
    """Waiting for a slot of the engine, before the look-up or between it and the connection; not part of the others."""
    resolve_ns: int | None = None
    connect_ns: int | None = None
    tls_ns: int | None = None
    first_byte_ns: int | None = None
    """From the request sent to the first byte of the answer."""
    transfer_ns: int | None = None


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt on the wire, as the transport saw it. ``url`` is redacted. One record per attempt, never per
    logical call.
    """

    method: str
    url: str
    engine: str
    started_at: Instant
    elapsed_ns: int
    phases: Phases
    status: int | None = None
    error_type: ErrorType | None = None
    error_phase: Phase | None = None
    http_version: str | None = None
    peer_address: str | None = None
    peer_port: int | None = None
    family: AddressFamily | None = None
    """The one that was asked for, also where nothing was connected to; ``None`` where either would do."""
    received_bytes: int = 0
    """Bytes of the body after decompression."""
    attempt: int = 0
    """0 for the first try, counted up by retries: ``http.request.resend_count``."""
    new_connection: bool | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """The response headers that matter to a reader (date, server, retry-after, content-type, ...), redacted."""
    excerpt: str = ""
    """First bytes of the body, redacted; empty for a stream."""
    endpoint: str = ""
    """The label of the endpoint that was asked, where a pool chose it."""
    rpc_method: str = ""
    """The JSON-RPC method, ``batch`` for several in one request; empty for what is no JSON-RPC."""
    rpc_code: int | None = None
    """Code of the JSON-RPC error in the answer; of a batch, of its first."""
    call: int | None = None
    """The number of the JSON-RPC call that it was made for; ``None`` for a pool's own looks, and for what is no JSON-RPC."""
    target: str = ""
    """Id of the one target it was for, where the probe said so."""


class Observation(msgspec.Struct, Generic[T], frozen=True, kw_only=False):
    """A value seen by one source at one time. ``observed_at`` is when it was here in full."""

    value: T
    source: str
    observed_at: Instant
    target: str = ""
    elapsed_ns: int = 0
    clock_error_ns: int | None = 0
    """Bound of the local clock's error at ``observed_at``; ``None`` when nothing bounds it."""
    feed: Feed | None = None
    """The target's description, for checks that depend on market hours or asset class."""


class Failure(msgspec.Struct, frozen=True):
    """Nothing was observed at ``target``; the runner's failure map turns ``error`` into a verdict."""

    error: ProbekitError
    source: str
    observed_at: Instant
    target: str
    elapsed_ns: int = 0

    @classmethod
    def of(cls, error: ProbekitError, target: str, at: Instant) -> Failure:
        """``error`` of a target that is its own source, with the time that its exchange took where the error knows it."""
        return cls(error, target, at, target, error.elapsed_ns or 0)


class Comparison(msgspec.Struct, Generic[T], frozen=True):
    """The same thing seen by several sources, for checks over agreement: source name -> value, or why there is none."""

    values: dict[str, T]
    failures: dict[str, ProbekitError] = {}
