"""ERC-20 tokens: balances, decimals, symbols. Source: ERC-20 (EIP-20); older tokens give their symbol as ``bytes32``."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from probekit.codecs.evm.contract import ContractCall, Function
from probekit.errors import DecodeError
from probekit.model.evm import Address

BALANCE_OF: Final = Function("balanceOf(address)", "uint256")
ALLOWANCE: Final = Function("allowance(address,address)", "uint256")
TOTAL_SUPPLY: Final = Function("totalSupply()", "uint256")
DECIMALS: Final = Function("decimals()", "uint8")
SYMBOL: Final = Function("symbol()", "string")
NAME: Final = Function("name()", "string")

_MAX_TEXT: Final = 256
"""Bytes; a token's label that is longer is none."""


class Token(msgspec.Struct, frozen=True):
    """A token's own description. Every part is optional in ERC-20: ``None`` where the token does not answer for it."""

    address: Address
    symbol: str | None = None
    name: str | None = None
    decimals: int | None = None
    total_supply: int | None = None

    def amount(self, base_units: int) -> Decimal:
        """Base units as the token's own amount, exact. Raises ``ValueError`` for a token without decimals."""
        if self.decimals is None:
            raise ValueError(f"{self.address} does not say how many decimals it has")
        digits = tuple(int(digit) for digit in str(abs(base_units)))
        return Decimal((int(base_units < 0), digits, -self.decimals))


def balance_of(owner: Address) -> ContractCall[int]:
    """Base units that an account holds."""
    return BALANCE_OF.one(owner)


def allowance(owner: Address, spender: Address) -> ContractCall[int]:
    """Base units of ``owner`` that ``spender`` may take."""
    return ALLOWANCE.one(owner, spender)


def total_supply() -> ContractCall[int]:
    """Base units in existence."""
    return TOTAL_SUPPLY.one()


def decimals() -> ContractCall[int]:
    """Decimal places of a base unit."""
    return DECIMALS.one()


def symbol() -> ContractCall[str]:
    """The token's symbol, as ``string`` or as ``bytes32``."""
    return ContractCall("symbol", SYMBOL.calldata(), decode_text)


def name() -> ContractCall[str]:
    """The token's name, as ``string`` or as ``bytes32``."""
    return ContractCall("name", NAME.calldata(), decode_text)


def decode_text(answer: bytes) -> str:
    """A label of at most 256 bytes: ``bytes32`` filled up with zeros when the answer is one word, else a ``string``.

    A token written by hand may leave out padding, so it is not asked for; nothing is computed from a label. Raises
    ``DecodeError``.
    """
    if len(answer) == 32:
        raw = answer.rstrip(b"\0")
    else:
        offset, size = int.from_bytes(answer[:32], "big"), int.from_bytes(answer[32:64], "big")
        if offset != 32 or size > _MAX_TEXT or 64 + size > len(answer):
            raise DecodeError(f"{len(answer)} bytes are no label", raw=answer, offset=0)
        raw = answer[64 : 64 + size]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise DecodeError("a label that is not UTF-8", raw=answer, offset=0) from None


TOKEN_CALLS: Final[Mapping[str, ContractCall[Any]]] = {
    "symbol": symbol(),
    "name": name(),
    "decimals": decimals(),
    "total_supply": total_supply(),
}
"""A token's description as calls, each under its name in :class:`Token`."""
