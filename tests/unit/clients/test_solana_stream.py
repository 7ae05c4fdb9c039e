"""Streams of a Solana cluster that lose their sockets and are made whole again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.clients.solana import GENESIS, SolanaClient
from probekit.clients.solana_stream import Gap, Seen, SolanaStreams, Unreadable
from probekit.codecs.solana.addresses import SYSTEM_PROGRAM
from probekit.codecs.solana.rpc import encode_account
from probekit.errors import StreamClosed
from probekit.model.pubkey import base58
from probekit.model.solana import Commitment
from probekit.transports.rpc import Endpoint, PoolPolicy
from probekit.transports.rpc.subscription import Connected, FeedCounters, Lost, SubscriptionPolicy
from tests.unit.clients.cluster import KEYS, Cluster, account
from tests.unit.rpc.sockets import FakeConnector, FakeSocket

KEY = KEYS[0]


def signature(number: int) -> str:
    return base58(bytes([number + 1]) * 64)


class Rig:
    """Streams over two fake nodes and a table of RPC answers."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.clock = self.cluster.clock
        self.connector = FakeConnector(["a", "b"])
        for node in self.connector.nodes.values():
            node.subscriptions_only = True
        client = SolanaClient(
            [Endpoint(f"http://{name}.test", name=name) for name in "ab"],
            genesis_hash=GENESIS["devnet"],
            transport=self.cluster.transport,
            clock=self.clock,
            policy=PoolPolicy(rounds=1, refresh=timedelta(hours=1)),
        )
        self.streams = SolanaStreams(client, connector=self.connector, clock=self.clock)
        self.head = 100
        self.cluster.methods["getSlot"] = lambda _: self.head
        self.client = client
        self.seen: list[Any] = []

    @asynccontextmanager
    async def running(self, items: Any) -> AsyncIterator[None]:
        async def collect() -> None:
            async for item in items:
                self.seen.append(item)

        task = asyncio.create_task(collect())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await items.aclose()
            await self.client.aclose()
            await self.clock.settle()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    def socket(self, name: str) -> FakeSocket:
        return self.connector.nodes[name].socket

    async def lose(self, name: str) -> None:
        self.socket(name).tell(StreamClosed("gone", planned=False))
        await self.clock.advance(timedelta(milliseconds=100))

    def slot(self, name: str, number: int) -> None:
        result = {"slot": number, "parent": number - 1, "root": number - 32}
        self.notify(name, "slotNotification", "0xsub0", result)

    def notify(self, name: str, method: str, subscription: str, result: Any) -> None:
        self.socket(name).tell({"jsonrpc": "2.0", "method": method, "params": {"subscription": subscription, "result": result}})

    def moving(self) -> None:
        """The nodes' slots go on by themselves."""
        self.cluster.contextual = lambda value: {"context": {"slot": self.head}, "value": value}  # type: ignore[method-assign]

    def rechecking(self, every_s: int = 30) -> SolanaStreams:
        """Streams that look again, over nodes whose slots go on."""
        self.moving()
        every = timedelta(seconds=every_s)
        self.streams = SolanaStreams(self.client, connector=self.connector, clock=self.clock, recheck=every)
        return self.streams

    async def live(self, seconds: int) -> None:
        """Time goes by with two slots a second, told by the sockets that are open."""
        for _ in range(2 * seconds):
            self.head += 1
            for name, node in self.connector.nodes.items():
                if node.sockets and not node.socket.closed:
                    self.notify(name, "slotNotification", "0xsub1", {"slot": self.head, "parent": self.head - 1, "root": 0})
            await self.clock.advance(timedelta(milliseconds=500))

    def account(self, name: str, slot: int, data: bytes) -> None:
        value = encode_account(account(KEY, data))
        self.notify(name, "accountNotification", "0xsub0", {"context": {"slot": slot}, "value": value})

    def logs(self, name: str, number: int, slot: int) -> None:
        value = {"signature": signature(number), "err": None, "logs": ["line"]}
        self.notify(name, "logsNotification", "0xsub0", {"context": {"slot": slot}, "value": value})

    def values(self) -> list[Any]:
        return [item for item in self.seen if isinstance(item, Seen | Gap | Unreadable)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_slots_and_the_gap_of_a_reconnect(rig: Rig) -> None:
    async with rig.running(rig.streams.slots()):
        rig.slot("a", 100)
        rig.slot("a", 103)
        await rig.lose("a")
        rig.slot("b", 110)
        rig.slot("b", 111)
        await rig.clock.settle()
    told = [item.value.slot if isinstance(item, Seen) else item for item in rig.values()]
    assert told == [100, 103, Gap(104, 109, "not told while the stream was away"), 110, 111]


async def test_slots_that_stop_are_found(rig: Rig) -> None:
    async with rig.running(rig.streams.slots()):
        rig.slot("a", 100)
        await rig.clock.advance(timedelta(seconds=11))
        rig.slot("b", 130)
        await rig.clock.settle()
    assert rig.streams.counters == FeedCounters(connections=2, silences=1)
    assert [item.endpoint for item in rig.seen if isinstance(item, Seen)] == ["a", "b"]


async def test_a_slot_that_does_not_decode_is_told_and_harms_nothing(rig: Rig) -> None:
    async with rig.running(rig.streams.slots()):
        rig.notify("a", "slotNotification", "0xsub0", {"slot": "x"})
        rig.slot("a", 100)
        await rig.clock.settle()
    bad, good = rig.values()
    assert isinstance(bad, Unreadable)
    assert isinstance(bad.error, errors.DecodeError)
    assert isinstance(good, Seen)


async def test_an_account_is_read_first_and_after_each_reconnect(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    asked: list[Any] = []
    answer = rig.cluster.methods["getAccountInfo"]

    def remembered(params: list[Any]) -> Any:
        asked.append(params)
        return answer(params)

    rig.cluster.methods["getAccountInfo"] = remembered
    async with rig.running(rig.streams.account(KEY)):
        rig.account("a", 105, b"two")
        await rig.clock.settle()
        rig.cluster.contextual = lambda value: {"context": {"slot": 120}, "value": value}  # type: ignore[method-assign]
        rig.cluster.add(account(KEY, b"three"))
        await rig.lose("a")
        rig.account("b", 119, b"late")
        rig.account("b", 121, b"four")
        await rig.clock.settle()
    assert [params[1].get("minContextSlot") for params in asked] == [None, 105]
    told = [(item.value.data, item.value.slot, item.backfilled) for item in rig.values()]
    assert told == [(b"one", 100, True), (b"two", 105, False), (b"three", 120, True), (b"four", 121, False)]


async def test_a_change_is_not_missed_where_the_first_read_came_from_a_node_behind(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    asked: list[Any] = []
    head = 100

    def read(params: list[Any]) -> Any:
        least = params[1].get("minContextSlot")
        asked.append(least)
        if least is not None and least > head:
            return errors.RpcError("Minimum context slot has not been reached", code=-32016)
        return {"context": {"slot": head}, "value": rig.cluster.shown(str(KEY))}

    rig.cluster.methods["getAccountInfo"] = read
    async with rig.running(rig.streams.account(KEY)):
        rig.cluster.add(account(KEY, b"two"))  # While the stream connected: the node that was read had not seen it.
        for slot in range(103, 118):
            head = 100 if slot < 110 else slot
            rig.notify("a", "slotNotification", "0xsub1", {"slot": slot, "parent": slot - 1, "root": 0})
            await rig.clock.settle()
    # Both endpoints are asked and behind; eight slots later the first of them is there. Then nobody is asked any more.
    assert asked == [None, 103, 103, 103]
    told = [(item.value.data, item.value.slot, item.backfilled) for item in rig.values()]
    assert told == [(b"one", 100, True), (b"two", 113, True)]


async def test_an_account_that_rests_is_no_silence_but_slots_that_stop_are(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    async with rig.running(rig.streams.account(KEY)):
        for number in range(5):
            await rig.clock.advance(timedelta(seconds=9))
            rig.notify("a", "slotNotification", "0xsub1", {"slot": number, "parent": number, "root": 0})
        await rig.clock.settle()
        assert len(rig.connector.nodes["b"].sockets) == 0
        await rig.clock.advance(timedelta(seconds=11))
        assert len(rig.connector.nodes["b"].sockets) == 1


async def test_an_account_subscription_that_dies_beside_live_slots_is_found_and_left(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    async with rig.running(rig.rechecking().account(KEY)):
        await rig.live(10)
        rig.cluster.add(account(KEY, b"two"))  # And nobody tells it.
        await rig.live(24)
        assert [item.value.data for item in rig.values()] == [b"one", b"two"], "the look itself tells it"
        assert rig.streams.counters == FeedCounters(connections=1)
        await rig.live(8)
        assert rig.streams.counters == FeedCounters(connections=2, silences=1)
        (lost,) = [item for item in rig.seen if isinstance(item, Lost)]
        assert isinstance(lost.error, errors.DeadlineExceeded)
        assert "a: the subscription account has not told the state of slot" in lost.error.message
        rig.cluster.add(account(KEY, b"three"))
        rig.account("b", rig.head + 1, b"three")
        await rig.live(120)
        assert rig.streams.counters == FeedCounters(connections=2, silences=1)
    told = [(item.value.data, item.endpoint, item.backfilled) for item in rig.values()]
    assert told == [(b"one", "a", True), (b"two", "a", True), (b"two", "b", True), (b"three", "b", False)]


async def test_an_account_that_rests_is_looked_at_and_its_subscription_kept(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    async with rig.running(rig.rechecking().account(KEY)):
        await rig.live(300)
        assert rig.streams.counters == FeedCounters(connections=1)
    looks = len(rig.cluster.asked("getAccountInfo"))
    assert 9 <= looks <= 12, "one each half minute, beside the two of the connection"
    assert [item.value.data for item in rig.values()] == [b"one"]


async def test_an_account_that_is_told_a_little_late_keeps_its_subscription(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"0"))
    async with rig.running(rig.rechecking().account(KEY)):
        for number in range(1, 20):
            rig.cluster.add(account(KEY, str(number).encode()))
            changed = rig.head + 1
            await rig.live(4)
            rig.account("a", changed, str(number).encode())
            await rig.live(11)
        assert rig.streams.counters == FeedCounters(connections=1)
    # Each state once, whether the look or the subscription was first.
    assert [item.value.data for item in rig.values()] == [str(number).encode() for number in range(20)]


async def test_without_a_recheck_no_account_is_looked_at_again(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    rig.moving()
    async with rig.running(rig.streams.account(KEY)):
        await rig.live(300)
    assert len(rig.cluster.asked("getAccountInfo")) == 2
    with pytest.raises(ValueError, match="recheck must be above 0"):
        SolanaStreams(rig.client, connector=rig.connector, recheck=timedelta(0))


async def test_an_account_that_is_gone_is_told_by_a_look_and_after_a_reconnect(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    async with rig.running(rig.rechecking().account(KEY)):
        await rig.live(5)
        del rig.cluster.accounts[str(KEY)]
        await rig.live(31)
        gone = rig.values()[-1].value
        assert (gone.lamports, gone.data, gone.owner) == (0, b"", SYSTEM_PROGRAM)
        await rig.live(8)
        assert rig.streams.counters.silences == 1
        rig.cluster.add(account(KEY, b"two"))
        rig.account("b", rig.head + 1, b"two")
        await rig.live(5)
        del rig.cluster.accounts[str(KEY)]
        await rig.lose("b")
        await rig.clock.advance(timedelta(seconds=2))
    told = [(item.value.data, item.backfilled) for item in rig.values()]
    assert told == [(b"one", True), (b"", True), (b"two", False), (b"", True)]


async def test_a_look_that_fails_is_told_and_kills_no_subscription(rig: Rig) -> None:
    rig.cluster.add(account(KEY, b"one"))
    async with rig.running(rig.rechecking().account(KEY)):
        await rig.live(10)
        rig.cluster.methods["getAccountInfo"] = lambda _: errors.RpcError("no", code=-32000)
        await rig.live(30)
        assert rig.streams.counters == FeedCounters(connections=1)
    assert {type(item) for item in rig.values()[1:]} == {Unreadable}


async def test_a_logs_subscription_that_dies_beside_live_slots_is_found_and_what_it_missed_is_fetched(rig: Rig) -> None:
    landed = [row(0, 90)]

    def signatures(params: list[Any]) -> Any:
        until = params[1].get("until")
        end = next((at for at, one in enumerate(landed) if one["signature"] == until), len(landed))
        return landed[:end][: params[1]["limit"]]

    rig.cluster.methods["getSignaturesForAddress"] = signatures
    async with rig.running(rig.rechecking().logs(KEY)):
        landed.insert(0, row(1, 101))
        rig.logs("a", 1, 101)
        await rig.live(65)
        assert rig.streams.counters == FeedCounters(connections=1)
        landed.insert(0, row(2, rig.head))
        landed.insert(0, row(3, rig.head))
        await rig.live(40)
        assert rig.streams.counters == FeedCounters(connections=2, silences=1)
        rig.logs("b", 4, rig.head)
        landed.insert(0, row(4, rig.head))
        await rig.live(70)
        assert rig.streams.counters == FeedCounters(connections=2, silences=1)
    told = [(item.value.signature, item.backfilled) for item in rig.values()]
    assert told == [(signature(1), False), (signature(2), True), (signature(3), True), (signature(4), False)]
    floors = [params[1].get("minContextSlot") for params in rig.cluster.asked("getSignaturesForAddress")]
    assert any(floor is not None and floor > 100 for floor in floors)


@pytest.mark.parametrize("told_before", [True, False])
async def test_a_logs_subscription_that_dies_is_found_where_the_first_read_failed(rig: Rig, told_before: bool) -> None:
    landed = [row(0, 90)]
    failures = [errors.RpcError("no", code=-32000)]

    def signatures(params: list[Any]) -> Any:
        if failures:
            return failures.pop()
        until = params[1].get("until")
        end = next((at for at, one in enumerate(landed) if one["signature"] == until), len(landed))
        return landed[:end][: params[1]["limit"]]

    rig.cluster.methods["getSignaturesForAddress"] = signatures
    async with rig.running(rig.rechecking().logs(KEY)):
        if told_before:
            landed.insert(0, row(1, 101))
            rig.logs("a", 1, 101)
        await rig.live(35)
        landed.insert(0, row(2, rig.head))
        await rig.live(45)
        assert rig.streams.counters == FeedCounters(connections=2, silences=1)
    first, *told = rig.values()
    assert isinstance(first, Unreadable)
    expected = [(signature(1), False)] * told_before + [(signature(2), True)]
    assert [(item.value.signature, item.backfilled) for item in told] == expected


async def test_a_transaction_that_the_late_first_read_shows_first_is_told_all_the_same(rig: Rig) -> None:
    failures = [errors.RpcError("no", code=-32000)]

    def signatures(_: list[Any]) -> Any:
        return failures.pop() if failures else [row(1, 120)]

    rig.cluster.methods["getSignaturesForAddress"] = signatures
    async with rig.running(rig.rechecking().logs(KEY)):
        await rig.live(35)
        rig.logs("a", 1, 120)
        await rig.live(35)
        assert rig.streams.counters == FeedCounters(connections=1)
    assert [(item.value.signature, item.backfilled) for item in rig.values() if isinstance(item, Seen)] == [
        (signature(1), False)
    ]


async def test_signatures_are_asked_for_at_confirmed_where_the_stream_is_of_processed_slots(rig: Rig) -> None:
    rig.cluster.methods["getSignaturesForAddress"] = lambda _: [row(0, 90)]
    async with rig.running(rig.streams.logs(KEY, commitment=Commitment.PROCESSED)):
        await rig.lose("a")
    asked = rig.cluster.asked("getSignaturesForAddress")
    assert {params[1]["commitment"] for params in asked} == {"confirmed"}
    assert len(asked) == 2


async def test_a_connection_that_is_no_more_is_not_left_again(rig: Rig) -> None:
    """A reader that is behind speaks of the connection that it read of."""
    rig.cluster.add(account(KEY, b"one"))
    async with rig.running(rig.rechecking().account(KEY)):
        await rig.live(2)
        (feed,) = rig.streams._tally._open
        await rig.lose("a")
        feed.abandon(1, "account", "is dead")
        await rig.live(2)
        assert rig.streams.counters == FeedCounters(connections=2)
        feed.abandon(2, "account", "is dead")
        feed.abandon(2, "account", "is dead")
        await rig.clock.advance(timedelta(seconds=1))
        assert rig.streams.counters == FeedCounters(connections=3, silences=1)


async def test_a_backfill_that_fails_is_told(rig: Rig) -> None:
    rig.cluster.methods["getAccountInfo"] = lambda _: errors.RpcError("no", code=-32000)
    async with rig.running(rig.streams.account(KEY)):
        rig.account("a", 105, b"two")
        await rig.clock.settle()
    assert [type(item) for item in rig.values()] == [Unreadable, Seen]


def row(number: int, slot: int) -> dict[str, Any]:
    return {"signature": signature(number), "slot": slot, "err": None, "memo": None, "blockTime": None}


async def test_transactions_come_once_and_those_missed_are_fetched(rig: Rig) -> None:
    asked: list[Any] = []

    def signatures(params: list[Any]) -> Any:
        asked.append(params[1])
        if params[1]["limit"] == 1:
            return [row(0, 90)]
        return [row(4, 104), row(3, 103), row(2, 102)]

    rig.cluster.methods["getSignaturesForAddress"] = signatures
    async with rig.running(rig.streams.logs(KEY)):
        rig.logs("a", 1, 101)
        rig.logs("a", 1, 101)
        await rig.lose("a")
        rig.logs("b", 4, 104)
        rig.logs("b", 5, 105)
        await rig.clock.settle()
    told = [(item.value.signature, item.value.logs, item.backfilled) for item in rig.values()]
    assert told == [
        (signature(1), ("line",), False),
        (signature(2), (), True),
        (signature(3), (), True),
        (signature(4), (), True),
        (signature(5), ("line",), False),
    ]
    assert [options.get("until") for options in asked] == [None, signature(1)]


async def test_what_is_missed_before_the_first_transaction_is_fetched_too(rig: Rig) -> None:
    pages = {1: [row(0, 90)], 1000: [row(2, 102)]}
    rig.cluster.methods["getSignaturesForAddress"] = lambda params: pages[params[1]["limit"]]
    async with rig.running(rig.streams.logs(KEY)):
        await rig.lose("a")
    assert [(item.value.signature, item.backfilled) for item in rig.values()] == [(signature(2), True)]


async def test_what_is_missed_of_an_address_that_had_no_transaction_is_fetched(rig: Rig) -> None:
    pages: dict[int, list[Any]] = {1: [], 1000: [row(3, 103), row(2, 102)]}
    rig.cluster.methods["getSignaturesForAddress"] = lambda params: pages[params[1]["limit"]]
    async with rig.running(rig.streams.logs(KEY)):
        await rig.lose("a")
    assert [(item.value.signature, item.backfilled) for item in rig.values()] == [(signature(2), True), (signature(3), True)]


async def test_a_missed_transaction_that_does_not_read_is_told_beside_its_neighbours(rig: Rig) -> None:
    pages: dict[int, list[Any]] = {1: [row(0, 90)], 1000: [row(3, 103), {"signature": 7}, row(2, 102)]}
    rig.cluster.methods["getSignaturesForAddress"] = lambda params: pages[params[1]["limit"]]
    async with rig.running(rig.streams.logs(KEY)):
        await rig.lose("a")
    bad, *good = rig.values()
    assert (type(bad), type(bad.error)) == (Unreadable, errors.DecodeError)
    assert [item.value.signature for item in good] == [signature(2), signature(3)]


async def test_a_beginning_that_could_not_be_read_is_looked_for_again(rig: Rig) -> None:
    answers: list[Any] = [errors.RpcError("no", code=-32000), [row(0, 90)]]
    rig.cluster.methods["getSignaturesForAddress"] = lambda _: answers.pop(0)
    async with rig.running(rig.streams.logs(KEY)):
        await rig.lose("a")
    assert [type(item) for item in rig.values()] == [Unreadable]
    assert not answers


async def test_transactions_that_cannot_be_fetched_are_told(rig: Rig) -> None:
    rig.cluster.methods["getSignaturesForAddress"] = lambda _: errors.RpcError("no", code=-32000)
    async with rig.running(rig.streams.logs(KEY)):
        rig.logs("a", 1, 101)
        await rig.lose("a")
    assert [type(item) for item in rig.values()] == [Unreadable, Seen, Unreadable]


async def test_more_than_can_be_fetched_is_a_gap(rig: Rig) -> None:
    page = [row(7, 200)] * 1000
    rig.cluster.methods["getSignaturesForAddress"] = lambda _: page
    async with rig.running(rig.streams.logs(KEY)):
        rig.logs("a", 1, 101)
        await rig.lose("a")
        await rig.clock.settle(400)
    gaps = [item for item in rig.values() if isinstance(item, Gap)]
    assert gaps == [Gap(101, 200, "more than 10000 transactions while the stream was away")]


async def read(items: Any, count: int) -> list[Any]:
    """The next values of a stream, told or fetched."""
    found: list[Any] = []
    while len(found) < count:
        item = await anext(items)
        found += [item] if isinstance(item, Seen | Gap | Unreadable) else []
    return found


async def test_what_a_slow_reader_lost_is_fetched_or_told(rig: Rig) -> None:
    rig.streams = SolanaStreams(rig.client, connector=rig.connector, clock=rig.clock, policy=SubscriptionPolicy(queue=2))
    pages = {1: [row(0, 90)], 1000: [row(3, 103), row(2, 102)]}
    rig.cluster.methods["getSignaturesForAddress"] = lambda params: pages[params[1]["limit"]]
    rig.cluster.add(account(KEY, b"now"))

    slots, logs, states = rig.streams.slots(), rig.streams.logs(KEY), rig.streams.account(KEY)
    assert isinstance(await anext(slots), Connected)
    for number in (100, 101, 105, 106, 107):
        rig.slot("a", number)
    await rig.clock.settle()
    first, second = await read(slots, 2)
    assert (first.value.slot, second.value.slot) == (106, 107)
    for number in (108, 109, 110, 111):
        rig.slot("a", number)
    await rig.clock.settle()
    gap, third = await read(slots, 2)
    assert (gap, third.value.slot) == (Gap(108, 109, "dropped: whoever reads the stream is slower than it"), 110)
    await slots.aclose()

    assert isinstance(await anext(logs), Connected)
    first_look = asyncio.ensure_future(read(logs, 1))
    await rig.clock.settle()
    rig.logs("a", 1, 101)
    assert [item.value.signature for item in await first_look] == [signature(1)]
    for number in (2, 3, 4, 5):
        rig.logs("a", number, 100 + number)
    await rig.clock.settle()
    told = await read(logs, 4)
    assert [(item.value.signature, item.backfilled) for item in told] == [
        (signature(2), True),
        (signature(3), True),
        (signature(4), False),
        (signature(5), False),
    ]
    await logs.aclose()

    await read(states, 1)
    rig.cluster.contextual = lambda value: {"context": {"slot": 120}, "value": value}  # type: ignore[method-assign]
    rig.account("a", 119, b"changed")
    for number in range(3):
        rig.notify("a", "slotNotification", "0xsub1", {"slot": number, "parent": number, "root": 0})
    await rig.clock.settle()
    (state,) = await read(states, 1)
    assert (state.value.slot, state.backfilled) == (120, True)
    await states.aclose()
    await rig.client.aclose()


async def test_a_socket_of_another_chain_is_never_opened(rig: Rig) -> None:
    rig.cluster.methods["getGenesisHash"] = lambda _: GENESIS["testnet"]
    async with rig.running(rig.streams.slots()):
        await rig.clock.advance(timedelta(seconds=60))
    assert all(not node.sockets for node in rig.connector.nodes.values())
    assert {type(item.error) for item in rig.seen} == {errors.WrongChain}
