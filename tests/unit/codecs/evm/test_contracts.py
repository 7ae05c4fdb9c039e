"""Multicall3, the Wormhole receiver, tokens and proxies."""

from __future__ import annotations

from decimal import Context, Decimal
from itertools import pairwise
from typing import Any

import pytest
from eth_abi import abi as eth_abi
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.evm import eip1967, erc20, multicall, pyth, wormhole
from probekit.codecs.evm.contract import ContractCall
from probekit.codecs.evm.multicall import BlockResults, CallResult
from probekit.codecs.evm.reverts import decode_revert, encode_revert
from probekit.errors import DecodeError, Reverted
from probekit.model.evm import Address
from probekit.model.pyth_evm import GuardianSetInfo, OnChainVaa, PythError, QuorumRule
from probekit.units import Instant
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.strategies import exactly, unsigned

ONE, TWO = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
FEED = "ab" * 32
WIDE = Context(prec=100)
VM = "(uint8,uint32,uint32,uint16,bytes32,uint64,uint8,bytes,uint32,(bytes32,bytes32,uint8,uint8)[],bytes32)"


# -- Multicall3 ----------------------------------------------------------------------------------------------------------------

CALLS: list[tuple[str, ContractCall[Any]]] = [
    (ONE, pyth.get_price_unsafe(FEED)),
    (ONE, pyth.latest_publish_time_s(FEED)),
    (TWO, multicall.native_balance_wei(ONE)),
]


def test_a_batch_is_written_as_eth_abi_writes_it() -> None:
    rows = [(target, True, call.data) for target, call in CALLS]
    batch = multicall.aggregate3(CALLS)
    assert batch.data[4:] == eth_abi.encode(["(address,bool,bytes)[]"], [rows])
    block = multicall.try_block_and_aggregate(CALLS)
    assert block.data[4:] == eth_abi.encode(["bool", "(address,bytes)[]"], [False, [(one, data) for one, _, data in rows]])


def test_each_call_has_its_own_outcome() -> None:
    price = eth_abi.encode(["(int64,uint64,int32,uint256)"], [(5, 6, -8, 7)])
    raw = [(True, price), (False, encode_revert("PriceFeedNotFound")), (True, b"")]
    results = multicall.aggregate3(CALLS).result(eth_abi.encode(["(bool,bytes)[]"], [raw]))
    assert results == tuple(CallResult(*one) for one in raw)
    found = [multicall.outcome(call, result) for (_, call), result in zip(CALLS, results, strict=True)]
    assert found[0] == CALLS[0][1].result(price)
    assert isinstance(found[1], Reverted)
    assert decode_revert(found[1].revert_data).error is PythError.PRICE_FEED_NOT_FOUND
    assert found[1].message == "latestPriceInfoPublishTime: PriceFeedNotFound: the feed was never pushed to this contract"
    assert isinstance(found[2], DecodeError)
    assert "no contract" in found[2].message
    answer = eth_abi.encode(["uint256", "bytes32", "(bool,bytes)[]"], [99, bytes(32), raw])
    assert multicall.try_block_and_aggregate(CALLS).result(answer) == BlockResults(99, results)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_fewer_or_more_outcomes_than_calls_are_refused(count: int) -> None:
    answer = eth_abi.encode(["(bool,bytes)[]"], [[(True, b"")] * count])
    with pytest.raises(DecodeError, match=f"{count} outcomes of 3 calls") as caught:
        multicall.aggregate3(CALLS).result(answer)
    assert caught.value.raw == answer


def test_damaged_batches_are_decode_errors() -> None:
    answer = eth_abi.encode(["(bool,bytes)[]"], [[(True, b"x" * 33), (False, b""), (True, b"y")]])
    outcomes = [decodes_or_refuses(multicall.aggregate3(CALLS).result, mutated) for mutated in mutations(answer)]
    assert any(outcomes)
    assert not all(outcomes)
    claimed = (32).to_bytes(32, "big") + (2**60).to_bytes(32, "big") + bytes(320)
    assert peak_bytes(lambda: multicall.aggregate3(CALLS).result(claimed)) < 20_000


@pytest.mark.parametrize(
    "call", [multicall.block_number(), multicall.block_timestamp_s(), multicall.evm_chain_id(), multicall.base_fee_wei()]
)
def test_what_the_block_says(call: ContractCall[int]) -> None:
    assert call.result((1_700_000_000).to_bytes(32, "big")) == 1_700_000_000


