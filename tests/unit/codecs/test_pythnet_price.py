"""Price accounts: both sizes, both versions, there and back, damaged, as rows and as columns."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import pythnet as codec
from probekit.codecs.pythnet.price import PYTHNET_PRICE_SIZE, SOLANA_PRICE_SIZE, SUMS_AT
from probekit.errors import DecodeError
from probekit.model import Price
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import (
    NULL_KEY,
    QUOTE_SIZE,
    Cumulative,
    PriceAccount,
    PriceFlags,
    PriceHead,
    PriceInfo,
    Quote,
    TradingStatus,
)
from probekit.units import Instant
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.strategies import exactly, signed, unsigned

KEY = bytes(range(32))
SEEN = PriceInfo(-5, 6, 1, 0, 1_000)
QUOTED = PriceInfo(2**62, 2**63, 4, 9, 2**63)

keys = exactly(32)
real_keys = keys.filter(lambda key: key != NULL_KEY)
infos = st.builds(PriceInfo, signed(64), unsigned(64), unsigned(32), unsigned(32), unsigned(64))
quotes = st.builds(Quote.of, real_keys, infos, infos)
sums = st.builds(Cumulative, signed(128), unsigned(128), unsigned(64), unsigned(64))


def info_fields() -> dict[str, st.SearchStrategy[int]]:
    return {
        "agg_price": signed(64), "agg_conf": unsigned(64), "agg_status_code": unsigned(32), "agg_corp_act": unsigned(32),
        "agg_pub_slot": unsigned(64),
    }  # fmt: skip


@st.composite
def accounts(draw: st.DrawFn) -> tuple[PriceAccount, int]:
    """A version 2 account and a length that it fits."""
    quoted = tuple(draw(st.lists(quotes, max_size=5)))
    padding = draw(st.integers(0, 3))
    claimed = 240 + QUOTE_SIZE * (len(quoted) + padding)
    has_sums = draw(st.booleans())
    least = PYTHNET_PRICE_SIZE if has_sums else claimed
    length = draw(st.integers(least, PYTHNET_PRICE_SIZE + 200 if has_sums else PYTHNET_PRICE_SIZE - 1))
    account = draw(
        st.builds(
            PriceAccount,
            version=st.just(2), size=st.integers(claimed, length), price_type=unsigned(32), expo=signed(32),
            num_components=st.just(len(quoted) + padding), num_quoters=unsigned(32), last_slot=unsigned(64),
            valid_slot=unsigned(64), ema_price_value=signed(64), ema_price_numerator=signed(64),
            ema_price_denominator=signed(64), ema_conf_value=signed(64), ema_conf_numerator=signed(64),
            ema_conf_denominator=signed(64), aggregated_at=signed(64), min_publishers=unsigned(8), message_sent=unsigned(8),
            max_latency=unsigned(8), flags=unsigned(8), feed_index=unsigned(32), product_key=keys, next_key=keys,
            prev_slot=unsigned(64), prev_price=signed(64), prev_conf=unsigned(64), prev_timestamp=signed(64),
            **info_fields(), sums=sums.map(Cumulative.pack) if has_sums else st.just(b""), quotes=st.just(quoted),
        )
    )  # fmt: skip
    return account, length


@st.composite
def accounts_v1(draw: st.DrawFn) -> PriceAccount:
    quoted = tuple(draw(st.lists(quotes, max_size=16)))
    claimed = 176 + QUOTE_SIZE * len(quoted)
    account: PriceAccount = draw(
        st.builds(
            PriceAccount,
            version=st.just(1), size=st.integers(claimed, 1_712), price_type=unsigned(32), expo=signed(32),
            num_components=st.just(len(quoted)), num_quoters=unsigned(32), last_slot=unsigned(64), valid_slot=unsigned(64),
            product_key=keys, next_key=keys, aggregator_key=keys, **info_fields(), sums=st.just(b""), quotes=st.just(quoted),
        )
    )  # fmt: skip
    return account


def small(**changes: object) -> PriceAccount:
    """Two quotes in no more bytes than they need."""
    account = PriceAccount(
        size=240 + 2 * QUOTE_SIZE,
        expo=-8,
        num_components=2,
        agg_price=100,
        agg_conf=3,
        agg_status_code=1,
        agg_pub_slot=1_000,
        sums=b"",
        quotes=(Quote.of(b"\x01" * 32, SEEN, QUOTED), Quote.of(b"\x02" * 32, QUOTED, SEEN)),
    )
    return msgspec.structs.replace(account, **changes)


SMALL = codec.encode_price(small(), length=432)


def put(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(f"<{form}", changed, at, value)
    return bytes(changed)


@given(accounts())
def test_round_trip(case: tuple[PriceAccount, int]) -> None:
    account, length = case
    data = codec.encode_price(account, length=length)
    assert len(data) == length
    assert codec.decode_price(data) == account
    assert codec.decode_account(data) == account
    assert codec.encode_price(codec.decode_price(data), length=length) == data


@given(accounts_v1())
def test_round_trip_of_version_1(account: PriceAccount) -> None:
    data = codec.encode_price(account)
    assert len(data) == 1_712
    assert codec.decode_price(data) == account
    assert codec.decode_price_head(data[:176]) == head_of(account)
    assert codec.decode_columns(data).prices == tuple(quote.price for quote in account.quotes)


def head_of(account: PriceHead) -> PriceHead:
    fields = {name: getattr(account, name) for name in PriceHead.__struct_fields__}
    return PriceHead(**{**fields, "sums": b""})


@given(accounts())
def test_head_of_a_slice_is_the_head_of_the_whole(case: tuple[PriceAccount, int]) -> None:
    data = codec.encode_price(case[0], length=case[1])
    assert codec.decode_price_head(data[:240]) == codec.decode_price_head(data) == head_of(case[0])


@given(accounts())
def test_columns_hold_what_the_quotes_hold(case: tuple[PriceAccount, int]) -> None:
    account, length = case
    columns = codec.decode_columns(codec.encode_price(account, length=length))
    assert (head_of(columns), columns.sums) == (head_of(account), account.sums)
    latest = [quote.latest for quote in account.quotes]
    taken = [quote.aggregate for quote in account.quotes]
    assert len(columns) == len(account.quotes)
    assert columns.publishers == tuple(quote.publisher_key for quote in account.quotes)
    assert columns.prices == tuple(one.price for one in latest)
    assert columns.confs == tuple(one.conf for one in latest)
    assert columns.status_codes == tuple(one.status_code for one in latest)
    assert columns.pub_slots == tuple(one.pub_slot for one in latest)
    assert columns.agg_prices == tuple(one.price for one in taken)
    assert columns.agg_confs == tuple(one.conf for one in taken)
    assert columns.agg_status_codes == tuple(one.status_code for one in taken)
    assert columns.agg_pub_slots == tuple(one.pub_slot for one in taken)


@given(quotes, infos)
def test_parts_round_trip(quote: Quote, info: PriceInfo) -> None:
    assert codec.decode_quote(codec.encode_quote(quote)) == quote
    assert codec.decode_price_info(codec.encode_price_info(info)) == info
    assert Quote.of(quote.publisher, quote.latest, quote.aggregate) == quote


@given(sums)
def test_cumulative_round_trip(one: Cumulative) -> None:
    assert Cumulative.unpack(one.pack()) == one


def test_default_account_is_one_as_the_program_makes_it() -> None:
    data = codec.encode_price(PriceAccount())
    assert len(data) == PYTHNET_PRICE_SIZE
    assert codec.decode_header(data).size == PYTHNET_PRICE_SIZE
    assert codec.decode_price(data) == PriceAccount()
    older = PriceAccount(size=240, sums=b"")
    assert len(codec.encode_price(older)) == SOLANA_PRICE_SIZE
    assert codec.decode_price(codec.encode_price(older)) == older


def test_full_table_of_either_size() -> None:
    for count, account in ((32, PriceAccount(size=SOLANA_PRICE_SIZE, sums=b"")), (128, PriceAccount())):
        quoted = tuple(Quote.of(bytes((number + 1,)) * 32, SEEN, QUOTED) for number in range(count))
        full = msgspec.structs.replace(account, num_components=count, quotes=quoted)
        data = codec.encode_price(full)
        assert len(data) == full.size
        assert codec.decode_price(data) == full
        assert len(codec.decode_columns(data)) == count
        assert codec.decode_columns(data).publishers[-1] == bytes((count,)) * 32


def test_offsets_are_those_of_the_format() -> None:
    account = codec.decode_price(
        bytes.fromhex("d4c3b2a1 02000000 03000000 b0010000")
        + struct.pack("<IiIIQQ", 1, -8, 2, 7, 11, 12)
        + struct.pack("<6q", 21, 22, 23, 24, 25, 26)
        + struct.pack("<qBBBBI", 1_700_000_000, 3, 1, 50, 3, 317)
        + KEY
        + NULL_KEY
        + struct.pack("<QqQq", 31, -32, 33, 1_699_999_999)
        + struct.pack("<qQIIQ", -41, 42, 1, 5, 43)
        + KEY
        + struct.pack("<qQIIQ", -51, 52, 1, 6, 53)
        + struct.pack("<qQIIQ", -61, 62, 2, 7, 63)
        + bytes(96)
    )
    assert (account.version, account.size, account.price_type, account.expo) == (2, 432, 1, -8)
    assert (account.num_components, account.num_quoters, account.last_slot, account.valid_slot) == (2, 7, 11, 12)
    assert (account.ema_price, account.ema_conf) == (Price(21, -8), Price(24, -8))
    assert (account.ema_price_numerator, account.ema_price_denominator) == (22, 23)
    assert (account.ema_conf_numerator, account.ema_conf_denominator) == (25, 26)
    assert account.publish_time == Instant.from_seconds(1_700_000_000)
    assert account.prev_publish_time == Instant.from_seconds(1_699_999_999)
    assert (account.min_publishers, account.message_sent, account.max_latency, account.feed_index) == (3, 1, 50, 317)
    assert PriceFlags(account.flags) == PriceFlags.ACCUMULATOR_V2 | PriceFlags.MESSAGE_BUFFER_CLEARED
    assert (account.product, account.next_price) == (Pubkey(KEY), None)
    assert (account.prev_slot, account.prev_price, account.prev_conf) == (31, -32, 33)
    assert account.aggregate == PriceInfo(-41, 42, 1, 5, 43)
    assert (account.price, account.conf, account.status) == (Price(-41, -8), Price(42, -8), TradingStatus.TRADING)
    # The second of two claimed quotes has a null key: it is padding.
    assert len(account.quotes) == 1
    quote = account.quotes[0]
    assert quote.publisher == Pubkey(KEY)
    assert (quote.aggregate, quote.latest) == (PriceInfo(-51, 52, 1, 6, 53), PriceInfo(-61, 62, 2, 7, 63))
    assert quote.status is TradingStatus.HALTED
    assert account.quote_of(Pubkey(KEY)) == quote
    assert account.quote_of(NULL_KEY) is None
    assert account.cumulative is None


def test_a_null_key_before_other_publishers_is_a_quote() -> None:
    # The program sorts by key and would keep it first; ending there would lose every publisher after it.
    account = small(quotes=(Quote.of(NULL_KEY, SEEN), Quote.of(KEY, QUOTED)))
    data = codec.encode_price(account, length=432)
    assert codec.decode_price(data) == account
    assert codec.decode_columns(data).publishers == (NULL_KEY, KEY)


def test_cumulative_sums_go_by_the_length_of_the_account() -> None:
    data = codec.encode_price(PriceAccount(size=240, sums=Cumulative(-(2**127), 2**128 - 1, 5, 6).pack()))
    assert data[SUMS_AT : SUMS_AT + 16] == bytes(15) + b"\x80"
    assert codec.decode_price(data).cumulative == Cumulative(-(2**127), 2**128 - 1, 5, 6)
    assert codec.decode_columns(data).cumulative == codec.decode_price(data).cumulative
    assert codec.decode_price(data[:-1]).cumulative is None
    assert codec.decode_price_head(data).cumulative is None


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (SMALL[:15], 15),
        (put(SMALL, 0, "I", 0xA1B2C3D5), 0),
        (put(SMALL, 4, "I", 0), 4),
        (put(SMALL, 4, "I", 3), 4),
        (put(SMALL, 8, "I", 2), 8),
        (put(SMALL, 8, "I", 0), 8),
        (put(SMALL, 8, "I", 6), 8),
        (put(SMALL, 12, "I", 433), 12),
        (put(SMALL, 12, "I", 2**32 - 1), 12),
        (put(SMALL, 12, "I", 239), 12),
        (put(SMALL, 12, "I", 431), 24),
        (put(SMALL, 24, "I", 3), 24),
        (put(SMALL, 24, "I", 2**32 - 1), 24),
        (put(SMALL, 12, "I", 16)[:16], 12),
        (put(SMALL, 12, "I", 200)[:200], 12),
        (put(put(SMALL, 4, "I", 1), 12, "I", 175), 12),
        (put(SMALL + bytes(19_568), 24, "I", 129), 24),
    ],
)
def test_what_is_no_price_account(data: bytes, offset: int) -> None:
    for decode in (codec.decode_price, codec.decode_columns):
        with pytest.raises(DecodeError) as caught:
            decode(data)
        assert caught.value.raw == data[:65_536]
        assert caught.value.offset == offset


def test_a_table_of_more_than_128_quotes_does_not_exist() -> None:
    data = put(put(codec.encode_price(PriceAccount()) + bytes(10_000), 24, "I", 129), 12, "I", 22_000)
    with pytest.raises(DecodeError, match="129 quotes"):
        codec.decode_price(data)


@pytest.mark.parametrize(
    "data",
    [b"", SMALL[:239], put(SMALL, 4, "I", 1)[:175], put(SMALL, 0, "I", 0), put(SMALL, 8, "I", 1), put(SMALL, 12, "I", 16)],
)
def test_what_is_no_head(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode_price_head(data)
    assert caught.value.raw == data
    assert caught.value.offset is not None


@pytest.mark.parametrize("size", [0, 31, 33, 95, 97])
def test_parts_have_one_length(size: int) -> None:
    for decode in (codec.decode_quote, codec.decode_price_info):
        with pytest.raises(DecodeError) as caught:
            decode(bytes(size))
        assert caught.value.raw == bytes(size)
    with pytest.raises(ValueError, match="32 bytes"):
        PriceInfo.unpack(bytes(size))
    with pytest.raises(ValueError, match="48 bytes"):
        Cumulative.unpack(bytes(size))


@pytest.mark.parametrize("decode", [codec.decode_price, codec.decode_columns, codec.decode_price_head, codec.decode_account])
def test_every_mutation_decodes_or_is_a_decode_error(decode: object) -> None:
    assert callable(decode)
    outcomes = [decodes_or_refuses(decode, mutated) for mutated in mutations(SMALL)]
    assert any(outcomes)
    assert not all(outcomes)


def test_every_mutation_of_version_1() -> None:
    quoted = (Quote.of(KEY, SEEN),)
    data = codec.encode_price(PriceAccount(version=1, size=272, num_components=1, aggregator_key=KEY, sums=b"", quotes=quoted))
    outcomes = [decodes_or_refuses(codec.decode_price, mutated) for mutated in mutations(data[:272])]
    assert any(outcomes)
    assert not all(outcomes)


def test_every_mutation_of_a_part() -> None:
    quote = codec.encode_quote(Quote.of(KEY, SEEN, QUOTED))
    for decode, part in ((codec.decode_quote, quote), (codec.decode_price_info, quote[:32])):
        outcomes = [decodes_or_refuses(decode, mutated) for mutated in mutations(part)]
        assert any(outcomes)
        assert not all(outcomes)


@given(st.binary(max_size=600), st.sampled_from([b"", SMALL[:12], SMALL[:28]]))
def test_arbitrary_bytes(data: bytes, start: bytes) -> None:
    for decode in (codec.decode_price, codec.decode_columns, codec.decode_price_head, codec.decode_account):
        decodes_or_refuses(decode, start + data)


def test_claims_allocate_nothing() -> None:
    claimed = put(put(SMALL, 24, "I", 2**32 - 1), 12, "I", 432)
    assert peak_bytes(lambda: codec.decode_price(claimed)) < 20_000
    full = codec.encode_price(
        PriceAccount(num_components=128, quotes=tuple(Quote.of(bytes((n + 1,)) * 32, QUOTED, QUOTED) for n in range(128)))
    )
    assert peak_bytes(lambda: codec.decode_price(full)) < 8 * len(full)
    # How to read a column of this length is compiled once and kept.
    assert len(codec.decode_columns(full).prices) == 128
    assert peak_bytes(lambda: codec.decode_columns(full).prices) < 3 * len(full)


@pytest.mark.parametrize(
    "account",
    [
        small(expo=2**31),
        small(agg_conf=-1),
        small(max_latency=256),
        small(product_key=b"\x01" * 31),
        small(version=3),
        small(num_components=1),
        small(num_components=3),
        small(num_components=129, size=PYTHNET_PRICE_SIZE, sums=bytes(48)),
        small(size=431),
        small(sums=bytes(48)),
        small(aggregator_key=KEY),
        small(quotes=(Quote.of(KEY), Quote.of(NULL_KEY, SEEN))),
        small(quotes=(Quote(KEY, b"short"), Quote.of(KEY))),
        small(quotes=(Quote(KEY, price=2**63), Quote.of(KEY))),
        small(quotes=(Quote(b"short"), Quote.of(KEY))),
        small(version=1, aggregator_key=KEY, prev_price=1),
        small(version=1, aggregator_key=KEY, min_publishers=1),
        small(version=1),
    ],
)
def test_what_does_not_fit_is_not_encoded(account: PriceAccount) -> None:
    with pytest.raises(ValueError):
        codec.encode_price(account, length=432 if account.size < 12_000 else None)


def test_sums_and_length_belong_together() -> None:
    for account in (
        PriceAccount(sums=b""),
        PriceAccount(sums=bytes(47)),
        PriceAccount(version=1, size=176, aggregator_key=KEY),
    ):
        with pytest.raises(ValueError, match="cumulative sums"):
            codec.encode_price(account)
    with pytest.raises(ValueError, match="does not fit"):
        Cumulative(conf=-1).pack()
    with pytest.raises(ValueError, match="does not fit"):
        PriceInfo(price=2**63).pack()
