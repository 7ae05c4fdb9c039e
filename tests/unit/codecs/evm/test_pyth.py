"""Pyth's contract: calls as eth_abi writes them, answers to typed values, and damaged answers."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import abi as eth_abi
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.evm import pyth
from probekit.codecs.evm.contract import ContractCall, PreparedCall
from probekit.codecs.evm.reverts import encode_revert, reverted
from probekit.errors import DeadlineExceeded, DecodeError
from probekit.model import FeedId
from probekit.model.evm import Address
from probekit.model.pyth_evm import (
    Absence,
    DataSource,
    GovernanceInstruction,
    OnChainPrice,
    OnChainPriceFeed,
    OnChainTwap,
    ParsedUpdates,
)
from tests.support.mutation import decodes_or_refuses, mutations
from tests.unit.codecs.strategies import exactly, signed, unsigned

BTC = FeedId("e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43")
ETH = FeedId("ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace")
PRICE = "(int64,uint64,int32,uint256)"
FEED = f"(bytes32,{PRICE},{PRICE})"
SOURCE = DataSource(26, b"PythnetPythnetPythnetPythnetPyth")
OWNER = "0x" + "ab" * 20

prices = st.builds(OnChainPrice, signed(64), unsigned(64), signed(32), unsigned(256))
feeds = st.builds(OnChainPriceFeed, exactly(32).map(FeedId), prices, prices)


@given(prices)
def test_prices(price: OnChainPrice) -> None:
    answer = eth_abi.encode([PRICE], [pyth.raw_price(price)])
    for call in (
        pyth.get_price_unsafe(BTC),
        pyth.get_price_no_older_than(BTC, 60),
        pyth.get_ema_price_unsafe(BTC),
        pyth.get_ema_price_no_older_than(BTC, 60),
        pyth.get_price(BTC),
        pyth.get_ema_price(BTC),
    ):
        assert call.result(answer) == price
    assert pyth.GET_PRICE_UNSAFE.answer(pyth.raw_price(price)) == answer
    assert (price.price.mantissa, price.price.expo, price.conf.mantissa) == (
        price.price_mantissa,
        price.expo,
        price.conf_mantissa,
    )
    assert price.publish_time.seconds == price.publish_time_s


@given(st.lists(feeds, max_size=3).map(tuple), st.lists(unsigned(64), max_size=3).map(tuple))
def test_feeds_alone_and_in_lists(many: tuple[OnChainPriceFeed, ...], slots: tuple[int, ...]) -> None:
    raw = [pyth.raw_feed(one) for one in many]
    for one, member in zip(many, raw, strict=True):
        assert pyth.query_price_feed(one.feed_id).result(eth_abi.encode([FEED], [member])) == one
        assert (one.price, one.conf, one.ema_price) == (one.spot.price, one.spot.conf, one.ema.price)
        assert one.publish_time == one.spot.publish_time
    ids = [one.feed_id for one in many]
    listed = eth_abi.encode([f"{FEED}[]"], [raw])
    assert pyth.parse_price_feed_updates((b"u",), ids, 0, 9).result(listed) == many
    assert pyth.parse_price_feed_updates_unique((b"u",), ids, 0, 9).result(listed) == many
    both = eth_abi.encode([f"{FEED}[]", "uint64[]"], [raw, slots])
    assert pyth.parse_price_feed_updates_with_config((b"u",), ids, 0, 9).result(both) == ParsedUpdates(many, slots)


SPOT = (5, 1, -2, 9)


def test_an_answer_about_other_feeds_than_those_asked_for_is_none() -> None:
    btc, eth = ((bytes(one), SPOT, SPOT) for one in (BTC, ETH))
    with pytest.raises(DecodeError, match="asked for"):
        pyth.query_price_feed(BTC).result(eth_abi.encode([FEED], [eth]))
    for told in ([], [eth], [btc], [eth, btc], [btc, eth, eth]):
        listed = eth_abi.encode([f"{FEED}[]"], [told])
        for parse in (pyth.parse_price_feed_updates, pyth.parse_price_feed_updates_unique):
            with pytest.raises(DecodeError, match="asked for"):
                parse((b"u",), (BTC, ETH), 0, 9).result(listed)
        with pytest.raises(DecodeError, match="asked for"):
            both = eth_abi.encode([f"{FEED}[]", "uint64[]"], [told, []])
            pyth.parse_price_feed_updates_with_config((b"u",), (BTC, ETH), 0, 9).result(both)
    assert (
        len(pyth.parse_price_feed_updates((b"u",), (BTC, ETH), 0, 9).result(eth_abi.encode([f"{FEED}[]"], [[btc, eth]]))) == 2
    )


@pytest.mark.parametrize(
    ("calldata", "types", "values"),
    [
        (pyth.get_price_no_older_than(BTC, 60).data, ["bytes32", "uint256"], [bytes(BTC), 60]),
        (pyth.get_price_unsafe(f"0x{BTC.upper()}").data, ["bytes32"], [bytes(BTC)]),
        (pyth.get_update_fee([b"PNAU", b""]).data, ["bytes[]"], [[b"PNAU", b""]]),
        (pyth.get_update_fee_by_count(3).data, ["uint256"], [3]),
        (pyth.get_twap_update_fee([b"a", b"b"]).data, ["bytes[]"], [[b"a", b"b"]]),
        (pyth.update_price_feeds([b"PNAU" * 40]).data, ["bytes[]"], [[b"PNAU" * 40]]),
        (
            pyth.update_price_feeds_if_necessary([b"u"], {BTC: 5, ETH: 6}).data,
            ["bytes[]", "bytes32[]", "uint64[]"],
            [[b"u"], [bytes(BTC), bytes(ETH)], [5, 6]],
        ),
        (
            pyth.parse_price_feed_updates([b"u"], [BTC], 5, 6).data,
            ["bytes[]", "bytes32[]", "uint64", "uint64"],
            [[b"u"], [bytes(BTC)], 5, 6],
        ),
        (
            pyth.parse_price_feed_updates_with_config([b"u"], [BTC], 5, 6, minimal=True).data,
            ["bytes[]", "bytes32[]", "uint64", "uint64", "bool", "bool", "bool"],
            [[b"u"], [bytes(BTC)], 5, 6, False, True, False],
        ),
        (pyth.parse_twap_price_feed_updates([b"a", b"b"], [BTC]).data, ["bytes[]", "bytes32[]"], [[b"a", b"b"], [bytes(BTC)]]),
        (pyth.hash_data_source(SOURCE).data, ["(uint16,bytes32)"], [(26, SOURCE.emitter)]),
        (pyth.is_valid_data_source(SOURCE).data, ["uint16", "bytes32"], [26, SOURCE.emitter]),
        (pyth.is_valid_governance_data_source(SOURCE).data, ["uint16", "bytes32"], [26, SOURCE.emitter]),
        (pyth.execute_governance_instruction(b"vaa").data, ["bytes"], [b"vaa"]),
        (pyth.proxiable_uuid().data, [], []),
    ],
)
def test_calldata_as_eth_abi_writes_it(calldata: bytes, types: list[str], values: list[Any]) -> None:
    assert calldata[4:] == eth_abi.encode(types, values)


def test_calldata_reads_back_to_its_arguments() -> None:
    calldata = pyth.update_price_feeds_if_necessary([b"u"], {BTC: 5}).data
    assert pyth.UPDATE_PRICE_FEEDS_IF_NECESSARY.arguments(calldata) == ((b"u",), (bytes(BTC),), (5,))
    with pytest.raises(DecodeError, match="begins with b9256d28, not ef9e5e28"):
        pyth.UPDATE_PRICE_FEEDS.arguments(calldata)
    with pytest.raises(DecodeError) as caught:
        pyth.UPDATE_PRICE_FEEDS_IF_NECESSARY.arguments(calldata[:-1])
    assert caught.value.raw == calldata[:-1]


@pytest.mark.parametrize(
    ("call", "types", "values", "expected"),
    [
        (pyth.price_feed_exists(BTC), ["bool"], [True], True),
        (pyth.latest_publish_time_s(BTC), ["uint64"], [1_707_351_972], 1_707_351_972),
        (pyth.valid_time_period_s(), ["uint256"], [60], 60),
        (pyth.get_update_fee([b"u"]), ["uint256"], [2], 2),
        (
            pyth.parse_twap_price_feed_updates([b"a", b"b"], [BTC]),
            [f"(bytes32,uint64,uint64,{PRICE},uint32)[]"],
            [[(bytes(BTC), 5, 6, (7, 8, -9, 10), 11)]],
            (OnChainTwap(BTC, 5, 6, OnChainPrice(7, 8, -9, 10), 11),),
        ),
        (
            pyth.parse_governance_instruction(b"PTGM"),
            ["(uint8,uint8,uint16,bytes)"],
            [(1, 3, 30, b"fee")],
            GovernanceInstruction(1, 3, 30, b"fee"),
        ),
        (pyth.hash_data_source(SOURCE), ["bytes32"], [pyth.data_source_hash(SOURCE)], pyth.data_source_hash(SOURCE)),
        (pyth.latest_round_data(), ["uint80", "int256", "uint256", "uint256", "uint80"], [9, -5, 9, 9, 9], (-5, 9)),
        (pyth.aggregator_decimals(), ["uint8"], [8], 8),
        (pyth.aggregator_latest_timestamp_s(), ["uint256"], [9], 9),
    ],
)
def test_answers(call: ContractCall[Any], types: list[str], values: list[Any], expected: object) -> None:
    assert call.result(eth_abi.encode(types, values)) == expected


def test_an_empty_answer_names_the_function() -> None:
    with pytest.raises(DecodeError, match="getPriceUnsafe: an empty answer; no contract"):
        pyth.get_price_unsafe(BTC).result(b"")


def test_damaged_answers_are_decode_errors() -> None:
    feed = pyth.raw_feed(OnChainPriceFeed(BTC, OnChainPrice(5, 6, -8, 7), OnChainPrice(-5, 6, -8, 7)))
    call = pyth.parse_price_feed_updates_with_config([b"u"], [BTC], 0, 9)
    answer = eth_abi.encode([f"{FEED}[]", "uint64[]"], [[feed], [1, 2]])
    outcomes = [decodes_or_refuses(call.result, mutated) for mutated in mutations(answer)]
    assert any(outcomes)
    assert not all(outcomes)


@pytest.mark.parametrize("bad", ["", "0x12", b"short", BTC[:-1]])
def test_what_is_no_feed_id_makes_no_call(bad: str | bytes) -> None:
    with pytest.raises(ValueError, match="feed id"):
        pyth.get_price_unsafe(bad)


def test_a_data_source_hash_is_packed() -> None:
    # keccak256 of 001a and the emitter, without padding.
    assert pyth.data_source_hash(SOURCE) != pyth.data_source_hash(DataSource(27, SOURCE.emitter))
    with pytest.raises(ValueError, match="32 bytes"):
        pyth.data_source_hash(DataSource(26, b"short"))


RAW_STATE: dict[str, tuple[list[str], list[Any], object]] = {
    "version": (["string"], ["1.4.5"], "1.4.5"),
    "chain_id": (["uint16"], [30], 30),
    "wormhole": (["address"], [OWNER], Address(OWNER)),
    "data_sources": (["(uint16,bytes32)[]"], [[(26, SOURCE.emitter)]], (SOURCE,)),
    "governance_data_source": (["(uint16,bytes32)"], [(1, SOURCE.emitter)], DataSource(1, SOURCE.emitter)),
    "governance_data_source_index": (["uint32"], [0], 0),
    "last_executed_governance_sequence": (["uint64"], [77], 77),
    "single_update_fee_wei": (["uint256"], [1], 1),
    "transaction_fee_wei": (["uint256"], [10**15], 10**15),
    "valid_time_period_s": (["uint256"], [60], 60),
    "owner": (["address"], ["0x" + "00" * 20], pyth.ZERO_ADDRESS),
    "magic": (["uint32"], [0x97A6F304], pyth.MAGIC),
}


def test_the_whole_configuration() -> None:
    answers = {name: call.result(eth_abi.encode(*RAW_STATE[name][:2])) for name, call in pyth.STATE_CALLS.items()}
    state = pyth.contract_state(answers)
    assert {name: getattr(state, name) for name in RAW_STATE} == {name: row[2] for name, row in RAW_STATE.items()}
    assert state.unanswered == ()


def test_an_older_implementation_leaves_out_what_it_does_not_have() -> None:
    state = pyth.contract_state(
        {
            "chain_id": 2,
            "transaction_fee_wei": reverted("transactionFeeInWei", b""),
            "magic": DecodeError("an empty answer", raw=b""),
            "version": DecodeError("version: cut short", raw=b"\0"),
            "wormhole": reverted("wormhole", encode_revert("Error", message="paused")),
            "data_sources": DeadlineExceeded("no answer"),
        }
    )
    assert (state.chain_id, state.transaction_fee_wei, state.version) == (2, None, None)
    told = {one.name: (one.absence, one.reason) for one in state.unanswered}
    assert len(told) == len(pyth.STATE_CALLS) - 1
    assert told["transaction_fee_wei"] == (Absence.MISSING, "transactionFeeInWei: reverted without a reason")
    assert told["magic"] == (Absence.MISSING, "an empty answer")
    assert told["version"] == (Absence.UNREADABLE, "version: cut short")
    assert told["wormhole"] == (Absence.REFUSED, "wormhole: Error: paused")
    assert told["data_sources"] == (Absence.FAILED, "no answer")
    assert told["owner"] == (Absence.FAILED, "not asked")


def test_a_function_without_return_values_may_answer_nothing() -> None:
    for call in (pyth.update_price_feeds([b"u"]), pyth.execute_governance_instruction(b"vaa")):
        assert call.result(b"") is None
        assert call.result(bytes(32)) is None
        with pytest.raises(DecodeError):
            call.result(b"\0")


def test_a_prepared_call_is_a_transaction() -> None:
    call = pyth.update_price_feeds([b"u"])
    made = PreparedCall(Address(OWNER), call, 7).transaction()
    assert made == {"to": str(Address(OWNER)), "data": "0x" + call.data.hex(), "value": 7}
