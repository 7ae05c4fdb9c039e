"""New blocks of an EVM chain: gaps fetched, reorganisations told, dead subscriptions replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.clients.evm import EvmClient
from probekit.clients.evm_stream import EvmStreams, Head, MissedBlocks, UnreadableHead
from probekit.errors import StreamClosed
from probekit.transports.rpc import Endpoint, PoolPolicy
from probekit.transports.rpc.subscription import FeedCounters
from tests.unit.clients.test_evm import Chain
from tests.unit.codecs.test_evm_rpc import BLOCK
from tests.unit.rpc.sockets import FakeConnector, FakeSocket


def block_hash(number: int, fork: int = 0) -> str:
    return f"0x{fork:02x}{number:062x}"


def header(number: int, fork: int = 0, parent_fork: int | None = None) -> dict[str, Any]:
    parent = block_hash(number - 1, fork if parent_fork is None else parent_fork)
    return {**BLOCK, "number": hex(number), "hash": block_hash(number, fork), "parentHash": parent}


class Rig:
    def __init__(self) -> None:
        self.chain = Chain()
        self.clock = self.chain.clock
        self.connector = FakeConnector(["a", "b"])
        for node in self.connector.nodes.values():
            node.chain_id = 5
        self.newest = 0
        """What its nodes say is the newest block; 0 is behind everything that is told."""
        self.chain.methods["eth_getBlockByNumber"] = self.block
        client = EvmClient(
            [Endpoint(f"http://{name}.test", name=name) for name in "ab"],
            chain_id=5,
            transport=self.chain.transport,
            clock=self.clock,
            policy=PoolPolicy(rounds=1, refresh=timedelta(hours=1)),
        )
        self.client = client
        self.streams = EvmStreams(client, connector=self.connector, clock=self.clock)
        self.seen: list[Any] = []

    def block(self, params: list[Any], fork: int = 0) -> dict[str, Any]:
        return header(self.newest if params[0] == "latest" else int(params[0], 16), fork)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        items = self.streams.heads()

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

    async def tell(self, name: str, *headers: Any) -> None:
        for one in headers:
            params = {"subscription": "0xsub1", "result": one}
            self.socket(name).tell({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
        await self.clock.settle(400)

    async def lose(self, name: str) -> None:
        self.socket(name).tell(StreamClosed("gone", planned=False))
        await self.clock.advance(timedelta(milliseconds=100))

    def heads(self) -> list[tuple[int, bool, bool]]:
        return [(item.block.number, item.backfilled, item.reorganised) for item in self.seen if isinstance(item, Head)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_blocks_as_they_come(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", header(10), header(11), header(12))
    assert rig.heads() == [(10, False, False), (11, False, False), (12, False, False)]


async def test_what_a_reconnect_missed_is_fetched_and_nothing_told_twice(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", header(10))
        await rig.lose("a")
        await rig.tell("b", header(10), header(14))
    assert rig.heads() == [(10, False, False), (11, True, False), (12, True, False), (13, True, False), (14, False, False)]


async def test_what_came_while_no_socket_was_open_is_told_without_waiting_for_the_next_block(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", header(10))
        rig.newest = 12
        await rig.lose("a")
        await rig.clock.settle(400)
        assert rig.heads() == [(10, False, False), (11, True, False), (12, True, False)]
        # Notices of what was fetched meanwhile, and of an endpoint that is behind, are no reorganisation.
        await rig.tell("b", header(11), header(12), header(10), header(13))
        assert rig.heads()[3:] == [(13, False, False)]


async def test_another_newest_block_than_the_one_told_is_a_reorganisation(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", header(10), header(11))
        rig.newest = 11
        rig.chain.methods["eth_getBlockByNumber"] = lambda params: rig.block(params, 1)
        await rig.lose("a")
        await rig.clock.settle(400)
        await rig.tell("b", header(11), header(12))
    assert rig.heads() == [(10, False, False), (11, False, False), (11, True, True), (11, False, True), (12, False, False)]


async def test_a_newest_block_that_cannot_be_had_is_left_to_the_next_notice(rig: Rig) -> None:
    def gone(_: list[Any]) -> Any:
        raise errors.RpcError("no", code=-32000)

    async with rig.running():
        await rig.tell("a", header(10))
        rig.chain.methods["eth_getBlockByNumber"] = gone
        await rig.lose("a")
        await rig.clock.settle(400)
        assert rig.heads() == [(10, False, False)]
        rig.chain.methods["eth_getBlockByNumber"] = rig.block
        await rig.tell("b", header(12))
    assert rig.heads()[1:] == [(11, True, False), (12, False, False)]


async def test_what_was_told_is_remembered_within_bounds(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", *(header(number) for number in range(1, 700)), header(699), header(500), header(100))
        await rig.clock.settle(40_000)
    # The last is further back than anything that is remembered.
    assert [number for number, *_ in rig.heads()] == [*range(1, 700), 100]


async def test_a_reorganisation_is_told(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", header(10), header(11), header(11, 1, 0), header(12, 1), header(13, 2))
    assert rig.heads() == [(10, False, False), (11, False, False), (11, False, True), (12, False, False), (13, False, True)]


async def test_a_fetched_block_that_stands_on_another_is_a_reorganisation(rig: Rig) -> None:
    rig.chain.methods["eth_getBlockByNumber"] = lambda params: rig.block(params, 1)
    async with rig.running():
        await rig.tell("a", header(10), header(13, 1))
    assert rig.heads() == [(10, False, False), (11, True, True), (12, True, False), (13, False, False)]


async def test_more_than_is_fetched_is_told(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", header(1000), header(1400))
        await rig.clock.settle(20_000)
    missed = [item for item in rig.seen if isinstance(item, MissedBlocks)]
    assert missed == [MissedBlocks(1001, 1143, "more than 256 blocks while the stream was away")]
    assert [number for number, *_ in rig.heads()] == [1000, *range(1144, 1401)]


async def test_blocks_that_cannot_be_fetched_are_told(rig: Rig) -> None:
    def gone(_: list[Any]) -> Any:
        raise errors.RpcError("no", code=-32000)

    rig.chain.methods["eth_getBlockByNumber"] = gone
    async with rig.running():
        await rig.tell("a", header(10), header(13))
    (missed,) = [item for item in rig.seen if isinstance(item, MissedBlocks)]
    assert (missed.first, missed.last) == (11, 12)
    assert rig.heads() == [(10, False, False), (13, False, False)]


async def test_a_head_that_does_not_decode_harms_nothing(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", {"number": "x"}, header(10))
    assert [type(item) for item in rig.seen[1:]] == [UnreadableHead, Head]


async def test_a_silent_subscription_is_replaced(rig: Rig) -> None:
    async with rig.running():
        await rig.tell("a", header(10))
        await rig.clock.advance(timedelta(seconds=61))
        await rig.tell("b", header(12))
        assert rig.streams.counters == FeedCounters(connections=2, silences=1)
    assert rig.heads() == [(10, False, False), (11, True, False), (12, False, False)]
    async with rig.running():
        assert rig.streams.counters == FeedCounters(connections=3, silences=1)
    assert rig.streams.counters == FeedCounters(connections=3, silences=1)
