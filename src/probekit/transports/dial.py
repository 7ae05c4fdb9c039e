"""Connections by TCP and TLS without HTTP in them, each timed in its phases."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ConnectError, DeadlineExceeded, ErrorType, Phase, TransportError
from probekit.model import Phases, RequestRecord
from probekit.model.observation import AddressFamily
from probekit.transports.base import Observer
from probekit.transports.lookup import Lookups, Place
from probekit.transports.tls import CHUNK, Agreed, Secured, TlsOffer, broken, context_of, words_of
from probekit.units import NS_PER_S


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

    ``max_concurrency`` are opened at a time, once their names have been looked up; waiting for that is ``Phases.queue_ns``.
    ``observer`` is told of every attempt, once, at its end. Where the certificate need not hold, TLS is offered from 1.0 on,
    with ciphers that nobody should use among them: a peer that has nothing better is to be seen, not to be missed. No session
    is reused. Raises ``ConfigError`` for authorities that are not there.
    """

    def __init__(
        self, *, clock: Clock = SYSTEM_CLOCK, observer: Observer = lambda record: None, max_concurrency: int = 64
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._gate = asyncio.Semaphore(max_concurrency)
        self._lookups = Lookups(clock=clock)

    async def dial(self, call: Call) -> Wire:
        if call.tls is not None:
            context_of(call.tls)  # made once, and no time of any handshake
        attempt = _Attempt(self._clock, self._gate, self._lookups, call)
        started_at, began_ns = self._clock.now(), self._clock.monotonic_ns()
        failed: TransportError | None = None
        error_type: ErrorType | None = "internal"
        try:
            wire = await attempt.open()
            error_type = None
            return wire
        except TransportError as error:
            failed, error_type = error, error.error_type
            raise
        except asyncio.CancelledError:
            error_type = "cancelled"
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
                    error_type=error_type,
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
        # Before the gate: names that hang must take nobody's place.
        looked = await self._lookups.addresses(
            self._call.host, self._call.port, self._call.family, lambda: self._next("resolve")
        )
        self._next("queue")
        self._waited(looked.took_ns)
        async with self._gate:
            self._next("connect")
            plain = await self._connected(looked.places)
            try:
                if self._call.tls is None:
                    self._end()
                    return _Plain(plain, self.peer_address, self.phases, self._elapsed_ns())
                self._next("tls")
                secured = Secured(plain, self._call.tls, self.peer_address)
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
                failures.append(f"{address[0]}: {words_of(error)}")
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
        # The queue twice, where a look-up has to wait as well.
        values[f"{self._phase}_ns"] = (values[f"{self._phase}_ns"] or 0) + now_ns - self._began_ns
        self.phases, self._began_ns = Phases(**values), now_ns

    def _waited(self, took_ns: int) -> None:
        """Of the time of the look-up, this is the resolver's; the rest is ours, as the queue is."""
        queue_ns = (self.phases.queue_ns or 0) + (self.phases.resolve_ns or 0) - took_ns
        self.phases = Phases(queue_ns=queue_ns, resolve_ns=took_ns)

    def _elapsed_ns(self) -> int:
        """Without the waits that are over."""
        return self._clock.monotonic_ns() - self._started_ns - (self.phases.queue_ns or 0)


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
            raise broken(error) from None

    async def receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self.socket, CHUNK)
        except OSError as error:
            raise broken(error) from None

    def close(self) -> None:
        self.socket.close()
