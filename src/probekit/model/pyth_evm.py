"""What Pyth's contracts on EVM chains say: prices, configuration, guardian sets, events and refusals.

Prices are integers under an exponent, fees in wei, times whole Unix seconds. Source: pyth-crosschain
``target_chains/ethereum/sdk/solidity`` and ``target_chains/ethereum/contracts/contracts``.
"""

from __future__ import annotations

import msgspec

from probekit.model.evm import Address
from probekit.model.feed import FeedId
from probekit.model.price import Price
from probekit.units import Instant


class OnChainPrice(msgspec.Struct, frozen=True, gc=False):
    """A price as a contract stores it: ``price_mantissa`` and ``conf_mantissa`` under ``expo``."""

    price_mantissa: int
    conf_mantissa: int
    expo: int
    publish_time_s: int

    @property
    def price(self) -> Price:
        return Price(self.price_mantissa, self.expo)

    @property
    def conf(self) -> Price:
        """The confidence interval, same exponent as the price."""
        return Price(self.conf_mantissa, self.expo)

    @property
    def publish_time(self) -> Instant:
        """When the aggregate was published; whole seconds."""
        return Instant.from_seconds(self.publish_time_s)


class OnChainPriceFeed(msgspec.Struct, frozen=True, gc=False):
    """A feed as a contract stores it. The publish time of the moving average is that of the price."""

    feed_id: FeedId
    spot: OnChainPrice
    ema: OnChainPrice

    @property
    def price(self) -> Price:
        return self.spot.price

    @property
    def conf(self) -> Price:
        return self.spot.conf

    @property
    def ema_price(self) -> Price:
        return self.ema.price

    @property
    def publish_time(self) -> Instant:
        """When the aggregate was published; whole seconds."""
        return self.spot.publish_time


class OnChainTwap(msgspec.Struct, frozen=True, gc=False):
    """An average over ``start_time_s`` to ``end_time_s``. ``down_slots_ppm``: slots without a price, in parts per million."""

    feed_id: FeedId
    start_time_s: int
    end_time_s: int
    twap: OnChainPrice
    down_slots_ppm: int


class ParsedUpdates(msgspec.Struct, frozen=True):
    """What parsing updates on chain gives: the feeds in the order asked for, and the slot that each was taken from."""

    feeds: tuple[OnChainPriceFeed, ...]
    slots: tuple[int, ...]


class DataSource(msgspec.Struct, frozen=True, gc=False):
    """Who may emit updates, or govern: a chain by Wormhole's number, and a 32-byte emitter on it."""

    chain_id: int
    emitter: bytes


class GovernanceInstruction(msgspec.Struct, frozen=True, gc=False):
    """The head of a governance message as the contract reads it. ``target_chain_id`` is Wormhole's number; 0 is every chain."""

    module: int
    action: int
    target_chain_id: int
    payload: bytes


class GuardianSetInfo(msgspec.Struct, frozen=True):
    """A numbered set as a receiver holds it; without guardians where it holds none of that number.

    ``expiration_time_s`` is 0 while the set is the current one.
    """

    index: int
    guardians: tuple[Address, ...]
    expiration_time_s: int

    @property
    def exists(self) -> bool:
        return bool(self.guardians)

    def is_active(self, at: Instant, *, current_index: int) -> bool:
        """Whether the receiver takes signatures of this set at ``at``; the second of the expiry still counts."""
        return self.exists and (self.index == current_index or self.expiration_time_s >= at.seconds)


class OnChainVaa(msgspec.Struct, frozen=True):
    """A VAA as a receiver reads it. The receiver leaves out the signatures once it has checked them."""

    version: int
    timestamp_s: int
    nonce: int
    emitter_chain_id: int
    emitter: bytes
    sequence: int
    consistency_level: int
    payload: bytes
    guardian_set_index: int
    signature_count: int
    digest: bytes


class VaaJudgement(msgspec.Struct, frozen=True):
    """A receiver's word on a VAA. ``reason`` is empty for a valid one; ``vaa`` is filled as far as the receiver read."""

    valid: bool
    reason: str
    vaa: OnChainVaa


class PythRevert(msgspec.Struct, frozen=True, gc=False):
    """Why a contract refused, as its revert data says.

    ``name`` is the error's in the source, empty where it is not known; ``cause`` a phrase for people. ``message`` is the text
    of ``Error(string)``, ``panic_code`` the number of ``Panic(uint256)``. ``data`` keeps all the bytes.
    """

    name: str
    selector: bytes
    cause: str
    data: bytes
    message: str = ""
    panic_code: int | None = None

    def __str__(self) -> str:
        shown = self.name or f"0x{self.selector.hex()}"
        return f"{shown}: {self.cause}" if self.cause else shown


class ContractState(msgspec.Struct, frozen=True):
    """A Pyth contract's own configuration. A value is ``None`` where the contract does not answer for it: implementations
    differ from chain to chain. ``unanswered`` pairs those names with why.

    ``chain_id`` is Wormhole's number, not the EVM's; ``owner`` is the zero address where governance alone may upgrade.
    """

    version: str | None = None
    chain_id: int | None = None
    wormhole: Address | None = None
    data_sources: tuple[DataSource, ...] | None = None
    governance_data_source: DataSource | None = None
    governance_data_source_index: int | None = None
    last_executed_governance_sequence: int | None = None
    single_update_fee_wei: int | None = None
    transaction_fee_wei: int | None = None
    valid_time_period_s: int | None = None
    owner: Address | None = None
    magic: int | None = None
    unanswered: tuple[tuple[str, str], ...] = ()


class PriceFeedUpdated(msgspec.Struct, frozen=True, gc=False):
    """A newer price was stored. The event carries no exponent."""

    feed_id: FeedId
    publish_time_s: int
    price_mantissa: int
    conf_mantissa: int

    @property
    def publish_time(self) -> Instant:
        """When the aggregate was published; whole seconds."""
        return Instant.from_seconds(self.publish_time_s)


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


class ContractUpgraded(msgspec.Struct, frozen=True, gc=False):
    """Governance changed the implementation."""

    old_implementation: Address
    new_implementation: Address


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


class UpdateFeeSet(msgspec.Struct, frozen=True, gc=False):
    """The fee for each message of an update was changed."""

    old_wei: int
    new_wei: int


class TransactionFeeSet(msgspec.Struct, frozen=True, gc=False):
    """The fee for each transaction was changed."""

    old_wei: int
    new_wei: int


class ValidPeriodSet(msgspec.Struct, frozen=True, gc=False):
    """The age up to which ``getPrice`` answers was changed."""

    old_s: int
    new_s: int


class WormholeSet(msgspec.Struct, frozen=True, gc=False):
    """The receiver that verifies was changed."""

    old: Address
    new: Address


class FeeWithdrawn(msgspec.Struct, frozen=True, gc=False):
    """Collected fees were paid out."""

    to: Address
    amount_wei: int


class OwnershipTransferred(msgspec.Struct, frozen=True, gc=False):
    """At deployment, to the zero address."""

    old: Address
    new: Address


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
