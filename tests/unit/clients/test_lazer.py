"""The Pyth Pro client over routers in process: every method, and each way in which it can go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from probekit import errors
from probekit.clients.lazer import HISTORY, ROUTERS, SOCKETS, LazerBatch, LazerClient
from probekit.clients.lazer_batch import payload_of
from probekit.codecs.lazer.symbols import Candle
from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router
from probekit.dev.lazer.transport import RouterTransport
from probekit.model import RequestRecord
from probekit.model.lazer import (
    Channel,
    Envelope,
    FeedProperty,
    FeedValues,
    Freshness,
    LazerPayload,
    LazerUpdate,
    UpdateFormat,
)
from probekit.model.lazer_symbols import LazerSymbol
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.retry import NO_RETRY
from probekit.trust.lazer import LazerSigners

S = timedelta(seconds=1)
URLS = ("https://one.test", "https://two.test")
KEY = "canary-9913-key"


class Box:
    """Two routers over one network, and a client of both."""

    def __init__(self, *, unentitled: tuple[int, ...] = (), feeds: int = 8, **options: Any) -> None:
        self.clock = FakeClock()
        self.network = LazerNetwork(feeds=feeds)
        self.first, self.second = (Router(self.network, keys=(KEY,), unentitled=unentitled, clock=self.clock) for _ in range(2))
        self.records: list[RequestRecord] = []
        self.client = LazerClient(
            URLS,
            history=URLS[0],
            **options,
            api_key=Secret(KEY),
            retry=NO_RETRY,
            transport=RouterTransport({"one.test": self.first, "two.test": self.second}, clock=self.clock),
            clock=self.clock,
            observer=self.records.append,
        )


def answering(*answers: Response | Exception, **options: Any) -> tuple[LazerClient, ReplyTransport]:
    left = list(answers)
    transport = ReplyTransport(lambda _: left.pop(0) if len(left) > 1 else left[0])
    return LazerClient("https://one.test", transport=transport, clock=FakeClock(), retry=NO_RETRY, **options), transport


FEED = {"priceFeedId": 1, "price": "5", "exponent": -2}
ANSWER = {"parsed": {"timestampUs": "9", "priceFeeds": [FEED]}}
UPDATE = LazerUpdate(LazerPayload(9, None, (FeedValues(1, (FeedProperty.PRICE,), 5),)))


# -- prices --------------------------------------------------------------------------------------------------------------------


async def test_the_newest_values_with_their_freshness() -> None:
    box = Box()
    box.first.faults.frozen = {2: box.clock.now().plus(-60 * S)}
    batch = await box.client.latest([2, 1, 1])
    assert isinstance(batch, LazerBatch)
    assert (list(batch), len(batch), batch.errors) == ([2, 1], 2, {})
    price = batch[1].price
    assert price is not None
    assert price.mantissa == batch.values_by_id[1].price_mantissa
    assert batch.timestamp(1).ns == batch.received_at.ns // 200_000_000 * 200_000_000
    assert batch.freshness(1).state is Freshness.NEW
    assert batch.freshness(1).within(S)
    # There is a price, and it is a minute old.
    assert batch[2].price is not None
    assert batch.freshness(2).state is Freshness.CARRIED
    assert not batch.freshness(2).within(59 * S)
    assert batch.freshness(2, at=batch.received_at.plus(S)).age_ns == 61 * 10**9


async def test_every_price_is_verified_where_signers_are_given() -> None:
    box = Box()
    trusting = Box(signers=box.network.signers)
    batch = await trusting.client.latest([1, 2], formats=[UpdateFormat.SOLANA, UpdateFormat.EVM], parsed=False)
    assert {one.signer.key for one in batch.proofs} == {box.network.signing.address}
    assert list(batch.values_by_id) == [1, 2]
    # A signed form is asked for where the caller asks for none.
    assert list((await trusting.client.latest([1])).updates[0].binary) == [UpdateFormat.LE_ECDSA]
    with trusting.first.faults.during(forged=True):
        refused = await trusting.client.latest([1, 2])
    assert [type(error) for error in refused.errors.values()] == [errors.BadSignature] * 2
    assert refused.values_by_id == {}
    with pytest.raises(errors.BadSignature):
        _ = refused[2]
    with pytest.raises(KeyError):
        _ = refused[3]


async def test_the_binary_part_answers_where_nothing_is_parsed() -> None:
    box = Box()
    batch = await box.client.latest([1], formats=[UpdateFormat.LE_UNSIGNED], parsed=False)
    (update,) = batch.updates
    assert update.parsed is None
    assert payload_of(update).channel is Channel.FIXED_200MS
    assert batch[1].price_mantissa is not None
    for broken in (LazerUpdate(), LazerUpdate(None, {UpdateFormat.EVM: errors.DecodeError("x", raw=b"")})):
        with pytest.raises(errors.DecodeError):
            payload_of(broken)


async def test_prices_at_a_time() -> None:
    box = Box()
    then = box.clock.now().plus(-3600 * S)
    batch = await box.client.at(then, [1], channel=Channel.FIXED_50MS)
    assert batch.timestamp(1) == then
    assert batch[1].price_mantissa != (await box.client.latest([1]))[1].price_mantissa


async def test_feeds_that_are_refused_cost_no_other_its_price_and_are_remembered() -> None:
    box = Box(unentitled=(3, 5), refused_for=60 * S)
    batch = await box.client.latest([1, 2, 3, 4, 5, 6, 99])
    assert list(batch.values_by_id) == [1, 2, 4, 6]
    kinds = {feed: type(error) for feed, error in batch.errors.items()}
    assert kinds == {3: errors.NotEntitled, 5: errors.NotEntitled, 99: errors.NotFound}
    asked = len(box.records)
    assert asked > 1
    await box.client.latest([1, 2, 3, 4, 5, 6, 99])
    assert len(box.records) == asked + 1, "what is known to be refused is not asked for again"
    await box.clock.advance(61 * S)
    await box.client.latest([1, 2, 3, 4, 5, 6, 99])
    assert len(box.records) == 2 * asked + 1
    # A time that has no price is no reason to give a feed up.
    await box.client.at(box.clock.now(), [1, 3])
    await box.client.at(box.clock.now(), [1, 3])
    assert (await Box(refused_for=S).client.latest([])).values_by_id == {}


async def test_more_refusals_than_can_be_told_apart() -> None:
    box = Box(feeds=200, unentitled=tuple(range(1, 180)))
    batch = await box.client.latest(range(1, 201))
    assert len(box.records) == 64
    shared = [error for error in batch.errors.values() if "not told apart" in error.message]
    assert shared
    assert len(batch.errors) + len(batch.values_by_id) == 200
    assert len(batch.values_by_id) > 15


async def test_a_refusal_of_everything_is_about_the_key() -> None:
    box = Box(unentitled=(1, 2))
    with pytest.raises(errors.Unauthorized) as caught:
        await box.client.latest([1, 2])
    assert caught.value.status == 403
    alone = await box.client.latest([1])
    assert isinstance(alone.errors[1], errors.NotEntitled)
    made, _ = answering(reply(400, '{"error":"INVALID_REQUEST"}'))
    with pytest.raises(errors.StatusError, match="INVALID_REQUEST"):
        await made.latest([1, 2])


@pytest.mark.parametrize(
    ("failure", "kind", "left"),
    [
        (reply(200, b"{"), errors.DecodeError, 1),
        (reply(429, "", {"retry-after": "7"}), errors.RateLimited, 2),
        (errors.ConnectError("gone"), errors.ConnectError, 2),
    ],
)
async def test_a_part_of_the_question_that_fails_costs_no_other_its_price(
    failure: Response | Exception, kind: type[Exception], left: int
) -> None:
    answers = {
        (1, 2, 3, 4): reply(403),
        (1, 2): reply(200, json.dumps(ANSWER)),
        (3, 4): reply(403),
        (3,): failure,
        (4,): reply(403),
    }

    def handler(request: Request) -> Response | Exception:
        return answers[tuple(json.loads(request.body or b"")["priceFeedIds"])]

    made = LazerClient("https://one.test", transport=ReplyTransport(handler), clock=FakeClock(), retry=NO_RETRY)
    batch = await made.latest([1, 2, 3, 4])
    assert batch[1].price_mantissa == 5
    assert [feed for feed, error in batch.errors.items() if type(error) is kind] == [3, 4][:left]


async def test_symbols_stand_for_their_numbers() -> None:
    box = Box()
    assert list(await box.client.latest(["Crypto.BTC/USD", 3])) == [1, 3]
    with pytest.raises(errors.NotFound, match="nearest: Crypto.BTC/USD"):
        await box.client.latest(["Crypto.BTC/USDT"])
    asked = len(box.records)
    assert await box.client.feed_id("Crypto.ETH/USD") == 2
    await box.clock.advance(timedelta(minutes=11))
    with box.first.faults.during(status=503):
        assert await box.client.feed_id("Crypto.ETH/USD") == 2, "the last good table is kept"
    assert len(box.records) == asked + 1
    fresh = Box()
    with fresh.first.faults.during(status=503), pytest.raises(errors.ServerError):
        await fresh.client.feed_id("Crypto.ETH/USD")


class Hanging:
    """An engine in front of a router: what a path names hangs until its deadline."""

    def __init__(self, inner: RouterTransport, clock: FakeClock) -> None:
        self.inner, self.clock = inner, clock
        self.path = "/nowhere"
        self.capabilities = inner.capabilities

    async def send(self, request: Request) -> Response:
        if self.path in request.url:
            assert request.deadline_ns is not None
            await self.clock.sleep_until_ns(request.deadline_ns)
            raise errors.DeadlineExceeded("no answer", phase="first_byte")
        return await self.inner.send(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_a_symbol_table_that_cannot_be_had_anew_leaves_half_of_the_time_for_the_prices() -> None:
    box = Box()
    engine = Hanging(RouterTransport({"one.test": box.first}, clock=box.clock), box.clock)
    made = LazerClient(URLS[0], history=URLS[0], api_key=Secret(KEY), retry=NO_RETRY, transport=engine, clock=box.clock)
    assert list(await made.latest(["Crypto.BTC/USD"])) == [1]
    await box.clock.advance(timedelta(minutes=11))
    engine.path = "/v1/symbols"
    asking = asyncio.ensure_future(made.latest(["Crypto.BTC/USD", "Crypto.ETH/USD", 3]))
    await box.clock.settle()
    await box.clock.advance(5 * S)
    await box.clock.settle()
    assert asking.done(), "half of ten seconds"
    batch = await asking
    assert (list(batch), batch.errors) == ([1, 2, 3], {})
    # Nothing else is to be asked then: the table has the whole time.
    await box.clock.advance(timedelta(minutes=11))
    alone = asyncio.ensure_future(made.feed_id("Crypto.ETH/USD"))
    await box.clock.advance(9 * S)
    assert not alone.done()
    await box.clock.advance(2 * S)
    assert await alone == 2


async def test_a_feed_left_out_and_one_that_does_not_read() -> None:
    made, _ = answering(reply(200, json.dumps(ANSWER)))
    batch = await made.latest([1, 2])
    assert batch[1].price_mantissa == 5
    assert isinstance(batch.errors[2], errors.Missing)
    broken = {"parsed": {"timestampUs": "9", "priceFeeds": [FEED, {"priceFeedId": 2, "price": 1.5}], "more": 1}, "extra": True}
    made, _ = answering(reply(200, json.dumps(broken)))
    batch = await made.latest([1, 2])
    assert batch[1].price_mantissa == 5
    assert isinstance(batch.errors[2], errors.DecodeError)
    assert batch.updates[0].extra == {"extra": True}
    made, _ = answering(reply(200, "{}"))
    assert isinstance((await made.latest([1])).errors[1], errors.DecodeError)


async def test_an_update_is_reduced() -> None:
    box = Box()
    (update,) = (await box.client.latest([1, 2, 3], formats=[UpdateFormat.EVM])).updates
    reduced = await box.client.reduced(update, [2])
    assert isinstance(reduced.parsed, LazerPayload)
    assert list(reduced.parsed.by_id) == [2]
    assert isinstance(reduced.binary[UpdateFormat.EVM], Envelope)


@pytest.mark.parametrize("body", ["{}", '{"evm":{"data":"zz"}}', '{"parsed":null}', '{"more":1}'])
async def test_a_reduced_update_in_none_of_its_forms_is_none(body: str) -> None:
    made, _ = answering(reply(200, body))
    with pytest.raises(errors.DecodeError, match="none of the forms") as caught:
        await made.reduced(UPDATE, [1])
    assert caught.value.raw == body.encode()


async def test_a_reduced_update_with_one_form_that_is_broken_keeps_it_and_its_neighbours() -> None:
    made, _ = answering(reply(200, json.dumps(ANSWER | {"evm": {"data": "zz"}})))
    found = await made.reduced(UPDATE, [1])
    assert isinstance(found.parsed, LazerPayload)
    assert isinstance(found.binary[UpdateFormat.EVM], errors.DecodeError)


# -- metadata ------------------------------------------------------------------------------------------------------------------


async def test_symbols() -> None:
    box = Box(unentitled=(1,))
    entries = await box.client.symbols()
    assert [one.feed_id for one in entries if isinstance(one, LazerSymbol)] == list(range(1, 9))
    (btc,) = await box.client.symbols("btc", "crypto")
    assert isinstance(btc, LazerSymbol)
    assert (btc.symbol, btc.expo, btc.fastest_channel) == ("Crypto.BTC/USD", -8, Channel.REAL_TIME)
    assert len(await box.client.symbols(entitled_only=True)) == 7
    assert await box.client.symbols("nothing like it") == ()


async def test_candles() -> None:
    box = Box()
    now = box.clock.now()
    candles = await box.client.candles("Crypto.BTC/USD", start=now.plus(-300 * S), end=now, resolution="1")
    assert len(candles) == 5
    for one in candles:
        assert isinstance(one, Candle)
        assert one.low <= min(one.open, one.close) <= max(one.open, one.close) <= one.high
        assert isinstance(one.open, Decimal)
    with pytest.raises(errors.DecodeError, match="unknown symbol"):
        await box.client.candles("nothing", start=now, end=now)


async def test_an_access_token_opens_what_the_key_opens() -> None:
    box = Box()
    made = await box.client.access_token(timedelta(minutes=5))
    assert made.expires_at == box.clock.now().plus(timedelta(minutes=5))
    assert (await box.client.access_token()).expires_at == box.clock.now().plus(timedelta(hours=1))
    transport = RouterTransport({"one.test": box.first}, clock=box.clock)
    shortlived = LazerClient("https://one.test", api_key=made.token, transport=transport, clock=box.clock)
    assert (await shortlived.latest([1]))[1].price is not None
    made_without, _ = answering(reply(404))
    with pytest.raises(errors.NotFound, match="no token broker"):
        await made_without.access_token()


async def test_minting_is_never_repeated() -> None:
    clock = FakeClock()
    transport = ReplyTransport(lambda _: reply(503, clock=clock))
    made = LazerClient(URLS, history=URLS, transport=transport, clock=clock)
    with pytest.raises(errors.ServerError):
        await made.access_token()
    assert len(transport.requests) == 1


async def test_liveness() -> None:
    box = Box()
    assert await box.client.live()
    with box.first.faults.during(status=503):
        assert not await box.client.live()
    made, _ = answering(errors.ConnectError("refused"))
    with pytest.raises(errors.ConnectError):
        await made.live()


# -- what can go wrong with any of them ---------------------------------------------------------------------------------------

Call = Callable[[LazerClient], Awaitable[Any]]
NOW = FakeClock().now()
CALLS: dict[str, Call] = {
    "latest": lambda client: client.latest([1]),
    "latest by symbol": lambda client: client.latest(["Crypto.BTC/USD"]),
    "feed_id": lambda client: client.feed_id("Crypto.BTC/USD"),
    "at": lambda client: client.at(NOW, [1]),
    "reduced": lambda client: client.reduced(UPDATE, [1]),
    "symbols": lambda client: client.symbols(),
    "candles": lambda client: client.candles("Crypto.BTC/USD", start=NOW, end=NOW),
    "access_token": lambda client: client.access_token(),
}
each = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, errors.Unauthorized), (429, errors.RateLimited), (500, errors.ServerError), (503, errors.ServerError)],
)
async def test_statuses(call: Call, status: int, kind: type[errors.StatusError]) -> None:
    made, _ = answering(reply(status, "no", {"retry-after": "7"}))
    with pytest.raises(kind) as caught:
        await call(made)
    assert type(caught.value) is kind
    if isinstance(caught.value, errors.RateLimited):
        assert caught.value.retry_after_ns == 7 * 10**9


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("reduced", errors.NotEntitled),
        ("candles", errors.NotEntitled),
        ("symbols", errors.Unauthorized),
        ("feed_id", errors.Unauthorized),
        ("access_token", errors.Unauthorized),
    ],
)
async def test_a_refusal_that_names_no_feed_is_about_the_key(name: str, kind: type[errors.StatusError]) -> None:
    made, _ = answering(reply(403, "no"))
    with pytest.raises(errors.StatusError) as caught:
        await CALLS[name](made)
    assert type(caught.value) is kind


@each
@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b"null", b"\xff", b"[" * 5000])
async def test_what_is_no_answer(call: Call, body: bytes) -> None:
    made, _ = answering(reply(200, body))
    with pytest.raises(errors.DecodeError):
        await call(made)


@each
async def test_a_service_that_hangs_costs_the_deadline_and_no_more(call: Call) -> None:
    box = Box(timeout=3 * S)
    box.first.faults.hangs = box.second.faults.hangs = True
    begun_ns = box.clock.monotonic_ns()
    task = asyncio.ensure_future(call(box.client))
    await box.clock.advance(timedelta(seconds=2.9))
    assert not task.done()
    await box.clock.advance(S / 5)
    assert isinstance(task.exception(), errors.DeadlineExceeded)
    assert box.clock.monotonic_ns() - begun_ns < 4 * 10**9
    assert asyncio.all_tasks() == {asyncio.current_task()}


@each
async def test_a_call_that_is_cancelled_leaves_nothing(call: Call) -> None:
    box = Box()
    box.first.faults.hangs = box.second.faults.hangs = True
    task = asyncio.ensure_future(call(box.client))
    await box.clock.settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await box.clock.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_another_router_answers_a_read_that_one_cannot() -> None:
    box = Box(timeout=4 * S)
    with box.first.faults.during(status=503):
        assert (await box.client.latest([1]))[1].price is not None
    with box.first.faults.during(hangs=True):
        fresh = Box(timeout=4 * S)
        fresh.first.faults.hangs = True
        task = asyncio.ensure_future(fresh.client.latest([1]))
        await fresh.clock.advance(timedelta(seconds=2.1))
        assert (await task)[1].price is not None


async def test_a_rate_limit_is_obeyed() -> None:
    clock = FakeClock()
    left = [reply(429, "", {"retry-after": "2"}, clock=clock), reply(200, json.dumps(ANSWER), clock=clock)]
    transport = ReplyTransport(lambda _: left.pop(0))
    made = LazerClient("https://one.test", transport=transport, clock=clock)
    task = asyncio.ensure_future(made.latest([1]))
    await clock.advance(timedelta(seconds=1.9))
    assert not task.done()
    await clock.advance(S)
    assert (await task)[1].price_mantissa == 5


async def test_the_key_goes_into_the_header_and_nowhere_else() -> None:
    box = Box()
    await box.client.latest([1])
    made, transport = answering(reply(401, f"{KEY} is no key"), api_key=Secret(KEY))
    with pytest.raises(errors.Unauthorized) as caught:
        await made.latest([1])
    header = dict(transport.requests[0].headers)["authorization"]
    assert isinstance(header, Secret)
    assert header.reveal() == f"Bearer {KEY}"
    assert KEY not in str(caught.value) + caught.value.body + repr(vars(caught.value)) + repr(box.records) + repr(made._headers)


async def test_what_is_asked() -> None:
    made, transport = answering(reply(200, json.dumps(ANSWER)))
    await made.latest([1], properties=[FeedProperty.PRICE], formats=[UpdateFormat.EVM], channel=Channel.REAL_TIME)
    await made.at(NOW, [1], properties=[FeedProperty.PRICE])
    first, second = transport.requests
    assert (first.method, first.url, first.repeatable) == ("POST", "https://one.test/v1/latest_price", True)
    assert json.loads(first.body or b"") == {
        "priceFeedIds": [1], "properties": ["price"], "formats": ["evm"], "channel": "real_time", "parsed": True,
        "jsonBinaryEncoding": "base64",
    }  # fmt: skip
    assert second.url == "https://one.test/v1/price"
    assert json.loads(second.body or b"")["timestamp"] == NOW.ns // 1000
    for feeds in ([-1], [2**32]):
        with pytest.raises(ValueError, match="32 bits"):
            await made.latest(feeds)


async def test_a_client_closes_what_it_opened() -> None:
    async with LazerClient(signers=LazerSigners(())) as made:
        assert made.routers == ROUTERS
        assert made.history_endpoints == HISTORY
    made, transport = answering(reply(200, json.dumps(ANSWER)))
    async with made:
        await made.latest([1])
    assert not transport.closed
    assert all(url.startswith("wss://") for url in SOCKETS)
