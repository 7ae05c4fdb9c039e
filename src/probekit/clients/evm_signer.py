"""A key that signs for an EVM account, here. Needs the extra ``evm``: eth_account comes with it."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from probekit.codecs.keccak import keccak256
from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra
from probekit.model.evm import Address
from probekit.secret import Secret

__all__ = ["EvmSigner"]

_KEY: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


class EvmSigner:
    """Signs with the private key that ``key`` holds: 64 hex digits. Raises ``ConfigError``, without the key, for others."""

    def __init__(self, key: Secret) -> None:
        found = _KEY.fullmatch(key.reveal())
        if found is None:
            raise ConfigError(f"the key from {key.origin} is no private key: 64 hex digits, with or without 0x")
        # Another spelling of the same: kept, so that it is taken out of texts as well.
        self._bare = Secret(found[1].lower(), origin=key.origin)
        self._key = key
        try:
            self.address = Address(str(_account().from_key(self._bare.reveal()).address))
        except ConfigError:
            raise
        except Exception:  # What the library says may hold the key.
            raise ConfigError(f"the key from {key.origin} is no private key of the curve") from None

    def __repr__(self) -> str:
        return f"EvmSigner({self.address})"

    def sign(self, transaction: dict[str, Any]) -> tuple[bytes, str]:
        """The signed bytes and their hash. ``transaction`` has ``chainId``, nonce, gas, fees, ``to``, ``data`` and value."""
        try:
            raw = bytes(_account().sign_transaction(transaction, self._bare.reveal()).raw_transaction)
        except Exception as error:
            raise ConfigError(f"the transaction cannot be signed: {type(error).__name__}") from None
        return raw, "0x" + keccak256(raw).hex()


def _account() -> Any:
    """eth_account's ``Account``. What it imports raises the interpreter's recursion limit for all (see ``web3_pool``)."""
    limit = sys.getrecursionlimit()
    try:
        from eth_account import Account
    except ModuleNotFoundError as error:  # pragma: no cover - the extras' own test installs without it
        raise missing_extra("signing for an EVM chain needs eth_account, of web3", "evm") from error
    finally:
        sys.setrecursionlimit(limit)
    return Account
