"""SPL token accounts and mints against solders, and Token-2022 extensions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from solders.pubkey import Pubkey as SoldersPubkey
from solders.token.state import Mint, TokenAccountState
from solders.token.state import TokenAccount as SoldersTokenAccount

from probekit.codecs.solana import token
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey
from probekit.model.solana import TokenAccount, TokenAmount, TokenExtension, TokenMint, TokenState
from tests.support.mutation import decodes_or_refuses, mutations
from tests.unit.codecs.solana.strategies import mints, token_accounts

KEY = Pubkey(b"k" * 32)
ACCOUNT = TokenAccount(Pubkey(b"m" * 32), Pubkey(b"o" * 32), 12_345)
MINT = TokenMint(10**9, 6, mint_authority=KEY)
EXTENSIONS = (TokenExtension(7, b""), TokenExtension(2, b"fee" * 4))


@given(token_accounts)
def test_account_round_trip(account: TokenAccount) -> None:
    assert token.decode_token_account(token.encode_token_account(account)) == account


@given(mints)
def test_mint_round_trip(mint: TokenMint) -> None:
    assert token.decode_mint(token.encode_mint(mint)) == mint


def _solders(key: Pubkey | None) -> SoldersPubkey | None:
    return None if key is None else SoldersPubkey(key)


@given(token_accounts)
def test_an_account_is_what_solders_writes(account: TokenAccount) -> None:
    states = {
        TokenState.UNINITIALIZED: TokenAccountState.Uninitialized,
        TokenState.INITIALIZED: TokenAccountState.Initialized,
        TokenState.FROZEN: TokenAccountState.Frozen,
    }
    plain = replace(account, extensions=())
    written = SoldersTokenAccount(
        mint=SoldersPubkey(plain.mint),
        owner=SoldersPubkey(plain.owner),
        amount=plain.amount,
        delegate=_solders(plain.delegate),
        state=states[plain.state],
        is_native=plain.rent_reserve,
        delegated_amount=plain.delegated_amount,
        close_authority=_solders(plain.close_authority),
    )
    assert token.encode_token_account(plain) == bytes(written)
    assert token.decode_token_account(bytes(written)) == plain


@given(mints)
def test_a_mint_is_what_solders_writes(mint: TokenMint) -> None:
    plain = replace(mint, extensions=())
    written = Mint(
        mint_authority=_solders(plain.mint_authority),
        supply=plain.supply,
        decimals=plain.decimals,
        is_initialized=plain.initialized,
        freeze_authority=_solders(plain.freeze_authority),
    )
    assert token.encode_mint(plain) == bytes(written)
    assert token.decode_mint(bytes(written)) == plain


def test_sizes() -> None:
    assert len(token.encode_token_account(ACCOUNT)) == 165
    assert len(token.encode_mint(MINT)) == 82


def test_extensions_stand_behind_byte_165_in_both() -> None:
    tail = bytes.fromhex("0700 0000 0200 0c00") + b"fee" * 4
    account = token.encode_token_account(replace(ACCOUNT, extensions=EXTENSIONS))
    assert account == token.encode_token_account(ACCOUNT) + b"\x02" + tail
    mint = token.encode_mint(replace(MINT, extensions=EXTENSIONS))
    assert mint == token.encode_mint(MINT) + bytes(83) + b"\x01" + tail
    # Uninitialised room and a last odd byte end the list.
    for rest in (b"\0", bytes(2), bytes(40)):
        assert token.decode_token_account(account + rest).extensions == EXTENSIONS
        assert token.decode_mint(mint + rest).extensions == EXTENSIONS


@pytest.mark.parametrize("size", [355 - 165 - 5, 355 - 165 - 6, 355 - 165 - 4])
def test_no_account_is_written_with_the_size_of_a_multisig(size: int) -> None:
    account = replace(ACCOUNT, extensions=(TokenExtension(9, bytes(size)),))
    encoded = token.encode_token_account(account)
    assert len(encoded) != 355
    assert token.decode_token_account(encoded) == account


def test_a_multisig_is_neither() -> None:
    for decode in (token.decode_token_account, token.decode_mint):
        with pytest.raises(DecodeError, match="multisig"):
            decode(bytes(355))


def test_account_and_mint_are_told_apart() -> None:
    with pytest.raises(DecodeError, match="account type 1, not 2"):
        token.decode_token_account(token.encode_mint(replace(MINT, extensions=EXTENSIONS)))
    with pytest.raises(DecodeError, match="it has 82, or extensions"):
        token.decode_mint(bytes(165))
    with pytest.raises(DecodeError, match="82 bytes, 108 needed"):
        token.decode_token_account(token.encode_mint(replace(MINT, mint_authority=None)))


def test_bytes_in_the_gap_of_a_mint_are_refused() -> None:
    data = bytearray(token.encode_mint(replace(MINT, extensions=EXTENSIONS)))
    data[100] = 1
    with pytest.raises(DecodeError, match="between the mint and its extensions"):
        token.decode_mint(bytes(data))


def test_an_extension_longer_than_the_account_is_refused() -> None:
    data = token.encode_token_account(replace(ACCOUNT, extensions=EXTENSIONS))
    with pytest.raises(DecodeError, match="needed"):
        token.decode_token_account(data[:-1])


def test_every_mutation_decodes_or_is_a_decode_error() -> None:
    for decode, data in (
        (token.decode_token_account, token.encode_token_account(replace(ACCOUNT, extensions=EXTENSIONS))),
        (token.decode_mint, token.encode_mint(replace(MINT, extensions=EXTENSIONS))),
    ):
        outcomes = [decodes_or_refuses(decode, mutated) for mutated in mutations(data)]
        assert any(outcomes)
        assert not all(outcomes)


@given(st.binary(max_size=400))
def test_arbitrary_bytes(data: bytes) -> None:
    decodes_or_refuses(token.decode_token_account, data)
    decodes_or_refuses(token.decode_mint, data)


@pytest.mark.parametrize(
    "account",
    [
        replace(ACCOUNT, amount=-1),
        replace(ACCOUNT, amount=2**64),
        replace(ACCOUNT, extensions=(TokenExtension(0, b""),)),
        replace(ACCOUNT, extensions=(TokenExtension(1, bytes(2**16)),)),
    ],
)
def test_what_does_not_fit_is_not_encoded(account: TokenAccount) -> None:
    with pytest.raises(ValueError):
        token.encode_token_account(account)


def test_amounts_are_exact() -> None:
    assert MINT.amount(1_234_567).decimal == Decimal("1.234567")
    assert str(TokenAmount(2**64 - 1, 18)) == "18.446744073709551615"
    assert str(TokenAmount(5, 0)) == "5"
    assert replace(ACCOUNT, rent_reserve=0).is_native
    assert not ACCOUNT.is_native
