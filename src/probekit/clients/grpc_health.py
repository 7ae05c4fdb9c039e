"""The standard health service of gRPC servers, asked once on a fresh connection."""

from __future__ import annotations

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.grpc_health import CHECK, decode_check, encode_check
from probekit.errors import DecodeError, NotEntitled, RateLimited, Unauthorized
from probekit.model import RequestRecord
from probekit.model.grpc import HealthAnswer
from probekit.transports.base import Observer
from probekit.transports.grpc import GrpcServer, Metadata, refuse_metadata, unary

__all__ = ["GrpcServer", "Metadata", "check", "refuse_metadata"]


def _nobody(_: RequestRecord) -> None:
    return None


async def check(
    server: GrpcServer,
    service: str = "",
    *,
    metadata: Metadata = (),
    due_ns: int,
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer = _nobody,
    target: str = "",
) -> HealthAnswer:
    """What ``server`` says of ``service``; the empty name is the server as a whole. ``due_ns`` is on ``clock``.

    Raises ``Unauthorized``, ``NotEntitled`` and ``RateLimited`` (with the HTTP statuses that stand for these codes), other
    ``TransportError`` leaves where nothing answered, ``DecodeError``, and ``ConfigError``.
    """
    message = encode_check(service)
    reply = await unary(server, CHECK, message, metadata=metadata, due_ns=due_ns, clock=clock, observer=observer, target=target)
    url, elapsed_ns = server.url(CHECK), reply.elapsed_ns
    words = f"{server.target} answered {reply.code}" + (f": {reply.details}" if reply.details else "")
    if reply.code == "UNAUTHENTICATED":
        raise Unauthorized(words, status=401, url=url, elapsed_ns=elapsed_ns)
    if reply.code == "PERMISSION_DENIED":
        raise NotEntitled(words, status=403, url=url, elapsed_ns=elapsed_ns)
    if reply.code == "RESOURCE_EXHAUSTED":
        raise RateLimited(words, status=429, url=url, elapsed_ns=elapsed_ns)
    try:
        status = decode_check(reply.data) if reply.code == "OK" else ""
    except DecodeError as error:
        error.took(elapsed_ns)
        raise
    return HealthAnswer(
        service=service,
        code=reply.code,
        status=status,
        details=reply.details,
        ready_ns=reply.ready_ns,
        elapsed_ns=elapsed_ns,
    )
