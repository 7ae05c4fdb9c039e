"""The guardians' API: heartbeats, the set in force, VAAs by sequence."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.clients.wormhole import WormholeClient
from probekit.codecs import guardian_api as codec
from probekit.codecs.vaa import Vaa, encode
from probekit.model.wormhole import GuardianSet, Heartbeat
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.retry import NO_RETRY
from tests.support.mutation import mutations

EMITTER = bytes(31) + b"\x04"
VAA = Vaa(4, (), 1_700_000_000, 0, 1, EMITTER, 77, 32, b"hello")
ENTRY = {
    "verifiedGuardianAddr": "0x58CC3AE5C097b213cE3c81979e1B9f9570746AA5",
    "p2pNodeAddr": "12D3",
    "rawHeartbeat": {
        "nodeName": "Certus One",
        "counter": "123",
        "timestamp": "1789207200123456789",
        "bootTimestamp": "1789000000000000000",
        "networks": [
            {
                "id": 26,
                "height": "250000000",
                "contractAddress": "H3fx",
                "errorCount": "7",
                "safeHeight": "0",
                "finalizedHeight": "0",
            },
            {"id": 2, "height": "21000000"},
        ],
        "version": "v2.99",
        "guardianAddr": "0x58CC3AE5C097b213cE3c81979e1B9f9570746AA5",
        "features": ["governor"],
    },
}
SET = {"guardianSet": {"index": 4, "addresses": ["0x" + "58" * 20, "0x" + "59" * 20]}}


def client(answer: Any, status: int = 200) -> tuple[WormholeClient, ReplyTransport]:
    clock = FakeClock()

    def handler(_: Request) -> Response:
        return reply(status, answer if isinstance(answer, bytes) else json.dumps(answer), clock=clock)

    transport = ReplyTransport(handler)
    return WormholeClient("https://guardian.test/", transport=transport, clock=clock, retry=NO_RETRY), transport


async def test_heartbeats_each_for_itself() -> None:
    made, transport = client({"entries": [ENTRY, {"rawHeartbeat": {}}, 7]})
    first, second, third = await made.heartbeats()
    assert isinstance(first, Heartbeat)
    assert first.guardian.hex() == "58cc3ae5c097b213ce3c81979e1b9f9570746aa5"
    assert (first.counter, first.sent_at.ns) == (123, 1_789_207_200_123_456_789)
    pythnet = first.network(26)
    assert pythnet is not None
    assert (pythnet.height, pythnet.error_count) == (250_000_000, 7)
    assert first.network(1) is None
    assert isinstance(second, errors.DecodeError)
    assert isinstance(third, errors.DecodeError)
    assert transport.requests[0].url == "https://guardian.test/v1/heartbeats"


async def test_the_set_in_force() -> None:
    made, _ = client(SET)
    assert await made.guardian_set() == GuardianSet(4, (b"\x58" * 20, b"\x59" * 20))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"guardianSet":{"index":4,"addresses":[]}}', b'{"guardianSet":{"index":-1,"addresses":["0x00"]}}',
     b'{"guardianSet":{"index":1,"addresses":["0x0g"]}}', b"{" * 5000],
)  # fmt: skip
async def test_a_set_that_is_none(body: bytes) -> None:
    made, _ = client(body)
    with pytest.raises(errors.DecodeError) as caught:
        await made.guardian_set()
    assert caught.value.raw == body


async def test_a_vaa_by_its_sequence() -> None:
    made, transport = client({"vaaBytes": base64.b64encode(encode(VAA)).decode()})
    assert await made.signed_vaa(1, EMITTER, 77) == VAA
    assert transport.requests[0].url == f"https://guardian.test/v1/signed_vaa/1/{EMITTER.hex()}/77"
    with pytest.raises(errors.ParsedMismatch, match="asked for 1/"):
        await made.signed_vaa(1, EMITTER, 78)
    with pytest.raises(ValueError, match="32 bytes"):
        await made.signed_vaa(1, b"short", 78)


async def test_not_yet_signed() -> None:
    made, _ = client({"code": 5, "message": "requested VAA not found in store", "details": []}, 404)
    with pytest.raises(errors.NotFound, match="not yet"):
        await made.signed_vaa(1, EMITTER, 77)


@pytest.mark.parametrize(("status", "kind"), [(429, errors.RateLimited), (500, errors.ServerError), (400, errors.StatusError)])
async def test_statuses(status: int, kind: type[errors.StatusError]) -> None:
    made, _ = client(b"", status)
    for call in (made.heartbeats(), made.guardian_set(), made.signed_vaa(1, EMITTER, 77)):
        with pytest.raises(kind):
            await call


@pytest.mark.parametrize("body", [b'{"vaaBytes":"%%"}', b'{"vaaBytes":""}', b'{"vaaBytes":7}', b"{}"])
async def test_a_vaa_that_is_none(body: bytes) -> None:
    made, _ = client(body)
    with pytest.raises(errors.DecodeError):
        await made.signed_vaa(1, EMITTER, 77)


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (codec.decode_heartbeats, json.dumps({"entries": [ENTRY]}).encode()),
        (codec.decode_guardian_set, json.dumps(SET).encode()),
        (codec.decode_signed_vaa, json.dumps({"vaaBytes": base64.b64encode(encode(VAA)).decode()}).encode()),
    ],
)
def test_mutated_answers_decode_or_refuse(decode: Any, body: bytes) -> None:
    for changed in mutations(body):
        try:
            decode(changed)
        except errors.DecodeError as refusal:
            assert isinstance(refusal.raw, bytes)
            assert refusal.raw in changed


@given(st.binary(max_size=200))
def test_anything_else_is_refused(body: bytes) -> None:
    for decode in (codec.decode_heartbeats, codec.decode_guardian_set, codec.decode_signed_vaa):
        try:
            decode(body)
        except errors.DecodeError as refusal:
            assert refusal.raw == body


def test_an_endpoint_is_needed() -> None:
    with pytest.raises(ValueError, match="endpoint"):
        WormholeClient([])
