"""The ABI: there and back, against eth_abi, and damaged."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import abi as eth_abi
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.evm import abi
from probekit.errors import DecodeError
from probekit.model.evm import Address
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.evm.types import typed_values

MIXED = "bytes32,(int64,string,uint8[])[],bool,address,bytes"
MIXED_VALUES = (b"i" * 32, ((-5, "fünf", (1, 2)), (7, "", ())), True, "0x" + "ab" * 20, b"tail")
ENCODED = abi.encode(MIXED, MIXED_VALUES)


def lower(value: Any) -> Any:
    """Addresses in the case that eth_abi writes them."""
    if isinstance(value, Address):
        return value.lower()
    return tuple(lower(one) for one in value) if isinstance(value, tuple) else value


@pytest.mark.no_cover  # others cover its lines, and to count them again takes longer than the test
@given(typed_values())
def test_there_and_back_as_eth_abi_does(chosen: tuple[tuple[str, ...], tuple[Any, ...]]) -> None:
    names, values = chosen
    encoded = abi.encode(",".join(names), values)
    assert encoded == eth_abi.encode(names, values)
    assert lower(abi.decode(",".join(names), encoded)) == values == eth_abi.decode(names, encoded)


@given(typed_values(), st.data())
def test_what_decodes_was_canonical_and_means_what_eth_abi_reads(
    chosen: tuple[tuple[str, ...], tuple[Any, ...]], data: st.DataObject
) -> None:
    names, values = chosen
    encoded = bytearray(abi.encode(",".join(names), values))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = abi.decode(",".join(names), bytes(encoded))
    except DecodeError as error:
        assert error.raw == bytes(encoded)
        assert error.offset is not None
        assert 0 <= error.offset <= len(encoded)
    else:
        assert abi.encode(",".join(names), found) == encoded
        assert lower(found) == eth_abi.decode(names, bytes(encoded))


def test_every_mutation_decodes_or_is_a_decode_error() -> None:
    outcomes = [decodes_or_refuses(lambda raw: abi.decode(MIXED, raw), mutated) for mutated in mutations(ENCODED)]
    assert any(outcomes)
    assert not all(outcomes)


def test_no_truncation_and_no_extension_decodes() -> None:
    for changed in [ENCODED[:size] for size in range(len(ENCODED))] + [ENCODED + b"\0", ENCODED + bytes(32)]:
        with pytest.raises(DecodeError):
            abi.decode(MIXED, changed)


@given(st.binary(max_size=400))
def test_arbitrary_bytes(data: bytes) -> None:
    for types in ("uint256", "bytes", "string[]", "(address,bytes)[][]", MIXED):
        decodes_or_refuses(lambda raw, types=types: abi.decode(types, raw), data)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("types", "words", "problem"),
    [
        ("uint8", ["100"], "256 does not fit"),
        ("int8", ["80"], "128 does not fit"),
        ("int8", ["f" * 62 + "7f"], "does not fit"),
        ("bool", ["2"], "neither 0 nor 1"),
        ("address", ["1" + "0" * 40], "more than 20 bytes"),
        ("bytes4", ["1"], "not padded"),
        ("bytes", ["40", "0", "0"], "offset 64, not 32"),
        ("bytes", ["20", "1", "1"], "not padded"),
        ("bytes", ["20", "21", "0"], "a length of 33"),
        ("bytes,bytes", ["40", "40", "0"], "offset 64, not 96"),
        ("uint256[]", ["20", "2", "0"], "a count of 2"),
        ("uint256[]", ["20", "1", "0", "0"], "32 bytes more"),
        ("string", ["20", "1", "ff" + "0" * 62], "not UTF-8"),
        ("uint256,uint256", ["0"], "64 needed"),
    ],
)
def test_what_is_not_canonical_is_refused(types: str, words: list[str], problem: str) -> None:
    data = b"".join(bytes.fromhex(word.rjust(64, "0")) for word in words)
    with pytest.raises(DecodeError, match=problem) as caught:
        abi.decode(types, data)
    assert caught.value.raw == data


@given(typed_values(), typed_values())
def test_appended_return_values_are_left_out_or_refused(
    known: tuple[tuple[str, ...], tuple[Any, ...]], appended: tuple[tuple[str, ...], tuple[Any, ...]]
) -> None:
    """Never anything else than the values: a struct in place may have grown, which cannot be told from values behind it."""
    names, values = known
    types = ",".join(names)
    assert abi.decode_answer(types, abi.encode(types, values)) == abi.decode(types, abi.encode(types, values))
    longer = eth_abi.encode(names + appended[0], values + appended[1])
    try:
        assert lower(abi.decode_answer(types, longer)) == values
    except DecodeError:
        assert any("(" in name and not name.endswith("]") for name in names)


@pytest.mark.parametrize(
    ("types", "values", "more", "more_values"),
    [
        ("(int64,uint64,int32,uint256)", ((1, 2, -3, 4),), "uint64", (5,)),
        ("uint256", (7,), "string,uint8[]", ("x", (1,))),
        ("bytes,uint8", (b"b", 7), "bytes", (b"more",)),
        ("(bool,bytes)[]", (((True, b"x"), (False, b"")),), "uint256", (5,)),
        ("", (), "bool", (True,)),
    ],
)
def test_what_later_implementations_append(types: str, values: Any, more: str, more_values: Any) -> None:
    longer = abi.encode(",".join(filter(None, (types, more))), values + more_values)
    assert abi.decode_answer(types, longer) == values
    for changed in (longer[:-1], longer + b"\0"):
        with pytest.raises(DecodeError):
            abi.decode_answer(types, changed)


@pytest.mark.parametrize(
    ("types", "longer"),
    [
        # A feed whose inner prices have one member more, and lists of such feeds: what stands behind is shifted.
        ("(bytes32,(int64,uint64),(int64,uint64))", abi.encode("(bytes32,(int64,uint64,bool),(int64,uint64,bool))",
                                                              ((b"i" * 32, (1, 2, True), (3, 4, True)),))),
        ("(int64,uint64)[]", abi.encode("(int64,uint64,bool)[]", (((1, 2, True), (3, 4, True)),))),
        ("(int64,uint64),bool", abi.encode("(int64,uint64,bool),bool", ((1, 2, True), True))),
        # Words behind the tails that no head accounts for.
        ("bytes", abi.encode("bytes", (b"x",)) + bytes(32)),
        ("string,bool", abi.encode("string,bool", ("x", True)) + bytes(64)),
    ],
)  # fmt: skip
def test_what_might_have_shifted_is_refused(types: str, longer: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        abi.decode_answer(types, longer)
    assert caught.value.raw == longer


@given(st.binary(max_size=400))
def test_arbitrary_answers(data: bytes) -> None:
    for types in ("", "uint256", "bytes", "string[]", "(address,bytes)[][]", MIXED):
        decodes_or_refuses(lambda raw, types=types: abi.decode_answer(types, raw), data)  # type: ignore[misc]


@pytest.mark.parametrize("types", ["uint256[]", "bytes", "string[]", "bytes[][]", "(uint8,uint8)[]"])
@pytest.mark.parametrize("claimed", [2**256 - 1, 2**64, 2**31, 1_000])
def test_claimed_counts_allocate_nothing(types: str, claimed: int) -> None:
    data = (32).to_bytes(32, "big") + claimed.to_bytes(32, "big") + bytes(64)
    assert peak_bytes(lambda: abi.decode(types, data)) < 20_000


def test_one_tail_cannot_be_claimed_many_times() -> None:
    # Where offsets may point anywhere, each further level of such lists multiplies the work.
    level = [(32).to_bytes(32, "big"), (3).to_bytes(32, "big"), *[(96).to_bytes(32, "big")] * 3]
    with pytest.raises(DecodeError, match="offset 96, not"):
        abi.decode("bytes[][]", b"".join(level + level[1:]) + bytes(32))


@pytest.mark.parametrize(
    ("types", "values"),
    [
        ("uint8", (256,)),
        ("uint8", (-1,)),
        ("int8", (128,)),
        ("uint8", (True,)),
        ("uint8", ("1",)),
        ("bool", (1,)),
        ("bytes4", (b"abc",)),
        ("bytes4", (b"abcde",)),
        ("bytes", ("text",)),
        ("string", (b"bytes",)),
        ("address", ("0x00",)),
        ("address", (5,)),
        ("uint8[]", (5,)),
        ("uint8[]", (b"\x01",)),
        ("(uint8,uint8)", ((1,),)),
        ("(uint8,uint8)", ("ab",)),
        ("uint8,uint8", (1,)),
    ],
)
def test_what_does_not_fit_is_not_encoded(types: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError):
        abi.encode(types, values)


@pytest.mark.parametrize(
    "text",
    ["uint7", "uint264", "int0", "bytes33", "bytes0", "uint8[2]", "uint8[", "()", "(uint8", "uint8)", "uint8,", "x", " uint8",
     "uint8 a", "(" * 600, "uint8" + "[]" * 65, "uint8," * 400],
)  # fmt: skip
def test_what_is_no_type(text: str) -> None:
    with pytest.raises(ValueError):
        abi.types_of(text)


def test_nothing_encodes_to_nothing() -> None:
    assert (abi.encode("", ()), abi.decode("", b"")) == (b"", ())
    assert abi.types_of("uint,int")[0].name == "uint256"
