"""One unary call of gRPC, bytes in and bytes out, on a channel of its own that is closed after it.

Nothing is shared and nothing is tried again: no subchannel of another channel, no retry, no proxy of the environment, no
service configuration from DNS. gRPC makes one connection, another only where that is lost before the call is on it, and tells
neither its look-up nor its handshake apart.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from probekit.clock import Clock, reap, within
from probekit.errors import (
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    ErrorType,
    ProbekitError,
    ResolveError,
    TlsError,
    TransportError,
)
from probekit.errors.extras import missing_extra
from probekit.model import Phases, RequestRecord
from probekit.secret import Secret, redact
from probekit.transports.authorities import Authorities, State, authorities
from probekit.transports.base import Observer
from probekit.units import NS_PER_S

_MOST_BYTES: Final = 64 * 1024
_OPTIONS: Final = (
    # Without its own pool a channel takes over the connection of another to the same address.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", _MOST_BYTES),
    ("grpc.max_metadata_size", _MOST_BYTES),
    ("grpc.absolute_max_metadata_size", _MOST_BYTES),
)
_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_SHOWN: Final = 300
# gRPC has no other word for it than its sentence.
_RESOLVE: Final = re.compile(r"errors? resolving|DNS resolution failed|lookup (?:error|failed)", re.IGNORECASE)
_TLS: Final = re.compile(r"handshake|SSL_ERROR|certificate|verification check failed", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """Where it is: ``host`` and ``port``. ``authority`` is the name it is called by, in the call and, with ``tls``, in its
    certificate; ``None`` is the host.
    """

    host: str
    port: int
    tls: bool
    authority: str | None = None

    @property
    def target(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, method: str = "") -> str:
        """As a request's record has it: gRPC is HTTP/2."""
        return f"{'https' if self.tls else 'http'}://{self.target}{method}"


class GrpcReply(NamedTuple):
    """What the server answered: with ``OK`` its message, else its words."""

    code: str
    data: bytes
    details: str
    ready_ns: int
    elapsed_ns: int


Metadata = tuple[tuple[str, str | Secret], ...]


def refuse_metadata(metadata: Metadata) -> None:
    """Raises ``ConfigError`` for what gRPC would not send: the key is shown, the value never."""
    for key, value in metadata:
        if _KEY.fullmatch(key) is None or key.startswith("grpc-") or key.endswith("-bin"):
            raise ConfigError(f"{key!r} is no metadata key: lower case, digits, '_', '.', '-'; not grpc-..., not ...-bin")
        if _VALUE.fullmatch(value.reveal() if isinstance(value, Secret) else value) is None:
            raise ConfigError(f"the metadata {key} has characters that cannot be sent")


async def unary(
    server: GrpcServer,
    method: str,
    message: bytes,
    *,
    metadata: Metadata = (),
    due_ns: int,
    clock: Clock,
    observer: Observer,
    target: str = "",
) -> GrpcReply:
    """Call ``method`` once; ``due_ns`` is on ``clock``. ``observer`` is told of it, whatever comes of it.

    A code that the server gave is an answer. Raises ``ConfigError``, and where there was no answer ``ResolveError``,
    ``ConnectError``, ``TlsError`` or ``DeadlineExceeded`` (of phase ``first_byte`` once it was connected).
    """
    refuse_metadata(metadata)
    call = _Call(server, method, message, metadata, due_ns, clock)
    started_at = clock.now()
    error_type: ErrorType | None = "internal"
    reply: GrpcReply | None = None
    try:
        reply = await call.run()
        error_type = None if reply.code == "OK" else "status"
        return reply
    except ProbekitError as failed:
        error_type = failed.error_type
        raise
    except asyncio.CancelledError:
        error_type = "cancelled"
        raise
    finally:
        answered = None if reply is None else (reply.elapsed_ns - reply.ready_ns) or None
        observer(
            RequestRecord(
                method="POST",
                url=server.url(method),
                engine="grpc",
                started_at=started_at,
                elapsed_ns=call.elapsed_ns,
                phases=Phases(first_byte_ns=answered),
                error_type=error_type,
                http_version="2",
                received_bytes=0 if reply is None else len(reply.data),
                new_connection=True,
                excerpt="" if reply is None or reply.code == "OK" else f"{reply.code} {reply.details}".strip(),
                target=target,
            )
        )


