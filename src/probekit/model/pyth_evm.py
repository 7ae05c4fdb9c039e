"""What Pyth's contracts on EVM chains say: prices, configuration, guardian sets and refusals.

Prices are integers under an exponent, fees in wei, times whole Unix seconds. Source: pyth-crosschain
``target_chains/ethereum/sdk/solidity`` and ``target_chains/ethereum/contracts/contracts``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from probekit.model.evm import Address, Block
from probekit.model.feed import FeedId
from probekit.model.price import Price
from probekit.model.verified import TrustRoot
from probekit.units import Instant


class _HasPublishTime(Protocol):
    @property
    def publish_time_s(self) -> int: ...


class Published:
    """What was published at ``publish_time_s``."""

    __slots__ = ()

    @property
    def publish_time(self: _HasPublishTime) -> Instant:
        """When the aggregate was published; whole seconds."""
        return Instant.from_seconds(self.publish_time_s)


class OnChainPrice(Published, msgspec.Struct, frozen=True, gc=False):
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


class OnChainPriceFeed(Published, msgspec.Struct, frozen=True, gc=False):
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
    def publish_time_s(self) -> int:
        return self.spot.publish_time_s


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


class PythError(StrEnum):
    """The custom errors of Pyth's contract and of its Wormhole receiver, by their names in the source."""

    PRICE_FEED_NOT_FOUND = "PriceFeedNotFound"
    STALE_PRICE = "StalePrice"
    INSUFFICIENT_FEE = "InsufficientFee"
    NO_FRESH_UPDATE = "NoFreshUpdate"
    INVALID_UPDATE_DATA = "InvalidUpdateData"
    INVALID_UPDATE_DATA_SOURCE = "InvalidUpdateDataSource"
    INVALID_WORMHOLE_VAA = "InvalidWormholeVaa"
    PRICE_FEED_NOT_FOUND_WITHIN_RANGE = "PriceFeedNotFoundWithinRange"
    INVALID_ARGUMENT = "InvalidArgument"
    INVALID_TWAP_UPDATE_DATA = "InvalidTwapUpdateData"
    INVALID_TWAP_UPDATE_DATA_SET = "InvalidTwapUpdateDataSet"
    INVALID_GOVERNANCE_MESSAGE = "InvalidGovernanceMessage"
    INVALID_GOVERNANCE_TARGET = "InvalidGovernanceTarget"
    INVALID_GOVERNANCE_DATA_SOURCE = "InvalidGovernanceDataSource"
    OLD_GOVERNANCE_MESSAGE = "OldGovernanceMessage"
    INVALID_WORMHOLE_ADDRESS_TO_SET = "InvalidWormholeAddressToSet"
    NEGATIVE_INPUT_PRICE = "NegativeInputPrice"
    INVALID_INPUT_EXPO = "InvalidInputExpo"
    COMBINED_PRICE_OVERFLOW = "CombinedPriceOverflow"
    EXPONENT_OVERFLOW = "ExponentOverflow"
    VM_VERSION_INCOMPATIBLE = "VmVersionIncompatible"
    SIGNATURE_INDEXES_NOT_ASCENDING = "SignatureIndexesNotAscending"


class EntropyError(StrEnum):
    """The custom errors of Entropy's contract, by their names in the source. InsufficientFee is Pyth's as well;
    InvalidTransferCall is of older contracts.
    """

    ASSERTION_FAILURE = "AssertionFailure"
    PROVIDER_ALREADY_REGISTERED = "ProviderAlreadyRegistered"
    NO_SUCH_PROVIDER = "NoSuchProvider"
    NO_SUCH_REQUEST = "NoSuchRequest"
    OUT_OF_RANDOMNESS = "OutOfRandomness"
    INSUFFICIENT_FEE = "InsufficientFee"
    INCORRECT_REVELATION = "IncorrectRevelation"
    INVALID_UPGRADE_MAGIC = "InvalidUpgradeMagic"
    UNAUTHORIZED = "Unauthorized"
    BLOCKHASH_UNAVAILABLE = "BlockhashUnavailable"
    INVALID_REVEAL_CALL = "InvalidRevealCall"
    LAST_REVEALED_TOO_OLD = "LastRevealedTooOld"
    UPDATE_TOO_OLD = "UpdateTooOld"
    INSUFFICIENT_GAS = "InsufficientGas"
    MAX_GAS_LIMIT_EXCEEDED = "MaxGasLimitExceeded"
    INVALID_TRANSFER_CALL = "InvalidTransferCall"


