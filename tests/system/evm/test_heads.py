"""New heads of a real chain over a real WebSocket: cut, silent, reorganised."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from probekit import errors
from probekit.clients.evm_stream import EvmStreams, Head, HeadItem, MissedBlocks
from probekit.transports.rpc.subscription import Connected, Lost, SubscriptionPolicy
from tests.system.evm.chain import Chain, until
from tests.system.evm.relay import Relay, relay

pytestmark = [pytest.mark.system, pytest.mark.evm]

T = TypeVar("T", bound=HeadItem)
QUICK = SubscriptionPolicy(first_wait=timedelta(milliseconds=50), max_wait=timedelta(milliseconds=200))
SECOND = timedelta(seconds=1)


class Follower:
    """What a stream told so far."""

    def __init__(self) -> None:
        self.items: list[HeadItem] = []

    def of(self, kind: type[T]) -> list[T]:
        return [item for item in self.items if isinstance(item, kind)]

    @property
    def numbers(self) -> list[int]:
        return [head.block.number for head in self.of(Head)]

    async def come(self, condition: Callable[[], bool], what: str) -> None:
        async def met() -> bool:
            return condition()

        try:
            await until(met, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; told {self.items}") from None


@contextlib.asynccontextmanager
async def following(chain: Chain, *, silence: timedelta = 30 * SECOND) -> AsyncIterator[tuple[Follower, Relay]]:
    """A stream behind a relay, connected; closed at the end with nothing left of it."""
    seen = Follower()
    port = urlsplit(chain.node.ws_url).port
    assert port is not None
    async with relay(port) as wire:
        # The HTTP side of the client stays whole: what was missed is fetched through it.
        (member,) = chain.client.pool.members
        object.__setattr__(member.health.endpoint, "ws_url", f"ws://127.0.0.1:{wire.port}")
        heads = EvmStreams(chain.client, policy=QUICK, silence=silence).heads()

        async def collect() -> None:
            async for item in heads:
                seen.items.append(item)

        task = asyncio.create_task(collect())
        try:
            await seen.come(lambda: bool(seen.of(Connected)), "a connection")
            yield seen, wire
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await heads.aclose()


async def test_every_block_is_told_in_order(chain: Chain) -> None:
    async with following(chain) as (seen, _):
        for _ in range(5):
            await chain.node.mine()
        await seen.come(lambda: seen.numbers == [1, 2, 3, 4, 5], "five blocks")
        for head in seen.of(Head):
            assert head.block.hash == (await chain.client.block(head.block.number)).hash
            assert (head.backfilled, head.reorganised, head.endpoint) == (False, False, "anvil")


async def test_what_was_missed_while_the_socket_was_cut_is_fetched(chain: Chain) -> None:
    async with following(chain) as (seen, wire):
        await chain.node.mine()
        await seen.come(lambda: seen.numbers == [1], "the first block")
        with wire.closed():
            await seen.come(lambda: bool(seen.of(Lost)), "the loss")
            await chain.node.mine(3)
        await seen.come(lambda: seen.numbers == [1, 2, 3, 4], "what was missed, without a further block")
        await chain.node.mine()
        await seen.come(lambda: seen.numbers == [1, 2, 3, 4, 5], "all blocks")
        assert [head.backfilled for head in seen.of(Head)] == [False, True, True, True, False]
        assert not any(head.reorganised for head in seen.of(Head))
        assert seen.of(Connected)[1].since is not None
        lost = seen.of(Lost)[0].error
        assert isinstance(lost, errors.TransportError)
        assert wire.connections >= 2
        assert wire.cut() == 1


async def test_a_gap_above_the_bound_is_told(chain: Chain) -> None:
    async with following(chain) as (seen, wire):
        await chain.node.mine()
        await seen.come(lambda: seen.numbers == [1], "the first block")
        with wire.closed():
            await seen.come(lambda: bool(seen.of(Lost)), "the loss")
            await chain.node.mine(300)
        await seen.come(lambda: seen.numbers[-1] == 301, "the newest block")
        (missed,) = seen.of(MissedBlocks)
        assert (missed.first, missed.last) == (2, 44)
        assert seen.numbers == [1, *range(45, 302)]


async def test_a_reorganisation_is_told_on_the_first_block_that_leaves(chain: Chain) -> None:
    async with following(chain) as (seen, _):
        await chain.node.mine(3)
        await seen.come(lambda: seen.numbers == [1, 2, 3], "three blocks")
        await chain.node.reorg(2)
        await chain.node.mine()
        await seen.come(lambda: seen.numbers[-1] == 4, "the block after")
        newest = seen.of(Head)[3:]
        assert newest[0].reorganised
        assert newest[-1].block.hash == (await chain.client.block(4)).hash


async def test_a_reorganisation_while_the_socket_was_cut_is_told(chain: Chain) -> None:
    async with following(chain) as (seen, wire):
        await chain.node.mine(3)
        await seen.come(lambda: seen.numbers == [1, 2, 3], "three blocks")
        with wire.closed():
            await seen.come(lambda: bool(seen.of(Lost)), "the loss")
            await chain.node.reorg(2)
            await chain.node.mine(2)
        await seen.come(lambda: seen.numbers[-1] == 5, "the newest block")
        assert seen.numbers == [1, 2, 3, 4, 5]
        assert [head.reorganised for head in seen.of(Head)] == [False, False, False, True, False]


async def test_another_newest_block_of_the_same_number_is_told_after_a_cut(chain: Chain) -> None:
    async with following(chain) as (seen, wire):
        await chain.node.mine(3)
        await seen.come(lambda: seen.numbers == [1, 2, 3], "three blocks")
        with wire.closed():
            await seen.come(lambda: bool(seen.of(Lost)), "the loss")
            await chain.node.reorg(1)
        await seen.come(lambda: seen.numbers == [1, 2, 3, 3], "the block that took its place")
        last = seen.of(Head)[-1]
        assert (last.reorganised, last.backfilled, last.block.hash) == (True, True, (await chain.client.block(3)).hash)


async def test_a_chain_that_stops_is_noticed_and_so_is_its_return(chain: Chain) -> None:
    async with following(chain, silence=SECOND) as (seen, _):
        await chain.node.mine()
        await seen.come(lambda: seen.numbers == [1], "the first block")
        await seen.come(lambda: bool(seen.of(Lost)), "the silence")
        lost = seen.of(Lost)[0].error
        assert isinstance(lost, errors.DeadlineExceeded)
        assert "has told nothing for 1" in lost.message
        await chain.node.mine()
        await seen.come(lambda: seen.numbers[-1] == 2, "the next block")


async def test_a_node_that_hangs_is_noticed(chain: Chain) -> None:
    async with following(chain, silence=SECOND) as (seen, _):
        await chain.node.block_time(SECOND)
        await seen.come(lambda: len(seen.numbers) >= 1, "a block")
        with chain.node.paused():
            await seen.come(lambda: bool(seen.of(Lost)), "the silence")
        before = len(seen.numbers)
        await seen.come(lambda: len(seen.numbers) > before, "blocks again")
