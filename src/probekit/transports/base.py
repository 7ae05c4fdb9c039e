"""The transport: one method, a request in, a response out. Engines and middleware all have this shape.

An *engine* (:mod:`probekit.transports.httpx`, :mod:`probekit.transports.curl`) puts one attempt on the wire.
*Middleware* wraps a transport and is one: retry, fallback, recording, cassette. Nothing above this floor knows which
HTTP library is below.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, Self, runtime_checkable

from probekit.errors import Phase
from probekit.model import Phases, RequestRecord
from probekit.model.observation import AddressFamily
from probekit.secret import Secret, redact_url
from probekit.units import Instant

Method = Literal["GET", "POST", "HEAD"]
HeaderValue = str | Secret
HttpVersion = Literal["1.1", "2", "3"]

DEFAULT_MAX_HEADER_BYTES: Final = 64 * 1024
_SHOWN_URL: Final = 240
_MARGIN: Final = 1024
DEFAULT_MAX_BODY_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an answer. ``max_body_bytes`` counts after decompression; a stream has none here, its messages do (the SSE
    layer's business).
    """

    max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One logical request. Engines make exactly one attempt of it.

    ``deadline_ns`` is absolute on the transport's monotonic clock and covers everything from name look-up to the last
    byte of the body (for ``stream=True``: to the end of the headers). ``url`` may hold a key in its path or query: show
    ``shown_url``. A header's value may be a :class:`~probekit.secret.Secret`; engines reveal it on the wire only, and to no
    other origin that a redirect leads to. ``repeatable`` is the caller's word that a POST only asks, so that it may go out
    again, or to another endpoint. ``http_version`` and ``family`` are the engine's own choice where they are ``None``; the
    measuring engine takes them, others refuse. A family is that of the addresses a name has, which are then tried one after the
    other, never two at once; an address in the URL is of its own.
    """

    method: Method
    url: str
    headers: tuple[tuple[str, HeaderValue], ...] = ()
    body: bytes | None = None
    deadline_ns: int | None = None
    stream: bool = False
    limits: Limits = field(default_factory=Limits)
    max_redirects: int = 0
    attempt: int = 0
    repeatable: bool = False
    http_version: HttpVersion | None = None
    family: AddressFamily | None = None

    @property
    def may_repeat(self) -> bool:
        """Whether sending it again, or to somebody else, changes nothing."""
        return self.method != "POST" or self.repeatable

    def __repr__(self) -> str:
        return f"Request({self.method} {self.shown_url}, attempt {self.attempt})"

    @property
    def shown_url(self) -> str:
        """The URL fit for a log, span or exception: redacted, and cut where hundreds of ids make it a page long."""
        # Of the rest not even the redaction is worth its time; a key that is cut is masked as a whole one is.
        shown = redact_url(self.url[: _SHOWN_URL + _MARGIN])
        return shown if len(shown) <= _SHOWN_URL else f"{shown[:_SHOWN_URL]}...({len(self.url)} bytes)"

    def with_deadline(self, deadline_ns: int) -> Self:
        """The same request, due by the earlier of its own and this deadline."""
        current = self.deadline_ns
        if current is not None and current <= deadline_ns:
            return self
        # Of every request; `dataclasses.replace` looks each field up by name.
        return type(self)(
            self.method, self.url, self.headers, self.body, deadline_ns, self.stream, self.limits, self.max_redirects,
            self.attempt, self.repeatable, self.http_version, self.family,
        )  # fmt: skip


@dataclass(slots=True)
class Response:
    """What came back, of any status; statuses are judged above the engines
    (:func:`probekit.transports.status.raise_for_status`).

    ``body`` is whole and decompressed when the request did not ask for a stream; else it is empty and ``chunks`` yields
    decompressed bytes until the server ends the stream. Close a streamed response with :meth:`aclose`.
    Header names are lower case, in the order received.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    phases: Phases
    elapsed_ns: int
    started_at: Instant
    received_at: Instant
    http_version: str | None = None
    peer_address: str | None = None
    peer_port: int | None = None
    new_connection: bool | None = None
    url: str = ""
    """Redacted."""
    chunks: AsyncGenerator[bytes, None] | None = None
    close: Callable[[], Awaitable[None]] | None = None

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def aclose(self) -> None:
        """Release a streamed response's connection; idempotent."""
        if self.close is not None:
            close, self.close = self.close, None
            await close()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can and cannot do, declared, so that a consumer need not guess."""

    engine: str
    phases: frozenset[Phase]
    """Phases it can measure; the others are ``None`` in every record."""
    http_versions: frozenset[str]
    fresh_connections: bool
    """Every request on a connection of its own, no session reuse."""
    redirects: bool


@runtime_checkable
class Transport(Protocol):
    """One method. Implementations raise :class:`~probekit.errors.TransportError` leaves and nothing else.

    (``asyncio.CancelledError`` passes through; a cancelled send leaves no socket, task or handle behind.)
    """

    async def send(self, request: Request) -> Response: ...

    async def aclose(self) -> None:
        """Release connections; idempotent. A wrapper closes what it wraps."""
        ...


class Engine(Transport, Protocol):
    """A transport that touches the wire."""

    @property
    def capabilities(self) -> Capabilities: ...


Observer = Callable[[RequestRecord], None]
"""Told of every attempt, once, at its end; must not raise and must not block."""