class PythRevert(msgspec.Struct, frozen=True, gc=False):
    """Why a contract refused, as its revert data says.

    ``error`` is set for the errors of Pyth's and Wormhole's contracts, ``entropy_error`` for Entropy's; ``name`` is that, or
    ``Error`` or ``Panic`` for Solidity's own two, and empty where it is not known. ``cause`` is a phrase for people,
    ``message`` the text of ``Error(string)``, ``panic_code`` the number of ``Panic(uint256)``. ``data`` keeps all the bytes.
    """

    name: str
    selector: bytes
    cause: str
    data: bytes
    error: PythError | None = None
    message: str = ""
    panic_code: int | None = None
    entropy_error: EntropyError | None = None

    def __str__(self) -> str:
        if not self.data:
            return self.cause
        return f"{self.name or f'0x{self.selector.hex()}'}: {self.cause}"


class Absence(StrEnum):
    """Why a contract's value is not there."""

    MISSING = "missing"
    """The implementation has no such function: it reverted without a word, or gave an empty answer."""
    REFUSED = "refused"
    """It reverted and said why."""
    UNREADABLE = "unreadable"
    """It answered with something else than the function returns."""
    FAILED = "failed"
    """The node did not answer, which says nothing of the contract."""


class Unanswered(msgspec.Struct, frozen=True, gc=False):
    """A value that was asked for and did not come: its ``name`` in the state, and why."""

    name: str
    absence: Absence
    reason: str


class ContractState(msgspec.Struct, frozen=True):
    """A Pyth contract's own configuration. A value is ``None`` where the contract does not answer for it, since implementations
    differ from chain to chain; it is then in ``unanswered``.

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
    unanswered: tuple[Unanswered, ...] = ()


class QuorumRule(StrEnum):
    """How many guardians of a set must sign."""

    TWO_THIRDS = "two-thirds"
    """floor(2n/3)+1: Wormhole's own, and the receivers of the core root."""
    HALF = "half"
    """floor(n/2)+1: the receivers of the pro root."""

    def of(self, guardians: int) -> int:
        """Signatures needed of a set of so many."""
        root = TrustRoot.CORE if self is QuorumRule.TWO_THIRDS else TrustRoot.PRO
        return root.quorum(guardians)


class ReceiverState(msgspec.Struct, frozen=True):
    """A Wormhole receiver's configuration; ``None`` and ``unanswered`` as in :class:`ContractState`.

    ``quorum`` is the number of signatures that the receiver was seen to ask for, ``quorum_rule`` the rule that gives it;
    ``None`` where both do, or neither. ``root`` is whose guardian set it is, among the known ones. ``set_expiry_s`` may be 0
    where 86,400 is in force.
    """

    address: Address
    set_index: int | None = None
    guardian_set: GuardianSetInfo | None = None
    quorum: int | None = None
    quorum_rule: QuorumRule | None = None
    root: TrustRoot | None = None
    set_expiry_s: int | None = None
    chain_id: int | None = None
    governance_chain_id: int | None = None
    governance_contract: bytes | None = None
    unanswered: tuple[Unanswered, ...] = ()


class PythEvmState(msgspec.Struct, frozen=True):
    """All that a Pyth contract says of itself at one block.

    ``implementation`` stands behind the proxy, ``None`` for a contract that is none. ``receiver`` is ``None`` where the
    contract names none, or what it names answers nothing. ``emitter_roots`` are the trust roots of its data sources, of those
    that are known. ``unanswered`` is for these two as a whole; each part has its own.
    """

    address: Address
    block: Block
    contract: ContractState
    implementation: Address | None
    receiver: ReceiverState | None
    emitter_roots: tuple[TrustRoot, ...]
    unanswered: tuple[Unanswered, ...] = ()

    @property
    def trust_root(self) -> TrustRoot | None:
        """The root whose updates it takes: the guardian set and a data source are both that root's. ``None`` where they do not
        go together, or are not known.
        """
        root = self.receiver.root if self.receiver is not None else None
        return root if root in self.emitter_roots else None
