"""Messages of gRPC's health service."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.grpc_health import decode_check, encode_check
from probekit.errors import DecodeError
from tests.support.mutation import decodes_or_refuses, mutations


def test_a_request_names_a_service() -> None:
    assert encode_check("") == b""
    assert encode_check("prices") == b"\x0a\x06prices"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", "UNKNOWN"), (b"\x08\x01", "SERVING"), (b"\x08\x02", "NOT_SERVING"), (b"\x08\x03", "SERVICE_UNKNOWN"),
        (b"\x08\x63", "99"), (b"\x08\x01\x12\x02hi", "SERVING"),
    ],
)  # fmt: skip
def test_a_status_by_its_name_or_its_number(data: bytes, status: str) -> None:
    assert decode_check(data) == status


def test_it_is_what_the_librarys_own_messages_say() -> None:
    assert encode_check("prices") == health_pb2.HealthCheckRequest(service="prices").SerializeToString()
    for one in health_pb2.HealthCheckResponse.ServingStatus.DESCRIPTOR.values:
        assert decode_check(health_pb2.HealthCheckResponse(status=one.number).SerializeToString()) == one.name


def test_mutated_answers_decode_or_refuse() -> None:
    for changed in mutations(b"\x08\x01\x12\x02hi"):
        decodes_or_refuses(decode_check, changed)


@given(st.binary(max_size=200))
def test_anything_else_decodes_or_is_refused(data: bytes) -> None:
    decodes_or_refuses(decode_check, data)


def test_an_answer_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(DecodeError, match="5000 bytes") as caught:
        decode_check(b"\x12" + bytes(4999))
    assert caught.value.raw_length == 5000