def test_a_conversion_that_refuses_is_a_decode_error() -> None:
    listed = multicall.block_number().then(lambda number: range(2).index(number))
    assert listed.result((1).to_bytes(32, "big")) == 1
    with pytest.raises(DecodeError, match="getBlockNumber: 5 is not in range") as caught:
        listed.result((5).to_bytes(32, "big"))
    assert caught.value.raw == (5).to_bytes(32, "big")


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(1, 20), st.integers(1, 2_000))
def test_chunks_keep_order_and_limits(sizes: list[int], max_calls: int, max_bytes: int) -> None:
    calls = [(ONE, ContractCall("f", bytes(size), bytes)) for size in sizes]
    parts = multicall.chunks(calls, max_calls=max_calls, max_bytes=max_bytes)
    assert [at for part in parts for at in part] == list(range(len(calls)))

    def written(positions: range) -> int:
        rows = [(ONE, True, calls[at][1].data) for at in positions]
        # Without the array's own offset and length.
        return len(eth_abi.encode(["(address,bool,bytes)[]"], [rows])) - 64

    for part in parts:
        assert 1 <= len(part) <= max_calls
        assert len(part) == 1 or written(part) <= max_bytes
    for part, following in pairwise(parts):
        joined = range(part.start, following.start + 1)
        assert len(joined) > max_calls or written(joined) > max_bytes, "one more would have fitted"


