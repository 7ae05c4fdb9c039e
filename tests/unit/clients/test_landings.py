"""Looks at what landed: ranges of logs that overlap, blocks that change meanwhile, accounts that tell no time."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.clients.landings import MAX_BLOCKS, REREAD_BLOCKS, EvmLandings, SolanaLandings
from probekit.clients.pyth_evm import PythEvmClient
from probekit.clients.receiver import ReceiverClient
from probekit.codecs.evm import pyth_events
from probekit.codecs.solana.addresses import PRO
from probekit.codecs.solana.receiver import encode_price_update
from probekit.errors import DecodeError, ProbekitError
from probekit.model import FeedId, PriceMessage
from probekit.model.journey import Look
from probekit.model.receiver import FULL, PriceUpdateAccount
from probekit.model.solana import Account
from probekit.units import NS_PER_MS, NS_PER_S, Instant
from tests.unit.clients.cluster import Cluster
from tests.unit.clients.contracts import HEAD, PYTH, TIME_S, EvmNode

BTC, ETH = FeedId("e6" * 32), FeedId("ff" * 32)
AT = Instant.from_seconds(TIME_S)


def log(number: int, *, feed: FeedId = BTC, price: int = 7, index: int = 0, **changes: Any) -> dict[str, Any]:
    data = b"".join(word.to_bytes(32, "big") for word in (TIME_S - 5, price, 1))
    return {
        "address": PYTH, "topics": ["0x" + pyth_events.PRICE_FEED_UPDATE.topic.hex(), f"0x{feed}"], "data": "0x" + data.hex(),
        "blockNumber": hex(number), "blockHash": EvmNode.block_hash(number), "transactionHash": "0x" + "ab" * 32,
        "transactionIndex": "0x0", "logIndex": hex(index), "removed": False, **changes,
    }  # fmt: skip


def of(found: Look | ProbekitError) -> Look:
    assert isinstance(found, Look)
    return found


class Chain:
    def __init__(self) -> None:
        self.node = EvmNode()
        self.head = HEAD
        self.node.fault = self._head
        self.landings = EvmLandings(PythEvmClient(self.node.client, PYTH), "base")

    def _head(self, method: str, params: list[Any]) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return self.node.eth_getBlockByNumber(hex(self.head), False)
        return hex(self.head) if method == "eth_blockNumber" else None

    async def look(self, *feeds: FeedId) -> dict[str, Look | ProbekitError]:
        return await self.landings.look(feeds or (BTC,), at=AT)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return [(int(one[0]["fromBlock"], 16), int(one[0]["toBlock"], 16)) for one in self.node.asked("eth_getLogs")]


async def test_a_landing_has_its_blocks_time_and_its_place() -> None:
    chain = Chain()
    chain.node.logs = [log(HEAD - 2, index=4), log(HEAD, feed=ETH)]
    found = await chain.look(BTC, ETH)
    (landing,) = of(found[BTC]).landings
    assert (landing.at, landing.block, landing.log_index) == (Instant.from_seconds(TIME_S - 2), HEAD - 2, 4)
    assert (landing.content, landing.block_hash) == ((TIME_S - 5, 7, 1), EvmNode.block_hash(HEAD - 2))
    assert len(of(found[ETH]).landings) == 1
    assert (len(chain.ranges), of(found[BTC]).whole) == (1, True)
    asked = len(chain.node.asked("eth_getBlockByNumber"))
    await chain.look(BTC, ETH)
    assert len(chain.node.asked("eth_getBlockByNumber")) == asked + 1


async def test_each_look_goes_on_a_little_before_the_last_one_ended() -> None:
    chain = Chain()
    await chain.look()
    chain.head = HEAD + 30
    await chain.look()
    chain.head = HEAD + 5_000
    await chain.look()
    assert chain.ranges[:2] == [(HEAD + 1 - REREAD_BLOCKS, HEAD), (HEAD + 1 - REREAD_BLOCKS, HEAD + 30)]
    assert (chain.ranges[2][0], chain.ranges[-1][1]) == (chain.head + 1 - MAX_BLOCKS, chain.head)


async def test_a_node_that_went_back_is_read_up_to_its_head() -> None:
    chain = Chain()
    await chain.look()
    chain.head = HEAD - 50
    found = of((await chain.look())[BTC])
    assert (found.first, found.last) == (HEAD - 50, HEAD - 50)


async def test_a_log_that_does_not_read_costs_its_neighbours_nothing() -> None:
    chain = Chain()
    chain.node.logs = [log(HEAD, data="0x12"), log(HEAD, index=1), log(HEAD, feed=FeedId("01" * 32), index=2)]
    chain.node.fault = lambda method, params: chain.node.logs if method == "eth_getLogs" else None
    found = await chain.look()
    assert [one.log_index for one in of(found[BTC]).landings] == [1]
    assert isinstance(chain.landings.unreadable, DecodeError)
    assert list(found) == [BTC]
    chain.node.fault = None
    chain.node.logs = []
    await chain.look()
    assert chain.landings.unreadable is None


async def test_a_block_that_is_replaced_while_it_is_read_fails_the_look_and_not_the_next() -> None:
    chain = Chain()
    chain.node.logs = [log(HEAD - 1, blockHash="0x" + "dd" * 32)]
    with pytest.raises(DecodeError, match="was replaced while it was read"):
        await chain.look()
    chain.node.logs = [log(HEAD - 1)]
    assert len(of((await chain.look())[BTC]).landings) == 1
    assert len(set(chain.ranges)) == 1


async def test_an_account_is_dated_by_the_look_that_first_showed_it() -> None:
    cluster = Cluster()
    landings = SolanaLandings(ReceiverClient(cluster.client, clock=cluster.clock), "solana")

    def post(price: int, slot: int) -> None:
        address = PRO.push_feed(BTC)
        update = PriceUpdateAccount(address, FULL, PriceMessage(BTC, price, 5, -2, TIME_S, TIME_S - 1, price, 5), slot)
        cluster.add(Account(address, PRO.receiver, 1, encode_price_update(update), False, 100))

    async def look(seconds: int, clock_error_ns: int | None = 2 * NS_PER_MS) -> Look:
        at = Instant(AT.ns + seconds * NS_PER_S)
        return of((await landings.look([BTC], at=at, clock_error_ns=clock_error_ns))[BTC])

    empty = await look(0)
    assert (empty.landings, empty.whole, empty.first > empty.last) == ((), False, True)
    post(700, 50)
    (landing,) = (await look(3)).landings
    assert (landing.block, landing.clock, landing.at.since(AT)) == (50, "local", 3 * NS_PER_S)
    assert landing.error_ns == 3 * NS_PER_S + 2 * NS_PER_MS
    assert (await look(6)).landings == ()
    post(800, 60)
    (landing,) = (await look(9, None)).landings
    assert (landing.block, landing.error_ns) == (60, None)


async def test_the_first_look_bounds_nothing_and_a_broken_account_is_its_own_error() -> None:
    cluster = Cluster()
    landings = SolanaLandings(ReceiverClient(cluster.client, clock=cluster.clock), "solana")
    address = PRO.push_feed(BTC)
    update = PriceUpdateAccount(address, FULL, PriceMessage(BTC, 7, 5, -2, TIME_S, TIME_S - 1, 7, 5), 50)
    cluster.add(
        Account(address, PRO.receiver, 1, encode_price_update(update), False, 100),
        Account(PRO.push_feed(ETH), PRO.receiver, 1, b"\x00" * 134, False, 100),
    )
    found = await landings.look([BTC, ETH], at=AT, clock_error_ns=0)
    assert [one.error_ns for one in of(found[BTC]).landings] == [None]
    assert isinstance(found[ETH], DecodeError)
    assert len(cluster.asked("getMultipleAccounts")) == 1
