"""The measuring engine, on libcurl's multi interface: the only file that names pycurl.

One run is one attempt: a fresh connection, no session reuse, no redirect unless asked, http and https only, no signals, one
deadline from name look-up to the last byte of the body. libcurl takes its times in C, so they hold also while Python is busy.
TLS offers what Python's own does, so that both engines make the same handshake.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import lru_cache
from typing import Any, Final

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, Phase, ProtocolError, StreamClosed, TransportError
from probekit.errors.extras import missing_extra
from probekit.model import Phases
from probekit.transports.admission import Admission, Admitted, Named
from probekit.transports.arrival import Arrival
from probekit.transports.authorities import State, authorities
from probekit.transports.base import Capabilities, HttpVersion, Request, Response
from probekit.transports.libcurl import (
    CA_CACHE_TIMEOUT,
    CLASSICAL_GROUPS,
    HAPPY_EYEBALLS_TIMEOUT_MS,
    NO_NAME,
    QUICK_EXIT,
    SSL_EC_CURVES,
    SUPPRESS_CONNECT_HEADERS,
    TIMED_OUT,
    error_of,
    header_lines,
    makes_key_shares_to_spare,
)
from probekit.transports.lookup import Place
from probekit.transports.redirects import follow
from probekit.transports.sendable import late_in, refuse_unsendable
from probekit.units import NS_PER_MS, NS_PER_S, NS_PER_US

try:
    import pycurl
except ModuleNotFoundError:
    raise missing_extra("the measuring engine needs pycurl", "measure") from None

_VERSIONS: Final[dict[HttpVersion, int]] = {
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,
    "3": getattr(pycurl, "CURL_HTTP_VERSION_3ONLY", 31),
}
_FAMILIES: Final = {"ipv4": pycurl.IPRESOLVE_V4, "ipv6": pycurl.IPRESOLVE_V6}
_VERSION_NAMES: Final = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}

_BUFFER_BYTES: Final = 256 * 1024

_KEY_SHARES_TO_SPARE: Final = makes_key_shares_to_spare(str(pycurl.version_info()[5]))


class CurlTransport:
    """An :class:`~probekit.transports.base.Engine` on libcurl, for probes whose product is the timing.

    ``ca_file`` as for the httpx engine: the system's CAs without it. ``max_concurrency`` attempts run at a time, once their
    names have been looked up (:mod:`~probekit.transports.lookup`); waiting for one is ``Phases.queue_ns`` and no part of the
    others. With ``trust_env``, names are left to libcurl, which knows what a proxy looks up, 20 at a time. With
    ``http_version`` "2", https is asked for HTTP/2 and may answer in 1.1; "3" is HTTP/3 or nothing; a request may name its own.
    Raises ``ConfigError`` on import when pycurl is missing, and for a version that its libcurl does not speak, or authorities
    that are not there. Must be closed on the loop it was first used on.
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
        if http_version not in _spoken():
            raise ConfigError(f"this libcurl speaks HTTP {', '.join(sorted(_spoken()))}, not {http_version}")
        self._clock = clock
        self._authorities = authorities(ca_file)
        self._trusted = self._authorities.state()
        self._replaced = 0
        self._trust_env = trust_env
        self._admission = Admission(clock, max_concurrency=max_concurrency, look_up=not trust_env)
        self._http_version: HttpVersion = http_version
        self._multi: Any = None
        self._template: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: dict[int, int] = {}
        self._running: dict[Any, _Attempt] = {}
        self._looking_up = False

    @property
    def capabilities(self) -> Capabilities:
        return _capabilities(_spoken())

    async def send(self, request: Request) -> Response:
        return await (follow(self._attempt, request) if request.max_redirects else self._attempt(request))

    async def _attempt(self, request: Request) -> Response:
        refuse_unsendable(request)
        if request.http_version is not None and request.http_version not in _spoken():
            shown = request.shown_url
            raise ProtocolError(f"{shown}: this libcurl does not speak HTTP {request.http_version}", url=shown)
        admitted = await self._admission.enter(request)
        try:
            attempt = _Attempt(self, request, self._clock, admitted)
        except BaseException:
            self._admission.leave()
            raise
        try:
            self._add(attempt)
            await attempt.wait()
            return attempt.response()
        except BaseException as error:
            if isinstance(error, TransportError):
                error.queue_ns = attempt.queue_ns
            attempt.end()
            raise
        finally:
            if not request.stream:
                attempt.end()

    async def aclose(self) -> None:
        for attempt in tuple(self._running.values()):
            attempt.abandon()
        self._admission.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._template is not None:
            self._template.close()
            self._template = None
        multi = self._multi
        if multi is None:
            return
        if not self._looking_up:
            multi.close()
            self._multi = None
            return
        # libcurl 8.20 and later wait here for look-ups that were given up, which only the resolver can end: not on the loop.
        self._multi, self._looking_up = None, False
        for callback in (pycurl.M_SOCKETFUNCTION, pycurl.M_TIMERFUNCTION):
            multi.setopt(callback, None)
        for socket in tuple(self._sockets):
            self._forget(socket)
        threading.Thread(target=multi.close, name="libcurl look-ups", daemon=True).start()

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
        self._looking_up |= attempt.looking_up()
        if self._multi is not None:
            self._multi.remove_handle(attempt.curl)
        attempt.curl.close()
        self._admission.leave()

    def act(self, socket: int, event: int) -> None:
        """Let libcurl work on a socket, then look for finished transfers."""
        if self._multi is None:
            return
        self._multi.socket_action(socket, event)
        self._finish()

    def _on_socket(self, what: int, socket: int, multi: object, data: object) -> None:
        loop = self._loop
        assert loop is not None
        self._forget(socket)
        if what == pycurl.POLL_REMOVE:
            return
        self._sockets[socket] = what
        if what & pycurl.POLL_IN:
            loop.add_reader(socket, self.act, socket, pycurl.CSELECT_IN)
        if what & pycurl.POLL_OUT:
            loop.add_writer(socket, self.act, socket, pycurl.CSELECT_OUT)

    def _forget(self, socket: int) -> None:
        loop, known = self._loop, self._sockets.pop(socket, 0)
        assert loop is not None
        # A descriptor's number is reused after a close libcurl has not told of yet: removing what is not there is harmless.
        if known & pycurl.POLL_IN:
            loop.remove_reader(socket)
        if known & pycurl.POLL_OUT:
            loop.remove_writer(socket)

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

    def handle(self, request: Request, admitted: Admitted, remaining_ns: int | None) -> Any:
        """A handle with one attempt's options."""
        if request.url[:5].lower() == "https" and (state := self._authorities.state()) != self._trusted:
            self._trust_anew(state)
        if self._template is None:
            self._template = self._made()
        curl = self._template.duphandle()
        curl.setopt(pycurl.URL, request.url)
        if request.http_version is not None:
            curl.setopt(pycurl.HTTP_VERSION, _VERSIONS[request.http_version])
        if request.family is not None:
            curl.setopt(pycurl.IPRESOLVE, _FAMILIES[request.family])
            # The next address only once the one before has failed: a race would hide which of them is slow.
            curl.setopt(HAPPY_EYEBALLS_TIMEOUT_MS, 86_400_000)
        if admitted.name is not None and admitted.places is not None:
            _know(curl, admitted.name, admitted.places)
        if remaining_ns is not None and request.url[:5].lower() == "https":
            # libcurl tells that it was connected, and not yet secured, only of an attempt that it gave up itself: a moment
            # before our own timer, because its count of whole milliseconds begins a moment after.
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(remaining_ns // NS_PER_MS - 2, 1))
        curl.setopt(pycurl.HTTPHEADER, header_lines(request))
        if request.method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        elif request.method == "POST":
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, request.body or b"")
        return curl

    def _trust_anew(self, state: State) -> None:
        """The authorities have been replaced: a process that runs for months must not go by those of its first day."""
        if (0, 0, 0) in state:
            return  # Gone, for a moment.
        self._trusted = state
        self._replaced += 1
        if self._template is not None:
            self._template.close()
            self._template = None

    def _made(self) -> Any:
        """A handle with what all attempts have in common, copied for each: to set every option anew takes three times as long.

        It holds no URL, no header and no answer.
        """
        curl = pycurl.Curl()
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.FRESH_CONNECT, 1)
        curl.setopt(pycurl.FORBID_REUSE, 1)
        curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
        curl.setopt(pycurl.HTTP_VERSION, _VERSIONS[self._http_version])
        curl.setopt(pycurl.TCP_NODELAY, 1)
        # Fewer, larger pieces: each costs a call into Python.
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        if not self._trust_env:
            curl.setopt(pycurl.PROXY, "")
        # What a proxy says to a request for a tunnel is no part of the answer.
        curl.setopt(SUPPRESS_CONNECT_HEADERS, 1)
        if self._authorities.file is not None:
            # libcurl keeps what it has read of a path, and reads the same file by another one.
            folder, slash, name = self._authorities.file.rpartition("/")
            curl.setopt(pycurl.CAINFO, f"{folder}{slash}{'./' * (self._replaced % 2)}{name}")
        elif self._authorities.folders is not None:
            curl.unsetopt(pycurl.CAINFO)
        if self._authorities.folders is not None:
            curl.setopt(pycurl.CAPATH, self._authorities.folders)
        if _KEY_SHARES_TO_SPARE:
            curl.setopt(SSL_EC_CURVES, CLASSICAL_GROUPS)
        # Parsing the system's CA bundle costs more than the handshake; libcurl keeps it for this long, per multi handle.
        curl.setopt(CA_CACHE_TIMEOUT, 86_400)
        # Before 8.20, libcurl waited for a look-up that was given up, on the loop.
        curl.setopt(QUICK_EXIT, 1)
        return curl


