"""Each of the sandbox's faults once over real HTTP, as both engines see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from probekit.clients.batch import Batch
from probekit.clients.hermes import HermesClient
from probekit.codecs import hermes as codec
from probekit.codecs.sse import SseSplitter
from probekit.dev import faults
from probekit.dev.faults import Fault
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import Tls, serve
from probekit.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    DecodeError,
    HeadersTooLarge,
    ProbekitError,
    StreamClosed,
    TransportError,
)
from probekit.model import FeedId, TrustRoot
from probekit.secret import Secret
from probekit.transports.base import Engine, Limits, Request, Response
from probekit.transports.httpx import HttpxTransport
from probekit.transports.retry import NO_RETRY
from probekit.transports.status import raise_for_status
from probekit.units import Instant

pytestmark = pytest.mark.system

BTC = FeedId("e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43")
ETH = FeedId("ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace")
SMALL = Limits(max_body_bytes=1 << 20)
PATIENCE = timedelta(seconds=20)


def curl_engine() -> Engine:
    pytest.importorskip("pycurl", reason="the measuring engine needs pycurl, of the extra measure")
    from probekit.transports.curl import CurlTransport

    return CurlTransport()


@dataclass
class Real:
    """An endpoint on a socket and an engine to ask it with."""

    sandbox: Sandbox
    url: str
    engine: Engine

    async def ask(self, route: str = "latest", *, stream: bool = False, seconds: float = 10, feed: str = BTC) -> Response:
        deadline_ns = time.monotonic_ns() + int(seconds * 10**9)
        url = f"{self.url}/v2/updates/price/{route}?ids%5B%5D={feed}"
        return await self.engine.send(Request("GET", url, deadline_ns=deadline_ns, stream=stream, limits=SMALL))

    def client(self) -> HermesClient:
        return HermesClient(self.url, transport=self.engine, verify=self.sandbox.trust, retry=NO_RETRY)


@pytest.fixture(params=[HttpxTransport, curl_engine], ids=["httpx", "curl"])
async def real(request: pytest.FixtureRequest) -> AsyncIterator[Real]:
    engine: Engine = request.param()
    sandbox = Sandbox(SandboxNetwork(feeds=3), control=True)
    async with serve(sandbox) as url:
        yield Real(sandbox, url, engine)
        await engine.aclose()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("root", list(TrustRoot))
async def test_five_hundred_feeds_verify(root: TrustRoot) -> None:
    sandbox = Sandbox(SandboxNetwork(root=root, feeds=500))
    async with serve(sandbox) as url, HermesClient(url, verify=sandbox.trust) as client:
        ids = [one.feed.id for one in sandbox.network.markets]
        batch = await client.latest(ids)
        assert not batch.errors
        assert list(batch.updates) == ids


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.BadSignature(ETH), "bad_signature"),
        (faults.WrongQuorum(ETH), "no_quorum"),
        (faults.WrongRoot(ETH), "wrong_root"),
        (faults.ExpiredSet(ETH), "superseded_set"),
        (faults.BadProof(ETH), "bad_proof"),
        (faults.ParsedMismatch(ETH), "parsed_mismatch"),
        (faults.Unentitled(ETH), "not_entitled"),
        (faults.MissingFeed(ETH), "missing"),
    ],
)
async def test_fault_of_one_feed_is_that_feeds_alone(real: Real, fault: Fault, reason: str) -> None:
    client = real.client()
    injected = real.sandbox.inject(fault)
    batch = await client.latest([BTC, ETH])
    assert {feed: error.error_type for feed, error in batch.errors.items()} == {ETH: reason}
    assert list(batch.updates) == [BTC]
    injected.clear()
    again = await real.client().latest([BTC, ETH])
    assert not again.errors


async def test_content_faults_come_and_go(real: Real) -> None:
    client = real.client()
    before = (await client.latest([BTC, ETH]))[ETH]
    stale, wide = real.sandbox.inject(faults.StaleFeed(ETH)), real.sandbox.inject(faults.WideConfidence(BTC))

    async def aged() -> bool:
        batch = await client.latest([BTC, ETH])
        ratio = batch[BTC].conf.decimal / batch[BTC].price.decimal
        return batch[BTC].publish_time.since(batch[ETH].publish_time) >= 2 * 10**9 and ratio * 1_000 > 10

    await eventually(aged)
    stale.clear()
    wide.clear()

    async def mended() -> bool:
        batch = await client.latest([BTC, ETH])
        ratio = batch[BTC].conf.decimal / batch[BTC].price.decimal
        return batch[BTC].publish_time == batch[ETH].publish_time > before.publish_time and ratio * 1_000 < 1

    await eventually(mended)


async def test_conflicting_data_and_lag_against_a_peer(real: Real) -> None:
    async with serve(Sandbox(real.sandbox.network)) as url, HermesClient(url, transport=real.engine) as peer:
        client = real.client()

        async def conflict() -> bool:
            mine, theirs = (await client.latest([ETH]))[ETH], (await peer.latest([ETH]))[ETH]
            return mine.slot == theirs.slot and mine.price != theirs.price

        with real.sandbox.inject(faults.ConflictingData(ETH)).during():
            await eventually(conflict)

        async def lag() -> bool:
            # Asked between two answers of the peer, so that a stall of this machine cannot look like a fault.
            before = (await peer.latest([ETH]))[ETH].slot or 0
            mine = (await client.latest([ETH]))[ETH].slot or 0
            after = (await peer.latest([ETH]))[ETH].slot or 0
            return before - 80 <= mine <= after - 80

        with real.sandbox.inject(faults.Lag(delay_ms=4_000)).during():
            await eventually(lag)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.Unauthorized(), "not_authorized"),
        (faults.RateLimited(), "rate_limited"),
        (faults.ServerError(status=502), "server_error"),
    ],
)
@pytest.mark.parametrize("route", ["latest", "stream"])
async def test_refusals(real: Real, fault: Fault, reason: str, route: str) -> None:
    real.sandbox.inject(fault)
    response = await real.ask(route)
    with pytest.raises(ProbekitError) as caught:
        raise_for_status(response)
    assert caught.value.error_type == reason


@pytest.mark.parametrize(
    "fault", [faults.MalformedJson(), faults.NanNumbers(), faults.DuplicateIds(), faults.WrongContentType()]
)
async def test_bodies_that_do_not_decode(real: Real, fault: Fault) -> None:
    real.sandbox.inject(fault)
    with pytest.raises(DecodeError):
        Batch((), (codec.decode_prices((await real.ask()).body),), {}, received_at=Instant(0))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.EndlessBody(), BodyTooLarge),
        (faults.GzipBomb(), BodyTooLarge),
        (faults.HugeHeaders(), HeadersTooLarge),
        (faults.Hang(), DeadlineExceeded),
        (faults.Slow(delay_ms=30_000), DeadlineExceeded),
    ],
)
async def test_hostile_answers_are_bounded(real: Real, fault: Fault, expected: type[TransportError]) -> None:
    real.sandbox.inject(fault)
    began = time.monotonic()
    with pytest.raises(expected):
        await real.ask(seconds=1)
    assert time.monotonic() - began < 5


async def test_service_is_not_ready_and_serves(real: Real) -> None:
    real.sandbox.inject(faults.NotReady())
    readiness = await real.client().ready()
    assert not readiness.ready
    assert len(readiness.reasons) == 2
    assert (await real.ask()).status == 200


async def test_slow_answer_is_slow(real: Real) -> None:
    real.sandbox.inject(faults.Slow(delay_ms=300))
    response = await real.ask()
    assert response.status == 200
    assert response.elapsed_ns >= 300_000_000


async def test_stream_is_cut(real: Real) -> None:
    response = await real.ask("stream", stream=True)
    assert response.chunks is not None
    splitter = SseSplitter()
    assert splitter.feed(await anext(response.chunks)) or splitter.feed(await anext(response.chunks))
    real.sandbox.inject(faults.CutStream())
    with pytest.raises(StreamClosed) as caught:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            async for _ in response.chunks:
                pass
    assert not caught.value.planned
    await response.aclose()


async def test_stream_falls_silent_and_speaks_again(real: Real) -> None:
    response = await real.ask("stream", stream=True)
    assert response.chunks is not None
    await anext(response.chunks)
    injected = real.sandbox.inject(faults.SilentStream())
    heard: list[Instant] = []

    async def listen() -> None:
        assert response.chunks is not None
        async for _ in response.chunks:
            heard.append(Instant.now())

    listening = asyncio.ensure_future(listen())
    began = Instant.now()

    async def quiet() -> bool:
        # Two slots and more without a byte; one may have been on its way.
        last = heard[-1] if heard else began
        return Instant.now().since(last) > 1_200_000_000

    await eventually(quiet)
    assert not listening.done()
    count = len(heard)
    injected.clear()

    async def speaking() -> bool:
        return len(heard) > count + 1

    await eventually(speaking)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await response.aclose()

    async def released() -> bool:
        return real.sandbox.open_streams == 0

    await eventually(released)


async def test_typed_stream_brings_verified_batches(real: Real) -> None:
    async with aclosing(real.client().stream([BTC, ETH]).events()) as events, asyncio.timeout(PATIENCE.total_seconds()):
        slots: list[int] = []
        async for event in events:
            if isinstance(event, Batch):
                assert set(event.updates) == {BTC, ETH}
                slots.append(event.updates[BTC].slot or 0)
            if len(slots) == 4:
                break
    assert slots == sorted(set(slots))


async def test_fault_over_http(real: Real) -> None:
    body = b'{"fault":"unauthorized"}'
    put = await real.engine.send(Request("POST", f"{real.url}/_sandbox/faults", body=body))
    assert put.status == 201
    assert (await real.ask()).status == 401
    await real.engine.send(Request("POST", f"{real.url}/_sandbox/faults", body=b'{"fault":"hang","everywhere":true}'))
    assert len(real.sandbox.faults) == 2


async def test_key_over_tls(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme", reason="makes the certificate: pip install trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    certificate, key, ca_file = tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(ca_file))
    sandbox = Sandbox(SandboxNetwork(feeds=2), api_key=Secret("a-key-for-the-sandbox"))
    async with serve(sandbox, tls=Tls(certificate, key)) as url:
        assert url.startswith("https://127.0.0.1:")
        engine = HttpxTransport(ca_file=str(ca_file))
        async with HermesClient(url, api_key=Secret("a-key-for-the-sandbox"), transport=engine) as client:
            assert (await client.latest([BTC]))[BTC].price.mantissa > 0
        refused = await engine.send(Request("GET", f"{url}/v2/updates/price/latest?ids[]={BTC}"))
        assert refused.status == 401
        await engine.aclose()
