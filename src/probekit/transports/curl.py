"""The measuring engine, on libcurl's multi interface: the only file that names pycurl.

One run is one attempt: a fresh connection, no session reuse, no redirect unless asked, http and https only, no signals, one
deadline from name look-up to the last byte of the body. libcurl takes its times in C, so they hold also while Python is busy.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    HeadersTooLarge,
    Phase,
    ProtocolError,
    ResolveError,
    StreamClosed,
    TlsError,
    TransportError,
)
from probekit.errors.extras import missing_extra
from probekit.model import Phases
from probekit.secret import Secret
from probekit.transports.authorities import system_ca_file
from probekit.transports.base import Capabilities, Request, Response
from probekit.transports.content import ACCEPTED, BoundedBody
from probekit.transports.sendable import refuse_unsendable
from probekit.units import NS_PER_MS, NS_PER_US, Instant

try:
    import pycurl
except ModuleNotFoundError:
    raise missing_extra("the measuring engine needs pycurl", "measure") from None

HttpVersion = Literal["1.1", "2", "3"]

_VERSIONS: Final[dict[HttpVersion, int]] = {
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,
    "3": getattr(pycurl, "CURL_HTTP_VERSION_3ONLY", 31),
}
_VERSION_NAMES: Final = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}

ERRORS: Final[dict[int, type[TransportError]]] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: ProtocolError,
    pycurl.E_URL_MALFORMAT: ProtocolError,
    pycurl.E_COULDNT_RESOLVE_PROXY: ResolveError,
    pycurl.E_COULDNT_RESOLVE_HOST: ResolveError,
    pycurl.E_COULDNT_CONNECT: ConnectError,
    8: ProtocolError,  # CURLE_WEIRD_SERVER_REPLY, which pycurl does not name
    pycurl.E_HTTP2: ProtocolError,
    pycurl.E_PARTIAL_FILE: ProtocolError,
    pycurl.E_OPERATION_TIMEDOUT: DeadlineExceeded,
    pycurl.E_SSL_CONNECT_ERROR: TlsError,
    pycurl.E_TOO_MANY_REDIRECTS: ProtocolError,
    pycurl.E_GOT_NOTHING: ConnectError,
    pycurl.E_SEND_ERROR: ConnectError,
    pycurl.E_RECV_ERROR: ConnectError,
    pycurl.E_SSL_CERTPROBLEM: TlsError,
    pycurl.E_SSL_CIPHER: TlsError,
    pycurl.E_PEER_FAILED_VERIFICATION: TlsError,
    pycurl.E_BAD_CONTENT_ENCODING: ProtocolError,
    pycurl.E_SSL_CACERT_BADFILE: TlsError,
    pycurl.E_SSL_ISSUER_ERROR: TlsError,
    92: ProtocolError,  # CURLE_HTTP2_STREAM, likewise
}
"""libcurl's error numbers by what they mean here; any other is a ``TransportError``."""

_CA_CACHE_TIMEOUT: Final = 321
"""CURLOPT_CA_CACHE_TIMEOUT, which pycurl does not name."""

_BUFFER_BYTES: Final = 256 * 1024

_PAUSE_AT: Final = 1 << 20
"""Bytes a slow reader of a stream may leave waiting before the server is held back."""


