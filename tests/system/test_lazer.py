"""Pyth Pro over real sockets: the client, its streams and the sandbox's routers, with a fault at one of them at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.clients.lazer import LazerClient
from probekit.clients.lazer_events import LazerEvent, LazerLost, LazerRejected, LazerSubscribed, LazerTick
from probekit.clients.lazer_stream import LazerStream, LazerStreamPolicy
from probekit.codecs.lazer.messages import PriceRequest
from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router
from probekit.dev.lazer.server import ServedRouter, serve
from probekit.model.lazer import Channel, Freshness, UpdateFormat
from probekit.secret import Secret
from probekit.units import Instant

pytestmark = pytest.mark.system

KEY = "a-key-of-the-sandbox"
PATIENCE_S = 20.0
POLICY = LazerStreamPolicy(
    silence=timedelta(seconds=1), first_wait=timedelta(milliseconds=50), max_wait=timedelta(milliseconds=400)
)


class Lab:
    """Three routers on sockets, and a verified stream of all of them."""

    def __init__(self, network: LazerNetwork, routers: list[Router], served: list[ServedRouter], stream: LazerStream) -> None:
        self.network, self.routers, self.served, self.stream = network, routers, served, stream
        self.seen: list[LazerEvent] = []

    async def until(self, condition: Callable[[], Any]) -> Any:
        """The condition's value once it is true; fails when it does not come true in time."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < deadline, (self.stream.stats, self.seen[-5:])
            await asyncio.sleep(0.02)
        return found

    def of(self, kind: type[Any], index: int | None = None) -> list[Any]:
        wanted = None if index is None else self.served[index].ws
        return [event for event in self.seen if isinstance(event, kind) and wanted in (None, event.endpoint)]

    def stats(self, index: int) -> Any:
        return self.stream.stats[self.served[index].ws]

    def ticks_after(self, count: int) -> Callable[[], bool]:
        goal = len(self.of(LazerTick)) + count
        return lambda: len(self.of(LazerTick)) >= goal


@asynccontextmanager
async def lab(
    request: PriceRequest | None = None, *, unentitled: tuple[tuple[int, ...], ...] = ((), (), ()), key: str = KEY
) -> AsyncIterator[Lab]:
    network = LazerNetwork()
    routers = [Router(network, keys=(KEY,), unentitled=left_out) for left_out in unentitled]
    asked = request or PriceRequest((1, 2, 3), formats=(UpdateFormat.LE_ECDSA,), channel=Channel.FIXED_50MS)
    async with serve(routers[0]) as one, serve(routers[1]) as two, serve(routers[2]) as three:
        served = [one, two, three]
        stream = LazerStream([each.ws for each in served], asked, api_key=Secret(key), signers=network.signers, policy=POLICY)
        made = Lab(network, routers, served, stream)

        async def collect() -> None:
            events = stream.events()
            try:
                async for event in events:
                    made.seen.append(event)
            finally:
                await events.aclose()

        task = asyncio.create_task(collect())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            deadline = time.monotonic() + PATIENCE_S
            while any(each.connections for each in served):
                assert time.monotonic() < deadline, "a connection was left open"
                await asyncio.sleep(0.01)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


@pytest.mark.parametrize("delivery", ["json", "binary"])
@pytest.mark.parametrize("form", [form for form in UpdateFormat if form.is_signed])
async def test_each_signed_form_in_each_delivery(delivery: Any, form: UpdateFormat) -> None:
    request = PriceRequest((1, 2), formats=(form,), channel=Channel.FIXED_50MS, delivery=delivery)
    async with lab(request) as made:
        await made.until(made.ticks_after(20))
        times = [tick.payload.timestamp_us for tick in made.of(LazerTick)]
        assert len(set(times)) == len(times)
        assert made.stream.merge.conflicts == 0
        assert {tick.proof.format for tick in made.of(LazerTick)} == {form}
        assert made.stream.merge.duplicates > 10
        tick = made.of(LazerTick)[-1]
        assert tick.payload.freshness(at=tick.at)[1].state is Freshness.NEW


