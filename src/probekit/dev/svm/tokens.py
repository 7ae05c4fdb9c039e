"""SPL token accounts and mints as a node reads them. Layouts: ``spl-token-interface`` (165 and 82 bytes, little-endian).

Extensions of Token-2022 are not read: their accounts show the base fields only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from solders.account import Account
from solders.pubkey import Pubkey

TOKEN: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022: Final = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
TOKEN_PROGRAMS: Final = {TOKEN: "spl-token", TOKEN_2022: "spl-token-2022"}
NATIVE_MINT: Final = Pubkey.from_string("So11111111111111111111111111111111111111112")
NATIVE_DECIMALS: Final = 9

_ACCOUNT_BYTES: Final = 165
_MINT_BYTES: Final = 82
_ACCOUNT_KIND, _MINT_KIND = 2, 1
_STATES: Final = ("uninitialized", "initialized", "frozen")


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """A token account; ``amount`` in the mint's smallest unit."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    delegate: Pubkey | None
    state: str
    native_reserve: int | None
    delegated_amount: int
    close_authority: Pubkey | None


@dataclass(frozen=True, slots=True)
class Mint:
    """A token's mint; ``supply`` in its smallest unit."""

    authority: Pubkey | None
    supply: int
    decimals: int
    initialized: bool
    freeze_authority: Pubkey | None


def token_account(account: Account | None) -> TokenAccount | None:
    """The token account in an account, or None when it holds none that is initialised."""
    if account is None or account.owner not in TOKEN_PROGRAMS:
        return None
    data = bytes(account.data)
    if not _is(data, _ACCOUNT_BYTES, _ACCOUNT_KIND, account.owner) or data[108] not in (1, 2):
        return None
    number = int.from_bytes
    return TokenAccount(
        mint=Pubkey.from_bytes(data[:32]),
        owner=Pubkey.from_bytes(data[32:64]),
        amount=number(data[64:72], "little"),
        delegate=_optional_key(data[72:108]),
        state=_STATES[data[108]],
        native_reserve=number(data[113:121], "little") if data[109:113] == b"\1\0\0\0" else None,
        delegated_amount=number(data[121:129], "little"),
        close_authority=_optional_key(data[129:165]),
    )


def mint_of(account: Account | None) -> Mint | None:
    """The mint in an account, or None when it holds none that is initialised."""
    if account is None or account.owner not in TOKEN_PROGRAMS:
        return None
    data = bytes(account.data)
    if not _is(data, _MINT_BYTES, _MINT_KIND, account.owner) or data[45] != 1:
        return None
    return Mint(
        authority=_optional_key(data[:36]),
        supply=int.from_bytes(data[36:44], "little"),
        decimals=data[44],
        initialized=True,
        freeze_authority=_optional_key(data[46:82]),
    )


def decimals_of(mint: Pubkey, get_account: Callable[[Pubkey], Account | None]) -> int | None:
    """A mint's decimals; None when there is no such mint."""
    if mint == NATIVE_MINT:
        return NATIVE_DECIMALS
    found = mint_of(get_account(mint))
    return None if found is None else found.decimals


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """The UiTokenAmount object. ``uiAmount`` is a float because the RPC's own type is one; ``amount`` is exact."""
    scaled = Decimal(amount).scaleb(-decimals)
    text = f"{scaled:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return {"uiAmount": float(scaled), "decimals": decimals, "amount": str(amount), "uiAmountString": text}


def parsed_account(held: TokenAccount, decimals: int) -> dict[str, Any]:
    """The ``info`` of a token account in jsonParsed."""
    info: dict[str, Any] = {
        "mint": str(held.mint),
        "owner": str(held.owner),
        "tokenAmount": ui_amount(held.amount, decimals),
        "state": held.state,
        "isNative": held.native_reserve is not None,
    }
    if held.native_reserve is not None:
        info["rentExemptReserve"] = ui_amount(held.native_reserve, decimals)
    if held.delegate is not None:
        info["delegate"] = str(held.delegate)
        info["delegatedAmount"] = ui_amount(held.delegated_amount, decimals)
    if held.close_authority is not None:
        info["closeAuthority"] = str(held.close_authority)
    return info


def parsed_mint(mint: Mint) -> dict[str, Any]:
    """The ``info`` of a mint in jsonParsed."""
    return {
        "mintAuthority": None if mint.authority is None else str(mint.authority),
        "supply": str(mint.supply),
        "decimals": mint.decimals,
        "isInitialized": mint.initialized,
        "freezeAuthority": None if mint.freeze_authority is None else str(mint.freeze_authority),
    }


def balances(
    keys: Sequence[Pubkey], accounts: Mapping[Pubkey, Account | None], get_account: Callable[[Pubkey], Account | None]
) -> tuple[dict[str, Any], ...]:
    """Token balances of a transaction's accounts, as its status lists them."""
    found = []
    for index, key in enumerate(keys):
        account = accounts[key]
        held = token_account(account)
        if account is None or held is None:
            continue
        decimals = decimals_of(held.mint, get_account)
        if decimals is not None:
            found.append(
                {
                    "accountIndex": index,
                    "mint": str(held.mint),
                    "owner": str(held.owner),
                    "programId": str(account.owner),
                    "uiTokenAmount": ui_amount(held.amount, decimals),
                }
            )
    return tuple(found)


def _is(data: bytes, size: int, kind: int, program: Pubkey) -> bool:
    if len(data) == size:
        return True
    # Token-2022 pads a mint to an account's length and puts the kind of account after it.
    return program == TOKEN_2022 and len(data) > _ACCOUNT_BYTES and data[_ACCOUNT_BYTES] == kind


def _optional_key(raw: bytes) -> Pubkey | None:
    return Pubkey.from_bytes(raw[4:]) if raw[:4] == b"\1\0\0\0" else None
