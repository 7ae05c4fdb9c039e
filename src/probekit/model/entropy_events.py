"""What Entropy's contract tells in its logs. Since V2 it tells most things twice, in events of either version.

A value is ``None`` where the version that was read does not carry it. Source: pyth-crosschain
``target_chains/ethereum/entropy_sdk/solidity/{EntropyEvents,EntropyEventsV2}.sol`` and
``target_chains/ethereum/contracts/contracts/entropy/EntropyGovernance.sol``.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from probekit.model.entropy import EntropyRequest, ProviderInfo
from probekit.model.evm import Address, Log

E = TypeVar("E", covariant=True)


class EntropyRequested(msgspec.Struct, frozen=True):
    """A random number was asked for. ``gas_limit`` is the callback's, of V2; ``request`` is as stored, of V1.

    Without callback the requester keeps its contribution to itself until it reveals.
    """

    provider: Address
    caller: Address
    sequence: int
    user_contribution: bytes | None
    with_callback: bool = True
    gas_limit: int | None = None
    request: EntropyRequest | None = None


class EntropyRevealed(msgspec.Struct, frozen=True):
    """A random number was revealed. ``callback_failed``: the request stays, and may be repeated.

    ``return_value`` is what the callback gave back, its first 256 bytes; of V1 only when it failed. ``gas_used`` is the
    callback's, of V2.
    """

    provider: Address
    caller: Address
    sequence: int
    random_number: bytes
    user_contribution: bytes
    provider_contribution: bytes
    callback_failed: bool = False
    return_value: bytes | None = None
    gas_used: int | None = None
    request: EntropyRequest | None = None


class ProviderRegistered(msgspec.Struct, frozen=True):
    """A provider registered, or registered a new hash chain. V1 leaves out who, V2 all the rest."""

    provider: Address | None
    info: ProviderInfo | None = None


class ProviderFeeSet(msgspec.Struct, frozen=True, gc=False):
    """A provider's fee was changed."""

    provider: Address
    old_wei: int
    new_wei: int


class ProviderGasLimitSet(msgspec.Struct, frozen=True, gc=False):
    """The gas that a callback has by default was changed."""

    provider: Address
    old_gas: int
    new_gas: int


class ProviderUriSet(msgspec.Struct, frozen=True, gc=False):
    """Where a provider reveals was changed."""

    provider: Address
    old: bytes
    new: bytes


class FeeManagerSet(msgspec.Struct, frozen=True, gc=False):
    """Who may set a provider's fee and withdraw was changed."""

    provider: Address
    old: Address
    new: Address


class MaxNumHashesSet(msgspec.Struct, frozen=True, gc=False):
    """How far requests may run ahead of revelations was changed."""

    provider: Address
    old: int
    new: int


class ProviderWithdrew(msgspec.Struct, frozen=True, gc=False):
    """A provider's fees were paid out."""

    provider: Address
    recipient: Address
    amount_wei: int


class PythFeeSet(msgspec.Struct, frozen=True, gc=False):
    """Pyth's own part of the fee was changed."""

    old_wei: int
    new_wei: int


class DefaultProviderSet(msgspec.Struct, frozen=True, gc=False):
    """The provider for requests that name none was changed."""

    old: Address
    new: Address


EntropyEvent = (
    EntropyRequested
    | EntropyRevealed
    | ProviderRegistered
    | ProviderFeeSet
    | ProviderGasLimitSet
    | ProviderUriSet
    | FeeManagerSet
    | MaxNumHashesSet
    | ProviderWithdrew
    | PythFeeSet
    | DefaultProviderSet
)


class Counted(msgspec.Struct, Generic[E], frozen=True):
    """What happened once, with every log that told of it: one, or one of each version."""

    event: E
    logs: tuple[Log, ...]

    @property
    def log(self) -> Log:
        """The first of them: which block, transaction and place."""
        return self.logs[0]
