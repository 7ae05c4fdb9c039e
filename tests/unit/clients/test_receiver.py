"""Pyth's receiver accounts on a Solana cluster: both generations, each feed for itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.clients.receiver import ReceiverClient
from probekit.codecs.solana.addresses import CORE, PRO, SYSTEM_PROGRAM, Programs
from probekit.codecs.solana.receiver import encode_config, encode_price_update
from probekit.codecs.solana.rpc import encode_account
from probekit.codecs.solana.sysvar import CLOCK, ClusterClock, encode_clock
from probekit.codecs.solana.wormhole import encode_bridge_config, encode_guardian_set
from probekit.model import FeedId, PriceMessage
from probekit.model.pubkey import Pubkey, base58
from probekit.model.receiver import (
    FULL,
    BridgeConfig,
    DataSource,
    FeedMigration,
    GuardianSetAccount,
    PriceUpdateAccount,
    ProgramGeneration,
    PushFeedAccount,
    ReceiverConfig,
)
from probekit.model.solana import Account
from tests.unit.clients.cluster import OWNER, Cluster

FEEDS = [FeedId(bytes([number]) * 32) for number in range(1, 121)]
AGE = timedelta(seconds=60)


class Chain:
    """A cluster with prices on it."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.client = ReceiverClient(self.cluster.client, clock=self.cluster.clock)
        self.now_s = self.cluster.clock.now().seconds

    def put(self, key: Pubkey, owner: Pubkey, data: bytes, *, executable: bool = False) -> None:
        self.cluster.add(Account(key, owner, 1_000_000, data, executable, 100))

    def post(self, programs: Programs, feed_id: FeedId, *, age_s: int = 1, price: int = 700, shard_id: int = 0) -> Pubkey:
        address = programs.push_feed(feed_id, shard_id)
        at_s = self.now_s - age_s
        message = PriceMessage(feed_id, price, 5, -2, at_s, at_s - 1, price, 5)
        update = PriceUpdateAccount(address, FULL, message, 99)
        self.put(address, programs.receiver, encode_price_update(update))
        return address


@pytest.fixture
def chain() -> Chain:
    return Chain()


async def test_many_feeds_in_few_requests_each_for_itself(chain: Chain) -> None:
    for feed_id in FEEDS[:118]:
        chain.post(PRO, feed_id)
    broken = PRO.push_feed(FEEDS[118])
    chain.put(broken, PRO.receiver, b"\x00" * 134)
    found = await chain.client.push_feeds(FEEDS)
    assert [type(item) for item in found.values()] == [PushFeedAccount] * 118 + [errors.DecodeError, type(None)]
    first = found[FEEDS[0]]
    assert isinstance(first, PushFeedAccount)
    assert (str(first.update.price), first.update.posted_slot, first.slot) == ("7.00", 99, 100)
    assert len(chain.cluster.requests) == 2


async def test_one_feed(chain: Chain) -> None:
    chain.post(PRO, FEEDS[0], shard_id=7)
    assert (await chain.client.push_feed(FEEDS[0], shard_id=7)).shard_id == 7
    with pytest.raises(errors.NotFound, match="shard 0"):
        await chain.client.push_feed(FEEDS[0])
    assert (await chain.client.push_feed(FEEDS[0], shard_id=7, min_slot=100)).shard_id == 7
    with pytest.raises(errors.NotReached, match="reached slot 101"):
        await chain.client.push_feed(FEEDS[0], shard_id=7, min_slot=101)
    chain.put(PRO.push_feed(FEEDS[1]), OWNER, b"x" * 134)
    with pytest.raises(errors.DecodeError, match="owned by"):
        await chain.client.push_feed(FEEDS[1])
    with pytest.raises(ValueError, match="feed id"):
        await chain.client.push_feed("BTC")


async def test_an_address_that_only_received_lamports_is_nobodys_price(chain: Chain) -> None:
    chain.put(PRO.push_feed(FEEDS[0]), SYSTEM_PROGRAM, b"")
    assert await chain.client.push_feeds(FEEDS[:1]) == {FEEDS[0]: None}


async def test_the_feeds_that_somebody_posts_are_found_by_shard(chain: Chain) -> None:
    sponsored = [chain.post(PRO, feed_id) for feed_id in FEEDS[:3]]
    elsewhere = chain.post(PRO, FEEDS[3], shard_id=7)
    passing, broken = Pubkey(bytes([77]) * 32), Pubkey(bytes([78]) * 32)
    chain.put(passing, PRO.receiver, chain.cluster.accounts[str(sponsored[0])].data)
    chain.put(broken, PRO.receiver, chain.cluster.accounts[str(sponsored[0])].data[:50])
    keys = [*sponsored, elsewhere, passing, broken]
    chain.cluster.methods["getProgramAccounts"] = lambda _: chain.cluster.contextual(
        [{"pubkey": str(key), "account": encode_account(chain.cluster.accounts[str(key)])} for key in keys]
    )
    found = await chain.client.posted_feeds()
    assert (list(found.feeds), found.slot, len(found.errors)) == (FEEDS[:3], 100, 1)
    assert list((await chain.client.posted_feeds(shard_id=7)).feeds) == [FEEDS[3]]
    assert (await chain.client.posted_feeds(generation=ProgramGeneration.CORE)).feeds == {}
    program, config = chain.cluster.asked("getProgramAccounts")[0]
    assert program == str(PRO.receiver)
    assert config["filters"] == [{"memcmp": {"offset": 0, "bytes": base58(bytes.fromhex("22f123639d7ef4cd"))}}]


