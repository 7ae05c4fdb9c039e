"""SPL token accounts (165 bytes) and mints (82 bytes), of the first token program and of Token-2022.

Layouts, little-endian; an option is u32 0 or 1 and its value, present either way:

* account: mint 32 · owner 32 · amount u64 · option of delegate 32 · state u8 · option of rent reserve u64 · delegated u64 ·
  option of close authority 32.
* mint: option of mint authority 32 · supply u64 · decimals u8 · initialised u8 · option of freeze authority 32.
* Token-2022 adds, from byte 165 on (a mint is filled up with zeros to there): account type u8 (1 mint, 2 account), then
  extensions, each type u16 · length u16 · bytes, until type 0 or the end. Extensions are kept, not interpreted. No account with
  extensions has 355 bytes, the size of a multisig.

Source: solana-program/token ``interface/src/state.rs``, solana-program/token-2022 ``interface/src/extension/mod.rs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from probekit.codecs.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from probekit.codecs.solana.borsh import Reader, exactly, unsigned
from probekit.errors import DecodeError, NotFound, ProbekitError
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Account, TokenAccount, TokenExtension, TokenHolding, TokenMint, TokenState

PROGRAMS: Final = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)

ACCOUNT_SIZE: Final = 165
MINT_SIZE: Final = 82
MULTISIG_SIZE: Final = 355

_TYPE_MINT: Final = 1
_TYPE_ACCOUNT: Final = 2
_NO_KEY: Final = bytes(32)


def decode_token_account(data: bytes) -> TokenAccount:
    """Decode a token account of either program. Raises ``DecodeError``, also for a mint or a multisig."""
    reader = Reader(data, "a token account")
    _refuse_multisig(reader)
    mint, owner, amount = reader.key(), reader.key(), reader.unsigned(8)
    delegate = _optional_key(reader)
    state = TokenState(reader.tag(1, len(TokenState)))
    is_native, reserve = reader.tag(4, 2), reader.unsigned(8)
    delegated = reader.unsigned(8)
    close_authority = _optional_key(reader)
    return TokenAccount(
        mint,
        owner,
        amount,
        state,
        delegate,
        delegated,
        reserve if is_native else None,
        close_authority,
        _extensions(reader, _TYPE_ACCOUNT),
    )


def encode_token_account(account: TokenAccount) -> bytes:
    """The bytes of a token account. Raises ``ValueError`` when a field does not fit its place."""
    reserve = account.rent_reserve
    base = b"".join(
        (
            exactly(account.mint, 32, "a mint"),
            exactly(account.owner, 32, "an owner"),
            unsigned(account.amount, 8),
            _key_option(account.delegate),
            unsigned(account.state, 1),
            unsigned(int(reserve is not None), 4),
            unsigned(reserve or 0, 8),
            unsigned(account.delegated_amount, 8),
            _key_option(account.close_authority),
        )
    )
    return base + _encoded_extensions(account.extensions, _TYPE_ACCOUNT, len(base))


def decode_mint(data: bytes) -> TokenMint:
    """Decode a mint of either program. Raises ``DecodeError``, also for a token account or a multisig."""
    reader = Reader(data, "a token mint")
    _refuse_multisig(reader)
    authority = _optional_key(reader)
    supply, decimals = reader.unsigned(8), reader.unsigned(1)
    initialized = bool(reader.tag(1, 2))
    freeze_authority = _optional_key(reader)
    if MINT_SIZE < len(data) <= ACCOUNT_SIZE:
        raise DecodeError(f"a token mint: {len(data)} bytes; it has {MINT_SIZE}, or extensions", raw=data, offset=MINT_SIZE)
    if any(reader.take(min(len(data), ACCOUNT_SIZE) - MINT_SIZE)):
        raise reader.error("bytes between the mint and its extensions", back=ACCOUNT_SIZE - MINT_SIZE)
    return TokenMint(supply, decimals, initialized, authority, freeze_authority, _extensions(reader, _TYPE_MINT))


def encode_mint(mint: TokenMint) -> bytes:
    """The bytes of a mint. Raises ``ValueError`` when a field does not fit its place."""
    base = b"".join(
        (
            _key_option(mint.mint_authority),
            unsigned(mint.supply, 8),
            unsigned(mint.decimals, 1),
            unsigned(int(mint.initialized), 1),
            _key_option(mint.freeze_authority),
        )
    )
    return base + _encoded_extensions(mint.extensions, _TYPE_MINT, len(base))


def held_in(account: Account) -> TokenAccount:
    """The token account in an account. Raises ``DecodeError``, also where no token program owns it: any program can write bytes
    that read as a balance.
    """
    if account.owner not in PROGRAMS:
        raise DecodeError(f"{account.key} is owned by {account.owner}, not by a token program", raw=account.data)
    return decode_token_account(account.data)


def mint_of(account: Account, program: Pubkey) -> TokenMint:
    """The mint in an account. Raises ``DecodeError``, also where it is not ``program`` that owns it."""
    if account.owner != program:
        raise DecodeError(f"the mint {account.key} is owned by {account.owner}, not by {program}", raw=account.data)
    return decode_mint(account.data)


def mints_of(found: Sequence[Account | DecodeError | None]) -> list[Pubkey]:
    """The mints that these token accounts name, each once; what reads as no token account names none."""
    mints: dict[Pubkey, None] = {}
    for item in found:
        try:
            mints[_read_account(item)[1].mint] = None
        except DecodeError:
            continue
    return list(mints)


def holding_of(
    item: Account | DecodeError | None, mints: Mapping[Pubkey, Account | ProbekitError | None]
) -> TokenHolding | ProbekitError:
    """A token account with its mint, or why it is none: its own bytes, or what was answered for the mint."""
    try:
        account, held = _read_account(item)
        mint = mints[held.mint]
        if mint is None:
            return NotFound(f"{account.key} names the mint {held.mint}, which does not exist", subject=str(held.mint))
        if isinstance(mint, ProbekitError):
            return mint
        return TokenHolding(account.key, account.owner, held, mint_of(mint, account.owner), account.slot)
    except DecodeError as error:
        return error


def _read_account(item: Account | DecodeError | None) -> tuple[Account, TokenAccount]:
    if isinstance(item, DecodeError):
        raise item
    if item is None:
        raise DecodeError("null in a list of token accounts", raw="null")
    return item, held_in(item)


def _refuse_multisig(reader: Reader) -> None:
    if len(reader.data) == MULTISIG_SIZE:
        raise reader.error(f"{MULTISIG_SIZE} bytes are a multisig")


def _optional_key(reader: Reader) -> Pubkey | None:
    present, key = reader.tag(4, 2), reader.key()
    return key if present else None


def _key_option(key: Pubkey | None) -> bytes:
    return unsigned(int(key is not None), 4) + (_NO_KEY if key is None else exactly(key, 32, "a key"))


def _extensions(reader: Reader, account_type: int) -> tuple[TokenExtension, ...]:
    if reader.offset == len(reader.data):
        return ()
    found = reader.unsigned(1)
    if found != account_type:
        raise reader.error(f"account type {found}, not {account_type}", back=1)
    extensions: list[TokenExtension] = []
    # Fewer bytes than a type takes are left over from a reallocation.
    while len(reader.data) - reader.offset >= 2:
        kind = reader.unsigned(2)
        if kind == 0:
            break
        extensions.append(TokenExtension(kind, reader.take(reader.unsigned(2))))
    return tuple(extensions)


def _encoded_extensions(extensions: tuple[TokenExtension, ...], account_type: int, base_size: int) -> bytes:
    if not extensions:
        return b""
    parts = [bytes(ACCOUNT_SIZE - base_size), unsigned(account_type, 1)]
    for one in extensions:
        if one.type == 0:
            raise ValueError("extension type 0 marks the end")
        parts += [unsigned(one.type, 2), unsigned(len(one.data), 2), one.data]
    encoded = b"".join(parts)
    # The token program, too, moves an account off the size that would make it a multisig.
    return encoded + bytes(2) if base_size + len(encoded) == MULTISIG_SIZE else encoded
