"""The guardians' API: heartbeats, the set in force, VAAs by sequence."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.clients.wormhole import EvmReceiverClient, WormholeClient
from probekit.codecs import guardian_api as codec
from probekit.codecs.vaa import Vaa, encode
from probekit.model import TrustRoot
from probekit.model.pyth_evm import Absence, QuorumRule
from probekit.model.wormhole import GuardianSet, Heartbeat
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.retry import NO_RETRY
from probekit.trust import MAINNET
from tests.support.mutation import mutations
from tests.unit.clients.contracts import RECEIVER, VM, EvmNode, Receiver

EMITTER = bytes(31) + b"\x04"
VAA = Vaa(4, (), 1_700_000_000, 0, 1, EMITTER, 77, 32, b"hello")
OTHER = Vaa(4, (), 1_700_000_000, 0, 1, EMITTER, 78, 32, b"hello")
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


async def test_a_chain_of_a_heartbeat_that_does_not_read_loses_no_other() -> None:
    networks = [{"id": 2, "height": "7"}, {"id": "?"}, {"id": 26, "height": str(2**70)}, {"id": 1, "height": 9}]
    entry: dict[str, Any] = {**ENTRY}
    entry["rawHeartbeat"] = {**entry["rawHeartbeat"], "networks": networks}
    made, _ = client({"entries": [entry]})
    (beat,) = await made.heartbeats()
    assert isinstance(beat, Heartbeat)
    assert [isinstance(one, errors.DecodeError) for one in beat.networks] == [False, True, True, False]
    found = beat.network(1)
    assert found is not None
    assert (found.height, beat.network(26)) == (9, None)


async def test_one_node_without_a_vaa_does_not_speak_for_the_others() -> None:
    clock = FakeClock()
    body = json.dumps({"vaaBytes": base64.b64encode(encode(VAA)).decode()})
    answers = {"one": reply(404, "{}", clock=clock), "two": reply(500, "", clock=clock), "three": reply(200, body, clock=clock)}
    transport = ReplyTransport(lambda request: answers[request.url.partition("//")[2].partition(".")[0]])
    urls = [f"https://{name}.test" for name in answers]
    made = WormholeClient(urls, transport=transport, clock=clock, retry=NO_RETRY)
    assert await made.signed_vaa(1, EMITTER, 77) == VAA
    assert len(transport.requests) == 3
    answers["three"] = reply(404, "{}", clock=clock)
    with pytest.raises(errors.NotFound, match=r"at https://one\.test, https://three\.test"):
        await made.signed_vaa(1, EMITTER, 77)
    answers["one"] = answers["three"] = reply(503, "", clock=clock)
    with pytest.raises(errors.ServerError):
        await made.signed_vaa(1, EMITTER, 77)


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


@pytest.mark.parametrize(
    "lie",
    [b"<html>", b"{", b'{"vaaBytes":"!"}', json.dumps({"vaaBytes": base64.b64encode(encode(OTHER)).decode()}).encode()],
    ids=["a page", "cut off", "no VAA", "another message"],
)
async def test_a_node_that_answers_something_else_does_not_speak_for_the_others(lie: bytes) -> None:
    clock = FakeClock()
    right = json.dumps({"vaaBytes": base64.b64encode(encode(VAA)).decode()}).encode()
    answers = {"one": lie, "two": right}
    transport = ReplyTransport(lambda request: reply(200, answers[request.url[8:11]], clock=clock))
    made = WormholeClient(["https://one.test", "https://two.test"], transport=transport, clock=clock, retry=NO_RETRY)
    assert await made.signed_vaa(1, EMITTER, 77) == VAA
    answers["two"] = lie
    with pytest.raises((errors.DecodeError, errors.ParsedMismatch)):
        await made.signed_vaa(1, EMITTER, 77)


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


# -- guardian sets on EVM chains ----------------------------------------------------------------------------------------------

CORE_SET = MAINNET.newest(TrustRoot.CORE)


def receiver(quorum: int = 13, signers: Sequence[bytes] | None = None) -> tuple[EvmReceiverClient, Receiver, EvmNode]:
    assert CORE_SET is not None
    node = EvmNode()
    contract = Receiver(CORE_SET.index, CORE_SET.signers if signers is None else signers, quorum)
    node.contracts[RECEIVER] = contract
    return EvmReceiverClient(node.client, RECEIVER), contract, node


async def test_the_set_that_a_receiver_has_in_force() -> None:
    made, _, _ = receiver()
    assert CORE_SET is not None
    found = await made.guardian_set()
    assert (found.index, tuple(map(bytes, found.guardians)), found.expiration_time_s) == (CORE_SET.index, CORE_SET.signers, 0)
    assert await made.guardian_set(CORE_SET.index) == found
    with pytest.raises(errors.NotFound, match="no guardian set 99"):
        await made.guardian_set(99)


async def test_a_receivers_word_on_a_vaa() -> None:
    made, _, _ = receiver()
    good, bad = await made.judge(b"good"), await made.judge(b"bad")
    assert (good.valid, good.reason, good.vaa.payload, good.vaa.emitter_chain_id) == (True, "", b"AUWV", 26)
    assert (bad.valid, bad.reason) == (False, "no quorum")


@pytest.mark.parametrize(
    ("guardians", "quorum", "rule"),
    [
        (19, 13, QuorumRule.TWO_THIRDS),
        (19, 10, QuorumRule.HALF),
        (5, 4, QuorumRule.TWO_THIRDS),
        (5, 3, QuorumRule.HALF),
        (19, 1, None),
        (1, 1, None),
        (2, 2, None),
    ],
)
async def test_the_quorum_is_seen_in_what_the_receiver_refuses(guardians: int, quorum: int, rule: QuorumRule | None) -> None:
    made, _, node = receiver(quorum, [bytes([number]) * 20 for number in range(guardians)])
    state = await made.state()
    assert (state.quorum, state.quorum_rule, state.root) == (quorum, rule, None)
    assert len(node.asked("eth_call")) == 2


async def test_the_state_of_a_receiver_that_leaves_things_out() -> None:
    made, contract, _ = receiver(quorum=20)
    contract.lacks("getGuardianSetExpiry()")
    state = await made.state()
    assert (state.root, state.quorum, state.set_expiry_s) == (TrustRoot.CORE, None, None)
    told = {one.name: (one.absence, one.reason) for one in state.unanswered}
    assert told["set_expiry_s"][0] is Absence.MISSING
    assert told["quorum"] == (Absence.UNREADABLE, "19 signatures are not enough")
    contract.lacks("verifyVM(" + VM + ")")
    state = await made.state()
    assert {one.name: one.absence for one in state.unanswered}["quorum"] is Absence.MISSING
    contract.lacks("getCurrentGuardianSetIndex()")
    state = await made.state()
    assert (state.set_index, state.guardian_set, state.governance_chain_id) == (None, None, 1)
    assert {one.name for one in state.unanswered} == {"set_index", "set_expiry_s", "guardian_set", "quorum"}


async def test_a_receiver_without_its_set() -> None:
    made, _, _ = receiver(signers=[])
    with pytest.raises(errors.NotFound):
        await made.guardian_set()
    state = await made.state()
    assert state.guardian_set is not None
    assert (state.guardian_set.exists, state.root, state.quorum_rule) == (False, None, None)


def test_an_endpoint_is_needed() -> None:
    with pytest.raises(ValueError, match="endpoint"):
        WormholeClient([])
