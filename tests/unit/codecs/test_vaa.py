"""The VAA: there and back, and damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.keccak import keccak256
from probekit.codecs.vaa import Signature, Vaa
from probekit.errors import DecodeError
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.strategies import vaas

SMALL = Vaa(7, (Signature(2, b"s" * 64, 1),), 3, 4, 26, b"e" * 32, 5, 6, b"payload")
ENCODED = vaa_codec.encode(SMALL)


@given(vaas)
def test_round_trip(vaa: Vaa) -> None:
    assert vaa_codec.decode(vaa_codec.encode(vaa)) == vaa


def test_layout_is_what_the_format_says() -> None:
    body = bytes.fromhex("00000003 00000004 001a") + b"e" * 32 + (5).to_bytes(8, "big") + b"\x06payload"
    assert bytes.fromhex("01 00000007 01 02") + b"s" * 64 + b"\x01" + body == ENCODED
    assert SMALL.body() == body
    assert SMALL.digest() == keccak256(keccak256(body))
    assert SMALL.time.seconds == 3


def test_keccak_is_not_sha3() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_every_mutation_decodes_or_is_a_decode_error() -> None:
    outcomes = [decodes_or_refuses(vaa_codec.decode, mutated) for mutated in mutations(ENCODED)]
    assert any(outcomes)
    assert not all(outcomes)


def test_no_truncation_into_the_body_decodes() -> None:
    for size in range(len(ENCODED) - len(SMALL.payload)):
        with pytest.raises(DecodeError) as caught:
            vaa_codec.decode(ENCODED[:size])
        assert caught.value.raw == ENCODED[:size]
        assert caught.value.offset is not None


@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    decodes_or_refuses(vaa_codec.decode, data)
    decodes_or_refuses(vaa_codec.decode, b"\x01" + data)


def test_another_version_is_refused() -> None:
    with pytest.raises(DecodeError, match="version 2"):
        vaa_codec.decode(b"\x02" + ENCODED[1:])


def test_claimed_signatures_allocate_nothing() -> None:
    assert peak_bytes(lambda: vaa_codec.decode(bytes.fromhex("01 00000000 ff") + bytes(60))) < 20_000


@pytest.mark.parametrize(
    "vaa",
    [
        Vaa(0, (), 0, 0, 0, b"short", 0, 0, b""),
        Vaa(0, (Signature(0, b"short", 0),), 0, 0, 0, bytes(32), 0, 0, b""),
        Vaa(0, (Signature(256, bytes(64), 0),), 0, 0, 0, bytes(32), 0, 0, b""),
        Vaa(0, (Signature(0, bytes(64), 0),) * 256, 0, 0, 0, bytes(32), 0, 0, b""),
        Vaa(2**32, (), 0, 0, 0, bytes(32), 0, 0, b""),
        Vaa(0, (), -1, 0, 0, bytes(32), 0, 0, b""),
    ],
)
def test_what_does_not_fit_is_not_encoded(vaa: Vaa) -> None:
    with pytest.raises(ValueError):
        vaa_codec.encode(vaa)
