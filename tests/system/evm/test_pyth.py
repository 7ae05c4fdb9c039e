"""``PythEvmClient`` on a real chain, over Pyth's own MockPyth: prices, updates tried and sent, refusals, events, state."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from probekit import trust
from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs.evm import pyth as codec
from probekit.codecs.evm.contract import Function, PreparedCall
from probekit.codecs.evm.reverts import revert_of
from probekit.errors import NotFound, Reverted, RpcError
from probekit.model import FeedId, TrustRoot
from probekit.model.evm import Address, Receipt
from probekit.model.pyth_evm import Absence, OnChainPrice, PythError, QuorumRule
from probekit.model.pyth_evm_events import Logged, PriceFeedUpdated, ProxyUpgraded
from probekit.trust.signing import SigningSet, trust_of
from tests.system.evm.chain import GWEI, POLL, Chain
from tests.system.evm.test_receiver import members

pytestmark = [pytest.mark.system, pytest.mark.evm]

BTC, ETH, UNKNOWN = (FeedId(bytes([number]) * 32) for number in (1, 2, 3))
FEE = 3
PERIOD_S = 60
MINUTE = timedelta(minutes=1)
CREATE = Function("createPriceFeedUpdateData(bytes32,int64,uint64,int32,int64,uint64,uint64,uint64)", "bytes")
CREATE_TWAP = Function("createTwapPriceFeedUpdateData(bytes32,uint64,uint64,int64,uint64,int32,uint32)", "bytes")


async def mock(chain: Chain) -> PythEvmClient:
    return PythEvmClient(chain.client, await chain.deploy("MockPyth", "uint256,uint256", PERIOD_S, FEE))


async def now_s(chain: Chain) -> int:
    return (await chain.client.block()).timestamp


async def update(client: PythEvmClient, feed: FeedId, price: int, published_s: int, previous_s: int = 0) -> bytes:
    """Update data as MockPyth takes it, made by the contract itself; the moving average is one below the price."""
    call = CREATE.one(bytes(feed), price, 5, -8, price - 1, 4, published_s, previous_s or published_s - 1)
    return await client.evm.read(client.address, call)


async def pushed(chain: Chain, prepared: PreparedCall[Any]) -> Receipt:
    """Signed here, sent once, landed."""
    nonce = await chain.client.nonce(chain.payer.address)
    raw = chain.signed(nonce, **prepared.transaction(), gas=500_000)
    sent = await chain.client.send(raw, cap_wei=500_000 * 10 * GWEI + prepared.value_wei)
    return (await chain.client.wait(sent, poll=POLL)).receipt


async def refusal(call: Any) -> PythError | None:
    with pytest.raises(Reverted) as caught:
        await call
    told = revert_of(caught.value)
    assert told is not None
    assert told.name in caught.value.message
    return told.error


# -- prices --------------------------------------------------------------------------------------------------------------------


async def test_a_price_is_pushed_and_read_in_every_way(chain: Chain) -> None:
    client = await mock(chain)
    published = await now_s(chain)
    updates = [await update(client, BTC, 6_500_000_000_000, published), await update(client, ETH, 350_000_000_000, published)]
    assert await client.update_fee(updates) == 2 * FEE
    prepared = await client.simulate_update(updates)
    assert prepared.value_wei == 2 * FEE
    receipt = await pushed(chain, prepared)
    assert (receipt.succeeded, len(receipt.logs)) == (True, 2)
    assert await chain.client.balance(client.address) == 2 * FEE

    stored = await client.price(BTC)
    assert stored == OnChainPrice(6_500_000_000_000, 5, -8, published)
    assert (str(stored.price), str(stored.conf)) == ("65000.00000000", "0.00000005")
    assert await client.price_no_older_than(BTC, MINUTE) == stored
    ema = await client.ema_price(BTC)
    assert (ema.price_mantissa, ema.conf_mantissa) == (6_499_999_999_999, 4)
    assert await client.ema_price_no_older_than(BTC, MINUTE) == ema
    feed = await client.feed(BTC)
    assert (feed.feed_id, feed.spot, feed.ema) == (BTC, stored, ema)
    assert await client.valid_time_period() == MINUTE

    for read in (codec.get_price, codec.get_ema_price):
        await chain.client.read(client.address, read(BTC))
    assert [await chain.client.read(client.address, codec.price_feed_exists(one)) for one in (BTC, UNKNOWN)] == [True, False]


async def test_many_feeds_at_one_block_each_for_itself(chain: Chain) -> None:
    await chain.with_multicall()
    client = await mock(chain)
    published = await now_s(chain)
    feeds = [FeedId(number.to_bytes(32, "big")) for number in range(1, 21)]
    updates = [await update(client, feed, 100 + place, published) for place, feed in enumerate(feeds)]
    prepared = await client.build_update(updates, fee_wei=20 * FEE)
    nonce = await chain.client.nonce(chain.payer.address)
    raw = chain.signed(nonce, **prepared.transaction(), gas=6_000_000)
    await chain.client.wait(await chain.client.send(raw, cap_wei=10**18), poll=POLL)

    chain.transport.taken()
    reads = await client.prices([*feeds, UNKNOWN, feeds[0]])
    assert chain.transport.taken() == ["eth_getBlockByNumber", "eth_call"]
    assert [reads[feed].price_mantissa for feed in feeds] == list(range(100, 120))
    assert (list(reads.errors), reads.route) == ([UNKNOWN], "multicall3")
    told = revert_of(reads.errors[UNKNOWN])
    assert told is not None
    assert told.error is PythError.PRICE_FEED_NOT_FOUND
    assert reads.block.time.since(reads[feeds[0]].publish_time) < 60 * 10**9
    whole = await client.feeds(feeds, reads.block)
    assert {feed: one.spot for feed, one in whole.values.items()} == reads.values
    # MockPyth has no such function: an error for each, and nothing else is lost.
    assert set((await client.publish_times_s(feeds)).errors) == set(feeds)


# -- refusals ------------------------------------------------------------------------------------------------------------------


async def test_what_is_stale_or_unknown_is_refused_by_name(chain: Chain) -> None:
    client = await mock(chain)
    published = await now_s(chain)
    await pushed(chain, await client.build_update([await update(client, BTC, 7, published)]))
    assert await refusal(client.price(UNKNOWN)) is PythError.PRICE_FEED_NOT_FOUND
    assert await refusal(client.feed(UNKNOWN)) is PythError.PRICE_FEED_NOT_FOUND
    await chain.node.increase_time(timedelta(hours=1))
    await chain.node.mine()
    assert await refusal(client.price_no_older_than(BTC, MINUTE)) is PythError.STALE_PRICE
    assert await refusal(client.ema_price_no_older_than(BTC, MINUTE)) is PythError.STALE_PRICE
    assert (await client.price(BTC)).price_mantissa == 7
    assert (await client.price_no_older_than(BTC, timedelta(hours=2))).price_mantissa == 7
    # A price from the future is as stale as one of the past.
    ahead = await now_s(chain) + 3_600
    await pushed(chain, await client.build_update([await update(client, BTC, 8, ahead)]))
    assert await refusal(client.price_no_older_than(BTC, MINUTE)) is PythError.STALE_PRICE


async def test_an_update_that_would_not_be_taken_is_refused_before_it_is_sent(chain: Chain) -> None:
    client = await mock(chain)
    published = await now_s(chain)
    updates = [await update(client, BTC, 7, published)]
    assert await refusal(client.simulate_update(updates, fee_wei=FEE - 1)) is PythError.INSUFFICIENT_FEE
    await client.simulate_update(updates, if_older_than={BTC: published})
    await pushed(chain, await client.build_update(updates))
    again = client.simulate_update(updates, if_older_than={BTC: published})
    assert await refusal(again) is PythError.NO_FRESH_UPDATE
    await client.simulate_update(updates, if_older_than={BTC: published, ETH: published})
    # Stored is what is newer; older data changes nothing and is no error.
    receipt = await pushed(chain, await client.build_update([await update(client, BTC, 6, published - 5)]))
    assert (receipt.succeeded, receipt.logs) == (True, ())
    assert (await client.price(BTC)).price_mantissa == 7
    with pytest.raises(Reverted):
        await client.simulate_update([b"no update at all"], fee_wei=FEE)


async def test_a_simulation_needs_nobodys_money(chain: Chain) -> None:
    dear = PythEvmClient(chain.client, await chain.deploy("MockPyth", "uint256,uint256", PERIOD_S, 10**20))
    updates = [await update(dear, BTC, 7, await now_s(chain))]
    assert (await dear.simulate_update(updates)).value_wei == 10**20
    poor = Address("0x" + "51" * 20)
    with pytest.raises(RpcError, match="(?i)insufficient"):
        await dear.simulate_update(updates, sender=poor)
    assert await dear.simulate_update(updates, sender=chain.payer.address)


# -- parsing -------------------------------------------------------------------------------------------------------------------


async def test_updates_are_parsed_by_the_contract_within_a_window(chain: Chain) -> None:
    client = await mock(chain)
    at = await now_s(chain)
    updates = [await update(client, BTC, 7, at, at - 2), await update(client, ETH, 8, at - 1, at - 3)]
    parse = partial(client.parse_update, updates, min_publish_time_s=at - 1, max_publish_time_s=at)
    eth, btc = await parse([ETH, BTC])
    assert (eth.feed_id, eth.spot.price_mantissa, btc.feed_id, btc.publish_time_s) == (ETH, 8, BTC, at)
    assert await refusal(parse([UNKNOWN])) is PythError.PRICE_FEED_NOT_FOUND_WITHIN_RANGE
    late = client.parse_update(updates, [BTC], min_publish_time_s=at + 1, max_publish_time_s=at + 9)
    assert await refusal(late) is PythError.PRICE_FEED_NOT_FOUND_WITHIN_RANGE
    assert (await parse([BTC], unique=True))[0].feed_id == BTC
    # Nothing was stored by any of it.
    assert await refusal(client.price(BTC)) is PythError.PRICE_FEED_NOT_FOUND


async def test_parsing_with_slots_and_averages(chain: Chain) -> None:
    client = await mock(chain)
    at = await now_s(chain)
    updates = [await update(client, BTC, 7, at, at - 2)]
    parsed = await client.parse_update_with_slots(updates, [BTC], min_publish_time_s=at, max_publish_time_s=at, unique=True)
    assert (parsed.feeds[0].spot.price_mantissa, parsed.slots) == (7, (at,))
    second = client.parse_update_with_slots(updates, [BTC], min_publish_time_s=at - 2, max_publish_time_s=at, unique=True)
    assert await refusal(second) is PythError.PRICE_FEED_NOT_FOUND_WITHIN_RANGE
    average = await chain.client.read(client.address, CREATE_TWAP.one(bytes(BTC), at - 60, at, 700, 5, -2, 250_000))
    assert await client.twap_update_fee([average, average]) == 2 * FEE
    (twap,) = await client.parse_twap_update(average, average, [BTC])
    assert (twap.start_time_s, twap.end_time_s, str(twap.twap.price), twap.down_slots_ppm) == (at - 60, at, "7.00", 250_000)
    assert await refusal(client.parse_twap_update(average, average, [ETH])) is PythError.INVALID_TWAP_UPDATE_DATA_SET


async def test_an_aggregator_over_one_feed(chain: Chain) -> None:
    """Pyth's own wrapper with Chainlink's interface."""
    client = await mock(chain)
    published = await now_s(chain)
    await pushed(chain, await client.build_update([await update(client, BTC, 6_500_000_000_000, published)]))
    aggregator = await chain.deploy("PythAggregatorV3", "address,bytes32", client.address, bytes(BTC))
    read = partial(chain.client.read, aggregator)
    assert await read(codec.latest_round_data()) == (6_500_000_000_000, published)
    assert await read(codec.aggregator_decimals()) == 8
    assert await read(codec.aggregator_latest_timestamp_s()) == published
    empty = await chain.deploy("PythAggregatorV3", "address,bytes32", client.address, bytes(UNKNOWN))
    assert await refusal(chain.client.read(empty, codec.latest_round_data())) is PythError.PRICE_FEED_NOT_FOUND


# -- events --------------------------------------------------------------------------------------------------------------------


async def test_what_was_stored_is_in_the_logs(chain: Chain) -> None:
    client = await mock(chain)
    at = await now_s(chain)
    receipts = []
    for place in range(3):
        updates = [await update(client, feed, 10 * place + 1, at + place) for feed in (BTC, ETH)]
        receipts.append(await pushed(chain, await client.build_update(updates)))
    head = await chain.client.block_number()
    found = await client.price_updates(from_block=0, to_block=head, feeds=[BTC])
    assert all(isinstance(one, Logged) for one in found)
    rows = [(one.event, one.log.transaction_hash) for one in found if isinstance(one, Logged)]
    assert rows == [
        (PriceFeedUpdated(BTC, at + place, 10 * place + 1, 5), receipt.transaction_hash)
        for place, receipt in enumerate(receipts)
    ]
    assert len(await client.price_updates(from_block=0, to_block=head)) == 6
    assert len(await client.events(from_block=receipts[1].block_number, to_block=receipts[1].block_number)) == 2


# -- state ---------------------------------------------------------------------------------------------------------------------


async def test_the_state_tolerates_what_the_mock_lacks(chain: Chain) -> None:
    client = await mock(chain)
    await client.evm.block_number()
    chain.transport.taken()
    state = await client.state()
    assert len(chain.transport.taken()) == 4  # the block, a look for Multicall3, the contract beside its slot
    assert (state.contract.valid_time_period_s, state.implementation, state.receiver) == (PERIOD_S, None, None)
    missing = {one.name: one.absence for one in state.contract.unanswered}
    assert missing == dict.fromkeys(set(codec.STATE_CALLS) - {"valid_time_period_s"}, Absence.MISSING)
    assert (state.trust_root, state.emitter_roots, state.unanswered) == (None, (), ())
    for nothing in (Address("0x" + "51" * 20), await chain.deploy("Refuser")):
        with pytest.raises(NotFound, match="no Pyth contract"):
            await PythEvmClient(chain.client, nothing).state()


@pytest.mark.parametrize(("root", "half"), [(TrustRoot.CORE, False), (TrustRoot.PRO, True)])
async def test_the_state_of_a_whole_deployment(chain: Chain, root: TrustRoot, half: bool) -> None:
    """Proxy, implementation, receiver and guardians: whose updates it takes is read from the chain."""
    signing = SigningSet.generate(root, 2, b"whole")
    emitter = signing.emitter
    guardians = members(signing)
    wormhole = await chain.deploy("Receiver", "uint32,address[],bool,uint16", 2, guardians, half, 10003)
    source = (emitter.chain, emitter.address)
    behind = await chain.deploy("Pyth", "uint256,uint256,address,(uint16,bytes32)", PERIOD_S, FEE, wormhole, source)
    known = trust_of(signing)
    direct = await PythEvmClient(chain.client, behind, trust=known).state()
    assert direct.implementation is None
    assert (direct.trust_root, direct.emitter_roots) == (root, (root,))

    proxy = await chain.deploy("Proxy", "address", behind)
    client = PythEvmClient(chain.client, proxy, trust=known)
    state = await client.state()
    assert (state.implementation, state.contract.version, state.contract.wormhole) == (behind, "1.4.5-test", wormhole)
    assert (state.contract.chain_id, state.contract.owner) == (10003, codec.ZERO_ADDRESS)
    assert state.receiver is not None
    assert (state.receiver.set_index, state.receiver.root) == (2, root)
    assert state.receiver.quorum_rule is (QuorumRule.HALF if half else QuorumRule.TWO_THIRDS)
    # The proxy keeps its own storage: the sources are the implementation's constructor's, which did not run here.
    assert state.contract.data_sources is not None
    assert (state.contract.data_sources[0].chain_id, state.trust_root) == (0, None)
    assert (await client.receiver()).address == wormhole
    assert (await PythEvmClient(chain.client, behind, trust=trust.MAINNET).state()).trust_root is None


async def test_a_proxy_is_followed_through_an_upgrade(chain: Chain) -> None:
    first, second = [await chain.deploy("MockPyth", "uint256,uint256", PERIOD_S, FEE) for _ in range(2)]
    proxy = await chain.deploy("Proxy", "address", first)
    client = PythEvmClient(chain.client, proxy)
    old = await chain.client.block()
    upgrade = Function("upgradeTo(address)").calldata(second)
    receipt = await chain.node.transact(sender=chain.payer.address, to=proxy, data=upgrade)
    assert receipt.succeeded
    assert [(await client.state(at)).implementation for at in (old, "latest")] == [first, second]
    events = await client.events(from_block=0, to_block=receipt.block_number)
    told = [one.event for one in events if isinstance(one, Logged)]
    assert told == [ProxyUpgraded(first), ProxyUpgraded(second)]
    # A price that went through the proxy is the proxy's.
    await pushed(chain, await client.build_update([await update(client, BTC, 7, await now_s(chain))]))
    assert (await client.price(BTC)).price_mantissa == 7
    assert await refusal(PythEvmClient(chain.client, second).price(BTC)) is PythError.PRICE_FEED_NOT_FOUND
