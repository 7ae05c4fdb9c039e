"""Headers, mapping, product and permissions accounts, and the accumulator's messages: there and back, and damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import pythnet as codec
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import (
    NULL_KEY,
    AccountHeader,
    AccountType,
    AccumulatorMessages,
    MappingAccount,
    PermissionsAccount,
    ProductAccount,
)
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.strategies import exactly, unsigned

keys = exactly(32).map(Pubkey)
real_keys = keys.filter(lambda key: key != NULL_KEY)
versions = st.sampled_from([1, 2])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

headers = st.builds(AccountHeader, versions, st.sampled_from(AccountType), st.just(16))
mappings = st.builds(
    MappingAccount, st.lists(real_keys, max_size=6).map(tuple), st.none() | real_keys, st.integers(0, 2), versions
)
products = st.builds(ProductAccount, st.dictionaries(texts.filter(bool), texts, max_size=4), st.none() | real_keys, versions)
permissions = st.builds(PermissionsAccount, keys, keys, keys, st.none() | unsigned(32), versions)
slots = st.builds(
    AccumulatorMessages, unsigned(64), st.integers(1, 2**32 - 1), st.lists(st.binary(max_size=90), max_size=8).map(tuple)
)

ONE, TWO = Pubkey(b"\x01" * 32), Pubkey(b"\x02" * 32)
MAPPING = codec.encode_mapping(MappingAccount((ONE, TWO), ONE), length=56 + 64)
PRODUCT = codec.encode_product(ProductAccount({"symbol": "Crypto.BTC/USD", "base": "BTC"}, ONE), length=100)
PERMISSIONS = codec.encode_permissions(PermissionsAccount(ONE, TWO, ONE, 317))
MESSAGES = codec.encode_accumulator_messages(AccumulatorMessages(25_007, 10_000, (b"first", b"", b"third")))


def put(data: bytes, at: int, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<I", changed, at, value)
    return bytes(changed)


@given(headers, st.binary(max_size=40))
def test_header_round_trip(header: AccountHeader, rest: bytes) -> None:
    assert codec.decode_header(codec.encode_header(header) + rest) == header


@given(mappings)
def test_mapping_round_trip(account: MappingAccount) -> None:
    data = codec.encode_mapping(account)
    assert len(data) == 160_056
    assert codec.decode_mapping(data) == codec.decode_account(data) == account
    assert codec.decode_header(data).size == 56 + 32 * account.num_products


@given(products)
def test_product_round_trip(account: ProductAccount) -> None:
    data = codec.encode_product(account)
    assert len(data) == 512
    assert codec.decode_product(data) == codec.decode_account(data) == account
    assert list(codec.decode_product(data).attributes) == list(account.attributes)


@given(permissions)
def test_permissions_round_trip(account: PermissionsAccount) -> None:
    data = codec.encode_permissions(account)
    assert len(data) == (112 if account.last_feed_index is None else 116)
    assert codec.decode_permissions(data) == codec.decode_account(data) == account


@given(slots)
def test_messages_round_trip(account: AccumulatorMessages) -> None:
    assert codec.decode_accumulator_messages(codec.encode_accumulator_messages(account)) == account


def test_null_keys_of_a_mapping_name_no_product() -> None:
    data = put(MAPPING[:56] + ONE + NULL_KEY + TWO + NULL_KEY, 16, 4)
    account = codec.decode_mapping(put(data, 12, len(data)))
    assert account == MappingAccount((ONE, TWO), ONE, skipped=2)
    assert account.num_products == 4


def test_what_a_mapping_lists_ends_with_its_count() -> None:
    assert codec.decode_mapping(put(MAPPING, 16, 1)).products == (ONE,)
    with pytest.raises(DecodeError) as caught:
        codec.decode_mapping(put(MAPPING, 16, 3))
    assert caught.value.offset == 16
    with pytest.raises(DecodeError):
        codec.decode_mapping(put(MAPPING, 12, 119) + bytes(1_000))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (b"", {}),
        (b"\x01a\x01b", {"a": "b"}),
        (b"\x01a\x00", {"a": ""}),
        (b"\x01a\x00\x01c\x01d", {"a": "", "c": "d"}),
        (b"\x01a\x01b\x00\x01c\x01d", {"a": "b"}),
        (b"\x01a\x01b\x01a\x01c", {"a": "c"}),
        (b"\x02\xc3\xbc\x03\xe2\x82\xac", {"ü": "€"}),
        (b"\xff" + b"k" * 255 + b"\x80" + b"v" * 128, {"k" * 255: "v" * 128}),
    ],
)
def test_attributes(pairs: bytes, expected: dict[str, str]) -> None:
    data = codec.encode_header(AccountHeader(2, AccountType.PRODUCT, 48 + len(pairs))) + ONE + pairs
    # Left over from longer attributes: an update writes over the start and shortens the populated size.
    assert codec.decode_product(data + b"\x01x\x01y") == ProductAccount(expected, ONE)


@pytest.mark.parametrize(
    ("pairs", "offset"),
    [
        (b"\x01", 0),
        (b"\x02a", 0),
        (b"\x01a", 2),
        (b"\x01a\x05b", 2),
        (b"\x01\xff\x01a", 0),
        (b"\x01a\x01b\x01c\x01\x80", 6),
    ],
)
def test_what_are_no_attributes(pairs: bytes, offset: int) -> None:
    data = codec.encode_header(AccountHeader(2, AccountType.PRODUCT, 48 + len(pairs))) + ONE + pairs
    for trailing in (b"", b"\x01" * 300):
        with pytest.raises(DecodeError) as caught:
            codec.decode_product(data + trailing)
        assert caught.value.raw == data + trailing
        assert caught.value.offset == 48 + offset


def test_symbol() -> None:
    assert codec.decode_product(PRODUCT).symbol == "Crypto.BTC/USD"
    assert ProductAccount().symbol == ""


def test_permissions_go_by_the_length_of_the_account() -> None:
    assert codec.decode_permissions(PERMISSIONS[:112].replace(b"\x74\0\0\0", b"\x70\0\0\0", 1)).last_feed_index is None
    # Made longer after it was made: the populated size still says 112.
    assert codec.decode_permissions(put(PERMISSIONS, 12, 112)).last_feed_index == 317
    with pytest.raises(DecodeError):
        codec.decode_permissions(put(PERMISSIONS, 12, 111))


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b"\1\2\3\4", 4),
        (MAPPING[:15], 15),
        (put(MAPPING, 0, 0xDEADBEEF), 0),
        (put(MAPPING, 4, 0), 4),
        (put(MAPPING, 4, 42), 4),
        (put(MAPPING, 8, 0), 8),
        (put(MAPPING, 8, 6), 8),
        (put(MAPPING, 12, 121), 12),
    ],
)
def test_what_is_no_header(data: bytes, offset: int) -> None:
    for decode in (codec.decode_header, codec.decode_mapping, codec.decode_account):
        with pytest.raises(DecodeError) as caught:
            decode(data)
        assert caught.value.raw == data
        assert caught.value.offset == offset


def test_an_account_of_another_type_is_refused() -> None:
    for decode, data in (
        (codec.decode_mapping, PRODUCT),
        (codec.decode_product, MAPPING),
        (codec.decode_permissions, PRODUCT),
        (codec.decode_price, MAPPING),
        (codec.decode_account, put(MAPPING, 8, 4)),
    ):
        with pytest.raises(DecodeError) as caught:
            decode(data)
        assert caught.value.offset == 8


def test_a_populated_size_below_the_fixed_part_is_refused() -> None:
    for decode, data, fixed in (
        (codec.decode_mapping, MAPPING, 56),
        (codec.decode_product, PRODUCT, 48),
        (codec.decode_permissions, PERMISSIONS, 112),
    ):
        with pytest.raises(DecodeError) as caught:
            decode(put(data, 12, fixed - 1))
        assert caught.value.offset == 12


@pytest.mark.parametrize("data", [MAPPING, PRODUCT, PERMISSIONS, MESSAGES])
def test_every_mutation_decodes_or_is_a_decode_error(data: bytes) -> None:
    for decode in (codec.decode_header, codec.decode_account, codec.decode_accumulator_messages):
        outcomes = [decodes_or_refuses(decode, mutated) for mutated in mutations(data)]
        assert not all(outcomes)
        assert any(outcomes) == ((decode is codec.decode_accumulator_messages) == (data is MESSAGES))


@given(st.binary(max_size=300), st.sampled_from([b"", MAPPING[:16], PRODUCT[:60], MESSAGES[:20]]))
def test_arbitrary_bytes(data: bytes, start: bytes) -> None:
    for decode in (codec.decode_header, codec.decode_account, codec.decode_accumulator_messages):
        decodes_or_refuses(decode, start + data)


def test_claims_allocate_nothing() -> None:
    assert peak_bytes(lambda: codec.decode_mapping(put(MAPPING, 16, 2**32 - 1))) < 20_000
    assert peak_bytes(lambda: codec.decode_accumulator_messages(put(MESSAGES, 16, 2**32 - 1))) < 20_000
    assert peak_bytes(lambda: codec.decode_accumulator_messages(put(MESSAGES, 20, 2**32 - 1))) < 20_000
    full = codec.encode_mapping(MappingAccount((ONE,) * 5_000))
    assert peak_bytes(lambda: codec.decode_mapping(full)) < 8 * len(full)


def test_the_ring_of_messages() -> None:
    account = codec.decode_accumulator_messages(MESSAGES)
    assert account == AccumulatorMessages(25_007, 10_000, (b"first", b"", b"third"))
    assert account.ring_index == 5_007
    assert codec.accumulator_seeds(account.ring_index) == (b"AccumulatorState", b"\x00\x00\x13\x8f")
    with pytest.raises(ValueError, match="2\\*\\*32"):
        codec.accumulator_seeds(2**32)
    assert MESSAGES.hex().startswith("50415331af61000000000000102700000300000005000000" + b"first".hex())


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (MESSAGES[:19], 19),
        (b"PAS2" + MESSAGES[4:], 0),
        (put(MESSAGES, 12, 0), 12),
        (put(MESSAGES, 16, 2**31), 16),
        (MESSAGES[:-1], len(MESSAGES) - 9),
        (put(MESSAGES, 20, 2**32 - 1), 20),
        (MESSAGES + b"\0", len(MESSAGES)),
        (put(MESSAGES, 16, 4) + b"\1\0", len(MESSAGES)),
        (put(MESSAGES, 16, 2), 33),
    ],
)
def test_what_are_no_messages(data: bytes, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode_accumulator_messages(data)
    assert caught.value.raw == data
    assert caught.value.offset == offset


def test_what_does_not_fit_is_not_encoded() -> None:
    refused: list[Callable[[], bytes]] = [
        lambda: codec.encode_header(AccountHeader(3, AccountType.PRICE, 16)),
        lambda: codec.encode_header(AccountHeader(2, AccountType.PRICE, 2**32)),
        lambda: codec.encode_mapping(MappingAccount((ONE,) * 5_001)),
        lambda: codec.encode_mapping(MappingAccount((b"short",))),  # type: ignore[arg-type]
        lambda: codec.encode_product(ProductAccount({"": "value"})),
        lambda: codec.encode_product(ProductAccount({"name": "v" * 256}), length=1_000),
        lambda: codec.encode_product(ProductAccount({"name": "v" * 255, "other": "w" * 255})),
        lambda: codec.encode_permissions(PermissionsAccount(ONE, ONE, ONE, 2**32)),
        lambda: codec.encode_accumulator_messages(AccumulatorMessages(2**64, 1, ())),
        lambda: codec.encode_accumulator_messages(AccumulatorMessages(1, 0, ())),
    ]
    for encode in refused:
        with pytest.raises(ValueError):
            encode()
