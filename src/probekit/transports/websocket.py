"""WebSockets by the ``websockets`` library: the one file that names it. Needs the extra ``ws``."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from msgspec import structs

from probekit.clock import SYSTEM_CLOCK, Clock, reap
from probekit.errors import (
    BodyTooLarge,
    ConnectError,
    DeadlineExceeded,
    ErrorType,
    NotEntitled,
    Phase,
    ProbekitError,
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
from probekit.model import Phases, RequestRecord
from probekit.model.observation import AddressFamily
from probekit.secret import cut, excerpt, redact, redact_url
from probekit.transports.authorities import authorities, ssl_context
from probekit.transports.base import HeaderValue, Observer
from probekit.transports.dial import Call, SocketDialer
from probekit.transports.lookup import Lookups
from probekit.transports.reach import reach
from probekit.transports.sendable import refuse_headers, revealed
from probekit.transports.status import retry_after_ns
from probekit.units import NS_PER_S, Instant

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
    from websockets.typing import Subprotocol
    from websockets.uri import parse_uri
except ModuleNotFoundError as error:  # pragma: no cover - the extras' own test installs without it
    raise missing_extra("subscriptions need websockets", "ws") from error

_PING_S: Final = 20
_CLOSE_S: Final = 1
_QUEUED: Final = 64
"""Messages kept by the library; then it stops reading, and the server sees a slow consumer."""
_DROPPED: Final = 65_536
"""Messages that may come before a pong: a stream that never answers is no reason to read for ever."""
_TOO_BIG: Final = 1009
_EXCERPT: Final = 2_048

# At DEBUG the library writes down every request line and header it sends, keys included.
_LOGGER: Final = logging.getLogger("probekit.transports.websocket")
_LOGGER.setLevel(logging.INFO)


def prepare(url: str, ca_file: str | None) -> ssl.SSLContext | None:
    """What a handshake with it needs, made once: reading authorities takes longer than a handshake, and blocks every other.

    Raises ``ConfigError`` for authorities that are not there.
    """
    return ssl_context(ca_file) if url[:4].lower() == "wss:" else None


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
        self._lookups = Lookups()
        authorities(ca_file)

    async def connect(
        self, url: str, *, headers: Sequence[tuple[str, HeaderValue]] = (), timeout_ns: int, max_message_bytes: int
    ) -> WebsocketsSocket:
        shown = redact_url(url)
        refuse_headers(headers, shown)
        context = prepare(url, self._ca_file)
        plain: socket.socket | None = None
        due_s = asyncio.get_running_loop().time() + timeout_ns / NS_PER_S
        try:
            async with asyncio.timeout_at(due_s):
                # asyncio looks names up in a pool of few threads, which names that hang would fill.
                uri = parse_uri(url)
                plain = await reach(self._lookups, uri.host, uri.port)
            connection = await _NoRedirect(
                url,
                sock=plain,
                additional_headers=revealed(headers),
                open_timeout=max(due_s - asyncio.get_running_loop().time(), 0),
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
        except BaseException:
            if plain is not None:
                plain.close()
            raise
        else:
            return WebsocketsSocket(connection, shown, max_message_bytes)
        if plain is not None:
            plain.close()
        # Outside of the handler: the foreign error leads to frames that hold the keys of the request.
        raise error


@dataclass(frozen=True, slots=True, repr=False)
class SocketRequest:
    """A WebSocket that is wanted, over one address family. ``deadline_ns`` is absolute on the connector's monotonic clock, up
    to the answer of the upgrade; ``target`` goes into the record of the attempt.
    """

    url: str
    headers: tuple[tuple[str, HeaderValue], ...] = ()
    subprotocols: tuple[str, ...] = ()
    family: AddressFamily = "ipv4"
    deadline_ns: int | None = None
    max_message_bytes: int = 1024 * 1024
    ca_file: str | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A WebSocket that is open, and what that took: ``first_byte_ns`` of the phases is the upgrade's answer."""

    socket: WebsocketsSocket
    subprotocol: str | None
    peer_address: str
    phases: Phases
    elapsed_ns: int


