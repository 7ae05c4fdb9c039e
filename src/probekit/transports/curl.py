"""The measuring engine, on libcurl's multi interface: the only file that names pycurl.

One run is one attempt: a fresh connection, no session reuse, no redirect unless asked, http and https only, no signals, one
deadline from name look-up to the last byte of the body. libcurl takes its times in C, so they hold also while Python is busy.
TLS offers what Python's own does, so that both engines make the same handshake.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ConfigError, Phase, ProtocolError, TransportError
from probekit.errors.extras import missing_extra
from probekit.transports.admission import Admission, Admitted, Named
from probekit.transports.attempt import Attempt, Facts, Times
from probekit.transports.authorities import State, authorities
from probekit.transports.base import Capabilities, HttpVersion, Request, Response
from probekit.transports.libcurl import (
    CA_CACHE_TIMEOUT,
    CLASSICAL_GROUPS,
    HAPPY_EYEBALLS_TIMEOUT_MS,
    QUICK_EXIT,
    SSL_EC_CURVES,
    SUPPRESS_CONNECT_HEADERS,
    header_lines,
    makes_key_shares_to_spare,
)
from probekit.transports.lookup import Place
from probekit.transports.redirects import follow
from probekit.transports.sendable import refuse_unsendable
from probekit.units import NS_PER_MS

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

_TIMES: Final = (
    pycurl.NAMELOOKUP_TIME_T,
    pycurl.CONNECT_TIME_T,
    pycurl.APPCONNECT_TIME_T,
    pycurl.PRETRANSFER_TIME_T,
    pycurl.STARTTRANSFER_TIME_T,
    pycurl.TOTAL_TIME_T,
)

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
        self._running: dict[Any, Attempt] = {}
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
            attempt = Attempt(self, request, self._clock, admitted)
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

    def _add(self, attempt: Attempt) -> None:
        if self._multi is None:
            self._loop = asyncio.get_running_loop()
            self._multi = pycurl.CurlMulti()
            self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
            self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._running[attempt.curl] = attempt
        self._multi.add_handle(attempt.curl)

    def remove(self, attempt: Attempt) -> None:
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

    def look(self) -> None:
        """Let libcurl see to whatever its own timer has not yet been told."""
        self.act(pycurl.SOCKET_TIMEOUT, 0)

    # -- handles -------------------------------------------------------------------------------------------------------------

    def times(self, curl: Any) -> Times:
        return Times(*map(curl.getinfo, _TIMES))

    def facts(self, curl: Any) -> Facts:
        return Facts(
            curl.getinfo(pycurl.RESPONSE_CODE),
            _VERSION_NAMES.get(curl.getinfo(pycurl.INFO_HTTP_VERSION)),
            curl.getinfo(pycurl.PRIMARY_IP) or None,
            curl.getinfo(pycurl.PRIMARY_PORT) or None,
        )

    def resume(self, curl: Any) -> None:
        """Let it go on that was told to pause."""
        curl.pause(pycurl.PAUSE_CONT)
        self.look()

    def handle(
        self,
        request: Request,
        admitted: Admitted,
        remaining_ns: int | None,
        on_header: Callable[[bytes], int],
        on_body: Callable[[bytes], int | None],
    ) -> Any:
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
        curl.setopt(pycurl.HEADERFUNCTION, on_header)
        curl.setopt(pycurl.WRITEFUNCTION, on_body)
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
