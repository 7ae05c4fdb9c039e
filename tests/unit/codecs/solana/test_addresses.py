"""Addresses against those that public sources list."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey as SoldersPubkey
from spl.token.instructions import get_associated_token_address

from probekit.codecs.solana.addresses import (
    CORE,
    DRIFT_RECEIVER,
    GENERATIONS,
    PRO,
    TOKEN_2022_PROGRAM,
    Programs,
    associated_token,
    drift_feed,
    push_feed,
    receiver_config,
)
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import ProgramGeneration

SOL_USD = FeedId("ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d")
USDC_USD = FeedId("eaa020c61cc479712813461ce153894a96a6c00b21ed0cfc2798d1f9a9e9c94a")


@pytest.mark.parametrize(
    ("programs", "config", "feed", "sets"),
    [
        (
            CORE,
            "DaWUKXCyXsnzcvLUyeJRWou8KTn7XtadgTsdhJ6RHS7b",
            "7UVimffxr9ow1uXYxsr4LHAcV58mLzhmwaeKvJ1pjLiE",
            # The sets that drift-labs/protocol-v2 (4) and public validator scripts (7) load.
            {4: "5gxPdahvSzcKySxXxPuRXZZ9s6h8hZ88XDVKavWpaQGn", 7: "6GaHgiaQg9Pg346xHq9m7vQ9rJtnH83gQKqJoiAxQa7D"},
        ),
        (
            PRO,
            "H3R4M45f2gyqp6geVUruapzZdyxpgGZ96UnWkDM3ndye",
            "7AviUf9nL62mcxNbQGKm4nKDQnPjswo6c5MX4D57HmyE",
            {0: "CJHmJw4FuvLTUfPsYepyVCQkUR8qv1AtZbkwsS36hEcd", 1: "59LY6jV5LcoEdXrhNhX7AJQmW1gHUHQWSLy3299CgGBY"},
        ),
    ],
)
def test_published_addresses(programs: Programs, config: str, feed: str, sets: dict[int, str]) -> None:
    assert str(programs.receiver_config()) == config
    assert str(programs.push_feed(SOL_USD)) == feed
    assert {index: str(programs.guardian_set(index)) for index in sets} == sets


def test_accounts_of_one_generation() -> None:
    assert str(CORE.treasury(0)) == "8hQfT7SVhkCrzUSgBq6u2wYEt1sH3xmofZ5ss3YaydZW"
    assert str(PRO.bridge_config()) == "GPhDjebMkciFeemuNGaUn5RsmxauQL7UZArqRDjCSZSW"
    assert receiver_config(DRIFT_RECEIVER) not in (CORE.receiver_config(), PRO.receiver_config())
    assert GENERATIONS == {ProgramGeneration.CORE: CORE, ProgramGeneration.PRO: PRO}
    assert len({CORE.treasury(n) for n in range(4)}) == 4


def test_a_shard_has_its_own_address_and_the_sponsored_one_is_zero() -> None:
    assert PRO.push_feed(SOL_USD) == PRO.push_feed(SOL_USD, 0)
    # Little-endian: shard 1 and shard 256 differ in which byte is set.
    seeds = [[(shard).to_bytes(2, "little"), bytes(SOL_USD)] for shard in (1, 256)]
    expected = [SoldersPubkey.find_program_address(one, SoldersPubkey(PRO.push_oracle)) for one in seeds]
    found = [push_feed(PRO.push_oracle, SOL_USD, shard) for shard in (1, 256)]
    assert [(bytes(key), bump) for key, bump in expected] == [(bytes(key), bump) for key, bump in found]


def test_drift_keeps_prices_at_its_own_addresses() -> None:
    # drift-labs/protocol-v2 programs/drift/src/controller/liquidation/tests.rs
    assert str(drift_feed(USDC_USD)) == "En8hkHLkRe9d9DraYmBTrus518BvmVH448YcvmrFM6Ce"


def test_associated_token_accounts_are_those_of_spl() -> None:
    wallet, mint = Pubkey(b"w" * 32), Pubkey("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")
    expected = get_associated_token_address(SoldersPubkey(wallet), SoldersPubkey(mint))
    assert bytes(associated_token(wallet, mint)) == bytes(expected)
    other = get_associated_token_address(SoldersPubkey(wallet), SoldersPubkey(mint), SoldersPubkey(TOKEN_2022_PROGRAM))
    assert bytes(associated_token(wallet, mint, token_program=TOKEN_2022_PROGRAM)) == bytes(other)


def test_numbers_out_of_range_are_refused() -> None:
    for bad in (-1, 2**16):
        with pytest.raises(ValueError, match="shard"):
            CORE.push_feed(SOL_USD, bad)
    for bad in (-1, 256):
        with pytest.raises(ValueError, match="treasury"):
            CORE.treasury(bad)
    for bad in (-1, 2**32):
        with pytest.raises(ValueError, match="guardian set"):
            CORE.guardian_set(bad)