class _Attempt:
    """One transfer: hands what comes to an ``Arrival``, and turns libcurl's times into phases."""

    def __init__(self, engine: CurlTransport, request: Request, clock: Clock, admitted: Admitted) -> None:
        self._engine = engine
        self._request = request
        self._clock = clock
        self._admitted = admitted
        self.queue_ns = admitted.queue_ns
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrival = Arrival(request)
        self._paused = False
        self._passed_deadline = False
        self._result: tuple[int, str] | None = None
        # As if it had begun with its look-up, and never waited for a place.
        self._started_ns = clock.monotonic_ns() - admitted.resolve_ns
        self.curl: Any = engine.handle(request, admitted, self._remaining_ns())
        self.curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._on_body)

    def _remaining_ns(self) -> int | None:
        return None if self._request.deadline_ns is None else self._request.deadline_ns - self._clock.monotonic_ns()

    async def wait(self) -> None:
        """Until the answer is whole (a stream: until its headers are). Raises what went wrong."""
        remaining_ns = self._remaining_ns()
        if remaining_ns is None:
            await self._done
        else:
            # libcurl's own time limit has whole milliseconds, does not bound a stream's headers, and takes another turn through
            # Python for each attempt. asyncio.wait and asyncio.timeout come to the same as this, for several times the cost.
            timer = asyncio.get_running_loop().call_later(max(remaining_ns, 0) / NS_PER_S, self._pass_deadline)
            try:
                await self._done
            finally:
                timer.cancel()
            # What came in the same turn of a busy loop, after the timer, came.
            if self._passed_deadline and not (self._arrival.ended or (self._request.stream and self._arrival.complete)):
                raise self._late()
        error = self._error()
        if error is not None:
            raise error

    def response(self) -> Response:
        """What came back. Raises ``ProtocolError`` for a body that is cut short."""
        curl = self.curl
        streamed = self._request.stream
        total_ns = self._admitted.resolve_ns + _us(curl, pycurl.TOTAL_TIME_T) * NS_PER_US
        if streamed:
            total_ns = self._clock.monotonic_ns() - self._started_ns
        return Response(
            status=curl.getinfo(pycurl.RESPONSE_CODE),
            headers=tuple(self._arrival.headers),
            body=b"" if streamed else self._arrival.body(),
            phases=self._phases(),
            elapsed_ns=total_ns,
            started_at=self._admitted.started_at,
            received_at=self._clock.now(),
            http_version=_VERSION_NAMES.get(curl.getinfo(pycurl.INFO_HTTP_VERSION)),
            peer_address=curl.getinfo(pycurl.PRIMARY_IP) or None,
            peer_port=curl.getinfo(pycurl.PRIMARY_PORT) or None,
            new_connection=True,
            url=self._request.shown_url,
            chunks=self._chunks() if streamed else None,
            close=self._close if streamed else None,
        )

    def end(self) -> None:
        """Give everything back; idempotent."""
        self._arrival.end()
        self._engine.remove(self)

    def looking_up(self) -> bool:
        """Whether its name is still being looked up."""
        answered = self._result is not None and self._result[0] in NO_NAME
        return not answered and not _us(self.curl, pycurl.NAMELOOKUP_TIME_T)

    def abandon(self) -> None:
        """The engine is closed: whoever waits for this is told so."""
        shown = self._request.shown_url
        if self._arrival.failure is None:
            self._arrival.failure = ConnectError(f"the engine was closed while {shown} was asked", url=shown)
        self._settle()
        self.end()

    async def _close(self) -> None:
        self.end()

    # -- libcurl's callbacks -------------------------------------------------------------------------------------------------

    def _on_header(self, line: bytes) -> int:
        if not self._arrival.line(line):
            return -1
        if self._request.stream and self._arrival.complete:
            self._settle()
        return len(line)

    def _on_body(self, data: bytes) -> int | None:
        if self._arrival.full():
            # libcurl keeps what is refused, and hands it over once more.
            self._paused = True
            paused: int = pycurl.WRITEFUNC_PAUSE
            return paused
        return None if self._arrival.data(data) else -1

    def finished(self, failure: tuple[int, str] | None) -> None:
        """libcurl is done with the transfer."""
        self._result = failure
        self._settle()
        self._arrival.end()

    def _pass_deadline(self) -> None:
        if not self._done.done():
            self._passed_deadline = True
            # Whatever libcurl's own timer has not yet been told.
            self._engine.act(pycurl.SOCKET_TIMEOUT, 0)
            self._settle()

    def _settle(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _resume(self) -> None:
        if self._paused and not self._arrival.ended:
            self._paused = False
            self.curl.pause(pycurl.PAUSE_CONT)
            self._engine.act(pycurl.SOCKET_TIMEOUT, 0)

    # -- what it means -------------------------------------------------------------------------------------------------------

    def _error(self) -> TransportError | None:
        elapsed_ns = self._clock.monotonic_ns() - self._started_ns
        failure = self._arrival.failure
        if failure is not None:
            failure.elapsed_ns = elapsed_ns
            return failure
        if self._result is None:
            return None
        number, message = self._result
        return self._late() if number == TIMED_OUT else error_of(number, message, self._request, elapsed_ns)

    def _late(self) -> DeadlineExceeded:
        return late_in(self._request.shown_url, self._phase(), self._clock.monotonic_ns() - self._started_ns)

    def _phase(self) -> Phase:
        """Where the transfer stands: the first phase libcurl has no time for."""
        curl = self.curl
        if not _us(curl, pycurl.NAMELOOKUP_TIME_T):
            return "resolve"
        if not _us(curl, pycurl.CONNECT_TIME_T):
            return "connect"
        if self._request.url[:5].lower() == "https" and not _us(curl, pycurl.APPCONNECT_TIME_T):
            return "tls"
        return "transfer" if self._arrival.headers else "first_byte"

    def _phases(self) -> Phases:
        curl = self.curl
        resolved, connected = _us(curl, pycurl.NAMELOOKUP_TIME_T), _us(curl, pycurl.CONNECT_TIME_T)
        secured, ready = _us(curl, pycurl.APPCONNECT_TIME_T), _us(curl, pycurl.PRETRANSFER_TIME_T)
        first, total = _us(curl, pycurl.STARTTRANSFER_TIME_T), _us(curl, pycurl.TOTAL_TIME_T)
        return Phases(
            queue_ns=self.queue_ns,
            resolve_ns=self._admitted.resolve_ns + resolved * NS_PER_US,
            connect_ns=max(connected - resolved, 0) * NS_PER_US,
            tls_ns=max(secured - connected, 0) * NS_PER_US if secured else None,
            first_byte_ns=max(first - ready, 0) * NS_PER_US,
            transfer_ns=None if self._request.stream else max(total - first, 0) * NS_PER_US,
        )

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._arrival.chunks(self._resume)) as chunks:
            async for chunk in chunks:
                yield chunk
        error = self._error()
        if error is not None:
            shown = self._request.shown_url
            raise StreamClosed(f"the stream of {shown} broke: {error.message}", planned=False, url=shown)


