"""A key that signs for a Solana account, here. Needs the extra ``solana``: solders comes with it."""

from __future__ import annotations

from typing import Any

import msgspec

from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra
from probekit.model.pubkey import Pubkey
from probekit.secret import Secret

__all__ = ["SolanaSigner", "self_transfer"]


class SolanaSigner:
    """Signs with the keypair that ``key`` holds: base58 of 64 bytes, or their list in JSON as ``solana-keygen`` writes it.

    Raises ``ConfigError``, without the key, for others.
    """

    def __init__(self, key: Secret) -> None:
        solders = _solders()
        try:
            text = key.reveal()
            keypair = solders.Keypair
            pair = keypair.from_bytes(_listed(text)) if text.startswith("[") else keypair.from_base58_string(text)
        except Exception:  # What the library says may hold the key.
            raise ConfigError(f"the key from {key.origin} is no keypair: base58 of 64 bytes, or a JSON list of them") from None
        # Other spellings of the same: kept, so that they are taken out of texts as well.
        self._spelt = Secret(str(pair), origin=key.origin), Secret(bytes(pair).hex(), origin=key.origin)
        self._key, self._pair = key, pair
        self.address = Pubkey(bytes(pair.pubkey()))

    def __repr__(self) -> str:
        return f"SolanaSigner({self.address})"

    def sign(self, message: bytes) -> tuple[bytes, str]:
        """A transaction of a message that needs this signature alone, and that signature in base58."""
        signature = self._pair.sign_message(message)
        return b"\x01" + bytes(signature) + message, str(signature)


def _listed(text: str) -> bytes:
    return bytes(msgspec.json.decode(text, type=list[int]))


def self_transfer(wallet: Pubkey, *, lamports: int, blockhash: str, units: int, unit_price: int) -> bytes:
    """The message of a transfer from a wallet to itself, without a memo, with its priority fee: ``unit_price`` micro-lamports
    for each of ``units`` compute units.
    """
    solders = _solders()
    key = solders.Pubkey.from_bytes(bytes(wallet))
    instructions = [
        solders.set_compute_unit_limit(units),
        solders.set_compute_unit_price(unit_price),
        solders.transfer(solders.TransferParams(from_pubkey=key, to_pubkey=key, lamports=lamports)),
    ]
    return bytes(solders.Message.new_with_blockhash(instructions, key, solders.Hash.from_string(blockhash)))


class _Solders:
    def __init__(self) -> None:
        from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
        from solders.hash import Hash
        from solders.keypair import Keypair
        from solders.message import Message
        from solders.pubkey import Pubkey as Key
        from solders.system_program import TransferParams, transfer

        self.Keypair, self.Pubkey, self.Hash, self.Message = Keypair, Key, Hash, Message
        self.set_compute_unit_limit, self.set_compute_unit_price = set_compute_unit_limit, set_compute_unit_price
        self.TransferParams, self.transfer = TransferParams, transfer


def _solders() -> Any:
    try:
        return _Solders()
    except ModuleNotFoundError as error:  # pragma: no cover - the extras' own test installs without it
        raise missing_extra("signing for Solana needs solders", "solana") from error
