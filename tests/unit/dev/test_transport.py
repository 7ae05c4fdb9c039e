"""The sandbox as an engine: deadlines on the injected clock, limits and errors as the engines on a wire have them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.batch import Batch
from probekit.clients.hermes import HermesClient
from probekit.dev import faults
from probekit.dev.faults import Fault
from probekit.dev.reply import Broken, Reply
from probekit.dev.sandbox import Sandbox
from probekit.dev.transport import SandboxTransport
from probekit.errors import (
    BodyTooLarge,
    ConnectError,
    DeadlineExceeded,
    HeadersTooLarge,
    ProtocolError,
    StreamClosed,
)
from probekit.secret import Secret
from probekit.testing import FakeClock
from probekit.transports.base import Engine, Limits, Request, Response
from probekit.transports.retry import NO_RETRY
from tests.unit.dev.bench import BTC, ETH, SOL, Bench, query

BASE = "http://sandbox.test"


def request(bench: Bench, *, seconds: int | None = None, stream: bool = False, **options: Any) -> Request:
    what = "stream" if stream else "latest"
    deadline_ns = None if seconds is None else bench.clock.monotonic_ns() + seconds * 10**9
    url = f"{BASE}/v2/updates/price/{what}?{query([BTC])}"
    return Request("GET", url, deadline_ns=deadline_ns, stream=stream, **options)


async def outcome(bench: Bench, asked: Request, ms: int) -> Response | BaseException:
    """What comes of it within that time on the clock."""
    sending = asyncio.ensure_future(SandboxTransport(bench.sandbox).send(asked))
    await bench.advance(ms)
    assert sending.done()
    error = sending.exception()
    return sending.result() if error is None else error


async def test_good_answer() -> None:
    bench = Bench.make()
    transport: Engine = SandboxTransport(bench.sandbox)
    response = await transport.send(request(bench, seconds=5))
    assert (response.status, response.header("content-type")) == (200, "application/json")
    assert response.body == bench.ask(BTC).body
    assert (response.elapsed_ns, response.started_at, response.chunks) == (0, bench.clock.now(), None)
    assert transport.capabilities.engine == "sandbox"
    await transport.aclose()
    assert bench.clock.sleeping == 0


async def test_key_goes_in_the_header() -> None:
    bench = Bench.make(api_key=Secret("open-sesame-42"))
    transport = SandboxTransport(bench.sandbox)
    assert (await transport.send(request(bench))).status == 401
    headers = (("Authorization", Secret("Bearer open-sesame-42")),)
    assert (await transport.send(request(bench, headers=headers))).status == 200


async def test_origins() -> None:
    one, two = Bench.make(), Bench.make(api_key=Secret("open-sesame-42"))
    transport = SandboxTransport({"http://one": one.sandbox, "http://two:81": two.sandbox})
    assert (await transport.send(Request("GET", "http://one/live"))).body == b"OK"
    assert (await transport.send(Request("GET", f"http://two:81/v2/updates/price/latest?{query([BTC])}"))).status == 401
    for origin in ("http://three", "https://one", "http://two"):
        with pytest.raises(ConnectError) as caught:
            await transport.send(Request("GET", f"{origin}/live"))
        assert caught.value.elapsed_ns == 0
    with pytest.raises(ValueError, match="clock"):
        SandboxTransport({})
    assert SandboxTransport({}, clock=FakeClock()).capabilities


@pytest.mark.parametrize("stream", [False, True])
async def test_hang_ends_at_the_deadline(stream: bool) -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.Hang())
    error = await outcome(bench, request(bench, seconds=3, stream=stream), 3_000)
    assert isinstance(error, DeadlineExceeded)
    assert (error.phase, error.elapsed_ns) == ("first_byte", 3 * 10**9)
    assert bench.clock.sleeping == 0


async def test_slow_is_in_the_elapsed_time() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.Slow(delay_ms=1_200))
    response = await outcome(bench, request(bench, seconds=3), 2_000)
    assert isinstance(response, Response)
    assert response.elapsed_ns == 1_200_000_000
    assert isinstance(await outcome(bench, request(bench, seconds=1), 2_000), DeadlineExceeded)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.EndlessBody(), BodyTooLarge),
        (faults.GzipBomb(), BodyTooLarge),
        (faults.HugeHeaders(), HeadersTooLarge),
    ],
)
async def test_hostile_answers_are_bounded(fault: Fault, expected: type[Exception]) -> None:
    bench = Bench.make()
    bench.sandbox.inject(fault)
    limits = Limits(max_body_bytes=1 << 20)
    error = await outcome(bench, request(bench, seconds=3, limits=limits), 0)
    assert isinstance(error, expected)
    good = await outcome(bench, Request("GET", f"{BASE}/live"), 0)
    assert isinstance(good, Response)


async def test_body_that_breaks_off_is_a_broken_frame() -> None:
    bench = Bench.make()

    async def half() -> Any:
        yield b"{"
        raise Broken

    class Breaking(Sandbox):
        def handle(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Reply:
            return Reply(chunks=half())

    with pytest.raises(ProtocolError, match="broke off"):
        await SandboxTransport(Breaking(bench.network)).send(request(bench))


async def test_stream_is_read_and_closed() -> None:
    bench = Bench.make()
    response = await SandboxTransport(bench.sandbox).send(request(bench, seconds=1, stream=True))
    assert response.body == b""
    assert response.chunks is not None
    assert (await anext(response.chunks)).startswith(b"data:{")
    assert bench.sandbox.open_streams == 1
    await response.aclose()
    assert bench.sandbox.open_streams == 0


async def test_cut_stream_is_an_unplanned_close() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.CutStream())
    response = await SandboxTransport(bench.sandbox).send(request(bench, stream=True))
    assert response.chunks is not None
    assert await anext(response.chunks)
    with pytest.raises(StreamClosed) as caught:
        await anext(response.chunks)
    assert not caught.value.planned
    assert bench.sandbox.open_streams == 0


async def test_refused_stream_has_its_words_in_its_chunks() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.Unauthorized())
    response = await SandboxTransport(bench.sandbox).send(request(bench, stream=True))
    assert response.chunks is not None
    assert [chunk async for chunk in response.chunks] == [b"unauthorized"]


async def test_cancelled_send_leaves_nothing() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.Hang())
    sending = asyncio.ensure_future(SandboxTransport(bench.sandbox).send(request(bench, seconds=9)))
    await bench.clock.settle()
    assert bench.clock.sleeping == 2
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert bench.clock.sleeping == 0


async def test_typed_client_isolates_what_is_wrong() -> None:
    bench = Bench.make(feeds=24, api_key=Secret("open-sesame-42"))
    bench.sandbox.inject(faults.Unentitled("Equity.US.AAPL/USD"))
    bench.sandbox.inject(faults.BadSignature(ETH))
    unknown = "ab" * 32
    apple = bench.network.market("Equity.US.AAPL/USD").feed.id
    client = HermesClient(
        BASE,
        api_key=Secret("open-sesame-42"),
        transport=SandboxTransport(bench.sandbox),
        verify=bench.sandbox.trust,
        clock=bench.clock,
        retry=NO_RETRY,
        timeout=timedelta(seconds=5),
    )
    batch = await client.latest([BTC, ETH, apple, SOL, unknown])
    reasons = {feed: error.error_type for feed, error in batch.errors.items()}
    assert reasons == {ETH: "bad_signature", apple: "not_entitled", unknown: "no_such_feed"}
    assert set(batch.updates) == {BTC, SOL}
    stream = client.stream([BTC, SOL])
    seen = []
    async with aclosing(stream.events()) as events:
        waiting = asyncio.ensure_future(anext(events))
        for _ in range(6):
            await bench.advance(400)
            seen.append(waiting.result())
            waiting = asyncio.ensure_future(anext(events))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert [set(one.updates) for one in seen if isinstance(one, Batch)] == [{BTC, SOL}] * 5
    await client.aclose()
    assert bench.sandbox.open_streams == 0
