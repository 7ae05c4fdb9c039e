"""What Pyth's contracts on EVM chains tell in their logs.

Prices are integers under an exponent that the events leave out, fees in wei, times whole Unix seconds. Source: pyth-crosschain
``target_chains/ethereum/sdk/solidity/IPythEvents.sol`` and ``target_chains/ethereum/contracts/contracts/pyth``.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from probekit.model.evm import Address, Log
from probekit.model.feed import FeedId
from probekit.model.pyth_evm import DataSource, Published

E = TypeVar("E", covariant=True)


class PriceFeedUpdated(Published, msgspec.Struct, frozen=True, gc=False):
    """A newer price was stored. The event carries no exponent."""

    feed_id: FeedId
    publish_time_s: int
    price_mantissa: int
    conf_mantissa: int


class BatchUpdated(msgspec.Struct, frozen=True, gc=False):
    """A batch was stored, in implementations before the accumulator; ``chain_id`` is Wormhole's number."""

    chain_id: int
    sequence: int


class TwapUpdated(msgspec.Struct, frozen=True, gc=False):
    """Declared by Pyth's interface; the deployed contract does not emit it. Mantissas have no exponent here."""

    feed_id: FeedId
    start_time_s: int
    end_time_s: int
    twap_mantissa: int
    twap_conf_mantissa: int
    down_slots_ppm: int


class _AddressChange(msgspec.Struct, frozen=True, gc=False):
    old: Address
    new: Address


class _WeiChange(msgspec.Struct, frozen=True, gc=False):
    old_wei: int
    new_wei: int


class ContractUpgraded(_AddressChange, frozen=True, gc=False):
    """Governance changed the implementation."""


class ProxyUpgraded(msgspec.Struct, frozen=True, gc=False):
    """The proxy's own word on its new implementation (ERC-1967)."""

    implementation: Address


class GovernanceSourceSet(msgspec.Struct, frozen=True, gc=False):
    """Who governs was changed; sequences up to ``initial_sequence`` count as executed."""

    old: DataSource
    new: DataSource
    initial_sequence: int


class DataSourcesSet(msgspec.Struct, frozen=True):
    """Who may emit updates was changed."""

    old: tuple[DataSource, ...]
    new: tuple[DataSource, ...]


class UpdateFeeSet(_WeiChange, frozen=True, gc=False):
    """The fee for each message of an update was changed."""


class TransactionFeeSet(_WeiChange, frozen=True, gc=False):
    """The fee for each transaction was changed."""


class ValidPeriodSet(msgspec.Struct, frozen=True, gc=False):
    """The age up to which ``getPrice`` answers was changed."""

    old_s: int
    new_s: int


class WormholeSet(_AddressChange, frozen=True, gc=False):
    """The receiver that verifies was changed."""


class FeeWithdrawn(msgspec.Struct, frozen=True, gc=False):
    """Collected fees were paid out."""

    to: Address
    amount_wei: int


class OwnershipTransferred(_AddressChange, frozen=True, gc=False):
    """At deployment, to the zero address."""


PythEvent = (
    PriceFeedUpdated
    | BatchUpdated
    | TwapUpdated
    | ContractUpgraded
    | ProxyUpgraded
    | GovernanceSourceSet
    | DataSourcesSet
    | UpdateFeeSet
    | TransactionFeeSet
    | ValidPeriodSet
    | WormholeSet
    | FeeWithdrawn
    | OwnershipTransferred
)


class Logged(msgspec.Struct, Generic[E], frozen=True):
    """An event with the log that it was read from: which block, transaction and place."""

    event: E
    log: Log
