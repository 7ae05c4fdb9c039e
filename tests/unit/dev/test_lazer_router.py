"""The sandbox of routers: what it answers, and that it ends cleanly on a socket."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from probekit.codecs.lazer import messages, updates
from probekit.codecs.lazer.messages import (
    IgnoredFeeds,
    PriceRequest,
    ServiceError,
    ServiceMessage,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
)
from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router, Session
from probekit.dev.lazer.server import serve
from probekit.errors import ConfigError
from probekit.model.lazer import Channel, FeedProperty, LazerPayload, LazerUpdate, TradingSession, UpdateFormat
from probekit.testing import FakeClock
from probekit.trust.lazer import verify_update
from probekit.units import Instant

NETWORK = LazerNetwork(feeds=24)
ALL = tuple(UpdateFormat)
REQUEST = PriceRequest((1, 2), formats=ALL, channel=Channel.FIXED_50MS)


class Bench:
    """A session without a socket."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.router = Router(NETWORK, clock=self.clock, **options)
        self.said: list[str | bytes] = []
        self.session = Session(self.router, self._keep)

    async def _keep(self, message: str | bytes) -> None:
        self.said.append(message)

    @property
    def told(self) -> list[ServiceMessage]:
        return [messages.decode(one.encode() if isinstance(one, str) else one) for one in self.said]

    async def ask(self, method: str, target: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        raw = b"" if body is None else json.dumps(body).encode()
        status, answer = await self.router.answer(method, target, {"authorization": f"Bearer {key}"}, raw)
        return status, json.loads(answer)


async def test_a_subscription_is_told_on_its_beat_and_ends() -> None:
    bench = Bench()
    await bench.session.take(messages.subscribe(5, REQUEST))
    await bench.clock.advance(timedelta(milliseconds=210))
    first, *ticks = bench.told
    assert first == Subscribed(5)
    assert len(ticks) == 4
    for tick in ticks:
        assert isinstance(tick, LazerUpdate)
        proof = verify_update(tick, NETWORK.signers, at=bench.clock.now())
        assert proof.payload.timestamp_us % 50_000 == 0
        assert proof.payload.channel is Channel.FIXED_50MS
    await bench.session.take(messages.unsubscribe(5))
    await bench.session.take(messages.unsubscribe(5))
    await bench.clock.advance(timedelta(seconds=1))
    assert bench.told[5:] == [Unsubscribed(5), SubscriptionRefused(5, "no such subscription")]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_a_session_refuses() -> None:
    bench = Bench(unentitled={3})
    await bench.session.take(messages.subscribe(1, PriceRequest((1, 3, 99))))
    await bench.session.take(messages.subscribe(1, REQUEST))
    await bench.session.take(messages.subscribe(2, PriceRequest((3,))))
    await bench.session.take(messages.subscribe(3, PriceRequest((1, 99), ignore_invalid=False)))
    await bench.session.take(messages.subscribe(4, PriceRequest(("Crypto.BTC/USD", "x"))))
    await bench.session.take("{")
    await bench.session.aclose()
    assert bench.told[:5] == [
        Subscribed(1, (1,), IgnoredFeeds(unknown_ids=(99,), not_entitled=(3,))),
        SubscriptionRefused(1, "duplicate subscription id"),
        SubscriptionRefused(2, "not entitled to requested feeds"),
        SubscriptionRefused(3, "unknown price feeds"),
        Subscribed(4, (1,), IgnoredFeeds(unknown_symbols=("x",))),
    ]
    assert isinstance(bench.told[5], ServiceError)


async def test_a_router_that_was_suspended_goes_on_from_now() -> None:
    bench = Bench()
    await bench.session.take(messages.subscribe(1, REQUEST))
    with bench.router.faults.during(late=timedelta(seconds=60)):
        await bench.clock.advance(timedelta(seconds=30))
    await bench.clock.advance(timedelta(seconds=40))
    last = bench.told[-1]
    assert isinstance(last, LazerUpdate)
    assert isinstance(last.parsed, LazerPayload)
    assert bench.clock.now().since(last.parsed.timestamp) < 60_000_000
    await bench.session.aclose()


async def test_a_channel_without_a_beat_is_off_it() -> None:
    bench = Bench()
    await bench.session.take(messages.subscribe(1, PriceRequest((1,), channel=Channel.REAL_TIME)))
    await bench.clock.advance(timedelta(milliseconds=210))
    _, *ticks = bench.told
    assert len(ticks) == 2
    assert all(isinstance(one, LazerUpdate) and isinstance(one.parsed, LazerPayload) for one in ticks)
    assert [one.parsed.timestamp_us % 50_000 for one in ticks if isinstance(one, LazerUpdate)] == [137, 137]  # type: ignore[union-attr]
    await bench.session.aclose()


def test_a_closed_market_sends_its_last_price_again() -> None:
    equity = next(number for number, market in NETWORK.markets.items() if market.feed.asset_class == "equity")
    sunday = Instant.parse("2026-09-13T12:00:00Z").ns // 1000
    closed = NETWORK.values(equity, sunday, FeedProperty)
    assert closed.market_session is TradingSession.CLOSED
    assert closed.price_mantissa is not None
    # Friday's close in New York.
    assert closed.feed_update_timestamp_us == Instant.parse("2026-09-11T20:00:00Z").ns // 1000
    monday = NETWORK.values(equity, Instant.parse("2026-09-14T15:00:00Z").ns // 1000, FeedProperty)
    assert monday.market_session is TradingSession.REGULAR


async def test_requests() -> None:
    bench = Bench(keys=("k",), unentitled={3})
    body = messages.request_body(REQUEST)
    assert await bench.ask("GET", "/live") == (200, "OK")
    assert (await bench.ask("POST", "/v1/latest_price", body))[0] == 401
    status, answer = await bench.ask("POST", "/v1/latest_price", body, "k")
    assert status == 200
    assert verify_update(updates.read_update(answer), NETWORK.signers, at=bench.clock.now()).payload.by_id.keys() == {1, 2}
    for changed, status in (
        ({"priceFeedIds": [1, 3]}, 403),
        ({"priceFeedIds": [99]}, 404),
        ({"priceFeedIds": []}, 400),
        ({"channel": "hourly"}, 400),
    ):
        assert (await bench.ask("POST", "/v1/latest_price", body | changed, "k"))[0] == status
    assert (await bench.ask("POST", "/v1/price", body, "k"))[0] == 400
    assert (await bench.ask("POST", "/v1/price", body | {"timestamp": 0}, "k"))[1]["parsed"]["timestampUs"] == "0"
    reduce = {"payload": answer, "priceFeedIds": [2]}
    status, reduced = await bench.ask("POST", "/v1/reduce_price", reduce, "k")
    assert (status, [one["priceFeedId"] for one in reduced["parsed"]["priceFeeds"]]) == (200, [2])
    broken = {"payload": {"evm": {"data": "AAAA"}}, "priceFeedIds": [2]}
    assert (await bench.ask("POST", "/v1/reduce_price", broken, "k"))[0] == 400
    assert (await bench.ask("GET", "/v1/real_time/history?symbol=Crypto.BTC/USD&from=0&to=0&resolution=1", None, "k"))[1] == {
        "s": "no_data"
    }
    assert (await bench.ask("GET", "/v1/real_time/history?from=0", None, "k"))[0] == 400
    assert (await bench.ask("PUT", "/v1/latest_price", None, "k"))[0] == 404
    with bench.router.faults.during(status=503):
        assert (await bench.ask("GET", "/live"))[0] == 503
    with pytest.raises(AttributeError), bench.router.faults.during(no_such_fault=True):
        pass


async def test_on_a_socket() -> None:
    router = Router(NETWORK, keys=("k",))
    async with serve(router) as served:
        async with httpx.AsyncClient(base_url=served.http) as client:
            answer = await client.post(
                "/v1/latest_price", json=messages.request_body(REQUEST), headers={"authorization": "Bearer k"}
            )
            assert updates.decode_update(answer.content).parsed is not None
            with router.faults.during(status=429):
                assert (await client.get("/live")).headers["retry-after"] == "1"
            with router.faults.during(hangs=True), pytest.raises(httpx.ReadTimeout):
                await client.get("/live", timeout=0.05)
        with pytest.raises(InvalidStatus) as caught:
            await connect(served.ws, proxy=None)
        assert caught.value.response.status_code == 401
        async with connect(served.ws, additional_headers={"authorization": "Bearer k"}, proxy=None) as socket:
            await socket.send(messages.subscribe(1, REQUEST))
            assert messages.decode(await socket.recv(decode=False)) == Subscribed(1)
            assert isinstance(messages.decode(await socket.recv(decode=False)), LazerUpdate)
            assert served.connections == 1
            assert served.drop_connections() >= 1
            with pytest.raises(ConnectionClosed):
                while True:
                    await socket.recv()
        with pytest.raises(ConfigError, match="cannot listen"):
            async with serve(router, port=served.port):
                pass
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_without_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="needs uvicorn and websockets: pip install"):
        async with serve(Router(NETWORK)):
            pass
