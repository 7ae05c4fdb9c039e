"""HermesClient: every id answered for itself, batching, entitlement, symbols, readiness; and its blocking twin."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, get_type_hints

import pytest

from probekit import sync
from probekit.clients.batch import Batch
from probekit.clients.continuity import Accounting
from probekit.clients.feedbook import FeedBook
from probekit.clients.hermes import HermesClient, StreamChange
from probekit.codecs import sse
from probekit.codecs.hermes import encode_feeds, encode_prices
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread
from probekit.dev.transport import SandboxTransport
from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    DecodeError,
    Missing,
    NotEntitled,
    NotFound,
    RateLimited,
    ServerError,
    StatusError,
    Unauthorized,
    VerificationError,
)
from probekit.model import Feed, FeedId, PricePoint, PriceUpdate, RequestRecord, UpdateMetadata
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.retry import NO_RETRY
from probekit.transports.sse import StreamPolicy
from probekit.units import NS_PER_S, Instant
from tests.contract.clients.wire import with_unknown_members

S = timedelta(seconds=1)
URL = "http://box"
NOBODY = FeedId("ab" * 32)


class Box:
    """A sandbox, its client on a fake clock, and what went over the wire."""

    def __init__(self, feeds: int = 8, api_key: Secret | None = None, **client: Any) -> None:
        self.clock = FakeClock()
        self.network = SandboxNetwork(feeds=feeds, clock=self.clock)
        self.sandbox = Sandbox(self.network, api_key=api_key)
        self.ids = [market.feed.id for market in self.network.markets]
        self.records: list[RequestRecord] = []
        transport = SandboxTransport({URL: self.sandbox}, clock=self.clock)
        options = {"retry": NO_RETRY, **client}
        self.hermes = HermesClient(URL, transport=transport, clock=self.clock, observer=self.records.append, **options)


async def test_a_batch_keeps_order_and_answers_every_id() -> None:
    box = Box()
    wanted = [box.ids[3], NOBODY, box.ids[0], box.ids[3]]
    batch = await box.hermes.latest(wanted)
    assert list(batch) == [box.ids[3], NOBODY, box.ids[0]]
    assert len(batch) == 3
    assert list(batch.updates) == [box.ids[3], box.ids[0]]
    assert isinstance(batch.errors[NOBODY], NotFound)
    with pytest.raises(NotFound, match=str(NOBODY)):
        batch[NOBODY]
    with pytest.raises(KeyError):
        batch["not an id we asked for" + "0" * 42]
    update = batch[box.ids[0]]
    assert update.slot is not None
    assert update.prev_publish_time is not None
    assert (await box.hermes.latest([]))._ids == ()


async def test_proof_of_one_and_of_all() -> None:
    box = Box()
    box.sandbox.inject(faults.BadSignature(box.ids[2]))
    batch = await box.hermes.latest(box.ids)
    now = box.clock.now()
    proven = batch[box.ids[0]].verified(box.network.trust, at=now)
    assert proven.verified_by is not None
    assert proven.price == batch[box.ids[0]].price
    all_proven = batch.verified(box.network.trust, at=now)
    assert set(all_proven.errors) == {box.ids[2]}
    assert len(all_proven.updates) == len(box.ids) - 1
    with pytest.raises(VerificationError):
        batch[box.ids[2]].verified(box.network.trust, at=now)
    assert len(batch.signed_bytes()) == len(batch.binary[0].data)


async def test_verify_makes_every_answer_a_proven_one() -> None:
    box = Box()
    trusting = HermesClient(
        URL, transport=SandboxTransport({URL: box.sandbox}, clock=box.clock), clock=box.clock, verify=box.network.trust
    )
    box.sandbox.inject(faults.ParsedMismatch(box.ids[1]))
    batch = await trusting.latest(box.ids[:3])
    assert batch[box.ids[0]].verified_by is not None
    assert batch.errors[box.ids[1]].error_type == "parsed_mismatch"


async def test_base64_says_the_same() -> None:
    box = Box(encoding="base64")
    batch = await box.hermes.latest(box.ids)
    assert batch.binary[0].encoding == "base64"
    assert not batch.verified(box.network.trust, at=box.clock.now()).errors


async def test_hundreds_of_ids_are_split_below_url_limits() -> None:
    box = Box(feeds=400)
    batch = await box.hermes.latest(box.ids)
    assert len(batch.updates) == 400
    assert len(box.records) > 1
    assert not batch.errors


class PartlyBroken:
    """A sandbox's answers, but for requests that name one id."""

    def __init__(self, box: Box, broken: Any) -> None:
        self.box, self.broken = box, broken
        self.inner = SandboxTransport({URL: box.sandbox}, clock=box.clock)
        self.transport = ReplyTransport(self.answer)
        self.asked = 0

    async def answer(self, request: Request) -> Response | Exception:
        self.asked += 1
        if str(self.box.ids[0]) not in request.url:
            return await self.inner.send(request)
        if self.broken == "hang":
            assert request.deadline_ns is not None
            await self.box.clock.sleep_until_ns(request.deadline_ns)
            return DeadlineExceeded("no answer", phase="first_byte")
        if isinstance(self.broken, Exception):
            return self.broken
        status, body = self.broken
        return reply(status, body, clock=self.box.clock)

    async def run(self, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        started_ns = self.box.clock.monotonic_ns()
        for _ in range(100):
            await self.box.clock.settle()
            if task.done():
                break
            await self.box.clock.advance(timedelta(milliseconds=250))
        assert self.box.clock.monotonic_ns() - started_ns <= 10 * NS_PER_S
        return task.result()


BROKEN_PARTS = [
    ((500, "<html>"), ServerError), ((503, ""), ServerError), ((429, ""), RateLimited), ((401, ""), Unauthorized),
    (ConnectError("refused"), ConnectError), ("hang", DeadlineExceeded), ((200, "<html>"), DecodeError),
    ((200, "{"), DecodeError), ((404, "not found"), NotFound),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "kind"), BROKEN_PARTS, ids=str)
