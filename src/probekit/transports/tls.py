"""TLS over a connected socket, by the interpreter's own OpenSSL, with what the peer showed.

An offer says whether the certificate must hold, as with any client, or is only to be seen: then it is handed up as it came, and
:mod:`probekit.trust.certificates` says what it is worth.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

from probekit.errors import StreamClosed, TlsError
from probekit.model import Phases
from probekit.transports.authorities import Authorities, State, authorities, verifying

CHUNK: Final = 16_384
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


class Secured:
    """A connection with TLS in it: OpenSSL reads and writes memory, this moves it."""

    def __init__(self, plain: socket.socket, offer: TlsOffer, peer_address: str) -> None:
        self._socket = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context_of(offer).wrap_bio(self._in, self._out, server_hostname=_asked(offer))
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
            raise TlsError(f"the connection broke within the TLS handshake: {words_of(error)}") from None
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
            raise broken(error) from None

    async def receive(self) -> bytes:
        try:
            return bytes(await self._pump(lambda: self._tls.read(CHUNK)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except (OSError, ssl.SSLError) as error:
            raise broken(error) from None

    async def _pump(self, act: Any) -> Any:
        loop = asyncio.get_running_loop()
        while True:
            try:
                made = act()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await loop.sock_recv(self._socket, CHUNK)
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


def context_of(offer: TlsOffer) -> ssl.SSLContext:
    """Made once, and once more for authorities that have been replaced."""
    trusted = authorities(offer.ca_file) if offer.verified else None
    return _context(offer.alpn, trusted, () if trusted is None else trusted.state())


@lru_cache(maxsize=32)
def _context(alpn: tuple[str, ...], trusted: Authorities | None, state: State) -> ssl.SSLContext:
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


def broken(error: Exception) -> StreamClosed:
    return StreamClosed(f"the connection broke: {words_of(error)}", planned=False)


def words_of(error: Exception) -> str:
    """The system's own sentence: asyncio puts another in its place, with the address once more."""
    return (
        os.strerror(error.errno) if isinstance(error, OSError) and error.errno is not None and error.errno > 0 else str(error)
    )
