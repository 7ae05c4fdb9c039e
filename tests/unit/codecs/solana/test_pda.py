"""Program derived addresses against the validators' own implementation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey as SoldersPubkey

from probekit.codecs.solana.pda import create_program_address, find_program_address, is_on_curve
from probekit.model.pubkey import Pubkey
from tests.unit.codecs.strategies import exactly

P = 2**255 - 19
PROGRAM = Pubkey("pythWSnswVUd12oZpeFP8e9CVaEqJg25g1Vtc2biRsT")


@given(exactly(32))
def test_curve_membership_is_what_the_validators_say(key: bytes) -> None:
    assert is_on_curve(key) == SoldersPubkey(key).is_on_curve()


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, 1, 2, 3, P - 2, P - 1, P, P + 1, P + 2, 2**255 - 1])
def test_edges_of_the_field(y: int, sign: int) -> None:
    key = (y | sign << 255).to_bytes(32, "little")
    assert is_on_curve(key) == SoldersPubkey(key).is_on_curve()


def test_both_answers_occur() -> None:
    assert is_on_curve((1).to_bytes(32, "little"))
    assert not is_on_curve((2).to_bytes(32, "little"))


@given(st.lists(st.binary(max_size=32), max_size=15), exactly(32))
def test_addresses_are_those_of_solders(seeds: list[bytes], program: bytes) -> None:
    address, bump = find_program_address(seeds, Pubkey(program))
    expected, expected_bump = SoldersPubkey.find_program_address(seeds, SoldersPubkey(program))
    assert (bytes(address), bump) == (bytes(expected), expected_bump)
    assert create_program_address([*seeds, bytes((bump,))], Pubkey(program)) == address
    assert not is_on_curve(address)


def test_the_bump_is_the_highest_that_leaves_the_curve() -> None:
    # SOL/USD under the core push oracle: published with bump 252.
    seeds = [bytes(2), bytes.fromhex("ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d")]
    address, bump = find_program_address(seeds, PROGRAM)
    assert (str(address), bump) == ("7UVimffxr9ow1uXYxsr4LHAcV58mLzhmwaeKvJ1pjLiE", 252)
    for higher in range(bump + 1, 256):
        with pytest.raises(ValueError, match="another bump"):
            create_program_address([*seeds, bytes((higher,))], PROGRAM)


def test_limits() -> None:
    address, bump = find_program_address([b"x"] * 15, PROGRAM)
    assert create_program_address([b"x"] * 15 + [bytes((bump,))], PROGRAM) == address
    with pytest.raises(ValueError, match="16 seeds; at most 15"):
        find_program_address([b""] * 16, PROGRAM)
    with pytest.raises(ValueError, match="17 seeds; at most 16"):
        create_program_address([b""] * 17, PROGRAM)
    with pytest.raises(ValueError, match="33 bytes; at most 32"):
        find_program_address([bytes(33)], PROGRAM)
    with pytest.raises(ValueError, match="not 31"):
        is_on_curve(bytes(31))