@pytest.mark.parametrize("at", [False, True])
async def test_a_part_that_fails_is_the_error_of_its_ids_and_the_others_are_answered(broken: Any, kind: Any, at: bool) -> None:
    box = Box(feeds=400)
    rig = PartlyBroken(box, broken)
    hermes = HermesClient(URL, transport=rig.transport, clock=box.clock, retry=NO_RETRY)
    first = hermes._parts(box.ids, "/v2/updates/price/latest")[0]
    batch = await rig.run(hermes.at(box.clock.now(), box.ids) if at else hermes.latest(box.ids))
    assert list(batch) == box.ids
    assert first[0] == box.ids[0]
    assert 50 < len(first) < 300
    failed = set(batch.errors)
    assert set(first[:50]) <= failed
    assert {type(error) for error in batch.errors.values()} == {kind}
    assert list(batch.updates) == [one for one in box.ids if one not in failed]
    assert len(batch.updates) > 200
    with pytest.raises(kind):
        batch[first[0]]
    assert len({id(error) for error in batch.errors.values()}) == len(failed), "each its own, or tracebacks would be mixed"


async def test_where_every_part_fails_the_failure_is_raised() -> None:
    box = Box(feeds=400)
    transport = ReplyTransport(lambda _: reply(503, "", clock=box.clock))
    hermes = HermesClient(URL, transport=transport, clock=box.clock, retry=NO_RETRY)
    with pytest.raises(ServerError):
        await hermes.latest(box.ids)


async def test_what_was_told_apart_before_its_part_failed_keeps_its_own_error() -> None:
    box = Box(feeds=400)
    inner = SandboxTransport({URL: box.sandbox}, clock=box.clock)

    async def answer(request: Request) -> Response:
        if str(box.ids[0]) not in request.url:
            return await inner.send(request)
        if str(box.ids[1]) in request.url:
            return reply(404, f"Price ids not found: 0x{box.ids[1]}", clock=box.clock)
        return reply(500, "", clock=box.clock)

    hermes = HermesClient(URL, transport=ReplyTransport(answer), clock=box.clock, retry=NO_RETRY)
    batch = await hermes.latest(box.ids)
    assert isinstance(batch.errors[box.ids[1]], NotFound)
    assert isinstance(batch.errors[box.ids[0]], ServerError)
    assert len(batch.updates) > 200


