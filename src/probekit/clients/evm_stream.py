"""New blocks of an EVM chain as they come, over subscriptions that are watched, with what was missed fetched.

Method: ``eth_subscribe`` of ``newHeads`` (ethereum/execution-apis, geth's pub/sub documentation).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Final

import msgspec

from probekit.clients.evm import EvmClient
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.evm_rpc import decode_block
from probekit.errors import DecodeError, ProbekitError
from probekit.model.evm import Block
from probekit.transports.rpc import EVM, Call
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.subscription import (
    Connected,
    FeedCounters,
    FeedTally,
    Lost,
    Notice,
    Subscription,
    SubscriptionFeed,
    SubscriptionPolicy,
)
from probekit.transports.socket import Connector
from probekit.units import Instant

__all__ = ["EvmStreams", "Head", "HeadItem", "MissedBlocks", "UnreadableHead"]

_MAX_BACKFILL: Final = 256


class Head(msgspec.Struct, frozen=True):
    """A block that became the head. ``backfilled``: fetched, because no socket told it. ``reorganised``: it does not stand on
    the head told before it, so that some of what was told is no longer the chain's.
    """

    block: Block
    endpoint: str
    at: Instant
    backfilled: bool = False
    reorganised: bool = False


class MissedBlocks(msgspec.Struct, frozen=True):
    """Blocks from ``first`` to ``last`` were not told and not fetched, and why."""

    first: int
    last: int
    reason: str


class UnreadableHead(msgspec.Struct, frozen=True):
    """One message that does not decode. The stream goes on."""

    error: ProbekitError
    endpoint: str
    at: Instant


HeadItem = Head | MissedBlocks | UnreadableHead | Connected | Lost


class EvmStreams:
    """Streams of one chain over the sockets of ``client``'s endpoints; ``client`` fetches what was missed.

    ``silence`` is how long no block may come before a subscription is taken for dead: several block times of the chain. Needs
    the extra ``ws`` unless ``connector`` is given.
    """

    def __init__(
        self,
        client: EvmClient,
        *,
        connector: Connector | None = None,
        policy: SubscriptionPolicy | None = None,
        silence: timedelta = timedelta(seconds=60),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if connector is None:
            from probekit.transports.websocket import WebsocketsConnector

            connector = WebsocketsConnector()
        self._client = client
        self._connector = connector
        self._policy = policy
        self._silence = silence
        self._clock = clock
        self._tally = FeedTally()

    @property
    def counters(self) -> FeedCounters:
        """Connections, silences, malformed messages and dropped items of all streams of this object so far."""
        return self._tally.counters

    async def heads(self) -> AsyncGenerator[HeadItem, None]:
        """Every block that becomes the head, in order of telling. What was missed is fetched, at most 256 blocks: once a new
        connection stands, up to the newest one, since the next block may be long in coming; and between the last one told and
        the next. A reorganisation is told on the first block that does not stand on the one before.
        """
        pool = self._client.pool
        feed = SubscriptionFeed(
            pool.endpoints,
            [Subscription("heads", Call("eth_subscribe", ["newHeads"]), self._silence)],
            family=EVM,
            identity=pool.identity,
            connector=self._connector,
            clock=self._clock,
            policy=self._policy,
            unfit=pool.unfit,
        )
        last: Block | None = None
        told = _Told()
        async with self._tally.items(feed) as items:
            async for item in items:
                fetched = False
                if isinstance(item, Notice):
                    try:
                        block = decode_block(result_of(item.result))
                    except DecodeError as error:
                        yield UnreadableHead(error, item.endpoint, item.at)
                        continue
                else:
                    yield item
                    newest = await self._newer(last) if isinstance(item, Connected) and last is not None else None
                    if newest is None:
                        continue
                    block, fetched = newest, True
                if told.holds(block):
                    continue  # Told again, by the endpoint that took over, or fetched before its notice was looked at.
                if last is not None and block.number > last.number + 1:
                    async for missed in self._between(last, block, item.endpoint):
                        if isinstance(missed, Head):
                            last = missed.block
                            told.take(last)
                        yield missed
                yield Head(block, item.endpoint, item.at, backfilled=fetched, reorganised=_leaves(last, block))
                last = block
                told.take(block)

    async def _newer(self, last: Block) -> Block | None:
        """The newest block, unless the endpoint that answers is behind what was told."""
        try:
            block = await self._client.block()
        except ProbekitError:
            return None  # The next notice shows what was missed.
        return block if block.number >= last.number else None

    async def _between(self, last: Block, block: Block, endpoint: str) -> AsyncGenerator[Head | MissedBlocks, None]:
        first, end = last.number + 1, block.number - 1
        if end - first + 1 > _MAX_BACKFILL:
            skipped = end - _MAX_BACKFILL
            yield MissedBlocks(first, skipped, f"more than {_MAX_BACKFILL} blocks while the stream was away")
            first = skipped + 1
        before: Block | None = last if first == last.number + 1 else None
        for number in range(first, end + 1):
            try:
                found = await self._client.block(number)
            except ProbekitError as error:
                yield MissedBlocks(number, end, error.message)
                return
            yield Head(found, endpoint, self._clock.now(), backfilled=True, reorganised=_leaves(before, found))
            before = found


class _Told:
    """The newest blocks of the chain as it was told: their hashes by number, without those that a reorganisation took."""

    def __init__(self) -> None:
        self._hashes: dict[int, str] = {}  # Numbers ascend.

    def holds(self, block: Block) -> bool:
        return self._hashes.get(block.number) == block.hash

    def take(self, block: Block) -> None:
        while self._hashes and (newest := next(reversed(self._hashes))) >= block.number:
            del self._hashes[newest]
        self._hashes[block.number] = block.hash
        if len(self._hashes) > 2 * _MAX_BACKFILL:
            del self._hashes[next(iter(self._hashes))]


def _leaves(before: Block | None, block: Block) -> bool:
    """Whether ``block`` does not stand on ``before``. Blocks that are no neighbours say nothing, unless it went back."""
    if before is None:
        return False
    if block.number == before.number + 1:
        return block.parent_hash != before.hash
    return block.number <= before.number
