"""One exchange with a DNS server: bytes out, bytes in, over UDP, TCP or TLS, on a socket of its own that is closed after it.

Nothing is sent twice. The socket of UDP is connected: what another address sends never arrives, and a closed port is told from
a silent one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NamedTuple

from probekit.clock import Clock, within
from probekit.errors import ConnectError, DeadlineExceeded, Phase, ProtocolError, TlsError
from probekit.model import Phases
from probekit.model.dns import DnsWire
from probekit.transports.authorities import ssl_context

_KEPT: Final = 64
"""Messages over UDP that answer something else before an exchange is given up: a flood is no reason to read for ever."""


@dataclass(frozen=True, slots=True)
class DnsServer:
    """Where it is: an address, never a name. ``tls_name`` is what its certificate must name, where that is not the address."""

    address: str
    port: int
    over: DnsWire
    tls_name: str | None = None

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.over}://{host}:{self.port}"


def prepare(server: DnsServer) -> ssl.SSLContext | None:
    """What an exchange with it needs, made once: reading authorities takes longer than an exchange, and blocks every other.

    Raises ``ConfigError`` for authorities that are not there.
    """
    return ssl_context() if server.over == "tls" else None


class DnsReply(NamedTuple):
    data: bytes
    elapsed_ns: int
    phases: Phases


async def exchange(server: DnsServer, query: bytes, *, due_ns: int, clock: Clock, ours: Callable[[bytes], bool]) -> DnsReply:
    """Send ``query``, and the first message that is ``ours``; over TCP and TLS the first has to be. ``due_ns`` is on ``clock``.

    Raises ``ConfigError``, ``ConnectError``, ``TlsError``, ``ProtocolError`` and ``DeadlineExceeded`` with the phase it was in.
    """
    tls = prepare(server)
    run = _Exchange(server, query, clock, ours)
    try:
        data = await within(clock, due_ns, run.datagram() if server.over == "udp" else run.stream(tls))
    except TimeoutError:
        raise DeadlineExceeded(
            f"{server} did not answer in time ({run.phase})", phase=run.phase, url=str(server), elapsed_ns=run.elapsed_ns
        ) from None
    run.enter(None)
    return DnsReply(data, run.elapsed_ns, Phases(**run.spent))


class _Exchange:
    """The work, and where it stands: what is given up is told with its phase."""

    def __init__(self, server: DnsServer, query: bytes, clock: Clock, ours: Callable[[bytes], bool]) -> None:
        self.server, self._query, self._clock, self._ours = server, query, clock, ours
        self.phase: Phase | None = None
        self.spent: dict[str, int] = {}
        self._began_ns = self._since_ns = clock.monotonic_ns()

    @property
    def elapsed_ns(self) -> int:
        return self._clock.monotonic_ns() - self._began_ns

    def enter(self, phase: Phase | None) -> None:
        now_ns = self._clock.monotonic_ns()
        if self.phase is not None:
            self.spent[f"{self.phase}_ns"] = now_ns - self._since_ns
        self.phase, self._since_ns = phase, now_ns

    async def datagram(self) -> bytes:
        loop = asyncio.get_running_loop()
        self.enter("first_byte")
        try:
            transport, inbox = await loop.create_datagram_endpoint(_Inbox, remote_addr=(self.server.address, self.server.port))
        except OSError as error:
            raise self._refused(error) from None
        try:
            transport.sendto(self._query)
            for _ in range(_KEPT):
                data = await inbox.next()
                if self._ours(data):
                    return data
        except OSError as error:
            raise self._refused(error) from None
        finally:
            transport.abort()
        words = f"{self.server} sent {_KEPT} messages that answer something else"
        raise ProtocolError(words, url=str(self.server), elapsed_ns=self.elapsed_ns)

    async def stream(self, tls: ssl.SSLContext | None) -> bytes:
        server = self.server
        family = socket.AF_INET if ip_address(server.address).version == 4 else socket.AF_INET6
        writer: asyncio.StreamWriter | None = None
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            self.enter("connect")
            await asyncio.get_running_loop().sock_connect(sock, (server.address, server.port))
            if tls is not None:
                self.enter("tls")
            name = (server.tls_name or server.address) if tls is not None else None
            reader, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)
            self.enter("first_byte")
            writer.write(len(self._query).to_bytes(2, "big") + self._query)
            size = int.from_bytes(await reader.readexactly(2), "big")
            self.enter("transfer")
            data = await reader.readexactly(size)
        except ssl.SSLError as error:
            words = f"no TLS with {server}: {getattr(error, 'verify_message', '') or error.reason or error}"
            raise TlsError(words, url=str(server), elapsed_ns=self.elapsed_ns) from None
        except asyncio.IncompleteReadError as error:
            words = f"{server} closed the connection after {len(error.partial)} bytes of an answer"
            raise ConnectError(words, url=str(server), elapsed_ns=self.elapsed_ns) from None
        except OSError as error:
            raise self._refused(error) from None
        finally:
            if writer is not None:
                writer.transport.abort()
            else:
                sock.close()
        if not self._ours(data):
            words = f"{server} sent something else than the answer: {data[:16].hex()}"
            raise ProtocolError(words, url=str(server), elapsed_ns=self.elapsed_ns)
        return data

    def _refused(self, error: OSError) -> ConnectError:
        # What asyncio says instead names the address once more.
        why = os.strerror(error.errno) if error.errno else str(error)
        words = f"{self.server} cannot be asked: {why}"
        return ConnectError(words, url=str(self.server), elapsed_ns=self.elapsed_ns)


class _Inbox(asyncio.DatagramProtocol):
    """What arrives, in order; at most as many as an exchange looks at."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(_KEPT)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._put(data)

    def error_received(self, exc: Exception) -> None:
        self._put(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def _put(self, item: bytes | OSError) -> None:
        if not self._queue.full():
            self._queue.put_nowait(item)

    async def next(self) -> bytes:
        item = await self._queue.get()
        if isinstance(item, OSError):
            raise item
        return item
