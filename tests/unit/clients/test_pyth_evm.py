"""Pyth's contract on EVM chains: prices, configuration, updates tried, events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from eth_abi import abi as eth_abi
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit import errors
from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs.evm.registry import ContractKind, Deployment
from probekit.codecs.evm.reverts import revert_of
from probekit.model import FeedId, TrustRoot
from probekit.model.evm import Address
from probekit.model.pyth_evm import Absence, DataSource, OnChainPrice, PythError, QuorumRule
from probekit.model.pyth_evm_events import Logged, PriceFeedUpdated, TransactionFeeSet, UpdateFeeSet
from probekit.trust import BETA, CORE_EMITTER, MAINNET, PRO_EMITTER
from tests.unit.clients.contracts import (
    HEAD,
    IMPLEMENTATION,
    IMPLEMENTATION_SLOT,
    PYTH,
    RECEIVER,
    TIME_S,
    Contract,
    EvmNode,
    Pyth,
    Receiver,
    Refused,
    Revert,
)

BTC, ETH, UNKNOWN = (FeedId(bytes([number]) * 32) for number in (1, 2, 3))
SPOT, EMA = (5_000, 7, -8, TIME_S - 10), (4_900, 6, -8, TIME_S - 10)
OLD = (300, 2, -5, TIME_S - 3_600)
PRO_SET = MAINNET.newest(TrustRoot.PRO)
CORE_SET = MAINNET.newest(TrustRoot.CORE)


class Chain:
    """A node with a Pyth contract of the pro root, and its client."""

    def __init__(self) -> None:
        self.node = EvmNode()
        self.contract = Pyth([(PRO_EMITTER.chain, PRO_EMITTER.address)])
        self.contract.feeds = {bytes(BTC): (SPOT, EMA), bytes(ETH): (OLD, OLD)}
        assert PRO_SET is not None
        self.node.contracts |= {PYTH: self.contract, RECEIVER: Receiver(1, PRO_SET.signers, PRO_SET.quorum)}
        self.node.storage[PYTH, IMPLEMENTATION_SLOT] = "0x" + IMPLEMENTATION[2:].rjust(64, "0")
        self.pyth = PythEvmClient(self.node.client, PYTH)

    def methods(self) -> list[str]:
        return [method for method, _ in self.node.seen if method != "eth_chainId"]


@pytest.fixture
def chain() -> Chain:
    return Chain()


def error_of(caught: pytest.ExceptionInfo[errors.Reverted]) -> PythError | None:
    found = revert_of(caught.value)
    assert found is not None
    return found.error


# -- prices --------------------------------------------------------------------------------------------------------------------


async def test_one_feed(chain: Chain) -> None:
    assert await chain.pyth.price(BTC) == OnChainPrice(*SPOT)
    assert await chain.pyth.ema_price(BTC) == OnChainPrice(*EMA)
    assert await chain.pyth.price_no_older_than(BTC, timedelta(seconds=10)) == OnChainPrice(*SPOT)
    assert await chain.pyth.ema_price_no_older_than(BTC, timedelta(seconds=10)) == OnChainPrice(*EMA)
    found = await chain.pyth.feed(f"0x{BTC}")
    assert (found.feed_id, found.spot, found.ema) == (BTC, OnChainPrice(*SPOT), OnChainPrice(*EMA))
    assert chain.methods() == ["eth_call"] * 5
    assert await chain.pyth.valid_time_period() == timedelta(seconds=60)


async def test_why_a_price_is_refused(chain: Chain) -> None:
    with pytest.raises(errors.Reverted, match="PriceFeedNotFound: the feed was never pushed") as caught:
        await chain.pyth.price(UNKNOWN)
    assert error_of(caught) is PythError.PRICE_FEED_NOT_FOUND
    for read in (chain.pyth.price_no_older_than, chain.pyth.ema_price_no_older_than):
        with pytest.raises(errors.Reverted) as caught:
            await read(BTC, timedelta(seconds=9, milliseconds=999))
        assert error_of(caught) is PythError.STALE_PRICE
    with pytest.raises(ValueError, match="feed id"):
        await chain.pyth.price("BTC")
    assert chain.methods() == ["eth_call"] * 3


async def test_a_past_block(chain: Chain) -> None:
    # At block 90 the clock of the chain stood 10 s earlier.
    assert await chain.pyth.price_no_older_than(BTC, timedelta(seconds=0), 90) == OnChainPrice(*SPOT)
    reads = await chain.pyth.prices([BTC], 90)
    assert (reads.block.number, reads.block.time.since(reads[BTC].publish_time)) == (90, 0)


async def test_many_feeds_at_one_block(chain: Chain) -> None:
    reads = await chain.pyth.feeds([ETH, UNKNOWN, f"0x{BTC}", ETH])
    assert list(reads.answers) == [ETH, UNKNOWN, BTC]
    assert list(reads.values) == [ETH, BTC]
    assert reads[BTC].ema == OnChainPrice(*EMA)
    assert (reads.block.number, reads.block.hash, reads.block.timestamp) == (HEAD, chain.node.block_hash(HEAD), TIME_S)
    assert reads.block.time.since(reads[BTC].publish_time) == 10 * 10**9
    assert (reads.route, reads.pinned) == ("multicall3", "hash")
    revert = revert_of(reads.errors[UNKNOWN])
    assert revert is not None
    assert revert.error is PythError.PRICE_FEED_NOT_FOUND
    with pytest.raises(errors.Reverted):
        reads[UNKNOWN]
    with pytest.raises(KeyError):
        reads["ee" * 32]
    assert chain.methods() == ["eth_getBlockByNumber", "eth_call"]
    assert dict((await chain.pyth.publish_times_s([BTC, UNKNOWN], reads.block)).values) == {BTC: TIME_S - 10, UNKNOWN: 0}


async def test_a_thousand_feeds_are_three_requests(chain: Chain) -> None:
    ids = [FeedId(number.to_bytes(32, "big")) for number in range(1_000)]
    chain.contract.feeds = {bytes(one): ((number, 1, -8, TIME_S), EMA) for number, one in enumerate(ids) if number % 10}
    reads = await chain.pyth.prices(ids)
    assert chain.methods() == ["eth_getBlockByNumber", "eth_call", "eth_call"]
    assert [found.price_mantissa for found in reads.values.values()] == [number for number in range(1_000) if number % 10]
    assert len(reads.errors) == 100


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1), st.integers(-20, 5)), max_size=8))
async def test_prices_are_what_the_contract_stores(stored: list[tuple[int, int, int]]) -> None:
    chain = Chain()
    ids = [FeedId(number.to_bytes(32, "big")) for number in range(len(stored))]
    chain.contract.feeds = {bytes(one): ((*price, TIME_S), EMA) for one, price in zip(ids, stored, strict=True)}
    reads = await chain.pyth.prices(ids)
    assert [(one.price.mantissa, one.conf.mantissa, one.price.expo) for one in reads.values.values()] == stored


async def test_one_damaged_answer_leaves_the_others(chain: Chain) -> None:
    # One word more is a value that was appended; 3 bytes more are nothing that a contract writes.
    class Damaged(Contract):
        def run(self, data: bytes, tx: dict[str, Any]) -> bytes:
            answer = chain.contract.run(data, tx)
            return answer + (b"xyz" if data[4:] == bytes(BTC) else bytes(32))

    chain.node.contracts[PYTH] = Damaged()
    reads = await chain.pyth.prices([BTC, ETH])
    assert reads[ETH] == OnChainPrice(*OLD)
    assert isinstance(reads.errors[BTC], errors.DecodeError)


# -- configuration -------------------------------------------------------------------------------------------------------------


async def test_the_whole_state_in_five_requests(chain: Chain) -> None:
    state = await chain.pyth.state()
    assert sorted(chain.methods()) == ["eth_call"] * 3 + ["eth_getBlockByNumber", "eth_getStorageAt"]
    assert (state.address, state.block.number, state.implementation) == (PYTH, HEAD, Address(IMPLEMENTATION))
    contract = state.contract
    assert (contract.version, contract.chain_id, contract.wormhole) == ("1.4.5", 10_002, Address(RECEIVER))
    assert contract.data_sources == (DataSource(26, PRO_EMITTER.address),)
    assert contract.governance_data_source == DataSource(1, b"g" * 32)
    assert (contract.governance_data_source_index, contract.last_executed_governance_sequence) == (0, 77)
    assert (contract.single_update_fee_wei, contract.transaction_fee_wei, contract.valid_time_period_s) == (1, 0, 60)
    receiver = state.receiver
    assert receiver is not None
    assert receiver.guardian_set is not None
    assert PRO_SET is not None
    assert tuple(map(bytes, receiver.guardian_set.guardians)) == PRO_SET.signers
    assert (receiver.set_index, receiver.quorum, receiver.quorum_rule) == (1, 3, QuorumRule.HALF)
    assert (receiver.set_expiry_s, receiver.governance_chain_id, receiver.chain_id) == (86_400, 1, 10_002)
    assert receiver.governance_contract == bytes(31) + b"\x04"
    assert (receiver.root, state.emitter_roots, state.trust_root) == (TrustRoot.PRO, (TrustRoot.PRO,), TrustRoot.PRO)
    assert state.unanswered == contract.unanswered == receiver.unanswered == ()


async def test_a_receiver_that_answers_nothing_costs_the_contract_nothing(chain: Chain) -> None:
    del chain.node.contracts[RECEIVER]
    state = await chain.pyth.state()
    assert (state.receiver, state.trust_root, state.contract.version) == (None, None, "1.4.5")
    assert [(one.name, one.absence) for one in state.unanswered] == [("receiver", Absence.MISSING)]
    assert "no Wormhole receiver at" in state.unanswered[0].reason


async def test_a_contract_of_the_core_root(chain: Chain) -> None:
    assert CORE_SET is not None
    chain.contract.has("validDataSources()", ["(uint16,bytes32)[]"], lambda _: [[(1, b"o" * 32), (26, CORE_EMITTER.address)]])
    chain.node.contracts[RECEIVER] = Receiver(CORE_SET.index, CORE_SET.signers, 13)
    state = await chain.pyth.state()
    assert state.receiver is not None
    assert (state.receiver.quorum, state.receiver.quorum_rule) == (13, QuorumRule.TWO_THIRDS)
    assert (state.emitter_roots, state.trust_root) == ((TrustRoot.CORE,), TrustRoot.CORE)


async def test_a_receiver_and_sources_that_do_not_go_together(chain: Chain) -> None:
    chain.contract.has("validDataSources()", ["(uint16,bytes32)[]"], lambda _: [[(26, CORE_EMITTER.address)]])
    state = await chain.pyth.state()
    assert state.receiver is not None
    assert (state.receiver.root, state.emitter_roots, state.trust_root) == (TrustRoot.PRO, (TrustRoot.CORE,), None)
    # Sets and emitters of the caller's own say whose they are.
    state = await PythEvmClient(chain.node.client, PYTH, trust=BETA).state(state.block)
    assert state.receiver is not None
    assert (state.receiver.root, state.trust_root) == (None, None)


async def test_an_older_implementation(chain: Chain) -> None:
    for signature in ("transactionFeeInWei()", "governanceDataSourceIndex()", "version()"):
        chain.contract.lacks(signature)
    chain.contract.has("chainId()", ["uint256"], lambda _: [70_000])
    state = await chain.pyth.state()
    told = {one.name: one.absence for one in state.contract.unanswered}
    assert told == {
        "transaction_fee_wei": Absence.MISSING,
        "governance_data_source_index": Absence.MISSING,
        "version": Absence.MISSING,
        "chain_id": Absence.UNREADABLE,
    }
    assert (state.contract.version, state.contract.single_update_fee_wei, state.trust_root) == (None, 1, TrustRoot.PRO)


async def test_a_contract_that_has_a_consumers_interface_only_is_still_pyths(chain: Chain) -> None:
    """As MockPyth is, and whatever else stands in for Pyth on a chain: of the whole configuration it tells one value."""
    for signature in (
        "version()", "chainId()", "wormhole()", "validDataSources()", "governanceDataSource()", "owner()",
        "governanceDataSourceIndex()", "lastExecutedGovernanceSequence()", "singleUpdateFeeInWei()", "transactionFeeInWei()",
        "pythUpgradableMagic()", "validTimePeriodSeconds()",
    ):  # fmt: skip
        chain.contract.lacks(signature)
    state = await chain.pyth.state()
    assert (state.contract.valid_time_period_s, state.receiver, state.trust_root) == (60, None, None)
    assert {one.absence for one in state.contract.unanswered} == {Absence.MISSING}
    assert len(state.contract.unanswered) == 11


async def test_a_contract_that_is_paused(chain: Chain) -> None:
    def paused(_: Any) -> Any:
        raise Revert(keccak(text="Error(string)")[:4] + eth_abi.encode(["string"], ["paused"]))

    chain.contract.has("wormhole()", ["address"], paused)
    state = await chain.pyth.state()
    (told,) = state.contract.unanswered
    assert (told.name, told.absence, told.reason) == ("wormhole", Absence.REFUSED, "wormhole: Error: paused")
    assert (state.receiver, state.trust_root) == (None, None)


async def test_what_is_no_pyth_contract(chain: Chain) -> None:
    with pytest.raises(errors.NotFound, match="no Pyth contract"):
        await PythEvmClient(chain.node.client, "0x" + "09" * 20).state()
    chain.node.contracts[PYTH] = Contract()
    with pytest.raises(errors.NotFound, match="no Pyth contract"):
        await chain.pyth.state()


async def test_an_endpoint_that_fails_is_no_missing_contract(chain: Chain) -> None:
    block = await chain.node.client.block()

    def fault(method: str, _: list[Any]) -> Any:
        if method == "eth_call":
            raise Refused(-32603, "internal error")

    chain.node.fault = fault
    with pytest.raises(errors.RpcInternal):
        await chain.pyth.state(block)


async def test_a_slot_that_cannot_be_read_does_not_cost_the_rest(chain: Chain) -> None:
    def fault(method: str, _: list[Any]) -> Any:
        if method == "eth_getStorageAt":
            raise Refused(-32601, "the method eth_getStorageAt does not exist/is not available")

    chain.node.fault = fault
    state = await chain.pyth.state()
    assert [(one.name, one.absence) for one in state.unanswered] == [("implementation", Absence.FAILED)]
    assert (state.implementation, state.contract.version) == (None, "1.4.5")
    chain.node.fault = None
    chain.node.storage[PYTH, IMPLEMENTATION_SLOT] = "0x" + "ff" * 32
    state = await chain.pyth.state()
    assert [(one.name, one.absence) for one in state.unanswered] == [("implementation", Absence.UNREADABLE)]
    chain.node.storage.clear()
    state = await chain.pyth.state()
    assert (state.implementation, state.unanswered) == (None, ())


async def test_its_receiver(chain: Chain) -> None:
    receiver = await chain.pyth.receiver()
    assert (receiver.address, await receiver.set_index()) == (Address(RECEIVER), 1)


async def test_contracts_by_the_registry() -> None:
    pro = PythEvmClient.known(EvmNode(chain_id=8453).client, Deployment.PRO)
    assert pro.address == "0xbC16aee60f64864882BC6C4E428e148Fc0E272F5"
    assert pro.deployed is not None
    assert (pro.deployed.kind, pro.deployed.deployment) == (ContractKind.PYTH, Deployment.PRO)
    assert PythEvmClient(pro.evm, PYTH).deployed is None
    with pytest.raises(LookupError, match="0 pro-compatible-production contracts"):
        PythEvmClient.known(EvmNode(chain_id=43_114).client, Deployment.PRO)
    with pytest.raises(LookupError, match="2 stable contracts"):
        PythEvmClient.known(EvmNode(chain_id=11_155_111).client)


# -- updates -------------------------------------------------------------------------------------------------------------------


async def test_an_update_is_built_with_its_fee(chain: Chain) -> None:
    prepared = await chain.pyth.build_update([b"good", b"good"])
    assert (prepared.to, prepared.value_wei) == (Address(PYTH), 2)
    assert prepared.call.data == keccak(text="updatePriceFeeds(bytes[])")[:4] + eth_abi.encode(["bytes[]"], [[b"good"] * 2])
    chain.node.seen.clear()
    prepared = await chain.pyth.build_update([b"good"], if_older_than={BTC: TIME_S}, fee_wei=9)
    assert (prepared.value_wei, chain.methods()) == (9, [])
    expected = eth_abi.encode(["bytes[]", "bytes32[]", "uint64[]"], [[b"good"], [bytes(BTC)], [TIME_S]])
    assert prepared.transaction()["data"][10:] == expected.hex()


async def test_an_update_that_the_contract_would_take(chain: Chain) -> None:
    prepared = await chain.pyth.simulate_update([b"good"])
    assert prepared == await chain.pyth.build_update([b"good"])
    assert chain.node.asked("eth_call")[1][0] == prepared.transaction() | {"value": "0x1"}
    await chain.pyth.simulate_update([b"good"], if_older_than={BTC: TIME_S}, sender="0x" + "05" * 20)
    assert chain.node.asked("eth_call")[-1][0]["from"] == "0x" + "05" * 20


@pytest.mark.parametrize(
    ("updates", "options", "error"),
    [
        ([b"bad"], {}, PythError.INVALID_WORMHOLE_VAA),
        ([b"garbage"], {}, PythError.INVALID_UPDATE_DATA),
        ([b"good"], {"fee_wei": 0}, PythError.INSUFFICIENT_FEE),
        ([b"good"], {"if_older_than": {BTC: TIME_S - 10}}, PythError.NO_FRESH_UPDATE),
    ],
)
async def test_an_update_that_it_would_not(chain: Chain, updates: list[bytes], options: Any, error: PythError) -> None:
    with pytest.raises(errors.Reverted, match=str(error)) as caught:
        await chain.pyth.simulate_update(updates, **options)
    assert error_of(caught) is error


async def test_nobody_can_pay_unless_the_node_lends(chain: Chain) -> None:
    chain.node.rich = False
    prepared = await chain.pyth.simulate_update([b"good"])
    transaction, _, overrides = chain.node.asked("eth_call")[-1]
    assert list(overrides) == [transaction["from"]]
    assert int(overrides[transaction["from"]]["balance"], 16) > 10**24
    with pytest.raises(errors.Reverted) as caught:
        await chain.pyth.simulate_update([b"bad"])
    assert error_of(caught) is PythError.INVALID_WORMHOLE_VAA
    # A sender who was named pays from what he has.
    with pytest.raises(errors.RpcError, match="insufficient funds"):
        await chain.pyth.simulate(prepared, sender="0x" + "05" * 20)
    chain.node.takes_overrides = False
    with pytest.raises(errors.RpcError, match="insufficient funds"):
        await chain.pyth.simulate_update([b"good"])


async def test_an_update_to_nobody(chain: Chain) -> None:
    pyth = PythEvmClient(chain.node.client, "0x" + "09" * 20)
    with pytest.raises(errors.NotFound, match="no contract"):
        await pyth.simulate_update([b"good"], fee_wei=0)


async def test_what_the_contract_reads_out_of_an_update(chain: Chain) -> None:
    window: dict[str, Any] = {"min_publish_time_s": TIME_S - 60, "max_publish_time_s": TIME_S}
    for unique in (False, True):
        (found,) = await chain.pyth.parse_update([b"good"], [BTC], **window, unique=unique)
        assert (found.feed_id, found.spot, found.ema) == (BTC, OnChainPrice(*SPOT), OnChainPrice(*EMA))
    parsed = await chain.pyth.parse_update_with_slots([b"good"], [BTC], **window)
    assert (parsed.feeds, parsed.slots) == ((found,), (9,))
    (twap,) = await chain.pyth.parse_twap_update(b"good", b"good", [ETH])
    assert (twap.feed_id, twap.twap.price_mantissa, twap.end_time_s) == (ETH, 5, 2)
    assert [params[0].get("value") for params in chain.node.asked("eth_call")][-1] == "0x2"
    chain.node.seen.clear()
    await chain.pyth.parse_update([b"good"], [BTC], **window, fee_wei=5)
    assert len(chain.node.asked("eth_call")) == 1
    with pytest.raises(errors.Reverted) as caught:
        await chain.pyth.parse_update([b"good"], [BTC, ETH], **window)
    assert error_of(caught) is PythError.PRICE_FEED_NOT_FOUND_WITHIN_RANGE
    with pytest.raises(errors.Reverted) as caught:
        await chain.pyth.parse_update_with_slots([b"bad"], [BTC], **window)
    assert error_of(caught) is PythError.INVALID_WORMHOLE_VAA


# -- events --------------------------------------------------------------------------------------------------------------------


def log(number: int, signature: str, *topics: bytes, types: list[str], values: list[Any]) -> dict[str, Any]:
    return {
        "address": PYTH,
        "topics": ["0x" + one.hex() for one in (keccak(text=signature), *topics)],
        "data": "0x" + eth_abi.encode(types, values).hex(),
        "blockNumber": hex(number),
        "blockHash": EvmNode.block_hash(number),
        "transactionHash": "0x" + "ab" * 32,
        "logIndex": "0x3",
        "removed": False,
    }


def price_log(number: int, feed: FeedId, price: int) -> dict[str, Any]:
    return log(
        number,
        "PriceFeedUpdate(bytes32,uint64,int64,uint64)",
        bytes(feed),
        types=["uint64", "int64", "uint64"],
        values=[TIME_S, price, 1],
    )


async def test_price_updates_of_a_range(chain: Chain) -> None:
    chain.node.logs = [
        price_log(5, BTC, -1),
        price_log(6, ETH, 2),
        {**price_log(7, BTC, 3), "data": "0x00"},
        {**price_log(8, BTC, 4), "blockHash": None},
        price_log(9, BTC, 5),
        price_log(10, BTC, 6),
    ]
    first, damaged, unreadable, last = await chain.pyth.price_updates(from_block=5, to_block=9, feeds=[BTC])
    assert isinstance(first, Logged)
    assert first.event == PriceFeedUpdated(BTC, TIME_S, -1, 1)
    assert (first.log.block_number, first.log.block_hash, first.log.log_index) == (5, EvmNode.block_hash(5), 3)
    assert isinstance(damaged, errors.DecodeError)
    assert isinstance(unreadable, errors.DecodeError)
    assert isinstance(last, Logged)
    assert last.event.price_mantissa == 5
    everyone = await chain.pyth.price_updates(from_block=5, to_block=10)
    assert len(everyone) == 6


async def test_all_events_of_a_range(chain: Chain) -> None:
    fee = log(6, "FeeSet(uint256,uint256)", types=["uint256", "uint256"], values=[1, 2])
    other = log(7, "TransactionFeeSet(uint256,uint256)", types=["uint256", "uint256"], values=[0, 3])
    unknown = log(8, "Paused()", types=[], values=[])
    chain.node.logs = [price_log(5, BTC, 1), fee, other, unknown]
    found = await chain.pyth.events(from_block=0, to_block=HEAD)
    assert [one.event for one in found if isinstance(one, Logged)] == [
        PriceFeedUpdated(BTC, TIME_S, 1, 1),
        UpdateFeeSet(1, 2),
        TransactionFeeSet(0, 3),
    ]
