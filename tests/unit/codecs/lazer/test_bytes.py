"""Payloads, envelopes, frames and the storage account, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from probekit.codecs.lazer import envelope, payload, storage, updates
from probekit.codecs.lazer.payload import ByteOrder
from probekit.errors import DecodeError
from probekit.model.lazer import (
    Channel,
    Envelope,
    FeedProperty,
    FeedValues,
    LazerPayload,
    LazerSigner,
    LazerStorage,
    LazerUpdate,
    TradingSession,
    UpdateFormat,
)
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.lazer.strategies import envelopes, parsed, parts, payloads, storages
from tests.unit.codecs.strategies import unsigned

ALL = tuple(FeedProperty)
BTC = FeedValues(1, ALL, 5, 4, 6, 3, -8, 7, -1, 100, 200, TradingSession.PRE_MARKET, 8, 9, 1_000_000)
EMPTY = FeedValues(2, ALL, publisher_count=0, expo=-2, market_session=TradingSession.CLOSED)
PAYLOAD = LazerPayload(1_000_000, 3, (BTC, EMPTY))
ORDERS: tuple[ByteOrder, ByteOrder] = ("little", "big")


@given(payloads, st.sampled_from(ORDERS))
def test_payloads_round_trip(written: LazerPayload, order: ByteOrder) -> None:
    data = payload.encode(written, order)
    assert payload.decode(data) == written
    assert payload.decode(data, order) == written
    assert payload.order_of(data) == order


@given(st.binary(max_size=300), st.sampled_from(ORDERS))
def test_any_bytes_behind_a_magic_decode_or_are_refused(rest: bytes, order: ByteOrder) -> None:
    decodes_or_refuses(payload.decode, payload.MAGIC.to_bytes(4, order) + rest)


@pytest.mark.parametrize("order", ORDERS)
def test_a_damaged_payload_decodes_or_is_refused(order: ByteOrder) -> None:
    outcomes = [decodes_or_refuses(payload.decode, one) for one in mutations(payload.encode(PAYLOAD, order))]
    assert any(outcomes)
    assert not all(outcomes)


def test_the_other_byte_order_is_refused() -> None:
    with pytest.raises(DecodeError, match="big-endian payload where a little"):
        payload.decode(payload.encode(PAYLOAD, "big"), "little")
    with pytest.raises(DecodeError, match="nothing, which is no magic"):
        payload.decode(b"")


def test_an_unknown_property_keeps_the_feeds_before_it() -> None:
    data = payload.encode(PAYLOAD, "little")
    first = len(payload.encode(replace(PAYLOAD, feeds=(BTC,)), "little"))
    later = data[: first + 5] + bytes((13,)) + data[first + 6 :]
    found = payload.decode(later)
    assert found.feeds == (BTC,)
    assert (found.unread, found.unread_why) == (later[first:], f"property 13 at byte {first + 5}")
    assert (found.timestamp_us, found.channel, found.trailing) == (1_000_000, Channel.FIXED_200MS, b"")
    with pytest.raises(ValueError, match="not read to its end"):
        payload.encode(found, "little")


def test_a_property_twice_is_refused() -> None:
    data = payload.encode(LazerPayload(1, 1, (FeedValues(1, (FeedProperty.PUBLISHER_COUNT,) * 2, publisher_count=1),)), "big")
    with pytest.raises(DecodeError, match="publisherCount twice"):
        payload.decode(data)


def test_a_flag_of_any_value_means_there_is_one() -> None:
    served = (FeedProperty.FUNDING_RATE,)
    data = payload.encode(LazerPayload(1, 1, (FeedValues(1, served, funding_rate_mantissa=-5),)), "little")
    at = len(data) - 9
    (feed,) = payload.decode(data[:at] + b"\x07" + data[at + 1 :]).feeds
    assert isinstance(feed, FeedValues)
    assert feed.funding_rate_mantissa == -5


def test_a_claimed_count_costs_nothing() -> None:
    many = payload.MAGIC.to_bytes(4, "little") + bytes(8) + b"\x01\xff" + bytes(4) + b"\xff"
    assert peak_bytes(lambda: payload.decode(many)) < 20_000


@pytest.mark.parametrize(
    ("broken", "match"),
    [
        (replace(PAYLOAD, channel_id=None), "names its channel"),
        (replace(PAYLOAD, channel_id=256), "does not fit"),
        (replace(PAYLOAD, timestamp_us=-1), "does not fit"),
        (replace(PAYLOAD, feeds=(replace(BTC, price_mantissa=2**63),)), "does not fit"),
        (replace(PAYLOAD, feeds=(replace(BTC, expo=None),)), "exponent is None"),
        (replace(PAYLOAD, feeds=(replace(BTC, market_session="lunch"),)), "marketSession is 'lunch'"),
        (replace(PAYLOAD, feeds=(DecodeError("x", raw=b""),)), "did not decode"),
    ],
)
def test_what_cannot_be_written(broken: LazerPayload, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        payload.encode(broken, "little")


# -- envelopes -----------------------------------------------------------------------------------------------------------------


@given(envelopes)
def test_envelopes_round_trip(written: Envelope) -> None:
    data = envelope.encode(written)
    assert envelope.decode(data) == written
    assert envelope.decode(data, written.format) == written
    assert envelope.format_of(data) is written.format


@given(envelopes, st.binary(max_size=40))
def test_damaged_envelopes_decode_or_are_refused(written: Envelope, rest: bytes) -> None:
    data = envelope.encode(written)
    for changed in (data[: len(data) // 2], data[:4] + rest, rest):
        decodes_or_refuses(envelope.decode, changed)


def test_another_form_than_expected_is_refused() -> None:
    data = envelope.encode(Envelope(UpdateFormat.LE_UNSIGNED, b"x"))
    with pytest.raises(DecodeError, match="leUnsigned where evm belongs"):
        envelope.decode(data, UpdateFormat.EVM)
    with pytest.raises(DecodeError, match="no form of one"):
        envelope.decode(b"abcdefgh")


@pytest.mark.parametrize(
    "broken",
    [
        Envelope(UpdateFormat.EVM, b"x", bytes(64)),
        Envelope(UpdateFormat.EVM, b"x", bytes(63), 0),
        Envelope(UpdateFormat.EVM, b"x", bytes(64), 256),
        Envelope(UpdateFormat.SOLANA, b"x", bytes(64), public_key=bytes(31)),
        Envelope(UpdateFormat.LE_UNSIGNED, b"x", bytes(64)),
        Envelope(UpdateFormat.LE_UNSIGNED, bytes(65_536)),
    ],
)
def test_envelopes_that_cannot_be_written(broken: Envelope) -> None:
    with pytest.raises(ValueError):
        envelope.encode(broken)


# -- frames --------------------------------------------------------------------------------------------------------------------


@given(unsigned(64), st.none() | parsed, parts)
def test_frames_round_trip(number: int, told: LazerPayload | None, binary: dict[UpdateFormat, Envelope]) -> None:
    update = LazerUpdate(told, dict(binary), number)
    data = updates.encode_frame(update)
    assert updates.is_frame(data)
    assert updates.decode_frame(data) == update


def frame(*found: bytes) -> bytes:
    return updates.FRAME_MAGIC + (7).to_bytes(8, "big") + b"".join(len(one).to_bytes(2, "big") + one for one in found)


UNSIGNED = envelope.encode(Envelope(UpdateFormat.LE_UNSIGNED, payload.encode(PAYLOAD, "little")))


def test_a_broken_part_costs_no_other_its_place() -> None:
    found = updates.decode_frame(frame(envelope.MAGICS[UpdateFormat.EVM], updates.JSON_MAGIC + b"{", UNSIGNED, b"newkind"))
    assert isinstance(found.binary[UpdateFormat.EVM], DecodeError)
    assert isinstance(found.parsed, DecodeError)
    good = found.binary[UpdateFormat.LE_UNSIGNED]
    assert isinstance(good, Envelope)
    assert envelope.content(good) == PAYLOAD
    assert found.extra == {b"newk".hex(): [b"newkind"]}
    (empty,) = updates.decode_frame(frame(b"")).extra.values()
    assert empty == [b""]


def test_frames_that_are_none() -> None:
    for broken in (
        b"",
        b"{}",
        updates.FRAME_MAGIC,
        frame(UNSIGNED)[:-1],
        frame()[:-1],
        frame() + b"\x00",
        frame(UNSIGNED, UNSIGNED),
    ):
        with pytest.raises(DecodeError) as caught:
            updates.decode_frame(broken)
        assert caught.value.raw == broken
    twice = updates.JSON_MAGIC + b'{"timestampUs":"1","priceFeeds":[]}'
    with pytest.raises(DecodeError, match="two parts"):
        updates.decode_frame(frame(twice, twice))


def test_damaged_frames_decode_or_are_refused() -> None:
    whole = frame(updates.JSON_MAGIC + b'{"timestampUs":"1","priceFeeds":[]}', UNSIGNED)
    outcomes = [decodes_or_refuses(updates.decode_frame, one) for one in mutations(whole)]
    assert any(outcomes)
    assert not all(outcomes)


# -- the storage account -------------------------------------------------------------------------------------------------------


@given(storages)
def test_storage_accounts_round_trip(account: LazerStorage) -> None:
    data = storage.encode_storage(account)
    assert len(data) == storage.SIZE == 381
    assert storage.decode_storage(data) == account


def test_more_signers_than_slots_are_refused() -> None:
    account = LazerStorage(*(bytes(32),) * 2, 1, (), ())  # type: ignore[arg-type]
    data = bytearray(storage.encode_storage(account))
    data[80] = 6
    with pytest.raises(DecodeError, match="variant 6"):
        storage.decode_storage(bytes(data))
    for broken in (
        replace(account, signers=(LazerSigner(bytes(32)),)),
        replace(account, ecdsa_signers=(LazerSigner(bytes(20)),) * 3),
    ):
        with pytest.raises(ValueError):
            storage.encode_storage(broken)
