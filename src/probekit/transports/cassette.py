"""Exchanges recorded to a file and played back: redacted when they are recorded, strict when they are played."""

from __future__ import annotations

import base64
import difflib
import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from probekit.clock import Clock
from probekit.errors import (
    BodyTooLarge,
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    ErrorType,
    HeadersTooLarge,
    Phase,
    ProtocolError,
    ResolveError,
    TlsError,
    TransportError,
)
from probekit.model import Phases
from probekit.secret import redact, redact_bytes, redact_url
from probekit.transports.base import Capabilities, Engine, Request, Response

_KEPT_HEADERS = frozenset(("content-type", "date", "retry-after"))


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a cassette: the request's redacted identity and the whole answer, or the error it ended in.

    ``content_digest`` tells requests apart that differ by their body only; the body itself is not kept.
    """

    method: str
    url: str
    content_digest: str = ""
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body_base64: str = ""
    error: str = ""
    error_type: ErrorType = "transport"
    error_phase: Phase | None = None
    limit_bytes: int = 0


class Cassette:
    """An :class:`~probekit.transports.base.Engine` around another that records, or alone that plays.

    ``record`` appends each exchange to ``path``. ``play`` answers in the recorded order; a request that is not the next one is
    a ``TransportError`` naming what was expected. Keys in URLs, secrets in any spelling, and all request headers stay out of
    the file. Streams are not recorded: they are passed through, and refused when playing. Raises ``ConfigError`` when a
    cassette cannot be read.
    """

    def __init__(self, path: Path, mode: Literal["record", "play"], *, clock: Clock, engine: Engine | None = None) -> None:
        if mode == "record" and engine is None:
            raise ConfigError("recording a cassette needs an engine to record")
        self._path = path
        self._mode = mode
        self._clock = clock
        self._engine = engine
        self._position = 0
        self._exchanges = _read(path) if mode == "play" else []

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("cassette", frozenset(), frozenset(), fresh_connections=False, redirects=False)

    async def send(self, request: Request) -> Response:
        if self._mode == "play":
            return self._play(request)
        assert self._engine is not None
        if request.stream:
            return await self._engine.send(request)
        try:
            response = await self._engine.send(request)
        except TransportError as error:
            self._append(
                Exchange(
                    method=request.method,
                    url=_identity(request),
                    content_digest=_digest(request),
                    error=error.message,
                    error_type=error.error_type,
                    error_phase=error.phase if isinstance(error, DeadlineExceeded) else None,
                    limit_bytes=error.limit_bytes if isinstance(error, BodyTooLarge | HeadersTooLarge) else 0,
                )
            )
            raise
        body = base64.b64encode(redact_bytes(response.body)).decode()
        headers = tuple((name, redact(value)) for name, value in response.headers if name in _KEPT_HEADERS)
        self._append(
            Exchange(
                method=request.method,
                url=_identity(request),
                content_digest=_digest(request),
                status=response.status,
                headers=headers,
                body_base64=body,
            )
        )
        return response

    def _append(self, exchange: Exchange) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(exchange) + b"\n")

    def _play(self, request: Request) -> Response:
        shown = request.shown_url
        if request.stream:
            raise TransportError(f"a cassette plays no streams: {shown}", url=shown)
        if self._position >= len(self._exchanges):
            raise TransportError(f"{self._path.name} has ended; it does not know {request.method} {shown}", url=shown)
        exchange = self._exchanges[self._position]
        if (exchange.method, exchange.url) != (request.method, _identity(request)):
            known = [f"{one.method} {one.url}" for one in self._exchanges]
            near = difflib.get_close_matches(f"{request.method} {_identity(request)}", known, n=1)
            raise TransportError(
                f"{self._path.name} expects {exchange.method} {exchange.url} next, not {request.method} {shown}"
                + (f"; nearest in it: {near[0]}" if near else ""),
                url=shown,
            )
        if exchange.content_digest != _digest(request):
            text = f"{self._path.name} knows {exchange.method} {exchange.url} next, with another body"
            raise TransportError(text, url=shown)
        self._position += 1
        if exchange.error:
            raise _error_of(exchange, shown)
        now = self._clock.now()
        body = base64.b64decode(exchange.body_base64)
        return Response(exchange.status, exchange.headers, body, Phases(), 0, now, now, url=shown)

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.aclose()


def _identity(request: Request) -> str:
    return redact_url(request.url)


def _digest(request: Request) -> str:
    return "" if request.body is None else hashlib.sha256(redact_bytes(request.body)).hexdigest()[:16]


def _error_of(exchange: Exchange, shown: str) -> TransportError:
    """The recorded error, as the class that it was."""
    for kind in (BodyTooLarge, HeadersTooLarge):
        if exchange.error_type == kind.error_type:
            return kind(exchange.error, limit_bytes=exchange.limit_bytes, url=shown)
    if exchange.error_type.startswith("deadline"):
        return DeadlineExceeded(exchange.error, phase=exchange.error_phase, url=shown)
    for plain in (ResolveError, ConnectError, TlsError, ProtocolError):
        if exchange.error_type == plain.error_type:
            return plain(exchange.error, url=shown)
    return TransportError(exchange.error, url=shown)


def _read(path: Path) -> list[Exchange]:
    try:
        lines = path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=Exchange) for line in lines if line]
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the cassette {path} cannot be read: {error}") from None
