"""HermesClient: every id answered for itself, batching, entitlement, symbols, readiness; and its blocking twin."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_type_hints

import pytest

from probekit import sync
from probekit.clients.continuity import Accounting
from probekit.clients.feedbook import FeedBook
from probekit.clients.hermes import HermesClient, StreamChange
from probekit.codecs.hermes import encode_feeds, encode_prices
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread
from probekit.dev.transport import SandboxTransport
from probekit.errors import (
    ConnectError,
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
from probekit.units import Instant

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


async def test_two_feeds_of_one_symbol_the_first_wins() -> None:
    rows = [Feed(FeedId(byte * 32), "Same", attributes={"symbol": "Same"}) for byte in ("01", "02")]
    table = await answering(reply(200, encode_feeds(rows))).symbols()
    assert table["Same"].id == "01" * 32


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
        assert list(inspect.signature(method).parameters) == list(inspect.signature(twin).parameters)
        assert get_type_hints(method) == get_type_hints(twin), name
    missing = {
        name
        for name, method in inspect.getmembers(HermesClient, inspect.iscoroutinefunction)
        if not name.startswith("_") and name != "aclose"
    } - set(vars(sync.HermesClient))
    assert missing == set()
    ours = set(inspect.signature(sync.HermesClient.__init__).parameters)
    assert ours < set(inspect.signature(HermesClient.__init__).parameters)


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


async def test_the_blocking_client_works_under_a_running_loop(url: str) -> None:
    with sync.HermesClient(url) as hermes:
        assert hermes.live()