class TimedConnector:
    """Connections whose opening is the product: each one attempt, on one address family, timed in its phases and told of once.

    A proxy or a redirect is followed as little as by :class:`WebsocketsConnector`, and nothing is pinged by itself.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, observer: Observer = lambda record: None) -> None:
        self._clock = clock
        self._observer = observer
        self._dialer = SocketDialer(clock=clock)

    async def open(self, request: SocketRequest) -> Opened:
        """Raises leaves of ``TransportError``; ``StatusError`` ones where the answer is no upgrade."""
        clock, shown = self._clock, redact_url(request.url)
        refuse_headers(request.headers, shown)
        started_at, began_ns = clock.now(), clock.monotonic_ns()
        attempt = _Timed(clock, request, shown)
        error_type: ErrorType | None = "internal"
        failed: TransportError | None = None
        try:
            prepare(request.url, request.ca_file)
            started_at, began_ns = clock.now(), clock.monotonic_ns()
            opened = await attempt.open(self._dialer)
            error_type = None
            return opened
        except TransportError as error:
            failed, error_type = error, error.error_type
            error.elapsed_ns = clock.monotonic_ns() - began_ns - (attempt.phases.queue_ns or 0)
            raise
        except ProbekitError as error:
            error_type = error.error_type
            raise
        except asyncio.CancelledError:
            error_type = "cancelled"
            raise
        finally:
            self._observer(
                RequestRecord(
                    method="GET",
                    url=shown,
                    engine="websockets",
                    started_at=started_at,
                    elapsed_ns=clock.monotonic_ns() - began_ns - (attempt.phases.queue_ns or 0),
                    phases=attempt.phases,
                    status=failed.status if isinstance(failed, StatusError) else 101 if error_type is None else None,
                    error_type=error_type,
                    error_phase=failed.phase if isinstance(failed, DeadlineExceeded) else None,
                    peer_address=attempt.peer_address,
                    family=request.family,
                    new_connection=True,
                    excerpt=failed.body if isinstance(failed, StatusError) else "",
                    target=request.target,
                )
            )


class _Timed:
    """One attempt at opening."""

    def __init__(self, clock: Clock, request: SocketRequest, shown: str) -> None:
        self._clock, self._request, self._shown = clock, request, shown
        self.phases = Phases()
        self.peer_address: str | None = None

    async def open(self, dialer: SocketDialer) -> Opened:
        request, clock, shown = self._request, self._clock, self._shown
        parts = urlsplit(request.url)
        secure = parts.scheme == "wss"
        context = prepare(request.url, request.ca_file)
        call = Call(parts.hostname or "", parts.port or (443 if secure else 80), request.family, None, request.deadline_ns)
        try:
            connected = await dialer.connect(call)
        except TransportError as error:
            error.url = shown
            raise
        self.phases, self.peer_address = connected.phases, connected.peer_address
        connected_ns = clock.monotonic_ns()
        made: list[int] = []

        class Noted(ClientConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.append(clock.monotonic_ns())
                super().connection_made(transport)

        left_ns = None if request.deadline_ns is None else max(request.deadline_ns - connected_ns, 0)
        failure: Exception
        try:
            connection = await _NoRedirect(
                request.url,
                sock=connected.socket,
                additional_headers=revealed(request.headers),
                subprotocols=[Subprotocol(one) for one in request.subprotocols] or None,
                open_timeout=None if left_ns is None else left_ns / NS_PER_S,
                ping_interval=None,
                close_timeout=_CLOSE_S,
                max_size=request.max_message_bytes,
                max_queue=_QUEUED,
                proxy=None,
                ssl=context,
                create_connection=Noted,
                logger=_LOGGER,
            )
        except (OSError, InvalidHandshake, InvalidURI, ValueError, EOFError) as error:
            failure = error
        except BaseException:
            connected.socket.close()
            raise
        else:
            self._note(secure, connected_ns, made)
            socket = WebsocketsSocket(connection, shown, request.max_message_bytes)
            elapsed_ns = connected.elapsed_ns + clock.monotonic_ns() - connected_ns
            return Opened(socket, connection.subprotocol, connected.peer_address, self.phases, elapsed_ns)
        connected.socket.close()
        self._note(secure, connected_ns, made)
        if isinstance(failure, TimeoutError):
            phase: Phase = "first_byte" if made or not secure else "tls"
            raise DeadlineExceeded(f"{shown}: not open in time", phase=phase, url=shown)
        # Outside of the handler: the foreign error leads to frames that hold the keys of the request.
        raise _error_of(failure, shown)

    def _note(self, secure: bool, connected_ns: int, made: list[int]) -> None:
        """The phases after the connection, as far as they came."""
        now_ns = self._clock.monotonic_ns()
        tls_ns = (made[0] if made else now_ns) - connected_ns if secure else None
        self.phases = structs.replace(self.phases, tls_ns=tls_ns, first_byte_ns=now_ns - made[0] if made else None)


class WebsocketsSocket:
    """An open connection of the ``websockets`` library."""

    def __init__(self, connection: ClientConnection, shown: str, max_message_bytes: int) -> None:
        self._connection = connection
        self._shown = shown
        self._max_message_bytes = max_message_bytes
        self.dropped = 0
        """Messages that nobody was given."""

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

    async def ping(self) -> bool:
        """True once a ping of ours has been answered, false where too many messages came before. Raises as :meth:`receive`.

        What comes meanwhile is dropped: the pong is behind it, and the library reads no further while too much waits. So
        nothing else may read.
        """
        reader: asyncio.Future[None] | None = None
        try:
            pong = asyncio.ensure_future(await self._connection.ping())
            reader = asyncio.ensure_future(self._drop())
            await asyncio.wait((pong, reader), return_when=asyncio.FIRST_COMPLETED)
            if not pong.done():
                reader.result()
                return False
            await pong
        except (ConnectionClosed, OSError) as error:
            raise self._closed(error) from None
        finally:
            if reader is not None:
                await reap(reader)
        return True

    async def _drop(self) -> None:
        for _ in range(_DROPPED):
            await self._connection.recv(decode=False)
            self.dropped += 1

    @property
    def ended(self) -> tuple[int, str] | None:
        """Code and reason of the peer's close frame, without secrets; ``None`` before it has come, or where none did."""
        frame = self._connection.protocol.close_rcvd
        return None if frame is None else (int(frame.code), redact(frame.reason)[:200])

    async def aclose(self, *, drop: bool = False) -> None:
        """``drop``: what comes before the peer's close frame is dropped, as by :meth:`ping`; so nothing else may read."""
        reader = asyncio.ensure_future(self._drop()) if drop else None
        try:
            await self._connection.close()
        finally:
            # A peer that does not answer the close frame must not keep the descriptor.
            self._connection.transport.abort()
            if reader is not None:
                await reap(reader)

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
