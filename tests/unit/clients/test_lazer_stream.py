"""Streams over several routers at once, on the fake clock: silence, cuts, forgeries, refusals, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.clients.lazer import LazerClient
from probekit.clients.lazer_events import (
    LazerConnected,
    LazerEvent,
    LazerLost,
    LazerRejected,
    LazerSubscribed,
    LazerTick,
)
from probekit.clients.lazer_stream import LazerStream, LazerStreamPolicy
from probekit.codecs.lazer import messages
from probekit.codecs.lazer.messages import PriceRequest, ServiceError, SubscriptionRefused, UnknownServiceMessage
from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router
from probekit.dev.lazer.transport import RouterConnector, RouterSocket
from probekit.model.lazer import Channel, Freshness, UpdateFormat
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from tests.contract.clients.wire import with_unknown_members

KEY = "canary-2208-key"
REQUEST = PriceRequest((1, 2, 3), formats=(UpdateFormat.LE_ECDSA,))


class Rig:
    """Routers ``a``, ``b``, ... over one network, and a stream of all of them; everything it gives is in ``seen``."""

    def __init__(
        self,
        *names: str,
        requests: PriceRequest | list[PriceRequest] = REQUEST,
        policy: LazerStreamPolicy | None = None,
        key: str = KEY,
        signed: bool = True,
        unentitled: dict[str, tuple[int, ...]] | None = None,
        jitter: float = 0.0,
    ) -> None:
        self.clock = FakeClock()
        self.network = LazerNetwork()
        left_out = unentitled or {}
        self.routers = {
            name: Router(self.network, keys=(KEY,), unentitled=left_out.get(name, ()), clock=self.clock) for name in names
        }
        self.connector = RouterConnector({f"{name}.test": router for name, router in self.routers.items()})
        self.stream = LazerStream(
            [self.url(name) for name in names],
            requests,
            api_key=Secret(key),
            signers=self.network.signers if signed else None,
            connector=self.connector,
            policy=policy,
            clock=self.clock,
            jitter=lambda: jitter,
        )
        self.seen: list[LazerEvent] = []
        self.task: asyncio.Task[None] | None = None

    @staticmethod
    def url(name: str) -> str:
        return f"ws://{name}.test/v1/stream"

    def __getitem__(self, name: str) -> Router:
        return self.routers[name]

    def stats(self, name: str) -> Any:
        return self.stream.stats[self.url(name)]

    async def __aenter__(self) -> Rig:
        async def collect() -> None:
            events = self.stream.events()
            try:
                async for event in events:
                    self.seen.append(event)
            finally:
                await events.aclose()

        self.task = asyncio.create_task(collect())
        await self.clock.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.clock.settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self.connector.open_sockets == 0

    async def tick(self, seconds: float) -> None:
        await self.clock.advance(timedelta(seconds=seconds))

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]

    @property
    def ticks(self) -> list[LazerTick]:
        return self.of(LazerTick)

    @property
    def socket(self) -> RouterSocket:
        return self.connector.sockets[-1]


def times(ticks: list[LazerTick]) -> list[int]:
    return [tick.payload.timestamp_us for tick in ticks]


async def test_several_endpoints_are_told_as_one() -> None:
    async with Rig("a", "b", "c") as rig:
        await rig.tick(2.05)
        assert len(rig.of(LazerConnected)) == 3
        assert len(rig.of(LazerSubscribed)) == 3
        assert len(rig.ticks) == 10
        beats = times(rig.ticks)
        assert beats == list(range(beats[0], beats[0] + 10 * 200_000, 200_000))
        assert (rig.stream.merge.duplicates, rig.stream.merge.missed, rig.stream.merge.conflicts) == (20, 0, 0)
        for tick in rig.ticks:
            assert tick.proof is not None
            assert tick.proof.signer.key == rig.network.signing.address
            assert sorted(tick.values) == [1, 2, 3]
            assert tick.payload.freshness(at=tick.at)[1].state is Freshness.NEW


@pytest.mark.parametrize("delivery", ["json", "binary"])
@pytest.mark.parametrize("form", list(UpdateFormat))
async def test_every_form_and_delivery(delivery: Any, form: UpdateFormat) -> None:
    request = PriceRequest((1,), formats=(form,), parsed=False, delivery=delivery, encoding="hex", channel=Channel.FIXED_50MS)
    async with Rig("a", requests=request, signed=form.is_signed) as rig:
        await rig.tick(0.21)
        assert len(rig.ticks) == 4
        assert all(tick.payload.channel is Channel.FIXED_50MS and list(tick.values) == [1] for tick in rig.ticks)


async def test_one_endpoint_may_fail_in_any_way_and_nothing_is_missed() -> None:
    async with Rig("a", "b") as rig:
        await rig.tick(1)
        for switches in (
            {"silent": True},
            {"forged": True},
            {"malformed": True},
            {"repeated": True},
            {"late": timedelta(seconds=1)},
        ):
            with rig["a"].faults.during(**switches):
                await rig.tick(3)
        rig.connector.sockets[0].cut()
        await rig.tick(3)
        beats = times(rig.ticks)
        assert beats == list(range(beats[0], beats[0] + 200_000 * len(beats), 200_000))
        assert len(beats) == 19 * 5
        assert rig.stream.merge.missed == 0
        assert rig.stats("a").rejected > 0
        assert rig.stats("b").rejected == 0


async def test_a_silent_router_is_lost_within_its_limit_and_tried_again() -> None:
    async with Rig("a") as rig:
        await rig.tick(1)
        with rig["a"].faults.during(silent=True):
            await rig.tick(4.7)
            assert rig.of(LazerLost) == []
            await rig.tick(0.4)
            (lost,) = rig.of(LazerLost)
            assert "has told nothing for 5" in lost.error.message
            assert rig.stats("a").silences == 1
            assert rig.connector.sockets[0].closed
        await rig.tick(2)
        assert rig.stats("a").connections == 2
        # What was not told meanwhile is known to be missed.
        assert rig.stream.merge.missed > 20


async def test_silence_of_one_subscription_of_several_is_seen() -> None:
    requests = [REQUEST, PriceRequest((4,), formats=(UpdateFormat.EVM,), channel=Channel.FIXED_1000MS)]
    async with Rig("a", requests=requests) as rig:
        await rig.tick(3.05)
        assert {tick.subscription for tick in rig.ticks} == {0, 1}
        await rig.socket._session.take(messages.unsubscribe(2))
        await rig.tick(5.2)
        (lost,) = rig.of(LazerLost)
        assert "subscription 1 has told nothing" in lost.error.message


async def test_silence_may_be_normal() -> None:
    async with Rig("a", policy=LazerStreamPolicy(silence=None)) as rig:
        with rig["a"].faults.during(silent=True):
            await rig.tick(120)
        assert rig.of(LazerLost) == []


async def test_a_cut_is_mended_and_subscribed_anew() -> None:
    async with Rig("a") as rig:
        await rig.tick(1)
        rig.socket.cut()
        await rig.tick(2)
        assert [type(event).__name__ for event in rig.seen if not isinstance(event, LazerTick)] == [
            "LazerConnected", "LazerSubscribed", "LazerLost", "LazerConnected", "LazerSubscribed",
        ]  # fmt: skip
        assert rig.ticks[-1].at.since(rig.clock.now()) > -200_000_000
        assert rig.connector.sockets[0].closed


async def test_frames_that_are_cut_short_are_rejected() -> None:
    request = PriceRequest((1,), formats=(UpdateFormat.EVM,), delivery="binary")
    async with Rig("a", requests=request) as rig:
        with rig["a"].faults.during(malformed=True):
            await rig.tick(1.05)
        assert len(rig.ticks) == rig.stats("a").rejected == 5
        assert {type(event.error) for event in rig.of(LazerRejected)} == {errors.DecodeError}


@pytest.mark.parametrize(("jitter", "tries"), [(0.0, 3), (1.0, 4)])
async def test_waits_are_shortened_at_random(jitter: float, tries: int) -> None:
    rig = Rig("a", jitter=jitter)
    with rig["a"].faults.during(status=503):
        async with rig:
            # After 0.5, 1 and 2 seconds; or half of each.
            await rig.tick(1.9)
            assert len(rig.of(LazerLost)) == tries


@pytest.mark.parametrize(
    ("switches", "kind"),
    [
        ({"status": 503}, errors.ServerError),
        ({"status": 429}, errors.RateLimited),
        ({"status": 403}, errors.NotEntitled),
        ({"hangs": True}, errors.DeadlineExceeded),
    ],
)
async def test_a_router_that_lets_nobody_in(switches: dict[str, Any], kind: type[Exception]) -> None:
    rig = Rig("a")
    with rig["a"].faults.during(**switches):
        async with rig:
            await rig.tick(300)
            kinds = {type(event.error) for event in rig.of(LazerLost)}
            assert kinds == {kind}
            assert 5 < len(rig.of(LazerLost)) < 25, "waits grow, and end"


async def test_a_key_that_is_none_is_tried_slowly_and_never_shown() -> None:
    async with Rig("a", key="canary-bad-key") as rig:
        await rig.tick(100)
        lost = rig.of(LazerLost)
        assert {type(event.error) for event in lost} == {errors.Unauthorized}
        assert len(lost) == 4
        assert "canary" not in repr(rig.seen) + repr(rig.stream.stats)


async def test_feeds_that_cannot_be_had_cost_no_other_its_prices() -> None:
    request = PriceRequest((1, 3, 99), formats=(UpdateFormat.EVM,))
    async with Rig("a", requests=request, unentitled={"a": (3,)}) as rig:
        await rig.tick(1)
        assert sorted(rig.ticks[0].values) == [1]
        assert {feed: type(error) for (_, feed), error in rig.stream.errors.items()} == {
            3: errors.NotEntitled,
            99: errors.NotFound,
        }
        (subscribed,) = rig.of(LazerSubscribed)
        assert set(subscribed.errors) == {3, 99}


async def test_endpoints_that_may_read_different_feeds_complete_each_other() -> None:
    async with Rig("a", "b", unentitled={"a": (3,), "b": (1,)}) as rig:
        await rig.tick(1.05)
        told: dict[int, set[int]] = {}
        for tick in rig.ticks:
            assert not told.get(tick.payload.timestamp_us, set()) & tick.feeds
            told.setdefault(tick.payload.timestamp_us, set()).update(tick.feeds)
        assert set(map(frozenset, told.values())) == {frozenset((1, 2, 3))}
        assert rig.stream.errors == {}, "no feed is left out by both"


async def test_symbols_are_taken_too() -> None:
    request = PriceRequest(("Crypto.BTC/USD", "no such"), formats=(UpdateFormat.EVM,))
    async with Rig("a", requests=request) as rig:
        await rig.tick(1)
        assert list(rig.ticks[0].values) == [1]
        assert list(rig.stream.errors) == [(0, "no such")]


async def test_a_refused_subscription_leaves_the_others_alone() -> None:
    refused = PriceRequest((99,), formats=(UpdateFormat.EVM,))
    async with Rig("a", requests=[REQUEST, refused]) as rig:
        await rig.tick(20)
        (rejected,) = rig.of(LazerRejected)
        assert (rejected.subscription, type(rejected.error)) == (1, errors.StatusError)
        assert "unknown price feeds" in rejected.error.message
        assert rig.of(LazerLost) == []
        assert len(rig.ticks) == 100


async def test_where_nothing_may_be_read_the_connection_ends() -> None:
    async with Rig("a", unentitled={"a": (1, 2, 3)}) as rig:
        await rig.tick(100)
        lost = rig.of(LazerLost)
        assert {type(event.error) for event in lost} == {errors.NotEntitled}
        assert len(lost) == 4


async def test_forgeries_take_nobodys_place() -> None:
    async with Rig("a", "b") as rig:
        with rig["a"].faults.during(forged=True):
            await rig.tick(2.05)
        assert len(rig.ticks) == 10
        assert {tick.endpoint for tick in rig.ticks} == {rig.url("b")}
        rejected = rig.of(LazerRejected)
        assert {type(event.error) for event in rejected} == {errors.BadSignature}
        assert len(rejected) == rig.stats("a").rejected == 10
        # Noise is no sign of life.
        with rig["a"].faults.during(forged=True):
            await rig.tick(5)
        assert rig.stats("a").silences == 1


async def test_without_signers_nothing_is_verified() -> None:
    async with Rig("a", signed=False) as rig:
        with rig["a"].faults.during(forged=True):
            await rig.tick(1.05)
        assert len(rig.ticks) == 5
        assert rig.ticks[0].proof is None


async def test_stale_prices_are_told_as_what_they_are() -> None:
    rig = Rig("a")
    rig["a"].faults.frozen = {2: rig.clock.now()}
    async with rig:
        await rig.tick(30)
        tick = rig.ticks[-1]
        fresh = tick.payload.freshness(at=tick.at)
        assert (fresh[1].state, fresh[2].state) == (Freshness.NEW, Freshness.CARRIED)
        assert tick.values[2].price is not None
        assert fresh[1].within(timedelta(seconds=1))
        assert not fresh[2].within(timedelta(seconds=29))


async def test_what_one_router_tells_otherwise_is_a_conflict() -> None:
    rig = Rig("a", "b")
    rig["b"].faults.frozen = {2: rig.clock.now()}
    async with rig:
        await rig.tick(2.05)
        assert rig.stream.merge.conflicts == 10


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"[]", b"7", b"\xff\xfe", b'{"type":1}', b"\x73\x77\x88\x1b", b'{"type":"streamUpdated"}']
)
async def test_junk_is_counted_and_harms_nothing(junk: bytes) -> None:
    async with Rig("a") as rig:
        rig.socket.put(junk)
        await rig.tick(1.05)
        (rejected,) = rig.of(LazerRejected)
        assert isinstance(rejected.error, errors.DecodeError)
        assert rejected.error.raw == junk
        assert len(rig.ticks) == 5


async def test_members_that_nobody_knows_change_nothing() -> None:
    async with Rig("a") as rig:
        update = rig.network.update(REQUEST, [1, 2, 3], 1_700_000_000_000_000, frozen={}, subscription_id=1)
        newer = with_unknown_members(json.loads(messages.encode(update)))
        rig.socket.put(json.dumps(newer).encode())
        await rig.clock.settle()
        (tick,) = rig.ticks
        assert tick.payload.timestamp_us == 1_700_000_000_000_000
        assert sorted(tick.values) == [1, 2, 3]
        assert (rig.of(LazerRejected), rig.stats("a").unknown) == ([], 0)


async def test_other_words_of_the_service() -> None:
    async with Rig("a") as rig:
        for said in (
            ServiceError("too many messages"),
            UnknownServiceMessage("news", {}),
            SubscriptionRefused(77, "of somebody else"),
            messages.Subscribed(0),
            messages.Unsubscribed(1),
        ):
            rig.socket.put(messages.encode(said).encode())
        rig.socket.put(messages.encode(rig.network.update(REQUEST, [1], 0, frozen={}, subscription_id=9)).encode())
        await rig.tick(1.05)
        (rejected,) = rig.of(LazerRejected)
        assert "too many messages" in rejected.error.message
        assert rig.stats("a").unknown == 5
        assert len(rig.ticks) == 5


async def test_a_slow_consumer_loses_the_oldest_and_it_is_counted() -> None:
    rig = Rig("a", policy=LazerStreamPolicy(queue=4))
    events = rig.stream.events()
    first = asyncio.ensure_future(anext(events))
    await rig.clock.settle()
    assert isinstance(await first, LazerConnected)
    await rig.clock.advance(timedelta(seconds=2.05))
    assert rig.stream.dropped == 7, "a subscription and ten ticks came, four are left"
    newest = [await anext(events) for _ in range(4)]
    assert all(isinstance(event, LazerTick) for event in newest)
    await events.aclose()
    assert rig.connector.open_sockets == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_ticks_alone() -> None:
    rig = Rig("a")

    async def two() -> list[LazerTick]:
        found: list[LazerTick] = []
        async for tick in rig.stream:
            found.append(tick)
            if len(found) == 2:
                break
        return found

    task = asyncio.ensure_future(two())
    await rig.clock.advance(timedelta(seconds=0.5))
    assert len(await task) == 2


async def test_a_client_streams_with_its_own_key_and_signers() -> None:
    rig = Rig("a")
    client = LazerClient(
        "http://a.test",
        api_key=Secret(KEY),
        signers=rig.network.signers,
        transport=ReplyTransport(lambda _: reply(500)),
        clock=rig.clock,
    )
    stream = client.stream(REQUEST, sockets=rig.url("a"), connector=rig.connector)
    events = stream.events()
    task = asyncio.ensure_future(anext(events))
    await rig.clock.settle()
    assert isinstance(await task, LazerConnected)
    await events.aclose()


@pytest.mark.parametrize(
    ("endpoints", "requests", "match"),
    [
        ([], [REQUEST], "needs an endpoint"),
        (["ws://a"], [], "and a request"),
        (["ws://a", "ws://a"], [REQUEST], "named twice"),
        (["ws://a?token=1", "ws://a?token=2"], [REQUEST], "told apart"),
        (["ws://a"], [PriceRequest((1,))], "a signed form"),
    ],
)
def test_streams_that_cannot_be(endpoints: list[str], requests: list[PriceRequest], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        LazerStream(endpoints, requests, signers=LazerNetwork().signers, connector=RouterConnector({}))
