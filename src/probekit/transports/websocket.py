"""WebSockets by the ``websockets`` library: the one file that names it. Needs the extra ``ws``."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Final

from probekit.errors import (
    BodyTooLarge,
    ConnectError,
    DeadlineExceeded,
    NotEntitled,
    ProtocolError,
    RateLimited,
    ResolveError,
    ServerError,
    StatusError,
    StreamClosed,
    TlsError,
    TransportError,
    Unauthorized,
)
from probekit.errors.extras import missing_extra
from probekit.secret import cut, excerpt, redact_url
from probekit.transports.authorities import authorities, ssl_context
from probekit.transports.base import HeaderValue
from probekit.transports.sendable import refuse_headers, revealed
from probekit.transports.status import retry_after_ns
from probekit.units import NS_PER_S, Instant

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
except ModuleNotFoundError as error:  # pragma: no cover - the extras' own test installs without it
    raise missing_extra("subscriptions need websockets", "ws") from error

_PING_S: Final = 20
_CLOSE_S: Final = 1
_QUEUED: Final = 64
"""Messages kept by the library; then it stops reading, and the server sees a slow consumer."""
_TOO_BIG: Final = 1009
_EXCERPT: Final = 2_048

# At DEBUG the library writes down every request line and header it sends, keys included.
_LOGGER: Final = logging.getLogger("probekit.transports.websocket")
_LOGGER.setLevel(logging.INFO)


class _NoRedirect(connect):
    """A redirect is an answer like any other status: a subscription goes to the host it was configured for."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebsocketsConnector:
    """Connections of the ``websockets`` library. Proxies of the environment are ignored, redirects are not followed.

    ``ca_file`` is the bundle of trusted authorities, as for the HTTP engines. Raises ``ConfigError`` when they are not there.
    The library pings every 20 s and ends a connection that does not answer for 20 s more; that a peer answers pings does not
    prove that its subscription is alive.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        authorities(ca_file)

    async def connect(
        self, url: str, *, headers: Sequence[tuple[str, HeaderValue]] = (), timeout_ns: int, max_message_bytes: int
    ) -> WebsocketsSocket:
        shown = redact_url(url)
        refuse_headers(headers, shown)
        context = ssl_context(self._ca_file) if url[:4].lower() == "wss:" else None
        try:
            connection = await _NoRedirect(
                url,
                additional_headers=revealed(headers),
                open_timeout=timeout_ns / NS_PER_S,
                ping_interval=_PING_S,
                ping_timeout=_PING_S,
                close_timeout=_CLOSE_S,
                max_size=max_message_bytes,
                max_queue=_QUEUED,
                proxy=None,
                ssl=context,
                logger=_LOGGER,
            )
        except (OSError, InvalidHandshake, InvalidURI, ValueError, EOFError) as failure:
            error = _error_of(failure, shown)
        else:
            return WebsocketsSocket(connection, shown, max_message_bytes)
        # Outside of the handler: the foreign error leads to frames that hold the keys of the request.
        raise error


class WebsocketsSocket:
    """An open connection of the ``websockets`` library."""

    def __init__(self, connection: ClientConnection, shown: str, max_message_bytes: int) -> None:
        self._connection = connection
        self._shown = shown
        self._max_message_bytes = max_message_bytes

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except (ConnectionClosed, OSError) as error:
            raise self._closed(error) from None

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except (ConnectionClosed, OSError) as error:
            raise self._closed(error) from None

    async def aclose(self) -> None:
        try:
            await self._connection.close()
        finally:
            # A peer that does not answer the close frame must not keep the descriptor.
            self._connection.transport.abort()

    def _closed(self, error: Exception) -> TransportError:
        if isinstance(error, ConnectionClosed):
            if error.sent is not None and error.sent.code == _TOO_BIG:
                text = f"{self._shown}: a message above {self._max_message_bytes} bytes"
                return BodyTooLarge(text, limit_bytes=self._max_message_bytes, url=self._shown)
            frame = error.rcvd
            said = f"{frame.code} {frame.reason}".strip()[:200] if frame is not None else "without a close frame"
            planned = frame is not None and frame.code in (1000, 1001)
            return StreamClosed(f"{self._shown} closed: {said}", planned=planned, url=self._shown)
        return StreamClosed(f"{self._shown} broke: {error}", planned=False, url=self._shown)


def _error_of(error: Exception, shown: str) -> TransportError:
    """The library's, ssl's and the system's exceptions as ours."""
    if isinstance(error, InvalidStatus):
        return _status_error(error, shown)
    if isinstance(error, InvalidHandshake | EOFError):
        return ProtocolError(f"{shown} did not become a WebSocket: {cut(str(error), 200)}", url=shown)
    if isinstance(error, InvalidURI):
        return ProtocolError(f"{shown} is not a WebSocket URL", url=shown)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return DeadlineExceeded(f"{shown}: not open in time", phase="connect", url=shown)
    if isinstance(error, ssl.SSLError):
        return TlsError(f"{shown}: {error.reason or error}", url=shown)
    if isinstance(error, socket.gaierror):
        return ResolveError(f"{shown}: {error.strerror}", url=shown)
    return ConnectError(f"{shown}: {error}", url=shown)


def _status_error(error: InvalidStatus, shown: str) -> StatusError:
    status = error.response.status_code
    body = error.response.body or b""
    text = excerpt(bytes(body), _EXCERPT) if isinstance(body, bytes | bytearray) else ""
    message = f"{shown} answered {status} instead of opening a WebSocket"
    wait_ns = retry_after_ns(error.response.headers.get("retry-after"), Instant.now())
    if status == 401:
        return Unauthorized(message, status=status, body=text, url=shown)
    if status == 403:
        return NotEntitled(message, status=status, body=text, url=shown)
    if status == 429:
        return RateLimited(message, status=status, retry_after_ns=wait_ns, body=text, url=shown)
    if status >= 500:
        return ServerError(message, status=status, retry_after_ns=wait_ns, body=text, url=shown)
    return StatusError(message, status=status, body=text, url=shown)
