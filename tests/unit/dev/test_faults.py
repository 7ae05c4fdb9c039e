"""Each fault changes exactly what it says: the feed or the endpoint it is on, as long as it is on, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
import io
import typing
import zlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from probekit.clients.batch import Batch
from probekit.codecs import accumulator
from probekit.codecs import hermes as codec
from probekit.dev import faults
from probekit.dev.faults import AnyFault, EndpointFault, Fault, FeedFault
from probekit.dev.sandbox import Sandbox
from probekit.errors import DecodeError, WrongRoot
from probekit.model import TrustRoot
from probekit.trust import verify
from probekit.trust.attestation import AttestedBytes
from probekit.units import Instant
from tests.unit.dev.bench import BTC, ETH, SOL, Bench, json

SIGNED: list[tuple[Callable[[str], FeedFault], str]] = [
    (faults.BadSignature, "bad_signature"),
    (faults.WrongQuorum, "no_quorum"),
    (faults.WrongRoot, "wrong_root"),
    (lambda feed: faults.WrongRoot(feed, "emitter"), "wrong_root"),
    (faults.ExpiredSet, "superseded_set"),
    (faults.BadProof, "bad_proof"),
]


def test_every_fault_is_known_to_the_control_route_by_its_own_name() -> None:
    members = typing.get_args(AnyFault)
    defined = {
        one
        for one in vars(faults).values()
        if isinstance(one, type) and issubclass(one, Fault) and one not in (Fault, FeedFault, EndpointFault)
    }
    assert set(members) == defined
    assert len({one.__struct_config__.tag for one in members}) == len(members)


@pytest.mark.parametrize("root", list(TrustRoot))
@pytest.mark.parametrize(("fault", "reason"), SIGNED)
def test_fault_of_signed_bytes_is_in_an_entry_of_its_own(
    root: TrustRoot, fault: Callable[[str], FeedFault], reason: str
) -> None:
    bench = Bench.make(root=root)
    before = bench.latest()
    injected = bench.sandbox.inject(fault(ETH))
    answer = bench.latest()
    assert bench.faults_of(answer) == {ETH: reason}
    sound, broken = answer.binary.decoded()
    assert len(accumulator.decode(sound).proven) == 2
    assert len(accumulator.decode(broken).proven) == 1
    assert answer.parsed == before.parsed
    assert Sandbox(bench.network).handle("GET", f"/v2/updates/price/latest?ids[]={ETH}", {}).body != bench.ask(ETH).body
    assert bench.faults_of(bench.latest(BTC, SOL)) == {}
    injected.clear()
    assert bench.latest() == before


@pytest.mark.parametrize("root", list(TrustRoot))
def test_genuine_update_of_the_other_root_is_refused_by_a_trust_in_one(root: TrustRoot) -> None:
    bench = Bench.make(root=root)
    bench.sandbox.inject(faults.WrongRoot(ETH, "both"))
    answer = bench.latest(ETH)
    (raw,) = answer.binary.decoded()
    at = bench.clock.now()
    with pytest.raises(WrongRoot, match="trusted here"):
        verify(raw, bench.sandbox.trust.only(root), at=at)
    proof = verify(raw, bench.sandbox.trust, at=at)
    assert proof.root is not root
    assert answer.parsed is not None
    assert answer.parsed[0].slot == proof.slot == at.ns // proof.root.slot_ns


def test_parsed_mismatch_is_in_the_json_alone() -> None:
    bench = Bench.make()
    before = bench.latest()
    bench.sandbox.inject(faults.ParsedMismatch("Crypto.ETH/USD"))
    answer = bench.latest()
    assert answer.binary == before.binary
    assert answer.parsed is not None
    assert before.parsed is not None
    moved = {one.id: one.point.price - two.point.price for one, two in zip(answer.parsed, before.parsed, strict=True)}
    assert moved == {BTC: 0, ETH: before.parsed[1].point.price // 100, SOL: 0}
    proofs = AttestedBytes(answer.binary.decoded)
    for one in answer.parsed:
        if one.id == ETH:
            with pytest.raises(Exception, match="contradicts"):
                proofs.verified(one, bench.sandbox.trust, at=bench.clock.now())
        else:
            proofs.verified(one, bench.sandbox.trust, at=bench.clock.now())


def test_two_faults_of_two_feeds_do_not_touch_each_other() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.BadProof(BTC))
    bench.sandbox.inject(faults.BadSignature(SOL))
    bench.sandbox.inject(faults.ExpiredSet(SOL))
    bench.sandbox.inject(faults.MissingFeed(ETH))
    assert bench.faults_of(bench.latest()) == {BTC: "bad_proof", SOL: "bad_signature"}


def test_missing_feed_is_left_out_of_both_parts() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.MissingFeed(ETH))
    answer = bench.latest()
    assert answer.parsed is not None
    assert [one.id for one in answer.parsed] == [BTC, SOL]
    assert set(bench.signed(answer)) == {BTC, SOL}
    assert json(bench.ask(ETH)) == {"binary": {"encoding": "hex", "data": []}, "parsed": []}


def test_unentitled_feed_fails_every_batch_it_is_in() -> None:
    bench = Bench.make(feeds=24)
    apple = bench.network.market("Equity.US.AAPL/USD").feed.id
    bench.sandbox.inject(faults.Unentitled("Equity.US.AAPL/USD"))
    for route in ("latest", "stream", str(bench.clock.now().seconds)):
        reply = bench.ask(BTC, apple, route=route)
        assert reply.status == 403
        assert reply.body.decode() == f"Not entitled: feed {apple} (no grant accepts this feed (asset type 'equity'))"
        assert codec.unentitled_id(reply.body.decode()) == apple
    assert bench.ask(BTC).status == 200


def test_conflicting_data_is_validly_signed_and_unlike_the_peers() -> None:
    bench = Bench.make()
    peer = Sandbox(bench.network)
    bench.sandbox.inject(faults.ConflictingData(ETH))
    mine = bench.latest()
    theirs = codec.decode_prices(peer.handle("GET", f"/v2/updates/price/latest?ids[]={ETH}", {}).body)
    assert bench.signed(mine)[ETH].price == bench.signed(theirs)[ETH].price + 1
    assert mine.parsed is not None
    assert theirs.parsed is not None
    assert mine.parsed[1].slot == theirs.parsed[0].slot
    assert mine.parsed[1].point.price == bench.signed(mine)[ETH].price


async def test_lagging_endpoint_serves_what_its_peers_served() -> None:
    bench = Bench.make()
    peer = Sandbox(bench.network)
    then = peer.handle("GET", f"/v2/updates/price/latest?ids[]={BTC}", {}).body
    await bench.advance(4_000)
    bench.sandbox.inject(faults.Lag(delay_ms=4_000))
    assert bench.ask(BTC).body == then
    assert peer.handle("GET", f"/v2/updates/price/latest?ids[]={BTC}", {}).body != then
    ahead = bench.clock.now().seconds - 1
    assert bench.ask(BTC, route=str(ahead)).status == 404


@pytest.mark.parametrize(
    ("fault", "status", "words", "header"),
    [
        (faults.Unauthorized(), 401, b"unauthorized", None),
        (faults.RateLimited(), 429, b"Too many requests", ("retry-after", "2")),
        (faults.RateLimited(retry_after_s=60), 429, b"Too many requests", ("retry-after", "60")),
        (faults.ServerError(), 503, b"RPC connection error: injected", None),
        (faults.ServerError(status=502), 502, b"RPC connection error: injected", None),
    ],
)
def test_refusals_of_price_routes(fault: EndpointFault, status: int, words: bytes, header: tuple[str, str] | None) -> None:
    bench = Bench.make()
    injected = bench.sandbox.inject(fault)
    for route in ("latest", "stream", "0"):
        reply = bench.ask(BTC, route=route)
        assert (reply.status, reply.body) == (status, words)
        assert header is None or header in reply.headers
    assert bench.get("/v2/price_feeds").status == bench.get("/live").status == 200
    injected.clear()
    assert bench.ask(BTC).status == 200


@pytest.mark.parametrize("fault", [faults.Unauthorized(everywhere=True), faults.ServerError(everywhere=True)])
def test_fault_can_be_everywhere(fault: EndpointFault) -> None:
    bench = Bench.make()
    bench.sandbox.inject(fault)
    assert bench.get("/v2/price_feeds").status == bench.get("/live").status == bench.ask(BTC).status
    assert bench.ask(BTC).status != 200


async def test_slow_and_hang_wait_on_the_clock() -> None:
    bench = Bench.make()
    slow = bench.sandbox.inject(faults.Slow(delay_ms=1_500))
    reply = bench.ask(BTC)
    assert reply.wait is not None
    waiting = asyncio.ensure_future(reply.wait())
    await bench.advance(1_499)
    assert not waiting.done()
    await bench.advance(1)
    assert waiting.done()
    slow.clear()
    assert bench.ask(BTC).wait is None
    bench.sandbox.inject(faults.Hang())
    reply = bench.ask(BTC)
    assert reply.wait is not None
    hanging = asyncio.ensure_future(reply.wait())
    await bench.clock.advance(timedelta(hours=30))
    assert not hanging.done()
    hanging.cancel()
    assert bench.get("/live").wait is None


@pytest.mark.parametrize("fault", [faults.MalformedJson(), faults.NanNumbers(), faults.DuplicateIds()])
def test_bodies_that_do_not_decode(fault: EndpointFault) -> None:
    bench = Bench.make()
    injected = bench.sandbox.inject(fault)
    reply = bench.ask(BTC, ETH)
    assert reply.status == 200
    with pytest.raises(DecodeError):
        Batch((), (codec.decode_prices(reply.body),), {}, received_at=Instant(0))
    injected.clear()
    bench.latest()


def test_duplicate_ids_need_parsed_feeds() -> None:
    bench = Bench.make()
    plain = bench.ask(BTC, more="&parsed=false").body
    bench.sandbox.inject(faults.DuplicateIds())
    assert [row["id"] for row in json(bench.ask(BTC, ETH))["parsed"]] == [BTC, ETH, BTC, ETH]
    assert bench.ask(BTC, more="&parsed=false").body == plain


def test_page_of_html_instead() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.WrongContentType())
    for route in ("latest", "stream"):
        reply = bench.ask(BTC, route=route)
        assert reply.content_type.startswith("text/html")
        assert reply.body.startswith(b"<!doctype")
        assert reply.chunks is None


def test_huge_headers_before_a_good_body() -> None:
    bench = Bench.make()
    plain = bench.ask(BTC).body
    bench.sandbox.inject(faults.HugeHeaders())
    reply = bench.ask(BTC)
    assert sum(len(name) + len(value) for name, value in reply.headers) > 2 * 64 * 1024
    assert reply.body == plain


def test_gzip_bomb_is_small_and_valid() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.GzipBomb())
    reply = bench.ask(BTC)
    assert ("content-encoding", "gzip") in reply.headers
    assert len(reply.body) < 512 * 1024
    assert len(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(reply.body, 1 << 20)) == 1 << 20
    size = 0
    with gzip.open(io.BytesIO(reply.body)) as unpacked:
        while part := unpacked.read(1 << 22):
            size += len(part)
    assert size == 256 << 20


@pytest.mark.parametrize("route", ["latest", "stream"])
async def test_endless_body_goes_on(route: str) -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.EndlessBody())
    reply = bench.ask(BTC, route=route)
    assert reply.chunks is not None
    size = 0
    async for chunk in reply.chunks:
        assert b"\n" not in chunk
        size += len(chunk)
        if size > 1 << 22:
            break


def test_faults_of_feeds_that_are_not_here_are_refused() -> None:
    bench = Bench.make()
    for fault in (faults.StaleFeed("Crypto.NONE/USD"), faults.BadProof("12" * 32), faults.Unentitled("")):
        with pytest.raises(LookupError):
            bench.sandbox.inject(fault)
    assert bench.sandbox.faults == ()


def test_fault_for_the_length_of_a_block() -> None:
    bench = Bench.make()
    with bench.sandbox.inject(faults.Unauthorized()).during() as fault:
        assert list(bench.sandbox.faults) == [fault]
        assert bench.ask(BTC).status == 401
    assert not bench.sandbox.faults
    same = [bench.sandbox.inject(faults.Unauthorized()) for _ in range(2)]
    same[1].clear()
    assert [one.id for one in bench.sandbox.injected] == [same[0].id]