def test_a_thousand_reads_are_two_calls() -> None:
    for call in (pyth.query_price_feed(FEED), pyth.get_price_no_older_than(FEED, 60)):
        assert [len(part) for part in multicall.chunks([(ONE, call)] * 1_000)] == [500, 500]
    for limit in ({"max_calls": 0}, {"max_bytes": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            multicall.chunks([], **limit)


# -- the Wormhole receiver -----------------------------------------------------------------------------------------------------


@given(st.lists(exactly(20).map(Address), max_size=20).map(tuple), unsigned(32), unsigned(32))
def test_guardian_sets(guardians: tuple[Address, ...], index: int, expires_s: int) -> None:
    answer = eth_abi.encode(["(address[],uint32)"], [(guardians, expires_s)])
    found = wormhole.get_guardian_set(index).result(answer)
    assert found == GuardianSetInfo(index, guardians, expires_s)
    assert found.exists == bool(guardians)
    assert wormhole.GET_GUARDIAN_SET.answer((guardians, expires_s)) == answer


def test_when_a_set_is_active() -> None:
    old, now = GuardianSetInfo(3, (ONE,), 1_000), GuardianSetInfo(4, (ONE,), 0)
    assert now.is_active(Instant.from_seconds(5_000), current_index=4)
    assert old.is_active(Instant.from_seconds(1_000), current_index=4)
    assert not old.is_active(Instant.from_seconds(1_001), current_index=4)
    # Zero means no end for the current set only.
    assert not GuardianSetInfo(3, (ONE,), 0).is_active(Instant.from_seconds(1), current_index=4)
    assert not GuardianSetInfo(4, (), 0).is_active(Instant.from_seconds(1), current_index=4)


VAA_ROW = (1, 1_700_000_000, 7, 26, b"e" * 32, 99, 1, b"AUWV", 4, [(b"r" * 32, b"s" * 32, 27, 0)], b"h" * 32)


@pytest.mark.parametrize(("valid", "reason"), [(True, ""), (False, "guardian set has expired")])
@pytest.mark.parametrize("signatures", [VAA_ROW[9], []])
def test_judgements(valid: bool, reason: str, signatures: list[Any]) -> None:
    row = (*VAA_ROW[:9], signatures, VAA_ROW[10])
    found = wormhole.parse_and_verify_vm(b"vaa").result(eth_abi.encode([VM, "bool", "string"], [row, valid, reason]))
    assert (found.valid, found.reason) == (valid, reason)
    assert found.vaa == OnChainVaa(1, 1_700_000_000, 7, 26, b"e" * 32, 99, 1, b"AUWV", 4, len(signatures), b"h" * 32)


def test_damaged_judgements_are_decode_errors() -> None:
    answer = eth_abi.encode([VM, "bool", "string"], [VAA_ROW, False, "no quorum"])
    outcomes = [decodes_or_refuses(wormhole.parse_and_verify_vm(b"v").result, mutated) for mutated in mutations(answer)]
    assert any(outcomes)
    assert not all(outcomes)


@pytest.mark.parametrize(
    ("call", "types", "values"),
    [
        (wormhole.get_current_guardian_set_index(), "uint32", 7),
        (wormhole.get_guardian_set_expiry_s(), "uint32", 0),
        (wormhole.chain_id(), "uint16", 30),
        (wormhole.governance_chain_id(), "uint16", 1),
        (wormhole.governance_contract(), "bytes32", bytes(31) + b"\x04"),
        (wormhole.governance_action_is_consumed(b"d" * 32), "bool", True),
        (wormhole.is_initialized(ONE), "bool", False),
        (wormhole.message_fee_wei(), "uint256", 0),
    ],
)
def test_receiver_answers(call: ContractCall[Any], types: str, values: Any) -> None:
    assert call.result(eth_abi.encode([types], [values])) == values


def test_installing_a_set_takes_its_vaa() -> None:
    call = wormhole.submit_new_guardian_set(b"vaa")
    assert wormhole.SUBMIT_NEW_GUARDIAN_SET.arguments(call.data) == (b"vaa",)
    assert call.result(b"") is None


@pytest.mark.parametrize("count", [0, 1, 13])
def test_a_message_that_only_its_number_of_signatures_can_be_judged_by(count: int) -> None:
    signatures = [(bytes(32), bytes(32), 27, position) for position in range(count)]
    digest = keccak(keccak(bytes(51)))
    expected = eth_abi.encode([VM], [(1, 0, 0, 0, bytes(32), 0, 0, b"", 4, signatures, digest)])
    call = wormhole.verify_vm(4, range(count)).then(wormhole.quorum_reached)
    assert call.data[4:] == expected
    for valid, reason, reached in ((False, "no quorum", False), (False, "VM signature invalid", True), (True, "", True)):
        assert call.result(eth_abi.encode(["bool", "string"], [valid, reason])) is reached
    with pytest.raises(DecodeError, match="another reason: 'invalid guardian set'"):
        call.result(eth_abi.encode(["bool", "string"], [False, "invalid guardian set"]))


def test_quorum_rules() -> None:
    assert [(QuorumRule.TWO_THIRDS.of(count), QuorumRule.HALF.of(count)) for count in (1, 5, 19)] == [(1, 1), (4, 3), (13, 10)]


# -- tokens --------------------------------------------------------------------------------------------------------------------


def test_tokens() -> None:
    assert erc20.balance_of(ONE).data[4:] == eth_abi.encode(["address"], [ONE])
    assert erc20.allowance(ONE, TWO).data[4:] == eth_abi.encode(["address", "address"], [ONE, TWO])
    for call, value in ((erc20.balance_of(ONE), 10**30), (erc20.total_supply(), 5), (erc20.allowance(ONE, TWO), 2**256 - 1)):
        assert call.result(value.to_bytes(32, "big")) == value
    assert erc20.decimals().result((6).to_bytes(32, "big")) == 6
    with pytest.raises(DecodeError, match="256 does not fit"):
        erc20.decimals().result((256).to_bytes(32, "big"))


@given(st.integers(-(2**255), 2**256 - 1), st.integers(0, 255))
def test_amounts_are_exact(base_units: int, decimals: int) -> None:
    amount = erc20.Token(ONE, decimals=decimals).amount(base_units)
    assert (int(amount.scaleb(decimals, context=WIDE)), amount.as_tuple().exponent) == (base_units, -decimals)


def test_an_amount_takes_decimals() -> None:
    assert erc20.Token(ONE, decimals=6).amount(1_234_567) == Decimal("1.234567")
    with pytest.raises(ValueError, match="how many decimals"):
        erc20.Token(ONE).amount(5)


@given(st.text(max_size=60))
def test_labels(text: str) -> None:
    assert erc20.symbol().result(eth_abi.encode(["string"], [text])) == text
    assert erc20.name().result(eth_abi.encode(["string"], [text])) == text


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (bytes(32), ""),
        (b"M" * 32, "M" * 32),
        (eth_abi.encode(["string"], ["USDC"])[:68], "USDC"),
    ],
)
def test_old_and_unpadded_labels(answer: bytes, label: str) -> None:
    assert erc20.symbol().result(answer) == label


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0", b"\xff" * 32, bytes(64), bytes(31) + b"\x20" + b"\xff" * 32, eth_abi.encode(["string"], ["x" * 257]),
     eth_abi.encode(["bytes"], [b"\xff\xfe"])],
)  # fmt: skip
def test_what_is_no_label(answer: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        erc20.symbol().result(answer)
    assert caught.value.raw == answer


@given(st.binary(max_size=200))
def test_any_label_reads_or_refuses(answer: bytes) -> None:
    decodes_or_refuses(erc20.decode_text, answer)


# -- proxies -------------------------------------------------------------------------------------------------------------------


@given(exactly(20).map(Address))
def test_slots(address: Address) -> None:
    expected = address if any(bytes(address)) else None
    assert eip1967.decode_slot(eip1967.encode_slot(address)) == expected
    assert eip1967.decode_slot(eip1967.encode_slot(address).lstrip(b"\0")) == expected


def test_an_empty_slot_has_no_address() -> None:
    assert eip1967.decode_slot(bytes(32)) is None
    assert eip1967.decode_slot(b"") is None
    assert eip1967.encode_slot(None) == bytes(32)


@pytest.mark.parametrize("word", [b"\x01" + bytes(31), bytes(11) + b"\x01" * 21, bytes(33)])
def test_what_is_no_address(word: bytes) -> None:
    with pytest.raises(DecodeError, match="no address"):
        eip1967.decode_slot(word)


def test_a_beacon_names_the_implementation() -> None:
    assert eip1967.beacon_implementation().result(eth_abi.encode(["address"], [ONE])) == ONE