async def test_the_migration_of_feeds_is_read_in_one_go(chain: Chain) -> None:
    both, core_only, stale_pro, none = FEEDS[:4]
    chain.post(CORE, both)
    chain.post(PRO, both)
    chain.post(CORE, core_only)
    chain.post(CORE, stale_pro)
    chain.post(PRO, stale_pro, age_s=500)
    found = await chain.client.migrations([both, core_only, stale_pro, none], max_age=AGE)
    read = {}
    for feed_id, migration in found.items():
        assert isinstance(migration, FeedMigration)
        read[feed_id] = migration.read
    assert read == {
        both: ProgramGeneration.PRO,
        core_only: ProgramGeneration.CORE,
        stale_pro: ProgramGeneration.CORE,
        none: None,
    }
    assert len(chain.cluster.requests) == 2


async def test_an_endpoint_that_fails_says_nothing_of_a_migration(chain: Chain) -> None:
    chain.cluster.methods["getMultipleAccounts"] = lambda _: errors.RpcError("broken", code=-32000)
    found = await chain.client.migrations(FEEDS[:2], max_age=AGE)
    assert [type(item) for item in found.values()] == [errors.RpcError] * 2
    assert [type(item) for item in (await chain.client.push_feeds(FEEDS[:2])).values()] == [errors.RpcError] * 2


async def test_a_price_update_at_any_address(chain: Chain) -> None:
    address = chain.post(CORE, FEEDS[0])
    assert (await chain.client.price_update(address)).feed_id == FEEDS[0]
    chain.put(Pubkey(bytes([3]) * 32), OWNER, b"")
    with pytest.raises(errors.DecodeError, match="not by a receiver"):
        await chain.client.price_update(Pubkey(bytes([3]) * 32))
    with pytest.raises(errors.NotFound):
        await chain.client.price_update(Pubkey(bytes([4]) * 32))


async def test_configuration_and_guardian_sets(chain: Chain) -> None:
    emitter = Pubkey(b"Pythnet" * 4 + b"Pyth")
    config = ReceiverConfig(OWNER, None, PRO.wormhole, (DataSource(26, emitter),), 0, 3)
    chain.put(PRO.receiver_config(), PRO.receiver, encode_config(config))
    assert await chain.client.config() == config
    with pytest.raises(errors.NotFound, match="on this cluster"):
        await chain.client.config(ProgramGeneration.CORE)
    chain.put(PRO.bridge_config(), PRO.wormhole, encode_bridge_config(BridgeConfig(1, 0, 86_400, 0)))
    one = GuardianSetAccount(1, tuple(bytes([number]) * 20 for number in range(5)), 1_780_000_000, 0)
    chain.put(PRO.guardian_set(1), PRO.wormhole, encode_guardian_set(one))
    assert await chain.client.guardian_set() == one
    chain.put(PRO.guardian_set(0), PRO.wormhole, encode_guardian_set(one))
    with pytest.raises(errors.DecodeError, match="holds set 1"):
        await chain.client.guardian_set(0)
    chain.put(PRO.guardian_set(2), OWNER, encode_guardian_set(one))
    with pytest.raises(errors.DecodeError, match="owned by"):
        await chain.client.guardian_set(2)


async def test_which_generations_a_cluster_has(chain: Chain) -> None:
    chain.put(CORE.receiver, OWNER, b"", executable=True)
    assert await chain.client.programs_present() == {ProgramGeneration.CORE: True, ProgramGeneration.PRO: False}
    broken: Any = errors.RpcError("broken", code=-32000)
    chain.cluster.methods["getMultipleAccounts"] = lambda _: broken
    with pytest.raises(errors.RpcError):
        await chain.client.programs_present()


async def test_many_feeds_of_many_shards_with_the_clusters_clock(chain: Chain) -> None:
    chain.put(CLOCK, SYSTEM_PROGRAM, encode_clock(ClusterClock(100, 2, chain.now_s)))
    chain.post(PRO, FEEDS[0])
    chain.post(CORE, FEEDS[0], shard_id=3)
    chain.put(PRO.push_feed(FEEDS[1], 0), PRO.receiver, b"nothing")
    clock, reads = await chain.client.push_reads([(FEEDS[0], 0), (FEEDS[0], 3), (FEEDS[1], 0), (FEEDS[0], 0)])
    assert (clock.slot, clock.unix_timestamp) == (100, chain.now_s)
    assert len(chain.cluster.asked("getMultipleAccounts")) == 1
    kinds = {pair: tuple(type(one).__name__ for one in found) for pair, found in reads.items() if isinstance(found, tuple)}
    assert kinds == {
        (FEEDS[0], 0): ("NoneType", "PushFeedAccount"),
        (FEEDS[0], 3): ("PushFeedAccount", "NoneType"),
        (FEEDS[1], 0): ("NoneType", "DecodeError"),
    }


async def test_a_cluster_without_a_clock_is_none(chain: Chain) -> None:
    with pytest.raises(errors.DecodeError, match="has no clock"):
        await chain.client.push_reads([(FEEDS[0], 0)])
    chain.put(CLOCK, SYSTEM_PROGRAM, bytes(39))
    with pytest.raises(errors.DecodeError, match="Clock sysvar"):
        await chain.client.push_reads([(FEEDS[0], 0)])
