"""Revert data: every known error, Solidity's own two, and whatever else a contract gives back."""

from __future__ import annotations

import pytest
from eth_abi import abi as eth_abi
from hypothesis import given
from hypothesis import strategies as st
from sha3 import keccak_256

from probekit.codecs.evm.reverts import (
    CAUSES,
    ENTROPY_CAUSES,
    ENTROPY_SELECTORS,
    ERROR_STRING,
    PANIC,
    PANICS,
    SELECTORS,
    decode_revert,
    encode_revert,
    revert_of,
    reverted,
)
from probekit.errors import RpcError
from probekit.model.pyth_evm import EntropyError, PythError
from tests.support.mutation import mutations


def test_every_error_has_its_cause() -> None:
    assert set(CAUSES) == set(PythError) == set(SELECTORS.values())
    assert set(ENTROPY_CAUSES) == set(EntropyError) == set(ENTROPY_SELECTORS.values())


@pytest.mark.parametrize("name", ENTROPY_CAUSES)
def test_every_error_of_entropy(name: EntropyError) -> None:
    data = encode_revert(name)
    found = decode_revert(data)
    assert (found.name, found.cause, found.entropy_error, found.data) == (str(name), ENTROPY_CAUSES[name], name, data)
    # One error is declared by both contracts.
    assert found.error is (PythError.INSUFFICIENT_FEE if name is EntropyError.INSUFFICIENT_FEE else None)
    assert "with 4 bytes" in decode_revert(data + b"rest").cause


def test_the_transfer_that_older_entropy_contracts_refuse() -> None:
    found = decode_revert(keccak_256(b"InvalidTransferCall()").digest()[:4])
    assert (found.name, found.entropy_error) == ("InvalidTransferCall", EntropyError.INVALID_TRANSFER_CALL)


@pytest.mark.parametrize("name", CAUSES)
def test_every_known_error(name: PythError) -> None:
    data = encode_revert(name)
    found = decode_revert(data)
    assert (found.name, found.selector, found.cause, found.data) == (str(name), data, CAUSES[name], data)
    assert found.error is name
    assert str(found) == f"{name}: {CAUSES[name]}"


@given(st.text(max_size=100))
def test_messages(message: str) -> None:
    data = ERROR_STRING + eth_abi.encode(["string"], [message])
    found = decode_revert(data)
    assert (found.name, found.message, found.data) == ("Error", message, data)
    assert encode_revert("Error", message=message) == data


@pytest.mark.parametrize("code", [*PANICS, 0x99, 2**256 - 1])
def test_panics(code: int) -> None:
    found = decode_revert(encode_revert("Panic", code=code))
    assert (found.name, found.panic_code) == ("Panic", code)
    assert found.cause == f"{PANICS.get(code, 'a code of no known meaning')} (0x{code:02x})"


def test_a_message_that_is_cut_within_a_letter_keeps_the_rest() -> None:
    data = ERROR_STRING + eth_abi.encode(["bytes"], ["too lo\u00e9".encode()[:-1]])
    assert decode_revert(data).message == "too lo\ufffd"


@pytest.mark.parametrize(
    ("data", "name", "cause"),
    [
        (b"", "", "reverted without a reason"),
        (b"\x14", "", "does not know"),
        (bytes.fromhex("deadbeef") + b"rest", "", "does not know"),
        (bytes.fromhex("19abf40e") + b"rest", "StalePrice", "with 4 bytes that the error does not have"),
        (ERROR_STRING, "Error", "does not decode"),
        (ERROR_STRING + bytes(64), "Error", "does not decode"),
        (PANIC + b"\x11", "Panic", "does not decode"),
    ],
)
def test_what_is_not_known_is_kept(data: bytes, name: str, cause: str) -> None:
    found = decode_revert(data)
    assert (found.name, found.selector, found.data) == (name, data[:4], data)
    assert cause in found.cause
    assert cause in str(found)


@given(st.binary(max_size=200))
def test_any_bytes_read(data: bytes) -> None:
    for candidate in (data, ERROR_STRING + data, PANIC + data):
        assert decode_revert(candidate).data == candidate


def test_every_mutation_reads() -> None:
    for data in mutations(encode_revert("Error", message="guardian set has expired")):
        assert decode_revert(data).data == data


def test_a_revert_as_an_error_and_back() -> None:
    error = reverted("getPrice", encode_revert("StalePrice"))
    assert error.message.startswith("getPrice: StalePrice: the stored price is older")
    found = revert_of(error)
    assert found is not None
    assert found.error is PythError.STALE_PRICE
    assert revert_of(RpcError("t", code=3)) is None


def test_an_unknown_name_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="PriceFeedLost"):
        encode_revert("PriceFeedLost")
