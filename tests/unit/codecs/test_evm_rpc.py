"""Results of Ethereum's JSON-RPC, and what a signed transaction says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import evm_rpc as codec
from probekit.errors import DecodeError
from probekit.model.evm import Address
from tests.support.mutation import mutations

KEY = "0x" + "11" * 32
TO = "0x4305FB66699C3B2702D4d05CF36551390A4c69C6"
HASH = "0x" + "ab" * 32
BLOCK = {
    "number": "0x10", "hash": HASH, "parentHash": "0x" + "cd" * 32, "timestamp": "0x66", "gasLimit": "0x1c9c380",
    "gasUsed": "0x5", "baseFeePerGas": "0x7", "transactions": ["0x1"], "l1BlockNumber": "0x3",
}  # fmt: skip
LOG = {
    "address": TO.lower(), "topics": [HASH], "data": "0x0102", "blockNumber": "0x10", "blockHash": HASH,
    "transactionHash": HASH, "logIndex": "0x0", "removed": False,
}  # fmt: skip
RECEIPT = {
    "transactionHash": HASH, "blockNumber": "0x10", "blockHash": HASH, "status": "0x1", "gasUsed": "0x5208",
    "effectiveGasPrice": "0x7", "from": TO.lower(), "to": None, "contractAddress": TO.lower(), "logs": [LOG], "l1Fee": "0x9",
}  # fmt: skip


@given(st.binary(min_size=20, max_size=20))
def test_addresses_as_eth_utils_writes_them(raw: bytes) -> None:
    made = Address(raw)
    assert str(made) == str(to_checksum_address(raw))
    assert Address(made.lower()) == Address("0x" + made[2:].upper()) == made
    assert bytes(made) == raw


@pytest.mark.parametrize("bad", ["", "0x", TO[:-1], TO + "0", TO[2:], TO.replace("F", "f", 1), b"short", "0x" + "g" * 40])
def test_what_is_no_address(bad: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"not an address|checksum"):
        Address(bad)


def test_a_block_keeps_what_it_does_not_know() -> None:
    block = codec.decode_block(BLOCK)
    assert (block.number, block.hash, block.timestamp, block.base_fee_per_gas) == (16, HASH, 102, 7)
    assert block.extra == {"l1BlockNumber": "0x3"}
    assert codec.decode_block({**BLOCK, "baseFeePerGas": None}).base_fee_per_gas is None


def test_a_receipt_with_its_logs() -> None:
    receipt = codec.decode_receipt(RECEIPT)
    assert receipt is not None
    assert (receipt.succeeded, receipt.fee, receipt.to, receipt.contract_address) == (True, 21_000 * 7, None, TO)
    (log,) = receipt.logs
    assert not isinstance(log, DecodeError)
    assert log.data == b"\x01\x02"
    broken = codec.decode_receipt({**RECEIPT, "logs": [{**LOG, "data": 7}, LOG]})
    assert broken is not None
    assert isinstance(broken.logs[0], DecodeError)
    assert broken.logs[1] == log
    assert receipt.extra == {"l1Fee": "0x9"}
    assert codec.decode_receipt(None) is None


def test_a_bad_log_loses_no_neighbour() -> None:
    first, second, third = codec.decode_logs([LOG, {**LOG, "data": "0x0"}, LOG])
    assert isinstance(second, DecodeError)
    assert first == third != second


def test_a_fee_history() -> None:
    history = codec.decode_fee_history(
        {"oldestBlock": "0x5", "baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [0.5], "reward": [["0x3", "0x4"]]}
    )
    assert (history.oldest_block, history.base_fees, history.gas_used_ppm, history.rewards) == (
        5,
        (1, 2),
        (500_000,),
        ((3, 4),),
    )


@pytest.mark.parametrize("decode", [codec.decode_block, codec.decode_receipt, codec.decode_fee_history, codec.decode_logs])
@pytest.mark.parametrize("junk", [0, "x", [1], {}, {"number": 7}, {"logs": {}}, {"baseFeePerGas": [], "gasUsedRatio": [None]}])
def test_junk_is_a_decode_error(decode: Any, junk: Any) -> None:
    try:
        found = decode(junk)
    except DecodeError as error:
        assert error.raw == str(junk) or str(error.raw) in str(junk) or error.raw == "None"
    else:
        assert decode is codec.decode_logs
        assert all(isinstance(item, DecodeError) for item in found)


@pytest.mark.parametrize("bad", [None, 5, "", "0x", "5", "0xg", "0x" + "f" * 65, "0x 1", True])
def test_what_is_no_quantity(bad: Any) -> None:
    with pytest.raises(DecodeError, match="quantity"):
        codec.quantity(bad)


def test_quantities_and_data() -> None:
    assert (codec.quantity("0x0"), codec.quantity("0x007"), codec.quantity("0xFF")) == (0, 7, 255)
    assert (codec.data("0x"), codec.data("0x00ff")) == (b"", b"\x00\xff")
    for bad in (None, "0x0", "00", "0x0 0 ", "0xzz", 5):
        with pytest.raises(DecodeError, match="hex data"):
            codec.data(bad)


FEES = {"gasPrice": 9}
MODERN = {"maxFeePerGas": 30, "maxPriorityFeePerGas": 2, "type": 2}
ACCESS = {"gasPrice": 9, "type": 1, "accessList": [{"address": TO, "storageKeys": [HASH]}]}


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({**FEES, "chainId": 5}, 21_000 * 9 + 77),
        ({**MODERN, "chainId": 5}, 21_000 * 30 + 77),
        ({**ACCESS, "chainId": 5}, 21_000 * 9 + 77),
    ],
)
@pytest.mark.parametrize("size", [0, 3, 60, 300])
def test_signed_transactions_say_their_chain_and_cost(fields: dict[str, Any], most: int, size: int) -> None:
    signed = Account.sign_transaction({"nonce": 3, "gas": 21_000, "to": TO, "value": 77, "data": b"\x07" * size, **fields}, KEY)
    raw = bytes(signed.raw_transaction)
    said = codec.decode_signed_transaction(raw)
    assert (said.chain_id, said.nonce, said.most, said.to) == (5, 3, most, TO)
    for changed in mutations(raw) if size == 3 else []:
        try:
            codec.decode_signed_transaction(changed)
        except DecodeError as error:
            assert error.raw == changed


def test_a_transaction_of_every_chain_and_one_that_makes_a_contract() -> None:
    fields = {"nonce": 0, "gas": 5, "gasPrice": 9, "to": b"", "value": 0, "data": b"\x60\x00"}
    raw = bytes(Account.sign_transaction(fields, KEY).raw_transaction)
    said = codec.decode_signed_transaction(raw)
    assert (said.chain_id, said.to, said.most) == (None, None, 45)


@pytest.mark.parametrize("size", [2, 19, 21])
def test_a_recipient_that_is_no_address(size: int) -> None:
    # Chain 5, no nonce, fees of 2 and 30, 21,000 gas, the recipient, a value of 77, no data, no access list, a signature.
    content = bytes.fromhex("0580021e825208") + bytes([0x80 + size]) + bytes([200]) * size + bytes.fromhex("4d80c0800101")
    raw = b"\x02" + bytes([0xC0 + len(content)]) + content
    with pytest.raises(DecodeError, match=f"a recipient of {size} bytes") as caught:
        codec.decode_signed_transaction(raw)
    assert caught.value.raw == raw


@given(st.binary(max_size=300))
def test_arbitrary_bytes_decode_or_refuse(raw: bytes) -> None:
    for candidate in (raw, b"\x02" + raw, b"\x01" + raw):
        try:
            codec.decode_signed_transaction(candidate)
        except DecodeError as error:
            assert error.raw == candidate
