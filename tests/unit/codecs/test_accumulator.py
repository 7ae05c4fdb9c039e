"""The accumulator update and its signed payload: there and back, damaged, and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import accumulator
from probekit.codecs.accumulator import AccumulatorUpdate, RootPayload
from probekit.errors import DecodeError
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.strategies import payloads, updates

SMALL = accumulator.encode(AccumulatorUpdate(b"a vaa", ((b"message", b"n" * 40), (b"", b"")), trailing_header=b"later"))


@given(updates)
def test_round_trip(update: AccumulatorUpdate) -> None:
    assert accumulator.decode(accumulator.encode(update)) == update


@given(payloads, st.binary(max_size=9))
def test_payload_round_trip_and_later_fields_are_ignored(payload: RootPayload, later: bytes) -> None:
    assert accumulator.decode_payload(accumulator.encode_payload(payload) + later) == payload


def test_layout_is_what_the_format_says() -> None:
    update = AccumulatorUpdate(b"VV", ((b"MMM", bytes(20)),))
    assert accumulator.encode(update) == b"PNAU\x01\x00\x00\x00\x00\x02VV\x01\x00\x03MMM\x01" + bytes(20)
    payload = accumulator.encode_payload(RootPayload(1, 2, b"r" * 20))
    assert payload == b"AUWV\x00" + (1).to_bytes(8, "big") + (2).to_bytes(4, "big") + b"r" * 20


def test_a_later_minor_version_and_its_header_are_tolerated_and_kept() -> None:
    update = accumulator.decode(SMALL[:5] + b"\x09" + SMALL[6:])
    assert (update.minor, update.trailing_header) == (9, b"later")
    assert update.proven == ((b"message", b"n" * 40), (b"", b""))


def test_every_mutation_decodes_or_is_a_decode_error() -> None:
    outcomes = [decodes_or_refuses(accumulator.decode, mutated) for mutated in mutations(SMALL)]
    assert any(outcomes)
    assert not all(outcomes)
    payload = accumulator.encode_payload(RootPayload(7, 8, b"r" * 20))
    outcomes = [decodes_or_refuses(accumulator.decode_payload, mutated) for mutated in mutations(payload)]
    assert not all(outcomes)


def test_no_truncation_decodes() -> None:
    for size in range(len(SMALL)):
        with pytest.raises(DecodeError) as caught:
            accumulator.decode(SMALL[:size])
        assert caught.value.raw == SMALL[:size]
        assert caught.value.offset is not None


@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    decodes_or_refuses(accumulator.decode, data)
    decodes_or_refuses(accumulator.decode, accumulator.MAGIC + b"\x01\x00\x00\x00" + data)
    decodes_or_refuses(accumulator.decode_payload, data)


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"XNAU" + SMALL[4:], 0),
        (SMALL[:12] + b"\x01" + SMALL[13:], 12),  # update type 1
        (SMALL[:-30], 31),  # the proof nodes of the first message
    ],
)
def test_the_error_says_where(data: bytes, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        accumulator.decode(data)
    assert caught.value.offset == offset


def test_claimed_lengths_allocate_nothing() -> None:
    # 255 messages of 65,535 bytes and 255 nodes each are claimed; nothing of them is there.
    hostile = b"PNAU\x01\x00\xff" + bytes(255) + b"\x00\x00\x00\xff" + b"\xff\xff"
    assert peak_bytes(lambda: accumulator.decode(hostile)) < 20_000


@pytest.mark.parametrize(
    "update",
    [
        AccumulatorUpdate(b"", ((b"", b""),) * 256),
        AccumulatorUpdate(bytes(65_536), ()),
        AccumulatorUpdate(b"", ((bytes(65_536), b""),)),
        AccumulatorUpdate(b"", ((b"", bytes(20 * 256)),)),
        AccumulatorUpdate(b"", ((b"", bytes(21)),)),
        AccumulatorUpdate(b"", (), trailing_header=bytes(256)),
        AccumulatorUpdate(b"", (), minor=256),
    ],
)
def test_what_does_not_fit_is_not_encoded(update: AccumulatorUpdate) -> None:
    with pytest.raises(ValueError):
        accumulator.encode(update)


@pytest.mark.parametrize("payload", [RootPayload(1, 2, b"r" * 19), RootPayload(2**64, 0, bytes(20))])
def test_a_payload_that_does_not_fit_is_not_encoded(payload: RootPayload) -> None:
    with pytest.raises(ValueError):
        accumulator.encode_payload(payload)