async def test_a_silent_router_is_replaced_by_the_others() -> None:
    async with lab() as made:
        await made.until(made.ticks_after(5))
        with made.routers[0].faults.during(silent=True):
            lost = (await made.until(lambda: made.of(LazerLost, 0)))[0]
            assert isinstance(lost.error, errors.DeadlineExceeded)
            await made.until(made.ticks_after(10))
        connections = made.stats(0).connections
        await made.until(lambda: made.stats(0).connections > connections or made.stats(0).updates > 50)
        assert made.stats(0).silences >= 1
        assert made.stats(1).silences == made.stats(2).silences == 0


async def test_forged_and_malformed_messages_are_told_and_replaced() -> None:
    async with lab() as made:
        await made.until(made.ticks_after(5))
        with made.routers[0].faults.during(forged=True), made.routers[1].faults.during(malformed=True):
            await made.until(lambda: made.stats(0).rejected > 5 and made.stats(1).rejected > 5)
            await made.until(made.ticks_after(10))
        kinds = [{type(event.error) for event in made.of(LazerRejected, index)} for index in range(3)]
        assert kinds == [{errors.BadSignature}, {errors.DecodeError}, set()]


async def test_cuts_duplicates_and_a_late_router() -> None:
    async with lab() as made:
        await made.until(made.ticks_after(5))
        made.served[0].drop_connections()
        lost = (await made.until(lambda: made.of(LazerLost, 0)))[0]
        assert isinstance(lost.error, errors.StreamClosed)
        await made.until(lambda: made.stats(0).connections == 2)
        with made.routers[1].faults.during(repeated=True), made.routers[2].faults.during(late=timedelta(milliseconds=200)):
            await made.until(lambda: made.stats(1).repeated > 5 and made.stats(2).late_ns_max > 150_000_000)
        times = [tick.payload.timestamp_us for tick in made.of(LazerTick)]
        assert len(set(times)) == len(times)


async def test_stale_prices_and_one_feed_that_is_not_entitled() -> None:
    async with lab(unentitled=((3,), (3,), (3,))) as made:
        await made.until(lambda: len(made.of(LazerSubscribed)) == 3)
        frozen = Instant.now().plus(timedelta(seconds=-30))
        for router in made.routers:
            router.faults.frozen = {2: frozen}
        tick = await made.until(
            lambda: next(
                (one for one in made.of(LazerTick) if one.payload.freshness(at=one.at)[2].state is Freshness.CARRIED), None
            )
        )
        fresh = tick.payload.freshness(at=tick.at)
        assert fresh[1].within(timedelta(seconds=5))
        assert fresh[2].has_price
        assert not fresh[2].within(timedelta(seconds=29))
        assert {feed: type(error) for (_, feed), error in made.stream.errors.items()} == {3: errors.NotEntitled}


async def test_a_key_that_is_none() -> None:
    async with lab(key="another-key-altogether") as made:
        await made.until(lambda: len(made.of(LazerLost)) >= 3)
        assert {type(event.error) for event in made.of(LazerLost)} == {errors.Unauthorized}
        assert "another-key" not in repr(made.seen)


async def test_requests_over_the_real_transport() -> None:
    network = LazerNetwork()
    routers = [Router(network, keys=(KEY,), unentitled=(3,)) for _ in range(2)]
    async with serve(routers[0]) as one, serve(routers[1]) as two:
        endpoints = (one.http, two.http)
        async with LazerClient(endpoints, history=endpoints, api_key=Secret(KEY), signers=network.signers) as client:
            batch = await client.latest(["Crypto.BTC/USD", 2, 3, 99], formats=list(UpdateFormat))
            assert list(batch.values_by_id) == [1, 2]
            assert {type(error) for error in batch.errors.values()} == {errors.NotEntitled, errors.NotFound}
            assert batch.freshness(1).within(timedelta(seconds=5))
            then = Instant.now().plus(timedelta(hours=-1))
            assert (await client.at(then, [1])).timestamp(1).since(then) <= 0
            reduced = await client.reduced(batch.updates[0], [1])
            assert reduced.binary.keys() == set(UpdateFormat)
            token = await client.access_token(timedelta(minutes=1))
            with routers[0].faults.during(status=503):
                assert (await client.latest([1]))[1].price is not None, "the other router answers"
        async with LazerClient(one.http, history=one.http, api_key=token.token) as shortlived:
            assert len(await shortlived.symbols()) == 8
            assert (await shortlived.latest([1]))[1].price is not None
        async with LazerClient(one.http, history=one.http, api_key=Secret("no key")) as refused:
            with pytest.raises(errors.Unauthorized):
                await refused.latest([1])
