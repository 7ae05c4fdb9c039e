"""Public keys and their base58 text."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey as SoldersPubkey

from probekit.model.pubkey import Pubkey, base58, from_base58

TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"


@given(st.binary(min_size=32, max_size=32))
def test_text_is_what_solders_writes(raw: bytes) -> None:
    assert str(Pubkey(raw)) == str(SoldersPubkey(raw))
    assert Pubkey(str(SoldersPubkey(raw))) == raw


@given(st.binary(max_size=64))
def test_base58_round_trip_keeps_leading_zeros(raw: bytes) -> None:
    assert from_base58(base58(raw)) == raw


def test_a_key_is_its_bytes() -> None:
    key = Pubkey(TOKEN_PROGRAM)
    assert str(key) == TOKEN_PROGRAM
    assert repr(key) == f"Pubkey('{TOKEN_PROGRAM}')"
    assert {bytes(key): 1}[key] == 1
    assert pickle.loads(pickle.dumps(key)) == key
    assert type(pickle.loads(pickle.dumps(key))) is Pubkey
    assert Pubkey(key) is key


@pytest.mark.parametrize("bad", ["", "1" * 31, "0" * 44, "l" * 44, TOKEN_PROGRAM + "1", "1" * 129, b"", bytes(31)])
def test_anything_else_is_refused(bad: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|base58"):
        Pubkey(bad)