async def test_the_blocking_client_answers_the_other_parts_too() -> None:
    box = Box(feeds=400)
    rig = PartlyBroken(box, (500, ""))

    def ask() -> Batch:
        with sync.HermesClient(URL, transport=rig.transport, retry=NO_RETRY) as hermes:
            return hermes.latest(box.ids)

    batch = await asyncio.to_thread(ask)
    assert {type(error) for error in batch.errors.values()} == {ServerError}
    assert len(batch.updates) + len(batch.errors) == 400
    assert batch.updates


async def test_ids_the_key_may_not_read_are_set_apart_and_remembered() -> None:
    box = Box(refused_for=60 * S)
    for one in box.ids[:3]:
        box.sandbox.inject(faults.Unentitled(one))
    batch = await box.hermes.latest(box.ids)
    assert [type(batch.errors[one]) for one in box.ids[:3]] == [NotEntitled] * 3
    assert len(batch.updates) == len(box.ids) - 3
    assert len(box.records) == 4
    await box.hermes.latest(box.ids)
    assert len(box.records) == 5, "what is known to be refused is not asked for again"
    await box.clock.advance(61 * S)
    await box.hermes.latest(box.ids)
    assert len(box.records) == 9


async def test_more_refusals_than_can_be_sorted_out() -> None:
    box = Box(feeds=60)
    for one in box.ids[:40]:
        box.sandbox.inject(faults.Unentitled(one))
    batch = await box.hermes.latest(box.ids)
    assert len(batch.errors) == 60
    assert len(box.records) == 32
    again = await box.hermes.latest(box.ids)
    assert set(again.errors) == set(box.ids[:40]), "the next call goes on where this one stopped"
    assert list(again.updates) == box.ids[40:]
    assert len(box.records) == 32 + 9


async def test_unknown_ids_are_named_all_at_once() -> None:
    box = Box()
    strangers = [FeedId(f"{number:064x}") for number in range(90)]
    batch = await box.hermes.latest([*strangers, box.ids[0]])
    assert list(batch.updates) == [box.ids[0]]
    assert {type(batch.errors[one]) for one in strangers} == {NotFound}
    assert len(box.records) == 2


async def test_a_key_is_wanted_and_given_in_the_header() -> None:
    key = Secret("k3y-for-the-box")
    box = Box(api_key=key)
    with pytest.raises(Unauthorized):
        await box.hermes.latest(box.ids[:1])
    keyed = HermesClient(URL, transport=SandboxTransport({URL: box.sandbox}, clock=box.clock), clock=box.clock, api_key=key)
    assert (await keyed.latest(box.ids[:1])).updates
    assert "k3y-for-the-box" not in str(box.records) + repr(vars(keyed))


def answering(*answers: Response | Exception, clock: FakeClock | None = None) -> HermesClient:
    left = list(answers)

    def handler(request: Request) -> Response | Exception:
        return left.pop(0) if len(left) > 1 else left[0]

    return HermesClient(URL, transport=ReplyTransport(handler), clock=clock or FakeClock(), retry=NO_RETRY)


ID = FeedId("cd" * 32)


def update(feed_id: str = ID) -> PriceUpdate:
    point = PricePoint(5, 1, -2, 1_790_000_000)
    return PriceUpdate(feed_id, point, point, UpdateMetadata(7, 1_790_000_001, 1_789_999_999))


async def test_403_on_everything_is_about_the_key() -> None:
    with pytest.raises(Unauthorized):
        await answering(reply(403, "Forbidden")).latest([ID])
    with pytest.raises(NotFound, match="Update data not found"):
        await answering(reply(404, "Update data not found")).at(Instant.from_seconds(5), [ID])
    with pytest.raises(StatusError):
        await answering(reply(418, "teapot")).latest([ID])
    with pytest.raises(RateLimited):
        await answering(reply(429)).latest([ID])


