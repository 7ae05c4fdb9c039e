"""Messages of ``grpc.health.v1``, read and written by grpcio-health-checking's protobuf (extra ``grpc``).

Source: grpc ``src/proto/grpc/health/v1/health.proto`` and ``doc/health-checking.md``.
"""

from __future__ import annotations

from typing import Any, Final

from probekit.errors import DecodeError
from probekit.errors.extras import missing_extra

CHECK: Final = "/grpc.health.v1.Health/Check"
_LARGEST: Final = 4096
"""Bytes of an answer: it has one number, and room for fields that came later."""


def encode_check(service: str) -> bytes:
    """The request for ``service``; the empty name is the server as a whole. Raises ``ConfigError`` without the extra."""
    return bytes(_messages().HealthCheckRequest(service=service).SerializeToString())


def decode_check(data: bytes) -> str:
    """The status: its name, or its number where it has none here. Raises ``DecodeError``."""
    messages = _messages()
    from google.protobuf.message import DecodeError as Unreadable

    if len(data) > _LARGEST:
        raise DecodeError(f"an answer of health of {len(data)} bytes", raw=data)
    try:
        number = int(messages.HealthCheckResponse.FromString(data).status)
    except (Unreadable, ValueError) as error:
        raise DecodeError(f"not an answer of health: {error}", raw=data) from None
    names = {one.number: one.name for one in messages.HealthCheckResponse.ServingStatus.DESCRIPTOR.values}
    return str(names.get(number, number))


def _messages() -> Any:
    try:
        from grpc_health.v1 import health_pb2
    except ModuleNotFoundError:
        raise missing_extra("the health of gRPC servers needs grpcio-health-checking", "grpc") from None
    return health_pb2
