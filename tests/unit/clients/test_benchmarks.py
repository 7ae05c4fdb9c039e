"""Benchmarks: prices of the past with their proofs, feeds and charts; and what each call does when the service does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from probekit import errors
from probekit.clients.benchmarks import BenchmarksClient
from probekit.model import PriceUpdate
from probekit.model.benchmarks import Bar
from probekit.secret import Secret
from probekit.testing import reply
from probekit.transports.retry import NO_RETRY, RetryPolicy
from probekit.trust import PRO
from probekit.trust.signing import SigningSet
from probekit.units import Instant
from tests.unit.clients.archive import BARS, MATCH, NOBODY, URL, Archive, numbers

THEN = Instant.parse("2026-09-10T08:00:00Z")
S = timedelta(seconds=1)


# -- prices ----------------------------------------------------------------------------------------------------------------


async def test_prices_of_a_moment() -> None:
    archive = Archive()
    batch = await archive.client.at(THEN, [archive.ids[1], archive.ids[0], archive.ids[1]])
    assert list(batch) == [archive.ids[1], archive.ids[0]]
    assert batch[archive.ids[0]].publish_time == THEN
    assert not batch.errors
    ids = f"&ids={archive.ids[1]}&ids={archive.ids[0]}"
    assert archive.asked == [f"/v1/updates/price/{THEN.seconds}?encoding=hex&parsed=true{ids}"]
    # A unit below the second is none of the service's.
    later = await archive.client.at(THEN.plus(S / 2), archive.ids[:1])
    assert later[archive.ids[0]].publish_time == THEN


async def test_the_proof_is_checked_as_of_its_own_time() -> None:
    archive = Archive()
    batch = await archive.client.at(THEN, archive.ids)
    now = archive.clock.now()
    assert batch[archive.ids[0]].verified_by is None
    proven = batch[archive.ids[0]].verified(archive.network.trust, at=now)
    assert proven.verified_by is not None
    assert proven.point == batch[archive.ids[0]].point
    # The set has been replaced since: rightly signed all the same.
    following = SigningSet.generate(archive.network.root, 2, b"the next set").signer_set()
    rotated = archive.network.trust.with_set(following)
    assert not batch.verified(rotated, at=now).errors
    with pytest.raises(errors.VerificationError):
        batch[archive.ids[0]].verified(PRO, at=now)


async def test_with_a_trust_every_answer_is_proven_or_an_error() -> None:
    archive = Archive()
    trusting = BenchmarksClient(URL, transport=archive.transport, clock=archive.clock, verify=archive.network.trust)
    batch = await trusting.at(THEN, archive.ids)
    assert all(update.verified_by is not None for update in batch.updates.values())
    honest = archive.update(THEN.seconds, archive.ids)
    lied = json.loads(honest)
    lied["parsed"][1]["price"]["price"] = "1"
    archive.bodies[f"/v1/updates/price/{THEN.seconds}"] = json.dumps(lied).encode()
    batch = await trusting.at(THEN, archive.ids)
    assert list(batch.errors) == [archive.ids[1]]
    assert batch.errors[archive.ids[1]].error_type == "parsed_mismatch"
    window = await trusting.window(THEN, 2 * S, archive.ids[:2])
    assert all(update.verified_by is not None for update in window.of(archive.ids[0]))


async def test_base64_says_the_same() -> None:
    archive = Archive(encoding="base64")
    await archive.client.at(THEN, archive.ids[:1])
    assert "encoding=base64" in archive.asked[0]


async def test_an_old_batch_attestation_is_a_price_without_a_proof() -> None:
    archive = Archive()
    answer = json.loads(archive.update(THEN.seconds, archive.ids[:1]))
    answer["binary"]["data"] = [(b"\x01\x00\x00\x00\x03\x0d" + bytes(80)).hex()]
    answer["parsed"] = answer["parsed"][0]
    del answer["parsed"]["metadata"]
    archive.bodies[f"/v1/updates/price/{THEN.seconds}"] = json.dumps(answer).encode()
    batch = await archive.client.at(THEN, archive.ids[:1])
    assert batch[archive.ids[0]].prev_publish_time is None
    with pytest.raises(errors.DecodeError, match="PNAU"):
        batch[archive.ids[0]].verified(archive.network.trust, at=THEN)


async def test_one_id_without_a_price_costs_no_other_its_own() -> None:
    archive = Archive(feeds=16)
    archive.unknown = {archive.ids[3]}
    batch = await archive.client.at(THEN, archive.ids)
    assert list(batch.errors) == [archive.ids[3]]
    assert isinstance(batch.errors[archive.ids[3]], errors.NotFound)
    assert len(batch.updates) == 15
    assert len(archive.asked) == 9


async def test_many_that_are_refused_are_bounded() -> None:
    archive = Archive(feeds=60)
    archive.unknown = set(archive.ids[::2])
    batch = await archive.client.at(THEN, archive.ids)
    assert len(archive.asked) == 9
    assert len(batch.errors) + len(batch.updates) == 60
    assert all(isinstance(error, errors.NotFound) for error in batch.errors.values())


@pytest.mark.parametrize(
    ("fault", "error"),
    [(429, errors.RateLimited), (503, errors.ServerError), (401, errors.Unauthorized), (403, errors.Unauthorized)],
)
async def test_what_was_answered_is_not_lost_for_what_fails_then(fault: int, error: type[errors.ProbekitError]) -> None:
    archive = Archive(feeds=250)

    def answer(request: Any) -> Any:
        return archive.answer(request) if len(archive.asked) == 1 else reply(fault, "", clock=archive.clock)

    archive.transport._handler = answer
    batch = await archive.client.at(THEN, archive.ids)
    assert 50 < len(batch.updates) < 150
    assert {type(one) for one in batch.errors.values()} == {error}
    assert len(batch.errors) + len(batch.updates) == 250
    assert len(archive.asked) == 2, "a service that fails is not asked for the rest"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (reply(500, "<html>"), errors.ServerError),
        (reply(504, ""), errors.ServerError),
        (reply(200, "<html>"), errors.DecodeError),
        (reply(200, "{"), errors.DecodeError),
    ],
    ids=["500", "504", "a page", "cut off"],
)
@pytest.mark.parametrize("broken", [1, 2, 3])
async def test_a_part_that_fails_costs_no_other_whichever_it_is(broken: int, fault: Any, kind: Any) -> None:
    archive = Archive(feeds=250)
    archive.transport._handler = lambda request: fault if len(archive.transport.requests) == broken else archive.answer(request)
    batch = await archive.client.at(THEN, archive.ids)
    assert {type(one) for one in batch.errors.values()} == {kind}
    assert len({id(one) for one in batch.errors.values()}) == len(batch.errors)
    assert len(batch.errors) + len(batch.updates) == 250
    assert len(batch.updates) > 100


async def test_one_answer_of_several_that_does_not_read() -> None:
    archive = Archive(feeds=250)

    def answer(request: Any) -> Any:
        return reply(200, "<html>", clock=archive.clock) if len(archive.asked) == 2 else archive.answer(request)

    archive.transport._handler = answer
    batch = await archive.client.at(THEN, archive.ids)
    assert {type(one) for one in batch.errors.values()} == {errors.DecodeError}
    assert len(archive.asked) == 3
    assert 100 < len(batch.updates) < 200


async def test_hundreds_of_ids_are_split_below_url_limits() -> None:
    archive = Archive(feeds=250)
    batch = await archive.client.at(THEN, archive.ids)
    assert len(batch.updates) == 250
    assert len(archive.asked) == 3
    assert max(len(request.url) for request in archive.transport.requests) < 8_000


async def test_what_is_not_entitled_is_set_apart() -> None:
    archive = Archive()
    refused = archive.ids[2]

    def answer(request: Any) -> Any:
        if refused in request.url:
            return reply(403, f"Not entitled: feed 0x{refused} (no grant accepts this feed)", clock=archive.clock)
        return archive.answer(request)

    archive.transport._handler = answer
    batch = await archive.client.at(THEN, archive.ids)
    assert isinstance(batch.errors[refused], errors.NotEntitled)
    assert len(batch.updates) == 3
    alone = await archive.client.at(THEN, [refused])
    assert isinstance(alone.errors[refused], errors.NotEntitled)


@pytest.mark.parametrize("named", [True, False])
async def test_one_malformed_price_is_its_own_error(named: bool) -> None:
    archive = Archive()
    path = f"/v1/updates/price/{THEN.seconds}"
    answer = json.loads(archive.update(THEN.seconds, archive.ids))
    answer["parsed"][1]["price"]["conf"] = "-1"
    if not named:
        answer["parsed"][1]["id"] = 7
    archive.bodies[path] = json.dumps(answer).encode()
    batch = await archive.client.at(THEN, archive.ids)
    assert list(batch.errors) == [archive.ids[1]]
    error = batch.errors[archive.ids[1]]
    assert isinstance(error, errors.DecodeError)
    assert isinstance(error.raw, bytes)
    assert b'"conf"' in error.raw
    assert len(batch.updates) == 3
    # In a window, the rest of its moment and of all others stays.
    archive.bodies[f"{path}/1"] = b"[" + archive.bodies[path] + b"," + archive.update(THEN.seconds + 1, archive.ids) + b"]"
    window = await archive.client.window(THEN, S, archive.ids)
    assert [len(window.of(one)) for one in archive.ids] == [2, 1, 2, 2]
    found = window.errors_of(archive.ids[1]) if named else window.errors
    assert [type(one) for one in found] == [errors.DecodeError]


async def test_a_window_has_every_moment_once_and_in_order() -> None:
    archive = Archive()
    window = await archive.client.window(THEN, 5 * S, archive.ids[:2])
    assert archive.asked[0].startswith(f"/v1/updates/price/{THEN.seconds}/5?encoding=hex&parsed=true&unique=true&ids=")
    times = [update.publish_time for update in window.of(archive.ids[0])]
    assert times == [THEN.plus(number * S) for number in range(6)]
    assert len(window.batches) == 6
    assert (window.missing, window.errors, window.refused) == ((), (), ())
    assert not window.batches[0].verified(archive.network.trust, at=archive.clock.now()).errors
    backwards = [json.loads(archive.update(THEN.seconds + number, archive.ids[:1])) for number in (1, 0)]
    archive.bodies[f"/v1/updates/price/{THEN.seconds}/1"] = json.dumps(backwards + backwards).encode()
    window = await archive.client.window(THEN, S, archive.ids[:1], distinct=False)
    assert "unique=false" in archive.asked[-1]
    assert [update.publish_time for update in window.of(archive.ids[0])] == [THEN, THEN.plus(S)]


async def test_a_moment_that_does_not_read_costs_no_other_its_own() -> None:
    archive = Archive()
    good = archive.update(THEN.seconds, archive.ids[:1])
    archive.bodies[f"/v1/updates/price/{THEN.seconds}/2"] = b'[{"binary":7},' + good + b",null]"
    window = await archive.client.window(THEN, 2 * S, archive.ids[:2])
    assert len(window.of(archive.ids[0])) == 1
    assert [one.raw for one in window.errors] == [b'{"binary":7}', b"null"]
    assert window.missing == (archive.ids[1],)


async def test_a_window_without_a_feed_says_so() -> None:
    archive = Archive()
    path = f"/v1/updates/price/{THEN.seconds}/1"
    archive.bodies[path] = b"[]"
    window = await archive.client.window(THEN, S, archive.ids)
    assert window.missing == tuple(archive.ids)
    del archive.bodies[path]
    archive.transport._handler = lambda _: reply(404, "Price update for the given ids [...] not found.", clock=archive.clock)
    window = await archive.client.window(THEN, S, [NOBODY])
    assert [type(one) for one in window.errors_of(NOBODY)] == [errors.NotFound]
    assert window.refused[0][0] == NOBODY


async def test_what_was_asked_wrongly_is_not_sent() -> None:
    archive = Archive()
    for length in (61 * S, -S, S / 2):
        with pytest.raises(ValueError, match="a window of"):
            await archive.client.window(THEN, length, archive.ids)
    for call in (archive.client.at(THEN, ["BTC"]), archive.client.window(THEN, S, ["BTC"]), archive.client.feed("BTC")):
        with pytest.raises(ValueError, match="not a feed id"):
            await call
    with pytest.raises(ValueError, match="bars up to"):
        await archive.client.chart_bars("Crypto.BTC/USD", "1", THEN, THEN.plus(-S))
    with pytest.raises(ValueError, match="at least one"):
        BenchmarksClient([])
    assert archive.asked == []


# -- feeds -----------------------------------------------------------------------------------------------------------------


async def test_feeds_with_their_market() -> None:
    archive = Archive()
    listed = await archive.client.feeds("btc", "crypto")
    assert archive.asked == ["/v1/price_feeds/?query=btc&asset_type=crypto"]
    assert len(listed) == 4
    first = listed[0]
    assert not isinstance(first, errors.DecodeError)
    assert first.feed.symbol == "Crypto.BTC/USD"
    assert first.feed.asset_class == "crypto"
    assert first.market is not None
    assert (first.market.is_open, first.market.next_open, first.market.next_close) == (
        True,
        Instant.from_seconds(1686749400),
        None,
    )
    alone = await archive.client.feed("0x" + archive.ids[0].upper())
    assert alone == first
    with pytest.raises(errors.NotFound) as caught:
        await archive.client.feed(NOBODY)
    assert caught.value.subject == NOBODY


# -- charts ----------------------------------------------------------------------------------------------------------------


async def test_bars_are_exact() -> None:
    archive = Archive()
    history = await archive.client.chart_bars("Crypto.BTC/USD", "1", THEN, THEN.plus(60 * S))
    assert archive.asked == [
        f"/v1/shims/tradingview/history?symbol=Crypto.BTC%2FUSD&resolution=1&from={THEN.seconds}&to={THEN.seconds + 60}"
    ]
    assert history.readable == history.bars
    first, second = history.readable
    assert first == Bar(
        1684127160, Decimal("27281.83"), Decimal("27296.75"), Decimal("27279.24580449"), Decimal("27296.35698548"), Decimal(0)
    )
    assert str(second.close) == "27294.0"
    assert second.time == Instant.from_seconds(1684127220)


async def test_no_bars() -> None:
    archive = Archive()
    for body, following in (
        ({"s": "ok", "t": [], "o": [], "h": [], "l": [], "c": [], "v": []}, None),
        ({"s": "no_data", "nextTime": 1684127160}, 1684127160),
        ({"s": "no_data"}, None),
    ):
        archive.bodies["/v1/shims/tradingview/history"] = json.dumps(body).encode()
        history = await archive.client.chart_bars("Crypto.BTC/USD", "D", THEN, THEN)
        assert (history.bars, history.next_time_s) == ((), following)


@pytest.mark.parametrize(
    ("message", "error"),
    [("Symbol not found", errors.NotFound), ("Unknown symbol", errors.NotFound), ("An error occured.", errors.ServerError)],
)
async def test_the_shims_own_errors(message: str, error: type[errors.ProbekitError]) -> None:
    archive = Archive()
    body = json.dumps({"s": "error", "errmsg": message}).encode()
    archive.bodies |= {f"/v1/shims/tradingview/{name}": body for name in ("history", "symbols")}
    for call in (
        archive.client.chart_bars("Crypto.BTC/USB", "1", THEN, THEN),
        archive.client.chart_symbol("Crypto.BTC/USB"),
    ):
        with pytest.raises(error, match=message) as caught:
            await call
        assert caught.value.error_type in ("no_such_feed", "server_error")


async def test_symbols_and_search() -> None:
    archive = Archive()
    symbol = await archive.client.chart_symbol("Crypto.BTC/USD")
    assert archive.asked == ["/v1/shims/tradingview/symbols?symbol=Crypto.BTC%2FUSD"]
    assert (symbol.ticker, symbol.step, symbol.exchange) == ("Crypto.BTC/USD", Decimal("1E-8"), "PYTH")
    assert symbol.extra == {"has_intraday": True}
    (match,) = await archive.client.chart_search("bitcoin cash", limit=3)
    assert archive.asked[-1] == "/v1/shims/tradingview/search?query=bitcoin+cash&limit=3"
    assert not isinstance(match, errors.DecodeError)
    assert (match.symbol, match.ticker) == ("BCHUSD", "Crypto.BCH/USD")
    config = await archive.client.chart_config()
    assert (config.supported_resolutions, config.supports_search) == (("1", "2", "D"), True)
    assert config.extra == {"supports_marks": False}


# -- every call, and every way to fail ---------------------------------------------------------------------------------------

Call = Callable[[Archive], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "at": lambda a: a.client.at(THEN, a.ids[:2]),
    "window": lambda a: a.client.window(THEN, S, a.ids[:2]),
    "feeds": lambda a: a.client.feeds(),
    "feed": lambda a: a.client.feed(a.ids[0]),
    "chart_config": lambda a: a.client.chart_config(),
    "chart_symbol": lambda a: a.client.chart_symbol("Crypto.BTC/USD"),
    "chart_search": lambda a: a.client.chart_search("btc"),
    "chart_bars": lambda a: a.client.chart_bars("Crypto.BTC/USD", "60", THEN, THEN.plus(60 * S)),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def test_no_call_is_left_out() -> None:
    public = {name for name in vars(BenchmarksClient) if not name.startswith("_")} - {"aclose"}
    assert set(CALLS) == public


@each_call
async def test_happy(call: Call) -> None:
    assert await call(Archive()) is not None


@each_call
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, "unauthorized", errors.Unauthorized),
        (403, "Forbidden", (errors.Unauthorized, errors.NotEntitled)),
        (429, "", errors.RateLimited),
        (500, "oops", errors.ServerError),
        (503, "", errors.ServerError),
        (422, '{"detail":[{"loc":["query"],"msg":"bad","type":"value_error"}]}', errors.StatusError),
    ],
)
async def test_refusals(call: Call, status: int, body: str, error: Any) -> None:
    archive = Archive()
    archive.fault = reply(status, body, {"retry-after": "60"}, clock=archive.clock)
    with pytest.raises(error) as caught:
        await call(archive)
    assert caught.value.status == status
    if status == 429:
        assert caught.value.retry_after_ns == 60 * 10**9
    assert len(archive.asked) == 1


@each_call
async def test_a_connection_that_breaks(call: Call) -> None:
    archive = Archive()
    archive.fault = errors.ConnectError("gone")
    with pytest.raises(errors.ConnectError):
        await call(archive)


@each_call
@pytest.mark.parametrize("body", ["", "<html>", "7", "null", '"text"', "\xff", "[" * 2_000, "{" + '"a":{' * 2_000])
async def test_what_is_no_answer(call: Call, body: str) -> None:
    archive = Archive()
    archive.fault = reply(200, body.encode("latin-1"), clock=archive.clock)
    with pytest.raises(errors.DecodeError) as caught:
        await call(archive)
    assert caught.value.raw == body.encode("latin-1")


@each_call
async def test_a_service_that_hangs_is_left_at_the_deadline(call: Call) -> None:
    archive = Archive(timeout=timedelta(seconds=7), retry=RetryPolicy())
    archive.hangs = True
    started_ns = archive.clock.monotonic_ns()
    task = asyncio.ensure_future(call(archive))
    await archive.clock.advance(6 * S)
    assert not task.done()
    await archive.clock.advance(S)
    with pytest.raises(errors.DeadlineExceeded):
        await task
    assert archive.clock.monotonic_ns() - started_ns == 7 * 10**9


@each_call
async def test_cancelled_it_leaves_nothing_behind(call: Call) -> None:
    archive = Archive()
    archive.hangs = True
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(call(archive))
    await archive.clock.settle()
    assert archive.asked
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await archive.clock.settle()
    assert asyncio.all_tasks() == before
    assert archive.clock.sleeping == 0


EMPTY: dict[str, tuple[bytes, Callable[[Any], bool]]] = {
    "at": (b'{"binary":{"encoding":"hex","data":[]},"parsed":[]}', lambda batch: len(batch.errors) == 2),
    "window": (b"[]", lambda window: len(window.missing) == 2),
    "feeds": (b"[]", lambda feeds: feeds == ()),
    "chart_search": (b"[]", lambda found: found == ()),
    "chart_bars": (b'{"s":"ok","t":[],"o":[],"h":[],"l":[],"c":[],"v":[]}', lambda history: history.bars == ()),
}


@pytest.mark.parametrize("name", EMPTY)
async def test_empty(name: str) -> None:
    archive = Archive()
    body, holds = EMPTY[name]
    archive.fault = reply(200, body, clock=archive.clock)
    assert holds(await CALLS[name](archive))


@pytest.mark.parametrize("name", ["feed", "chart_config", "chart_symbol"])
async def test_an_empty_object_is_none(name: str) -> None:
    archive = Archive()
    archive.fault = reply(200, b"{}", clock=archive.clock)
    with pytest.raises(errors.DecodeError):
        await CALLS[name](archive)


def widened(value: Any) -> Any:
    """The same, with a member nobody knows in every object."""
    if isinstance(value, dict):
        return (
            {name: widened(member) for name, member in value.items() if name != "attributes"}
            | ({"attributes": value["attributes"]} if "attributes" in value else {})
            | {"new": 1}
        )
    return [widened(one) for one in value] if isinstance(value, list) else value


@each_call
async def test_unknown_members(call: Call) -> None:
    archive, plain = Archive(), Archive()
    expected = await call(plain)

    async def answer(request: Any) -> Any:
        found = await plain.answer(request)
        assert not isinstance(found, Exception)
        if b'"s":"ok"' in found.body:
            return reply(200, found.body[:-1] + b',"new":1}', clock=archive.clock)
        return reply(200, json.dumps(widened(json.loads(found.body))), clock=archive.clock)

    archive.transport._handler = answer
    got = await call(archive)
    for one in got if isinstance(got, tuple) else (got,):
        if hasattr(one, "extra"):
            assert one.extra["new"] == 1
    assert _values(got) == _values(expected)


def _values(value: Any) -> Any:
    """What is to be equal: without what is kept of unknown members, and without when it was received."""
    if isinstance(value, tuple):
        return [_values(one) for one in value]
    if hasattr(value, "updates"):
        return [(one, update.point) for one, update in value.updates.items()]
    if hasattr(value, "batches"):
        return _values(value.batches)
    if hasattr(value, "extra"):
        return {name: getattr(value, name) for name in value.__struct_fields__ if name != "extra"}
    return value


async def test_one_malformed_item_of_each_list() -> None:
    archive = Archive()
    archive.bodies["/v1/price_feeds/"] = json.dumps(
        [archive.feed(archive.ids[0]), {"id": "x"}, {"id": "x", "attributes": {}}]
    ).encode()
    good, bad, nameless = await archive.client.feeds()
    assert not isinstance(good, errors.DecodeError)
    assert isinstance(bad, errors.DecodeError)
    assert isinstance(nameless, errors.DecodeError)
    archive.bodies["/v1/shims/tradingview/search"] = json.dumps([{"symbol": 1}, MATCH]).encode()
    bad, good = await archive.client.chart_search("x")  # type: ignore[assignment]
    assert isinstance(bad, errors.DecodeError)
    assert not isinstance(good, errors.DecodeError)
    table = dict(BARS, o=["null", "27297.19886"])
    archive.bodies["/v1/shims/tradingview/history"] = numbers(table)
    history = await archive.client.chart_bars("Crypto.BTC/USD", "1", THEN, THEN)
    assert [type(one) for one in history.bars] == [errors.DecodeError, Bar]
    assert len(history.readable) == 1


async def test_a_limit_that_passes_is_waited_for() -> None:
    archive = Archive(retry=RetryPolicy(), timeout=timedelta(seconds=90))
    archive.fault = reply(429, "", {"retry-after": "60"}, clock=archive.clock)
    task = asyncio.ensure_future(archive.client.at(THEN, archive.ids[:1]))
    await archive.clock.advance(30 * S)
    archive.fault = None
    assert not task.done()
    await archive.clock.advance(31 * S)
    assert isinstance((await task)[archive.ids[0]], PriceUpdate)
    assert len(archive.asked) == 2


async def test_the_key_goes_into_the_header_and_nowhere_else() -> None:
    archive = Archive(api_key=Secret("k3y-of-the-past"))
    await archive.client.at(THEN, archive.ids[:1])
    (request,) = archive.transport.requests
    name, value = request.headers[1]
    assert name == "authorization"
    assert isinstance(value, Secret)
    assert value.reveal() == "Bearer k3y-of-the-past"
    assert "k3y" not in request.url + repr(request) + repr(vars(archive.client))


async def test_another_endpoint_answers_when_the_first_does_not() -> None:
    archive = Archive()

    def answer(request: Any) -> Any:
        return errors.ConnectError("gone") if "first" in request.url else archive.answer(request)

    archive.transport._handler = answer
    async with BenchmarksClient(
        ["http://first.test/", URL], transport=archive.transport, clock=archive.clock, retry=NO_RETRY
    ) as client:
        assert (await client.feed(archive.ids[0])).feed.id == archive.ids[0]
    assert not archive.transport.closed