async def test_an_answer_that_leaves_out_or_adds() -> None:
    batch = await answering(reply(200, encode_prices([update("ef" * 32)], []))).latest([ID])
    assert isinstance(batch.errors[ID], Missing)
    assert batch.unexpected == 1


@pytest.mark.parametrize("body", ["<html>", "{}", "[]", '{"binary":{"encoding":"hex","data":[]},"parsed":[{}]}', "\xff"])
async def test_what_is_no_answer_is_a_decode_error(body: str) -> None:
    with pytest.raises(DecodeError) as caught:
        await answering(reply(200, body)).latest([ID])
    assert caught.value.raw


async def test_a_price_that_does_not_decode_is_its_own_feeds_error() -> None:
    other = FeedId("ef" * 32)
    good, bad = encode_prices([update(), update(other)], []), b'"price":"5"'
    assert good.count(bad) == 4
    body = bad.replace(b"5", b"99999999999999999999").join(good.rsplit(bad, 2))
    batch = await answering(reply(200, body)).latest([ID, other, NOBODY])
    assert batch[ID].price.mantissa == 5
    broken = batch.errors[other]
    assert isinstance(broken, DecodeError)
    assert b"99999999999999999999" in broken.raw
    assert str(ID).encode() not in broken.raw, "its own bytes, not those of its neighbours"
    assert isinstance(batch.errors[NOBODY], Missing)
    assert list(batch.updates) == [ID]
    only = await answering(reply(200, body)).latest([ID])
    assert not only.errors


async def test_a_feed_given_twice_is_its_own_error() -> None:
    other = FeedId("ef" * 32)
    batch = await answering(reply(200, encode_prices([update(), update(other), update()], []))).latest([ID, other])
    assert list(batch.updates) == [other]
    with pytest.raises(DecodeError, match="given twice") as caught:
        batch[ID]
    assert str(ID) in str(caught.value.raw)


async def test_signed_bytes_that_are_none() -> None:
    body = encode_prices([update()], []).replace(b'"data":[]', b'"data":["zz"]')
    batch = await answering(reply(200, body)).latest([ID])
    with pytest.raises(DecodeError):
        batch.signed_bytes()
    with pytest.raises(ValueError, match="no signed bytes"):
        update().verified(None, at=Instant(0))


async def test_prices_at_a_time() -> None:
    box = Box()
    await box.clock.advance(30 * S)
    then = Instant.from_seconds(box.clock.now().seconds - 10)
    batch = await box.hermes.at(then, box.ids[:2])
    assert batch[box.ids[0]].publish_time >= then
    with pytest.raises(NotFound):
        await box.hermes.at(Instant.from_seconds(box.clock.now().seconds + 3600), box.ids[:1])


@pytest.mark.parametrize(("nanoseconds", "asked"), [(0, 100), (1, 101), (999_999_999, 101)])
async def test_a_part_of_a_second_never_asks_for_what_was_before(nanoseconds: int, asked: int) -> None:
    transport = ReplyTransport(lambda request: reply(200, encode_prices([update()], [])))
    hermes = HermesClient(URL, transport=transport, clock=FakeClock())
    await hermes.at(Instant(100 * NS_PER_S + nanoseconds), [ID])
    assert f"/v2/updates/price/{asked}?" in transport.requests[0].url


async def test_symbols_are_looked_up_cached_and_kept() -> None:
    box = Box()
    assert (await box.hermes.price("Crypto.BTC/USD")).feed_id == box.ids[0]
    asked = len(box.records)
    await box.hermes.price("Crypto.BTC/USD")
    assert len(box.records) == asked + 1
    with pytest.raises(NotFound, match=r"nearest: Crypto\.BTC/USD"):
        await box.hermes.price("Crypto.BTC/USB")
    feeds = await box.hermes.feeds("btc", "crypto")
    assert [feed.symbol for feed in feeds] == ["Crypto.BTC/USD"]
    box.sandbox.inject(faults.ServerError(500, everywhere=True))
    await box.clock.advance(timedelta(minutes=11))
    assert "Crypto.BTC/USD" in await box.hermes.symbols(), "the last good table is kept"
    fresh = Box()
    fresh.sandbox.inject(faults.ServerError(500, everywhere=True))
    with pytest.raises(ServerError):
        await fresh.hermes.symbols()