class CurlTransport:
    """An :class:`~probekit.transports.base.Engine` on libcurl, for probes whose product is the timing.

    ``ca_file`` as for the httpx engine: the system's CAs without it. ``max_concurrency`` attempts run at a time; waiting for
    one is ``Phases.queue_ns`` and no part of the others. Raises ``ConfigError`` on import when pycurl is missing. Must be
    closed on the loop it was first used on.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        ca_file: str | None = None,
        trust_env: bool = False,
        max_concurrency: int = 64,
        http_version: HttpVersion = "1.1",
    ) -> None:
        self._clock = clock
        self._ca_file = ca_file or system_ca_file()
        self._trust_env = trust_env
        self._gate = asyncio.Semaphore(max_concurrency)
        self._http_version: HttpVersion = http_version
        self._multi: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: dict[int, int] = {}
        self._running: dict[Any, _Attempt] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            "curl",
            frozenset(("queue", "resolve", "connect", "tls", "first_byte", "transfer")),
            frozenset(("1.1", "2", "3")),
            fresh_connections=True,
            redirects=True,
        )

    async def send(self, request: Request) -> Response:
        refuse_unsendable(request)
        clock = self._clock
        asked_ns = clock.monotonic_ns()
        deadline_ns = request.deadline_ns
        if deadline_ns is not None and not await self._admitted(deadline_ns - asked_ns):
            raise _deadline(request.shown_url, "queue", clock.monotonic_ns() - asked_ns)
        if deadline_ns is None:
            await self._gate.acquire()
        try:
            attempt = _Attempt(self, request, clock, clock.monotonic_ns() - asked_ns)
        except BaseException:
            self._gate.release()
            raise
        try:
            self._add(attempt)
            await attempt.wait(None if deadline_ns is None else deadline_ns - clock.monotonic_ns())
            return attempt.response()
        except BaseException:
            attempt.end()
            raise
        finally:
            if not request.stream:
                attempt.end()

    async def _admitted(self, within_ns: int) -> bool:
        if not self._gate.locked():
            await self._gate.acquire()
            return True
        try:
            async with asyncio.timeout(max(within_ns, 0) / 1e9):
                await self._gate.acquire()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        for attempt in tuple(self._running.values()):
            attempt.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._multi is not None:
            self._multi.close()
            self._multi = None

    # -- libcurl and the loop ------------------------------------------------------------------------------------------------

    def _add(self, attempt: _Attempt) -> None:
        if self._multi is None:
            self._loop = asyncio.get_running_loop()
            self._multi = pycurl.CurlMulti()
            self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
            self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._running[attempt.curl] = attempt
        self._multi.add_handle(attempt.curl)

    def remove(self, attempt: _Attempt) -> None:
        """Take an attempt's handle out and free it; its connection is closed with it."""
        if self._running.pop(attempt.curl, None) is None:
            return
        if self._multi is not None:
            self._multi.remove_handle(attempt.curl)
        attempt.curl.close()
        self._gate.release()

    def act(self, socket: int, event: int) -> None:
        """Let libcurl work on a socket, then look for finished transfers."""
        if self._multi is None:
            return
        self._multi.socket_action(socket, event)
        self._finish()

    def _on_socket(self, what: int, socket: int, multi: object, data: object) -> None:
        loop, known = self._loop, self._sockets.pop(socket, 0)
        assert loop is not None
        # A descriptor's number is reused after a close libcurl has not told of yet: removing what is not there is harmless.
        if known & pycurl.POLL_IN:
            loop.remove_reader(socket)
        if known & pycurl.POLL_OUT:
            loop.remove_writer(socket)
        if what == pycurl.POLL_REMOVE:
            return
        self._sockets[socket] = what
        if what & pycurl.POLL_IN:
            loop.add_reader(socket, self.act, socket, pycurl.CSELECT_IN)
        if what & pycurl.POLL_OUT:
            loop.add_writer(socket, self.act, socket, pycurl.CSELECT_OUT)

    def _on_timer(self, timeout_ms: int) -> None:
        loop = self._loop
        assert loop is not None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if timeout_ms >= 0:
            # Never from inside the callback: libcurl forbids the call back into itself.
            self._timer = loop.call_later(timeout_ms / 1000, self.act, pycurl.SOCKET_TIMEOUT, 0)

    def _finish(self) -> None:
        while self._multi is not None:
            left, done, failed = self._multi.info_read()
            for curl in done:
                if (attempt := self._running.get(curl)) is not None:
                    attempt.finished(None)
            for curl, number, message in failed:
                if (attempt := self._running.get(curl)) is not None:
                    attempt.finished((number, message))
            if not left:
                return

    def options(self, curl: Any, request: Request, remaining_ns: int | None) -> None:
        """One attempt's options."""
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.REDIR_PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.FRESH_CONNECT, 1)
        curl.setopt(pycurl.FORBID_REUSE, 1)
        curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
        curl.setopt(pycurl.HTTP_VERSION, _VERSIONS[self._http_version])
        curl.setopt(pycurl.FOLLOWLOCATION, 1 if request.max_redirects else 0)
        curl.setopt(pycurl.MAXREDIRS, request.max_redirects)
        curl.setopt(pycurl.TCP_NODELAY, 1)
        # Fewer, larger pieces: each costs a call into Python.
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        if not self._trust_env:
            curl.setopt(pycurl.PROXY, "")
        if self._ca_file is not None:
            curl.setopt(pycurl.CAINFO, self._ca_file)
        # Parsing the system's CA bundle costs more than the handshake; libcurl keeps it for this long, per multi handle.
        curl.setopt(_CA_CACHE_TIMEOUT, 86_400)
        if remaining_ns is not None and not request.stream:
            curl.setopt(pycurl.TIMEOUT_MS, max(remaining_ns // NS_PER_MS, 1))
        headers = [f"{name}: {value.reveal() if isinstance(value, Secret) else value}" for name, value in request.headers]
        headers += [f"Accept-Encoding: {ACCEPTED}", "Expect:"]
        if not any(name.lower() == "user-agent" for name, _ in request.headers):
            headers.append("User-Agent: probekit")
        curl.setopt(pycurl.HTTPHEADER, headers)
        if request.method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        elif request.method == "POST":
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, request.body or b"")


class _Attempt:
    """One transfer: collects headers and body, and turns libcurl's times into phases."""

    def __init__(self, engine: CurlTransport, request: Request, clock: Clock, queue_ns: int) -> None:
        self._engine = engine
        self._request = request
        self._clock = clock
        self._queue_ns = queue_ns
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._body: BoundedBody | None = None
        self._parts: list[bytes] = []
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._status = 0
        self._failure: TransportError | None = None
        self._stream: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._arrived = asyncio.Event()
        self._ended = False
        self._result: tuple[int, str] | None = None
        self.started_at: Instant = clock.now()
        self._started_ns = clock.monotonic_ns()
        self.curl: Any = pycurl.Curl()
        remaining_ns = None if request.deadline_ns is None else request.deadline_ns - self._started_ns
        engine.options(self.curl, request, remaining_ns)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._on_body)

    async def wait(self, remaining_ns: int | None) -> None:
        """Until the answer is whole (a stream: until its headers are). Raises what went wrong."""
        if remaining_ns is None:
            await self._done
            return
        # libcurl's own timer has whole milliseconds and does not bound a stream's headers; this one is the deadline.
        try:
            async with asyncio.timeout(max(remaining_ns, 0) / 1e9):
                await asyncio.shield(self._done)
        except TimeoutError:
            raise self._late() from None

    def response(self) -> Response:
        """What came back."""
        curl = self.curl
        streamed = self._request.stream
        total_ns = self._clock.monotonic_ns() - self._started_ns if streamed else _us(curl, pycurl.TOTAL_TIME_T) * NS_PER_US
        chunks = self._chunks() if streamed else None
        return Response(
            status=curl.getinfo(pycurl.RESPONSE_CODE),
            headers=tuple(self._headers),
            body=b"".join(self._parts),
            phases=self._phases(),
            elapsed_ns=total_ns,
            started_at=self.started_at,
            received_at=self._clock.now(),
            http_version=_VERSION_NAMES.get(curl.getinfo(pycurl.INFO_HTTP_VERSION)),
            peer_address=curl.getinfo(pycurl.PRIMARY_IP) or None,
            peer_port=curl.getinfo(pycurl.PRIMARY_PORT) or None,
            new_connection=True,
            url=self._request.shown_url,
            chunks=chunks,
            close=self._close if streamed else None,
        )

    def end(self) -> None:
        """Give everything back; idempotent."""
        self._ended = True
        self._arrived.set()
        self._engine.remove(self)

    async def _close(self) -> None:
        self.end()

    # -- libcurl's callbacks -------------------------------------------------------------------------------------------------

    def _on_header(self, line: bytes) -> int:
        request = self._request
        self._header_bytes += len(line)
        limit = request.limits.max_header_bytes
        if self._header_bytes > limit:
            self._failure = HeadersTooLarge(
                f"the headers of {request.shown_url} passed their limit of {limit} bytes",
                limit_bytes=limit,
                url=request.shown_url,
            )
            return -1
        text = line.decode("latin-1").rstrip("\r\n")
        if text.startswith("HTTP/"):
            # A new hop, or the final answer after an interim one.
            self._headers.clear()
            self._body = None
            code = text.split(" ", 2)[1:2]
            self._status = int(code[0]) if code and code[0].isdigit() else 0
        elif text:
            name, _, value = text.partition(":")
            self._headers.append((name.strip().lower(), value.strip()))
        elif request.stream and not self._interim():
            self._settle()
        return len(line)

    def _interim(self) -> bool:
        # libcurl answers no questions from inside its own callbacks, so the status line is read here.
        status = self._status
        return status < 200 or (300 <= status < 400 and self._request.max_redirects > 0)

    def _on_body(self, data: bytes) -> int | None:
        if self._waiting >= _PAUSE_AT:
            # Before anything is made of it: libcurl keeps what is refused, and hands it over once more.
            self._paused = True
            paused: int = pycurl.WRITEFUNC_PAUSE
            return paused
        try:
            if self._body is None:
                encoding = next((value for name, value in self._headers if name == "content-encoding"), None)
                limit = (1 << 62) if self._request.stream else self._request.limits.max_body_bytes
                self._body = BoundedBody(encoding, limit, self._request.shown_url)
            decoded = self._body.feed(data)
        except TransportError as failure:
            self._failure = failure
            return -1
        if not self._request.stream:
            self._parts.append(decoded)
            return None
        self._stream.append(decoded)
        self._waiting += len(decoded)
        self._arrived.set()
        return None

    def finished(self, failure: tuple[int, str] | None) -> None:
        """libcurl is done with the transfer."""
        self._result = failure
        self._ended = True
        if failure is None and self._body is not None and not self._request.stream:
            try:
                self._body.finish()
            except TransportError as cut:
                self._failure = cut
        self._settle()
        self._arrived.set()

    def _settle(self) -> None:
        if self._done.done():
            return
        error = self._error()
        if error is not None:
            self._done.set_exception(error)
        else:
            self._done.set_result(None)

    # -- what it means -------------------------------------------------------------------------------------------------------

    def _error(self) -> TransportError | None:
        elapsed_ns = self._clock.monotonic_ns() - self._started_ns
        if self._failure is not None:
            self._failure.elapsed_ns = elapsed_ns
            return self._failure
        if self._result is None:
            return None
        number, message = self._result
        if number == pycurl.E_OPERATION_TIMEDOUT:
            return self._late()
        kind = ERRORS.get(number, TransportError)
        shown = self._request.shown_url
        return kind(f"{shown}: {message or 'libcurl error'} (libcurl {number})", url=shown, elapsed_ns=elapsed_ns)

    def _late(self) -> DeadlineExceeded:
        return _deadline(self._request.shown_url, self._phase(), self._clock.monotonic_ns() - self._started_ns)

    def _phase(self) -> Phase:
        """Where the transfer stands: the first phase libcurl has no time for."""
        curl = self.curl
        if not _us(curl, pycurl.NAMELOOKUP_TIME_T):
            return "resolve"
        if not _us(curl, pycurl.CONNECT_TIME_T):
            return "connect"
        if self._request.url.startswith("https") and not _us(curl, pycurl.APPCONNECT_TIME_T):
            return "tls"
        return "transfer" if self._headers else "first_byte"

    def _phases(self) -> Phases:
        curl = self.curl
        resolved, connected = _us(curl, pycurl.NAMELOOKUP_TIME_T), _us(curl, pycurl.CONNECT_TIME_T)
        secured, ready = _us(curl, pycurl.APPCONNECT_TIME_T), _us(curl, pycurl.PRETRANSFER_TIME_T)
        first, total = _us(curl, pycurl.STARTTRANSFER_TIME_T), _us(curl, pycurl.TOTAL_TIME_T)
        return Phases(
            queue_ns=self._queue_ns,
            resolve_ns=resolved * NS_PER_US,
            connect_ns=(connected - resolved) * NS_PER_US,
            tls_ns=(secured - connected) * NS_PER_US if secured else None,
            first_byte_ns=max(first - ready, 0) * NS_PER_US,
            transfer_ns=None if self._request.stream else max(total - first, 0) * NS_PER_US,
        )

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._stream:
                chunk = self._stream.popleft()
                self._waiting -= len(chunk)
                yield chunk
            if self._paused and not self._ended:
                self._paused = False
                self.curl.pause(pycurl.PAUSE_CONT)
                self._engine.act(pycurl.SOCKET_TIMEOUT, 0)
                continue
            if self._ended:
                error = self._error()
                if error is not None:
                    shown = self._request.shown_url
                    raise StreamClosed(f"the stream of {shown} broke: {error.message}", planned=False, url=shown)
                return
            self._arrived.clear()
            await self._arrived.wait()


def _us(curl: Any, what: int) -> int:
    """One of libcurl's times, in whole microseconds since the start; 0 while it has not come."""
    return int(curl.getinfo(what))


def _deadline(shown: str, phase: Phase, elapsed_ns: int) -> DeadlineExceeded:
    elapsed_ms = elapsed_ns // NS_PER_MS
    return DeadlineExceeded(
        f"{shown} passed its deadline in phase {phase} after {elapsed_ms} ms", phase=phase, url=shown, elapsed_ns=elapsed_ns
    )