class _Call:
    def __init__(self, server: GrpcServer, method: str, message: bytes, metadata: Metadata, due_ns: int, clock: Clock) -> None:
        self._server, self._method, self._message = server, method, message
        self._metadata, self._due_ns, self._clock = metadata, due_ns, clock
        self._began_ns = clock.monotonic_ns()
        self._ready_ns: int | None = None

    @property
    def elapsed_ns(self) -> int:
        return self._clock.monotonic_ns() - self._began_ns

    async def run(self) -> GrpcReply:
        aio = _library()
        channel = self._channel(aio)
        try:
            return await within(self._clock, self._due_ns, self._on(channel))
        except TimeoutError:
            raise self._late() from None
        finally:
            await channel.close()

    def _channel(self, aio: Any) -> Any:
        options: list[tuple[str, Any]] = [*_OPTIONS]
        authority = self._server.authority
        if authority is not None:
            options.append(("grpc.default_authority", authority))
        if not self._server.tls:
            return aio.insecure_channel(self._server.target, options=options)
        import grpc

        if authority is not None:
            options.append(("grpc.ssl_target_name_override", authority))
        trusted = authorities()
        roots = _roots(trusted, trusted.state())
        credentials = grpc.ssl_channel_credentials(roots)
        return aio.secure_channel(self._server.target, credentials, options=options)

    async def _on(self, channel: Any) -> GrpcReply:
        import grpc

        watch = asyncio.ensure_future(self._watch(channel))
        metadata = tuple((key, one.reveal() if isinstance(one, Secret) else one) for key, one in self._metadata)
        # The server is told how long it has; on a clock that a test turns, `within` ends it.
        left_s = max(self._due_ns - self._clock.monotonic_ns(), 1) / NS_PER_S
        try:
            # The call makes the connection, and fails with it. Nothing waits for a state to come: one can come and go unseen.
            call = channel.unary_unary(self._method)(self._message, timeout=left_s, metadata=metadata, wait_for_ready=False)
            data, code, details = await call, "OK", ""
        except grpc.aio.AioRpcError as error:
            data, code, details = b"", error.code().name, " ".join(redact(error.details() or "").split())[:_SHOWN]
            self._look(channel)
            if code == "DEADLINE_EXCEEDED" and self._clock.monotonic_ns() >= self._due_ns:
                raise self._late() from None
            if self._ready_ns is None:
                raise self._unreached(details) from None
        finally:
            await reap(watch)
        elapsed_ns = self.elapsed_ns
        return GrpcReply(code, data, details, self._ready_ns or elapsed_ns, elapsed_ns)

    async def _watch(self, channel: Any) -> None:
        """Note when it is connected, as soon as that can be seen."""
        state = channel.get_state(try_to_connect=True)
        while self._ready_ns is None:
            await channel.wait_for_state_change(state)
            state = self._look(channel)

    def _look(self, channel: Any) -> Any:
        """The state, noted where it is that of a connection that is or was: after the first change, idle is a lost one."""
        import grpc

        state = channel.get_state()
        if self._ready_ns is None and state in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE):
            self._ready_ns = self.elapsed_ns
        return state

    def _late(self) -> DeadlineExceeded:
        where, url = self._server.target, self._server.url()
        if self._ready_ns is None:
            words = f"no connection to {where} in time: name, connection, TLS or HTTP/2 settings"
            return DeadlineExceeded(words, url=url, elapsed_ns=self.elapsed_ns)
        words = f"{where} took the call and did not answer in time"
        return DeadlineExceeded(words, phase="first_byte", url=url, elapsed_ns=self.elapsed_ns)

    def _unreached(self, details: str) -> TransportError:
        kind = ResolveError if _RESOLVE.search(details) else TlsError if _TLS.search(details) else ConnectError
        return kind(f"no connection to {self._server.target}: {details}", url=self._server.url(), elapsed_ns=self.elapsed_ns)


def _library() -> Any:
    # Its own log goes to stderr past Python's, a line for every handshake that fails. Read when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        import grpc.aio
    except ModuleNotFoundError:
        raise missing_extra("calls of gRPC need grpcio", "grpc") from None
    return grpc.aio


@lru_cache(maxsize=8)
def _roots(trusted: Authorities, state: State) -> bytes | None:
    """The authorities as one PEM; gRPC takes no folder. Raises ``ConfigError``."""
    paths = [Path(trusted.file)] if trusted.file else []
    for folder in (trusted.folders or "").split(os.pathsep):
        paths += sorted(one for one in Path(folder).iterdir() if one.is_file()) if folder else []
    try:
        return b"\n".join(one.read_bytes() for one in paths) or None
    except OSError as error:
        raise ConfigError(f"the certificate authorities cannot be read: {error}") from None