async def test_a_table_that_cannot_be_had_anew_leaves_time_for_the_price() -> None:
    clock, hanging = FakeClock(), False

    async def answer(request: Request) -> Response:
        if "price_feeds" not in request.url:
            return reply(200, encode_prices([update()], []), clock=clock)
        if hanging:
            assert request.deadline_ns is not None
            await clock.sleep_until_ns(request.deadline_ns)
            raise DeadlineExceeded("no answer", phase="first_byte")
        return reply(200, encode_feeds([Feed(FeedId(ID), "A", attributes={"symbol": "A"})]), clock=clock)

    hermes = HermesClient(URL, transport=ReplyTransport(answer), clock=clock, retry=NO_RETRY)
    assert (await hermes.price("A")).feed_id == ID
    await clock.advance(timedelta(minutes=11))
    hanging = True
    again = asyncio.ensure_future(hermes.price("A"))
    await clock.advance(timedelta(seconds=6))
    assert (await again).feed_id == ID


async def test_two_feeds_of_one_symbol_the_first_wins() -> None:
    rows = [Feed(FeedId(byte * 32), "Same", attributes={"symbol": "Same"}) for byte in ("01", "02")]
    table = await answering(reply(200, encode_feeds(rows))).symbols()
    assert table["Same"].id == "01" * 32


async def test_a_table_wanted_by_many_is_read_once() -> None:
    box = Box()
    await asyncio.gather(*(box.hermes.price("Crypto.BTC/USD") for _ in range(5)))
    assert len([record for record in box.records if "price_feeds" in record.url]) == 1


async def test_a_row_that_does_not_decode_takes_no_other_with_it() -> None:
    rows = json.loads(encode_feeds([Feed(FeedId("01" * 32), "Fine", attributes={"symbol": "Fine"})]))
    rows += [{"id": "02" * 32, "attributes": None}, {"id": "zz", "attributes": {}}, 5]
    hermes = answering(reply(200, json.dumps(rows)))
    feeds = await hermes.feeds()
    assert [(feed.id, feed.described) for feed in feeds] == [("01" * 32, True), ("02" * 32, False)]
    assert feeds[1].hours_error
    assert list(await hermes.symbols()) == ["Fine"]
    with pytest.raises(DecodeError):
        await answering(reply(200, json.dumps(rows[1:]))).feeds()


async def test_asking_whether_it_is_ready_is_asked_once() -> None:
    """503 is the answer to it: neither tried again nor paid from the budget of the prices."""
    asked: list[str] = []

    def handler(request: Request) -> Response:
        asked.append(request.url)
        return reply(503, b"{}")

    hermes = HermesClient(URL, transport=ReplyTransport(handler), clock=FakeClock())
    assert not (await hermes.ready()).ready
    assert not await hermes.live()
    assert asked == [f"{URL}/ready", f"{URL}/live"]


def test_a_client_has_an_endpoint() -> None:
    with pytest.raises(ValueError, match="at least one endpoint"):
        HermesClient(())


async def test_readiness_has_reasons() -> None:
    box = Box()
    assert (await box.hermes.ready()).ready
    assert await box.hermes.live()
    assert await box.hermes.stake_caps() is not None
    body = b'{"has_completed_recently":false,"is_not_behind":false,"is_metadata_loaded":false,"latest_completed_slot":5}'
    readiness = await answering(reply(503, body)).ready()
    assert not readiness.ready
    assert len(readiness.reasons) == 3
    with pytest.raises(ServerError):
        await answering(reply(502)).ready()
    with pytest.raises(DecodeError):
        await answering(reply(503, "down for maintenance")).ready()
    assert not await answering(reply(500)).live()
    with pytest.raises(ConnectError):
        await answering(ConnectError("gone")).live()


