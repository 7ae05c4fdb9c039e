"""What a service that reveals Entropy's random numbers tells: its chains, revelations, and what it did with each request.

Amounts are integers in wei, gas in units of gas. Source: pyth-crosschain ``apps/fortuna/src/{api,history.rs}``.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from probekit.errors import DecodeError
from probekit.model.evm import Address
from probekit.units import Instant


class FortunaChain(msgspec.Struct, frozen=True, gc=False):
    """A chain that the service works on. ``network_id`` is the EVM's chain id, ``None`` while the service has not reached it.

    A revelation is given ``reveal_delay_blocks`` after the request; ``gas_limit`` is the keeper's bound of a reveal.
    """

    name: str
    network_id: int | None
    contract: Address
    reveal_delay_blocks: int
    gas_limit: int
    default_fee_wei: int


class RevelationRefusal(StrEnum):
    """Why a service does not give a revelation (status 403)."""

    NOT_PENDING = "not_pending"
    """Nothing is held on chain under this number: never asked for, or already revealed. With the request's block it is given
    after all.
    """
    NEEDS_CONFIRMATIONS = "needs_confirmations"
    """Asked for, but not deep enough in the chain yet."""


class Revelation(msgspec.Struct, frozen=True):
    """A provider's contribution (32 bytes), or why there is none; ``text`` is the service's own word then."""

    chain: str
    sequence: int
    value: bytes | None = None
    refusal: RevelationRefusal | None = None
    text: str = ""


class FortunaPending(msgspec.Struct, frozen=True, gc=False):
    """Seen, and not done with."""


class FortunaCompleted(msgspec.Struct, frozen=True, gc=False):
    """Revealed. ``gas_used`` is the transaction's, ``callback_gas_used`` the callback's."""

    reveal_block: int
    reveal_transaction: str
    provider_contribution: bytes
    random_number: bytes
    gas_used: int
    callback_failed: bool
    callback_return_value: bytes = b""
    callback_gas_used: int | None = None


class FortunaFailed(msgspec.Struct, frozen=True, gc=False):
    """Given up: the reveal was not taken, ``reason`` in the service's words."""

    reason: str
    provider_contribution: bytes | None = None


class FortunaRequest(msgspec.Struct, frozen=True):
    """A request as the service saw it. ``gas_limit`` is the callback's."""

    chain: str
    network_id: int
    provider: Address
    sequence: int
    created_at: Instant
    last_updated_at: Instant
    request_block: int
    request_transaction: str
    gas_limit: int
    user_contribution: bytes
    sender: Address
    outcome: FortunaPending | FortunaCompleted | FortunaFailed


class FortunaLogs(msgspec.Struct, frozen=True):
    """A page of the service's log; ``total`` counts what the query finds in all, ``errors`` are rows that do not read."""

    requests: tuple[FortunaRequest, ...]
    total: int
    errors: tuple[DecodeError, ...] = ()
