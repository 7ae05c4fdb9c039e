"""The clock of a cluster: its bytes, both ways, and whatever else comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.solana.sysvar import ClusterClock, decode_clock, encode_clock
from tests.support.mutation import decodes_or_refuses, mutations

U64, I64 = st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)
CLOCKS = st.builds(ClusterClock, U64, st.integers(0, 2**64 - 2), I64)


def test_the_bytes_as_solana_lays_them_out() -> None:
    raw = bytes.fromhex("010000000000000002000000000000000300000000000000040000000000000000f1536500000000")
    assert decode_clock(raw) == ClusterClock(1, 3, 1_700_000_000)
    assert decode_clock(raw + b"later fields").time.seconds == 1_700_000_000


@given(CLOCKS)
def test_a_clock_comes_back_as_it_went(clock: ClusterClock) -> None:
    assert decode_clock(encode_clock(clock)) == clock
    assert len(encode_clock(clock)) == 40


def test_damaged_bytes_are_a_clock_or_an_error() -> None:
    whole = encode_clock(ClusterClock(435_888_000, 1_009, 1_790_000_000))
    for damaged in mutations(whole):
        assert decodes_or_refuses(decode_clock, damaged) is (len(damaged) >= len(whole))


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="bytes"):
        encode_clock(ClusterClock(2**64, 0, 0))
