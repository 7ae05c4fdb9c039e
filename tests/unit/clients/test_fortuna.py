"""Fortuna: chains, revelations with the reasons for none, its log; answers that are damaged, late, or never come."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.clients.fortuna import FortunaClient
from probekit.codecs import fortuna as codec
from probekit.model.evm import Address
from probekit.model.fortuna import (
    FortunaChain,
    FortunaCompleted,
    FortunaFailed,
    FortunaPending,
    Revelation,
    RevelationRefusal,
)
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.retry import NO_RETRY
from probekit.units import Instant
from tests.support.mutation import decodes_or_refuses, mutations

VALUE = bytes(range(32))
PROVIDER = "0x52deaa1c84233f7bb8c8a45baede41091c616506"
HASH = "0x" + "ab" * 32
CONFIG = {
    "name": "base",
    "network_id": 8453,
    "contract_addr": "0x6e7d74fa7d5c90fef9f0512987605a6d546181bb",
    "reveal_delay_blocks": 1,
    "gas_limit": 500_000,
    "default_fee": 15_000_000_000_000,
}
ROW = {
    "chain_id": "base",
    "network_id": 8453,
    "provider": PROVIDER,
    "sequence": 12,
    "created_at": "2026-09-12T10:00:00Z",
    "last_updated_at": "2026-09-12T10:00:05.123Z",
    "request_block_number": 100,
    "request_tx_hash": HASH,
    "gas_limit": 100_000,
    "user_random_number": "11" * 32,
    "sender": "0x" + "22" * 20,
    "state": {"state": "pending"},
}
COMPLETED = {
    "state": "completed",
    "reveal_block_number": 102,
    "reveal_tx_hash": HASH.upper().replace("0X", "0x"),
    "provider_random_number": "33" * 32,
    "gas_used": "340282366920938463463374607431768211456",
    "combined_random_number": "44" * 32,
    "callback_failed": True,
    "callback_return_value": "0x4e487b71",
    "callback_gas_used": "90000",
}
FAILED = {"state": "failed", "reason": "Reverted: 0x1234", "provider_random_number": None}
NOT_PENDING = (
    "The request with the given sequence number has not been made yet, or the random value has already been revealed on chain."
)
UNCONFIRMED = (
    "The request needs additional confirmations before the random value can be retrieved. Try your request again later."
)


def client(answer: Any, status: int = 200) -> tuple[FortunaClient, ReplyTransport]:
    clock = FakeClock()
    body = answer if isinstance(answer, bytes | str) else json.dumps(answer)
    transport = ReplyTransport(lambda _: reply(status, body, clock=clock))
    return FortunaClient("https://fortuna.test/", transport=transport, clock=clock, retry=NO_RETRY), transport


async def test_chains_and_their_configuration() -> None:
    made, transport = client(["base", "monad"])
    assert await made.chains() == ("base", "monad")
    assert transport.requests[0].url == "https://fortuna.test/v1/chains"
    made, _ = client([CONFIG, CONFIG | {"network_id": 0, "more": 1}, {"name": "x"}, CONFIG | {"contract_addr": "0x1"}])
    first, uninitialised, *broken = await made.configs()
    expected = FortunaChain("base", 8453, Address(CONFIG["contract_addr"]), 1, 500_000, 15_000_000_000_000)  # type: ignore[arg-type]
    assert first == expected
    assert isinstance(uninitialised, FortunaChain)
    assert uninitialised.network_id is None
    assert [type(one) for one in broken] == [errors.DecodeError] * 2
    assert await client([])[0].configs() == ()


@pytest.mark.parametrize("encoding", ["hex", "base64", "array"])
async def test_a_revelation(encoding: codec.Encoding) -> None:
    made, transport = client(codec.encode_revelation(VALUE, encoding))
    assert await made.revelation("base", 7) == Revelation("base", 7, VALUE)
    await made.revelation("a/b", 7, block_number=55)
    assert [one.url.removeprefix("https://fortuna.test/v1/chains/") for one in transport.requests] == [
        "base/revelations/7?encoding=hex",
        "a%2Fb/revelations/7?encoding=hex&block_number=55",
    ]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [(NOT_PENDING, RevelationRefusal.NOT_PENDING), (UNCONFIRMED, RevelationRefusal.NEEDS_CONFIRMATIONS)],
)
async def test_why_a_revelation_is_refused(text: str, refusal: RevelationRefusal) -> None:
    made, _ = client(text, 403)
    assert await made.revelation("base", 7) == Revelation("base", 7, refusal=refusal, text=text)


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (403, "<html>forbidden by the firewall", errors.Unauthorized),
        (400, "The chain id is not supported", errors.NotFound),
        (400, "The sequence number is out of the permitted range", errors.NotFound),
        (400, "Failed to deserialize query string", errors.StatusError),
        (503, "The service is not yet initialized for this chain, please try again in a few minutes", errors.ServerError),
        (500, "An unknown error occurred processing the request", errors.ServerError),
        (429, "slow down", errors.RateLimited),
    ],
)
async def test_other_answers(status: int, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await client(text, status)[0].revelation("base", 7)


async def test_the_log() -> None:
    rows = [ROW, ROW | {"state": COMPLETED}, ROW | {"state": FAILED}, {"sequence": 3}, ROW | {"state": {"state": "lost"}}, 7]
    made, transport = client({"requests": rows, "total_results": 77, "more": None})
    found = await made.logs(
        "12", network_id=8453, state="CallbackErrored", since=Instant.parse("2026-09-12T00:00:00Z"), limit=6, offset=2
    )
    assert found.total == 77
    pending, completed, failed = found.requests
    assert [type(one) for one in found.errors] == [errors.DecodeError] * 3
    assert (pending.outcome, pending.sequence, pending.sender) == (FortunaPending(), 12, Address("0x" + "22" * 20))
    assert pending.last_updated_at.since(pending.created_at) == 5_123_000_000
    assert completed.outcome == FortunaCompleted(
        102, HASH, b"\x33" * 32, b"\x44" * 32, 2**128, True, bytes.fromhex("4e487b71"), 90_000
    )
    assert failed.outcome == FortunaFailed("Reverted: 0x1234", None)
    assert transport.requests[0].url == (
        "https://fortuna.test/v1/logs?query=12&network_id=8453&state=CallbackErrored"
        "&min_timestamp=2026-09-12T00%3A00%3A00.000Z&limit=6&offset=2"
    )
    empty = await client({"requests": [], "total_results": 0})[0].logs()
    assert (empty.requests, empty.total, empty.errors) == ((), 0, ())
    with pytest.raises(ValueError, match="1 to 1000"):
        await made.logs(limit=1_001)
    with pytest.raises(errors.NotFound, match="knows no chain 5"):
        await client("The chain id is not supported", 400)[0].logs(network_id=5)
    with pytest.raises(errors.StatusError):
        await client("The query string is not parsable to a transaction hash", 400)[0].logs("x")


DECODERS = [
    (codec.decode_chains, json.dumps(["base"]).encode()),
    (codec.decode_configs, json.dumps([CONFIG]).encode()),
    (codec.decode_revelation, codec.encode_revelation(VALUE)),
    (codec.decode_logs, json.dumps({"requests": [ROW | {"state": COMPLETED}], "total_results": 1}).encode()),
    (codec.service_of, b"https://fortuna.test/v1/chains/base"),
]


@pytest.mark.parametrize(("decode", "body"), DECODERS, ids=lambda one: getattr(one, "__name__", ""))
def test_damaged_answers(decode: Any, body: bytes) -> None:
    assert decodes_or_refuses(decode, body)
    assert False in [decodes_or_refuses(decode, damaged) for damaged in mutations(body)]


@pytest.mark.parametrize("decode", [decode for decode, _ in DECODERS], ids=lambda one: getattr(one, "__name__", ""))
@given(
    st.binary(max_size=60) | st.sampled_from([b"null", b"[null]", b"[" * 5_000, b'{"value":{"encoding":"array","data":[999]}}'])
)
def test_anything_else(decode: Any, body: bytes) -> None:
    decodes_or_refuses(decode, body)


def test_where_a_provider_reveals() -> None:
    assert codec.service_of(b"https://fortuna.test/sub/v1/chains/base/") == ("https://fortuna.test/sub", "base")
    for wrong in (b"", b"\xff", b"file:///v1/chains/base", b"https://fortuna.test/v2/chains/base"):
        with pytest.raises(errors.DecodeError):
            codec.service_of(wrong)


METHODS = {
    "chains": lambda made: made.chains(),
    "configs": lambda made: made.configs(),
    "revelation": lambda made: made.revelation("base", 7),
    "logs": lambda made: made.logs(),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("status", "error"), [(429, errors.RateLimited), (503, errors.ServerError)])
async def test_statuses(name: str, status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        await METHODS[name](client("no", status)[0])


@pytest.mark.parametrize("name", METHODS)
async def test_what_is_no_answer(name: str) -> None:
    with pytest.raises(errors.DecodeError):
        await METHODS[name](client("<html>")[0])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("cancelled", [False, True], ids=["deadline", "cancelled"])
async def test_a_service_that_hangs(name: str, cancelled: bool) -> None:
    clock = FakeClock()

    async def hang(asked: Request) -> Response:
        assert asked.deadline_ns is not None
        await clock.sleep_until_ns(asked.deadline_ns)
        raise errors.DeadlineExceeded("the service hangs", phase="first_byte")

    made = FortunaClient("https://fortuna.test", transport=ReplyTransport(hang), clock=clock, timeout=timedelta(seconds=4))
    before = asyncio.all_tasks()
    began_ns = clock.monotonic_ns()
    task = asyncio.ensure_future(METHODS[name](made))
    await clock.settle()
    if cancelled:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await clock.advance(timedelta(seconds=4))
        with pytest.raises(errors.DeadlineExceeded):
            await task
        assert clock.monotonic_ns() - began_ns == 4 * 10**9
    await clock.settle()
    assert asyncio.all_tasks() == before


async def test_its_own_transport_is_closed_and_a_callers_is_not() -> None:
    made, transport = client([])
    async with made:
        await made.chains()
    assert not transport.closed
    async with FortunaClient("https://fortuna.test"):
        pass
