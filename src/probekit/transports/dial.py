"""Connections by TCP and TLS without HTTP in them, each timed in its phases.

TLS is the interpreter's own. A call says whether the certificate must hold, as with any client, or is only to be seen: then it
is handed up as it came, from the connection that was timed, and :mod:`probekit.trust.certificates` says what it is worth.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, Protocol

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    Phase,
    StreamClosed,
    TlsError,
    TransportError,
)
from probekit.model import Phases, RequestRecord
from probekit.model.observation import AddressFamily
from probekit.transports.authorities import Authorities, authorities, verifying
from probekit.transports.base import Observer
from probekit.transports.lookup import Lookups, Place
from probekit.units import NS_PER_S

_CHUNK: Final = 16_384
"""What a TLS record holds."""


@dataclass(frozen=True, slots=True)
class TlsOffer:
    """What a handshake asks for: ``server_name`` (an address is not sent, as SNI has none) and protocols by ALPN.

    With ``verified``, the certificate must be for that name, by the authorities of ``ca_file`` (else the system's); versions
    and ciphers are the interpreter's defaults. Without, nothing is refused, and nothing must be sent that is not everybody's.
    """

    server_name: str
    alpn: tuple[str, ...] = ()
    verified: bool = False
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """What came of a handshake. ``certificates`` are DER as they were sent, the peer's own first."""

    protocol: str
    cipher: str
    alpn: str | None
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One connection that is wanted. ``deadline_ns`` is absolute on the dialer's monotonic clock, up to the end of the
    handshake; ``target`` goes into the record of the attempt.
    """

    host: str
    port: int
    family: AddressFamily = "ipv4"
    tls: TlsOffer | None = None
    deadline_ns: int | None = None
    target: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tcp' if self.tls is None else 'tls'}://{host}:{self.port}"


class Wire(Protocol):
    """An open connection."""

    peer_address: str
    phases: Phases
    elapsed_ns: int
    agreed: Agreed | None
    """``None`` without TLS."""

    async def send(self, data: bytes) -> None:
        """Raises ``StreamClosed``."""
        ...

    async def receive(self) -> bytes:
        """What comes next, 16 kB at most; empty once the peer has ended. Raises ``StreamClosed`` where it broke."""
        ...

    def close(self) -> None:
        """At once; idempotent."""
        ...


class Connected(NamedTuple):
    """A socket that is connected and does not block, with what connecting it took; it is its taker's to close."""

    socket: socket.socket
    peer_address: str
    phases: Phases
    elapsed_ns: int


class Dialer(Protocol):
    """Opens connections. Raises :class:`~probekit.errors.TransportError` leaves and nothing else."""

    async def dial(self, call: Call) -> Wire: ...


class SocketDialer:
    """Connections of this machine, each one attempt: the addresses of the one family, one after the other, never two at once.

    ``max_concurrency`` are opened at a time; waiting for that is ``Phases.queue_ns``. ``observer`` is told of every attempt,
    once, at its end. Where the certificate need not hold, TLS is offered from 1.0 on, with ciphers that nobody should use among
    them: a peer that has nothing better is to be seen, not to be missed. No session is reused. Raises ``ConfigError`` for
    authorities that are not there.
    """

    def __init__(
        self, *, clock: Clock = SYSTEM_CLOCK, observer: Observer = lambda record: None, max_concurrency: int = 64
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._gate = asyncio.Semaphore(max_concurrency)
        self._lookups = Lookups()

    async def dial(self, call: Call) -> Wire:
        if call.tls is not None:
            _context_of(call.tls)  # made once, and no time of any handshake
        attempt = _Attempt(self._clock, self._gate, self._lookups, call)
        started_at, began_ns = self._clock.now(), self._clock.monotonic_ns()
        failed: TransportError | None = None
        cancelled = False
        try:
            return await attempt.open()
        except TransportError as error:
            failed = error
            raise
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            self._observer(
                RequestRecord(
                    method="CONNECT",
                    url=call.url,
                    engine="dial",
                    started_at=started_at,
                    elapsed_ns=self._clock.monotonic_ns() - began_ns - (attempt.phases.queue_ns or 0),
                    phases=attempt.phases,
                    error_type="cancelled" if cancelled else None if failed is None else failed.error_type,
                    error_phase=failed.phase if isinstance(failed, DeadlineExceeded) else None,
                    peer_address=attempt.peer_address or None,
                    peer_port=call.port if attempt.peer_address else None,
                    family=call.family,
                    new_connection=True,
                    target=call.target,
                )
            )

    async def connect(self, call: Call) -> Connected:
        """A connection without TLS for another library to speak over, which tells the observer of it, too."""
        wire = await _Attempt(self._clock, self._gate, self._lookups, replace(call, tls=None)).open()
        assert isinstance(wire, _Plain)
        return Connected(wire.socket, wire.peer_address, wire.phases, wire.elapsed_ns)


class _Attempt:
    """One connection on its way to be open."""

    def __init__(self, clock: Clock, gate: asyncio.Semaphore, lookups: Lookups, call: Call) -> None:
        self._clock, self._gate, self._lookups, self._call = clock, gate, lookups, call
        self.phases = Phases()
        self.peer_address = ""
        self._phase: Phase = "queue"
        self._began_ns = clock.monotonic_ns()
        """Of the phase that runs."""
        self._started_ns = self._began_ns

    async def open(self) -> Wire:
        due_ns = self._call.deadline_ns
        try:
            if due_ns is None:
                return await self._admitted()
            async with asyncio.timeout(max(due_ns - self._began_ns, 0) / NS_PER_S):
                return await self._admitted()
        except TimeoutError:
            elapsed_ns = self._elapsed_ns()
            words = {
                "queue": "a free slot",
                "resolve": "the name look-up",
                "connect": "a connection",
                "tls": "the TLS handshake",
            }
            text = f"{self._call.url}: {words[self._phase]} did not come in time"
            self._end()
            raise DeadlineExceeded(text, phase=self._phase, url=self._call.url, elapsed_ns=elapsed_ns) from None
        except TransportError as error:
            error.url, error.elapsed_ns = self._call.url, self._elapsed_ns()
            self._end()
            raise

    async def _admitted(self) -> Wire:
        async with self._gate:
            self._next("resolve")
            self._started_ns = self._began_ns
            places = await self._lookups.addresses(self._call.host, self._call.port, self._call.family)
            self._next("connect")
            plain = await self._connected(places)
            try:
                if self._call.tls is None:
                    self._end()
                    return _Plain(plain, self.peer_address, self.phases, self._elapsed_ns())
                self._next("tls")
                secured = _Secured(plain, self._call.tls, self.peer_address)
                await secured.handshake()
                self._end()
                secured.phases, secured.elapsed_ns = self.phases, self._elapsed_ns()
                return secured
            except BaseException:
                plain.close()
                raise

    async def _connected(self, places: Sequence[Place]) -> socket.socket:
        failures: list[str] = []
        for family, address in places:
            plain = socket.socket(family, socket.SOCK_STREAM)
            try:
                plain.setblocking(False)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await asyncio.get_running_loop().sock_connect(plain, address)
            except OSError as error:
                plain.close()
                failures.append(f"{address[0]}: {_words(error)}")
            except BaseException:
                plain.close()
                raise
            else:
                self.peer_address = str(address[0])
                return plain
        raise ConnectError(f"{self._call.url}: {'; '.join(failures) or 'no address'}")

    def _next(self, phase: Phase) -> None:
        self._end()
        self._phase = phase

    def _end(self) -> None:
        now_ns = self._clock.monotonic_ns()
        values = {f"{name}_ns": getattr(self.phases, f"{name}_ns") for name in ("queue", "resolve", "connect", "tls")}
        values[f"{self._phase}_ns"] = now_ns - self._began_ns
        self.phases, self._began_ns = Phases(**values), now_ns

    def _elapsed_ns(self) -> int:
        return self._clock.monotonic_ns() - self._started_ns


class _Plain:
    """A connection without TLS."""

    def __init__(self, plain: socket.socket, peer_address: str, phases: Phases, elapsed_ns: int) -> None:
        self.socket = plain
        self.peer_address = peer_address
        self.phases, self.elapsed_ns = phases, elapsed_ns
        self.agreed: Agreed | None = None

    async def send(self, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, data)
        except OSError as error:
            raise _broken(error) from None

    async def receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self.socket, _CHUNK)
        except OSError as error:
            raise _broken(error) from None

    def close(self) -> None:
        self.socket.close()


class _Secured:
    """A connection with TLS in it: OpenSSL reads and writes memory, this moves it."""

    def __init__(self, plain: socket.socket, offer: TlsOffer, peer_address: str) -> None:
        self._socket = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context_of(offer).wrap_bio(self._in, self._out, server_hostname=_asked(offer))
        self.peer_address = peer_address
        self.phases, self.elapsed_ns = Phases(), 0
        self.agreed: Agreed | None = None

    async def handshake(self) -> None:
        """Raises ``TlsError`` with the words of whoever ended it."""
        try:
            await self._pump(self._tls.do_handshake)
        except ssl.SSLEOFError:
            raise TlsError("the peer ended the connection within the TLS handshake") from None
        except ssl.SSLError as error:
            raise TlsError(_refusal(error)) from None
        except OSError as error:
            raise TlsError(f"the connection broke within the TLS handshake: {_words(error)}") from None
        cipher = self._tls.cipher()
        self.agreed = Agreed(
            self._tls.version() or "",
            cipher[0] if cipher is not None else "",
            self._tls.selected_alpn_protocol(),
            _certificates(self._tls),
        )

    async def send(self, data: bytes) -> None:
        try:
            await self._pump(lambda: self._tls.write(data))
        except (OSError, ssl.SSLError) as error:
            raise _broken(error) from None

    async def receive(self) -> bytes:
        try:
            return bytes(await self._pump(lambda: self._tls.read(_CHUNK)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except (OSError, ssl.SSLError) as error:
            raise _broken(error) from None

    async def _pump(self, act: Any) -> Any:
        loop = asyncio.get_running_loop()
        while True:
            try:
                made = act()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await loop.sock_recv(self._socket, _CHUNK)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
                continue
            except ssl.SSLError:
                # The alert that tells the peer what we object to.
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
            await self._flush()
            return made

    async def _flush(self) -> None:
        data = self._out.read()
        if data:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        # A peer logs a connection that ends without this; it is not waited for.
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._socket.send(self._out.read())
        self._socket.close()


def _context_of(offer: TlsOffer) -> ssl.SSLContext:
    return _context(offer.alpn, authorities(offer.ca_file) if offer.verified else None)


@lru_cache(maxsize=32)
def _context(alpn: tuple[str, ...], trusted: Authorities | None) -> ssl.SSLContext:
    if trusted is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    else:
        # Not the one that other engines share: what is offered by ALPN is set on it.
        context = verifying(trusted)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _asked(offer: TlsOffer) -> str | None:
    """The name of the handshake. ``ssl`` sends no address as one, and holds the certificate to it where that must hold."""
    try:
        ip_address(offer.server_name)
    except ValueError:
        return offer.server_name.rstrip(".") or None
    return offer.server_name if offer.verified else None


def _certificates(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """What the peer sent, as DER. The interpreter has a public name for it from 3.13 on; before, the same by another one."""
    if sys.version_info >= (3, 13):
        return tuple(tls.get_unverified_chain())
    from _ssl import ENCODING_DER

    inner: Any = getattr(tls, "_sslobj")  # noqa: B009 - no part of its type
    return tuple(one.public_bytes(ENCODING_DER) for one in inner.get_unverified_chain() or ())


def _refusal(error: ssl.SSLError) -> str:
    reason = (error.reason or "").lower().replace("_", " ")
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate does not hold: {error.verify_message}"
    if "alert" in reason:
        return f"the peer refused the TLS handshake: {reason}"
    if reason in ("wrong version number", "packet length too long", "http request", "unknown protocol", "record layer failure"):
        return f"the peer does not speak TLS: {reason}"
    return f"the TLS handshake failed: {reason or error}"


def _broken(error: Exception) -> StreamClosed:
    return StreamClosed(f"the connection broke: {_words(error)}", planned=False)


def _words(error: Exception) -> str:
    """The system's own sentence: asyncio puts another in its place, with the address once more."""
    return (
        os.strerror(error.errno) if isinstance(error, OSError) and error.errno is not None and error.errno > 0 else str(error)
    )