async def test_an_id_that_is_none_is_the_callers_mistake() -> None:
    box = Box()
    with pytest.raises(ValueError, match="not a feed id"):
        await box.hermes.latest(["BTC"])
    with pytest.raises(ValueError, match="not a feed id"):
        box.hermes.stream(["BTC"])


# -- streams -----------------------------------------------------------------------------------------------------------------


async def test_a_stream_of_batches_with_refused_ids_set_apart() -> None:
    box = Box()
    box.sandbox.inject(faults.Unentitled(box.ids[1]))
    stream = box.hermes.stream([*box.ids[:3], NOBODY])
    batches: list[Any] = []

    async def consume() -> None:
        async for event in stream.events():
            batches.append(event)

    task = asyncio.ensure_future(consume())
    for _ in range(8):
        await box.clock.advance(S / 4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert isinstance(batches[0], StreamChange)
    assert batches[0].connected
    assert {type(error) for error in stream.errors.values()} == {NotEntitled, NotFound}
    assert list(batches[1]) == [box.ids[0], box.ids[2]]
    assert (stream.accounting.duplicates, stream.accounting.out_of_order, stream.undecodable) == (0, 0, 0)
    assert (stream.reconnects, stream.dropped, stream.planned_closes, stream.unplanned_closes) == (0, 0, 0, 0)


async def test_a_feed_that_is_granted_later_joins_the_open_stream() -> None:
    box = Box(refused_for=120 * S)
    refusal = box.sandbox.inject(faults.Unentitled(box.ids[1]))
    stream = box.hermes.stream(box.ids[:2])
    seen: list[set[str]] = []

    async def consume() -> None:
        async for batch in stream:
            seen.append(set(batch))

    task = asyncio.ensure_future(consume())
    await box.clock.advance(S)
    refusal.clear()
    for _ in range(125):
        await box.clock.advance(S)
    assert seen[0] == {box.ids[0]}
    assert seen[-1] == set(box.ids[:2])
    assert stream.errors == {}
    assert (stream.planned_closes, stream.unplanned_closes) == (1, 0)
    for _ in range(125):
        await box.clock.advance(S)
    assert stream.planned_closes == 1, "nothing is refused any more, so it may stay"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_hundreds_of_feeds_take_several_streams() -> None:
    box = Box(feeds=250)
    stream = box.hermes.stream(box.ids)
    seen: set[str] = set()

    async def consume() -> None:
        async for batch in stream:
            seen.update(batch)

    task = asyncio.ensure_future(consume())
    for _ in range(4):
        await box.clock.advance(S / 4)
    assert seen == set(box.ids)
    assert box.sandbox.open_streams == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await box.clock.settle()
    assert box.sandbox.open_streams == 0
    with pytest.raises(ValueError, match="at least one"):
        box.hermes.stream([])


async def test_what_a_slow_consumer_never_sees_is_counted_over_all_connections() -> None:
    box = Box(feeds=250)
    stream = box.hermes.stream(box.ids, policy=StreamPolicy(queue=4))
    events = stream.events()
    await anext(events)
    for _ in range(8):
        await box.clock.advance(S / 4)
    assert box.sandbox.open_streams == 3
    assert stream.dropped > 0
    await events.aclose()
    await box.clock.settle()
    assert box.sandbox.open_streams == 0


def streamed(*bodies: bytes, clock: FakeClock) -> HermesClient:
    """A service whose stream says ``bodies`` and then nothing."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"".join(sse.encode(body) for body in bodies)
        await asyncio.Event().wait()

    def handler(request: Request) -> Response:
        if not request.stream:
            return reply(200, encode_prices([update()], []), clock=clock)
        response = reply(200, headers={"content-type": "text/event-stream"}, clock=clock)
        response.chunks = chunks()
        return response

    return HermesClient(URL, transport=ReplyTransport(handler), clock=clock, retry=NO_RETRY)


async def test_what_a_stream_was_not_asked_for_makes_nothing_grow() -> None:
    clock = FakeClock()
    strangers = [encode_prices([update(), update(f"{number:064x}")], []) for number in range(50)]
    stream = streamed(*strangers, encode_prices([update("zz" * 32)], []), clock=clock).stream([ID])
    async with aclosing(stream.events()) as events:
        assert isinstance(await anext(events), StreamChange)
        for _ in range(50):
            batch = await anext(events)
            assert isinstance(batch, Batch)
            assert list(batch) == [ID]
            assert batch.unexpected == 1
        empty = await anext(events)
        assert isinstance(empty, Batch)
        assert len(empty) == 0
    assert len(stream.accounting._seen) == 1
    assert stream.undecodable == 0


async def test_a_price_of_a_stream_that_does_not_decode_takes_no_other_with_it() -> None:
    clock, other = FakeClock(), FeedId("ef" * 32)
    body = encode_prices([update(), update(other)], [])
    broken = b'"price":"x"'.join(body.rsplit(b'"price":"5"', 2))
    stream = streamed(broken, clock=clock).stream([ID, other])
    async with aclosing(stream.events()) as events:
        await anext(events)
        batch = await anext(events)
    assert isinstance(batch, Batch)
    assert list(batch.updates) == [ID]
    assert isinstance(batch.errors[other], DecodeError)


async def test_members_of_a_stream_that_nobody_knows_change_nothing() -> None:
    clock = FakeClock()
    newer = json.dumps(with_unknown_members(json.loads(encode_prices([update()], [])))).encode()
    stream = streamed(newer, clock=clock).stream([ID])
    async with aclosing(stream.events()) as events:
        await anext(events)
        batch = await anext(events)
    assert isinstance(batch, Batch)
    assert batch[ID].price == update().price
    assert (dict(batch.errors), stream.undecodable) == ({}, 0)


async def test_iterating_a_stream_yields_batches_alone() -> None:
    box = Box()

    async def first() -> Any:
        async for batch in box.hermes.stream(box.ids[:1]):
            return batch

    task = asyncio.ensure_future(first())
    for _ in range(8):
        await box.clock.advance(S / 4)
    assert list(await task) == box.ids[:1]


def test_accounting_counts_gaps_duplicates_and_reordering() -> None:
    def at(slot: int | None, published: int, previous: int | None) -> PriceUpdate:
        point = PricePoint(1, 1, 0, published)
        return PriceUpdate(ID, point, point, UpdateMetadata(slot, None, previous))

    seen = Accounting()
    for one in (at(10, 100, 99), at(11, 101, 100), at(11, 101, 100), at(9, 99, 98), at(14, 105, 104), at(15, 105, 105)):
        seen.take(one)
    assert (seen.gaps, seen.duplicates, seen.out_of_order) == (1, 1, 1)
    unslotted = Accounting()
    for one in (at(None, 100, None), at(None, 100, None), at(None, 99, None), at(None, 101, None)):
        unslotted.take(one)
    assert (unslotted.gaps, unslotted.duplicates, unslotted.out_of_order) == (0, 1, 1)


# -- the feed book -----------------------------------------------------------------------------------------------------------


async def test_the_book_describes_what_it_can() -> None:
    box = Box()
    book = FeedBook(box.hermes, ["Crypto.BTC/USD", box.ids[1], NOBODY, "Nope"], clock=box.clock)
    targets = await book.targets(behind=URL)
    assert [target.label for target in targets[:2]] == ["Crypto.BTC/USD", "Crypto.ETH/USD"]
    assert targets[2].feed is not None
    assert targets[3].feed is None
    assert list(book.unresolved) == ["Nope"]
    assert {target.behind for target in targets} == {URL}


async def test_the_nearest_symbols_are_looked_for_once_per_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among thousands it takes a sixth of a second, and a tick asks for its targets every second."""
    box = Box()
    book = FeedBook(box.hermes, ["Crypto.BTC/USDX"], clock=box.clock)
    searched: list[str] = []

    def nearest(word: str, possibilities: object, n: int) -> list[str]:
        searched.append(word)
        return ["Crypto.BTC/USD"]

    monkeypatch.setattr("difflib.get_close_matches", nearest)
    for _ in range(5):
        await book.targets()
    assert len(searched) == 1
    assert "nearest: Crypto.BTC/USD" in book.unresolved["Crypto.BTC/USDX"].message
    await box.clock.advance(timedelta(minutes=11))
    await book.targets()
    assert len(searched) == 2


async def test_a_feed_whose_symbol_another_has_too_is_described() -> None:
    rows = [Feed(FeedId(byte * 32), "", attributes={"symbol": "Same", "asset_type": byte}) for byte in ("01", "02")]
    hermes = answering(reply(200, encode_feeds(rows)))
    (target,) = await FeedBook(hermes, ["02" * 32], clock=FakeClock()).targets()
    assert target.feed is not None
    assert target.feed.asset_class == "02"


async def test_a_table_that_hangs_holds_up_nothing_for_long() -> None:
    box = Box()
    box.sandbox.inject(faults.Hang(everywhere=True))
    book = FeedBook(box.hermes, [box.ids[0], "Crypto.BTC/USD"], clock=box.clock)
    task = asyncio.ensure_future(book.targets())
    await box.clock.advance(2 * S)
    targets = await task
    assert targets[0].feed is not None
    assert not targets[0].feed.described
    assert book.error is not None
    asked = box.sandbox.requests
    await book.targets()
    assert box.sandbox.requests == asked, "it is asked again only after a while"


# -- the blocking twin -------------------------------------------------------------------------------------------------------


def test_the_blocking_client_has_the_same_signatures() -> None:
    for name, method in inspect.getmembers(sync.HermesClient, inspect.isfunction):
        if name.startswith("_") or name == "close":
            continue
        twin = getattr(HermesClient, name)
        assert inspect.iscoroutinefunction(twin)
        # Names, kinds, defaults and annotations alike.
        assert inspect.signature(method) == inspect.signature(twin), name
        assert get_type_hints(method) == get_type_hints(twin), name
    missing = {
        name
        for name, method in inspect.getmembers(HermesClient, inspect.iscoroutinefunction)
        if not name.startswith("_") and name != "aclose"
    } - set(vars(sync.HermesClient))
    assert missing == set()
    ours = inspect.signature(sync.HermesClient.__init__).parameters
    theirs = inspect.signature(HermesClient.__init__).parameters
    assert set(theirs) - set(ours) == {"observer", "clock", "refused_for"}
    assert {name: theirs[name] for name in ours} == dict(ours)


@pytest.fixture
def url() -> Iterator[str]:
    with serve_in_thread(Sandbox(SandboxNetwork(feeds=3))) as base:
        yield base


def test_the_blocking_client_reads(url: str) -> None:
    with sync.HermesClient(url) as hermes:
        feed = hermes.symbols()["Crypto.BTC/USD"]
        assert hermes.price("Crypto.BTC/USD").feed_id == feed.id
        assert len(hermes.latest([feed.id]).updates) == 1
        assert hermes.live()
        assert hermes.ready().ready
        assert hermes.feeds("btc")
        assert hermes.stake_caps() is not None
        with pytest.raises(NotFound):
            hermes.at(Instant.from_seconds(5), [feed.id])


def test_closing_the_blocking_client_leaves_no_other_thread_waiting(url: str) -> None:
    async def hang(request: Request) -> Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    asked, ended = threading.Event(), threading.Event()
    hermes = sync.HermesClient(url, transport=ReplyTransport(hang))

    def call() -> None:
        try:
            hermes.live()
        except BaseException:
            ended.set()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert asked.wait(5)
    hermes.close()
    hermes.close()
    assert ended.wait(5)
    thread.join(5)
    assert not any(one.name == "probekit sync" for one in threading.enumerate())


async def test_the_blocking_client_works_under_a_running_loop(url: str) -> None:
    with sync.HermesClient(url) as hermes:
        assert hermes.live()
