"""Messages of ``grpc.health.v1``, read and written by protobuf (extra ``grpc``).

They are described here, in a pool of their own: the package ``grpc_health`` that has them is not to be imported where the probe
of that name was started as a file, whose folder then comes first. Source: grpc ``src/proto/grpc/health/v1/health.proto`` and
``doc/health-checking.md``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from probekit.errors import DecodeError
from probekit.errors.extras import missing_extra

CHECK: Final = "/grpc.health.v1.Health/Check"
_STATUSES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_LARGEST: Final = 4096
"""Bytes of an answer: it has one number, and room for fields that came later."""


def encode_check(service: str) -> bytes:
    """The request for ``service``; the empty name is the server as a whole. Raises ``ConfigError`` without the extra."""
    return bytes(_messages()[0](service=service).SerializeToString())


def decode_check(data: bytes) -> str:
    """The status: its name, or its number where it has none here. Raises ``DecodeError``."""
    kind, names = _messages()[1:]
    from google.protobuf.message import DecodeError as Unreadable

    if len(data) > _LARGEST:
        raise DecodeError(f"an answer of health of {len(data)} bytes", raw=data)
    try:
        number = int(kind.FromString(data).status)
    except (Unreadable, ValueError) as error:
        raise DecodeError(f"not an answer of health: {error}", raw=data) from None
    return str(names.get(number, number))


@cache
def _messages() -> tuple[Any, Any, dict[int, str]]:
    """The classes of request and answer, and the names of statuses."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ModuleNotFoundError:
        raise missing_extra("the health of gRPC servers needs protobuf", "grpc") from None
    file = descriptor_pb2.FileDescriptorProto(name="health.proto", package="grpc.health.v1", syntax="proto3")
    optional = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    request, answer = file.message_type.add(name="HealthCheckRequest"), file.message_type.add(name="HealthCheckResponse")
    text, enum = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_ENUM
    request.field.add(name="service", number=1, type=text, label=optional)
    statuses = answer.enum_type.add(name="ServingStatus")
    for number, name in enumerate(_STATUSES):
        statuses.value.add(name=name, number=number)
    whole = ".grpc.health.v1.HealthCheckResponse.ServingStatus"
    answer.field.add(name="status", number=1, type=enum, type_name=whole, label=optional)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kinds = [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"grpc.health.v1.{one.name}")) for one in (request, answer)
    ]
    return kinds[0], kinds[1], dict(enumerate(_STATUSES))