def _know(curl: Any, name: Named, places: list[Place]) -> None:
    """Let a handle know where its name is. What libcurl remembers of names it shares between all handles of the engine, for
    either family and for ever: so each handle gets a memory of its own.
    """
    if any(address[3:4] not in ((), (0,)) for _, address in places):
        return  # An address of one link alone cannot be told to libcurl, which has to find it by itself.
    memory = pycurl.CurlShare()
    memory.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_DNS)
    curl.setopt(pycurl.SHARE, memory)
    shown = ",".join(f"[{address[0]}]" if ":" in address[0] else address[0] for _, address in places)
    curl.setopt(pycurl.RESOLVE, [f"{name.host}:{name.port}:{shown}"])


def _us(curl: Any, what: int) -> int:
    """One of libcurl's times, in whole microseconds since the start; 0 while it has not come."""
    return int(curl.getinfo(what))


@lru_cache(maxsize=1)
def _capabilities(spoken: frozenset[str]) -> Capabilities:
    phases: frozenset[Phase] = frozenset(("queue", "resolve", "connect", "tls", "first_byte", "transfer"))
    return Capabilities("curl", phases, spoken, fresh_connections=True, redirects=True)


@lru_cache(maxsize=1)
def _spoken() -> frozenset[str]:
    """The versions of HTTP that this libcurl was built for."""
    features = pycurl.version_info()[4]
    versions = {"1.1"}
    if features & pycurl.VERSION_HTTP2:
        versions.add("2")
    if features & getattr(pycurl, "VERSION_HTTP3", 1 << 25):
        versions.add("3")
    return frozenset(versions)
