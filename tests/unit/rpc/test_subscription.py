"""Subscriptions over sockets that fall silent, lie about their chain, break and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from probekit import errors
from probekit.errors import StreamClosed
from probekit.testing import FakeClock
from probekit.transports.rpc import EVM, Call, Endpoint
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.subscription import (
    Connected,
    FeedCounters,
    Lost,
    Notice,
    Subscription,
    SubscriptionFeed,
    SubscriptionItem,
    SubscriptionPolicy,
)
from tests.unit.rpc.sockets import FakeConnector, FakeNode

HEADS = Subscription("heads", Call("eth_subscribe", ["newHeads"]), timedelta(seconds=30))


class Rig:
    """A feed over fake nodes; everything it gives is in ``seen``."""

    def __init__(self, *names: str, subscriptions: Sequence[Subscription] = (HEADS,), queue: int = 1024) -> None:
        self.unfit: dict[str, str] = {}
        self.clock = FakeClock()
        self.connector = FakeConnector(names)
        self.feed = SubscriptionFeed(
            [Endpoint(f"http://{name}.test", name=name) for name in names],
            subscriptions,
            family=EVM,
            identity="1",
            connector=self.connector,
            clock=self.clock,
            policy=SubscriptionPolicy(queue=queue),
            unfit=lambda endpoint: self.unfit.get(endpoint.name, ""),
            jitter=lambda: 0.0,
        )
        self.seen: list[SubscriptionItem] = []
        self.task: asyncio.Task[None] | None = None

    def __getitem__(self, name: str) -> FakeNode:
        return self.connector.nodes[name]

    async def __aenter__(self) -> Rig:
        async def collect() -> None:
            items = self.feed.items()
            try:
                async for item in items:
                    self.seen.append(item)
            finally:
                await items.aclose()

        self.task = asyncio.create_task(collect())
        await self.clock.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.clock.settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(socket.closed for node in self.connector.nodes.values() for socket in node.sockets)

    async def tick(self, seconds: float = 0) -> None:
        await self.clock.advance(timedelta(seconds=seconds))

    def kinds(self) -> list[str]:
        return [
            f"{type(item).__name__.lower()} {item.endpoint}"
            + (f" {result_of(item.result)}" if isinstance(item, Notice) else "")
            for item in self.seen
        ]


async def test_the_chain_is_proven_and_notices_come() -> None:
    async with Rig("a") as rig:
        assert [request["method"] for request in rig["a"].socket.sent] == ["eth_chainId", "eth_subscribe"]
        rig["a"].socket.head(7)
        await rig.tick()
        assert rig.kinds() == ["connected a", "notice a 7"]
        first, notice = rig.seen
        assert isinstance(first, Connected)
        assert first.since is None
        assert isinstance(notice, Notice)
        assert notice.name == "heads"


async def test_a_silent_subscription_is_dead_within_its_limit() -> None:
    async with Rig("a", "b") as rig:
        rig["a"].socket.head(7)
        await rig.tick(29)
        assert rig.feed.silences == 0
        await rig.tick(1.1)
        assert rig.feed.silences == 1
        assert rig.kinds() == ["connected a", "notice a 7", "lost a", "connected b"]
        lost, again = rig.seen[2:]
        assert isinstance(lost, Lost)
        assert "told nothing for 30" in lost.error.message
        assert isinstance(again, Connected)
        assert again.since is not None
        assert rig["a"].socket.closed


async def test_answers_to_pings_do_not_hide_silence_but_notices_do_count() -> None:
    async with Rig("a") as rig:
        for number in range(10):
            await rig.tick(20)
            rig["a"].socket.head(number)
        assert rig.feed.silences == 0


async def test_silence_may_be_normal() -> None:
    async with Rig("a", subscriptions=[Subscription("account", Call("eth_subscribe", ["logs"]), None)]) as rig:
        await rig.tick(3600)
        assert rig.kinds() == ["connected a"]


async def test_a_socket_that_breaks_is_replaced_at_once_by_the_next() -> None:
    async with Rig("a", "b") as rig:
        rig["a"].socket.head(7)
        rig["a"].socket.tell(StreamClosed("gone", planned=False))
        await rig.tick(0.1)
        rig["b"].socket.head(9)
        await rig.tick()
        assert rig.kinds() == ["connected a", "notice a 7", "lost a", "connected b", "notice b 9"]


async def test_only_a_connection_that_stands_is_abandoned_and_counted_once() -> None:
    async with Rig("a", "b") as rig:
        rig.feed.abandon(1, "heads", "is dead")
        rig.feed.abandon(1, "heads", "is dead")
        await rig.tick(0.1)
        assert rig.kinds() == ["connected a", "lost a", "connected b"]
        assert "the subscription heads is dead" in str(rig.seen[1].error)  # type: ignore[union-attr]
        assert rig.feed.counters == FeedCounters(connections=2, silences=1)
        rig.feed.abandon(1, "heads", "was of the connection before")
        # One that broke by itself is gone already, while the next is not there yet: no subscription died on it.
        rig["a"].down = True
        rig["b"].socket.tell(StreamClosed("broken", planned=False))
        await rig.tick()
        rig.feed.abandon(2, "heads", "is dead")
        await rig.tick(5)
        assert rig.kinds()[3:] == ["lost b", "lost a", "connected b"]
        assert rig.feed.counters == FeedCounters(connections=3, silences=1)


async def test_another_chain_is_never_used() -> None:
    async with Rig("a", "b") as rig:
        assert rig.kinds() == ["connected a"]
    rig = Rig("a", "b")
    rig["a"].chain_id = 5
    async with rig:
        await rig.tick(300)
        assert [type(item.error).__name__ for item in rig.seen if isinstance(item, Lost)][:1] == ["WrongChain"]
        assert len(rig["a"].sockets) == 1


async def test_the_only_endpoint_on_another_chain_is_looked_at_slowly() -> None:
    rig = Rig("a")
    rig["a"].chain_id = 5
    async with rig:
        await rig.tick(600)
        assert 10 < len(rig["a"].sockets) < 40
        rig["a"].chain_id = 1
        await rig.tick(31)
        assert rig.kinds()[-1] == "connected a"


async def test_no_endpoint_is_asked_faster_than_the_waits_allow() -> None:
    rig = Rig("a", "b")
    rig["a"].down = rig["b"].down = True
    async with rig:
        await rig.tick(120)
        assert len(rig.seen) < 40


async def test_an_endpoint_that_names_a_time_is_left_alone_until_then() -> None:
    limited = errors.RateLimited("answered 429", status=429, retry_after_ns=90 * 10**9)
    rig = Rig("a")
    rig["a"].refusal = limited
    async with rig:
        await rig.tick(89)
        assert [type(item) for item in rig.seen] == [Lost]
        rig["a"].refusal = None
        await rig.tick(2)
        assert rig.kinds() == ["lost a", "connected a"]
    rig = Rig("a", "b")
    rig["a"].refusal = limited
    async with rig:
        await rig.tick(1)
        assert rig.kinds() == ["lost a", "connected b"]
        rig["b"].socket.tell(StreamClosed("gone", planned=False))
        await rig.tick(1)
        assert rig.kinds() == ["lost a", "connected b", "lost b", "connected b"]
        rig["a"].refusal, rig["b"].down = None, True
        rig["b"].socket.tell(StreamClosed("gone", planned=False))
        await rig.tick(95)
        assert rig.kinds()[-1] == "connected a"


async def test_a_time_without_reason_is_not_waited_for() -> None:
    rig = Rig("a")
    rig["a"].refusal = errors.RateLimited("answered 429", status=429, retry_after_ns=10**15)
    async with rig:
        await rig.tick(601)
        assert [type(item) for item in rig.seen] == [Lost, Lost]


@pytest.mark.parametrize("fault", ["refuses", "mute"])
async def test_a_node_without_subscriptions_is_passed_over(fault: str) -> None:
    rig = Rig("a", "b")
    setattr(rig["a"], fault, True)
    async with rig:
        await rig.tick(11)
        assert rig.kinds()[-1] == "connected b"
        lost = rig.seen[0]
        assert isinstance(lost, Lost)
        assert isinstance(lost.error, errors.NotServed if fault == "refuses" else errors.DeadlineExceeded)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"method":"eth_subscription"}',
        b'{"method":"eth_subscription","params":{"subscription":[]}}',
        b"\xff\xfe",
    ],
)
async def test_junk_is_counted_and_harms_nothing(junk: bytes) -> None:
    async with Rig("a") as rig:
        rig["a"].socket.tell(junk)
        rig["a"].socket.head(7)
        await rig.tick()
        assert rig.kinds() == ["connected a", "notice a 7"]
        assert rig.feed.malformed == 1


async def test_one_that_lags_is_not_listened_to_while_another_is_fit() -> None:
    rig = Rig("a", "b")
    rig.unfit["a"] = "it is 20 behind"
    async with rig:
        assert rig.kinds() == ["connected b"]
        rig.unfit = {"b": "it is 20 behind"}
        await rig.tick(5.1)
        assert rig.kinds() == ["connected b", "lost b", "connected a"]
        lost = rig.seen[1]
        assert isinstance(lost, Lost)
        assert lost.error.message == "b is left for another: it is 20 behind"
        rig.unfit["a"] = "it is 30 behind"
        await rig.tick(20)
        assert rig.kinds()[-1] == "connected a"


async def test_one_that_lags_is_better_than_one_that_is_down() -> None:
    rig = Rig("a", "b")
    rig.unfit["a"] = "it is 20 behind"
    rig["b"].down = True
    async with rig:
        await rig.tick(3)
        assert "connected a" in rig.kinds()


async def test_answers_in_any_order_and_notices_between_them_are_each_what_they_are() -> None:
    """A node may tell of one subscription before it has answered for the next: nothing is lost or taken for another."""
    logs = Subscription("logs", Call("eth_subscribe", ["logs"]), None)
    async with Rig("a", subscriptions=(HEADS, logs)) as rig:
        rig["a"].mute = True
        rig["a"].socket.tell(StreamClosed("again", planned=False))
        await rig.tick(1)
        socket = rig["a"].socket
        for message in (
            {"jsonrpc": "2.0", "id": 2, "result": "0xlogs"},
            {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0xlogs", "result": 1}},
            {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0xheads", "result": 2}},
            {"jsonrpc": "2.0", "id": 77, "result": "of nobody's"},
            {"jsonrpc": "2.0", "id": 1, "result": "0xheads"},
            {"jsonrpc": "2.0", "id": 0, "result": "0x1"},
        ):
            socket.tell(message)
        await rig.tick()
        told = [(item.name, result_of(item.result)) for item in rig.seen if isinstance(item, Notice)]
        assert told == [("logs", 1), ("heads", 2)]
        assert rig.kinds()[-3:] == ["connected a", "notice a 1", "notice a 2"]


async def test_notices_of_other_subscriptions_are_not_ours() -> None:
    async with Rig("a") as rig:
        rig["a"].socket.head(1, "0xother")
        rig["a"].socket.head(7)
        await rig.tick()
        assert rig.kinds() == ["connected a", "notice a 7"]


async def test_a_slow_consumer_loses_the_oldest_and_it_is_counted() -> None:
    rig = Rig("a", queue=4)
    items = rig.feed.items()
    first = asyncio.ensure_future(anext(items))
    await rig.clock.settle()
    assert isinstance(await first, Connected)
    for number in range(10):
        rig["a"].socket.head(number)
    await rig.clock.settle()
    notice = await anext(items)
    assert isinstance(notice, Notice)
    assert result_of(notice.result) == 6
    assert rig.feed.dropped == 6
    await items.aclose()


def test_a_feed_needs_what_it_feeds_on() -> None:
    with pytest.raises(ValueError, match="needs an endpoint"):
        Rig()
    with pytest.raises(ValueError, match="name of its own"):
        Rig("a", subscriptions=[HEADS, HEADS])
