"""Pyth's price feed contract: a ready call for every function, its answer as a typed value.

Structs, all static and so returned in place: ``Price`` is (int64 price, uint64 conf, int32 expo, uint256 publishTime),
``PriceFeed`` (bytes32 id, Price, Price of the moving average), ``TwapPriceFeed`` (bytes32 id, uint64 start, uint64 end, Price,
uint32 down slots in parts per million), ``DataSource`` (uint16 chain, bytes32 emitter). Chains run different implementations:
older ones revert where newer ones answer.

Functions that parse take wei and may be called without sending a transaction, with the fee as the call's value. Source:
pyth-crosschain ``target_chains/ethereum/sdk/solidity/{IPyth,AbstractPyth,PythStructs}.sol`` and
``target_chains/ethereum/contracts/contracts/pyth``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

from probekit.codecs.evm.contract import ContractCall, Function
from probekit.codecs.keccak import keccak256
from probekit.errors import DecodeError, NotFound, ProbekitError, Reverted
from probekit.model.evm import Address
from probekit.model.feed import FeedId
from probekit.model.pyth_evm import (
    Absence,
    ContractState,
    DataSource,
    GovernanceInstruction,
    OnChainPrice,
    OnChainPriceFeed,
    OnChainTwap,
    ParsedUpdates,
    Unanswered,
)

Feed = FeedId | str | bytes
"""A feed id, as text or as its 32 bytes; anything else is a ``ValueError``."""

F = TypeVar("F", OnChainPriceFeed, OnChainTwap)

MAGIC: Final = 0x97A6F304
"""What ``pythUpgradableMagic`` answers."""

_PRICE: Final = "(int64,uint64,int32,uint256)"
_FEED: Final = f"(bytes32,{_PRICE},{_PRICE})"
_TWAP: Final = f"(bytes32,uint64,uint64,{_PRICE},uint32)"
_SOURCE: Final = "(uint16,bytes32)"
_WINDOW: Final = "bytes[],bytes32[],uint64,uint64"

GET_PRICE_UNSAFE: Final = Function("getPriceUnsafe(bytes32)", _PRICE)
GET_PRICE_NO_OLDER_THAN: Final = Function("getPriceNoOlderThan(bytes32,uint256)", _PRICE)
GET_EMA_PRICE_UNSAFE: Final = Function("getEmaPriceUnsafe(bytes32)", _PRICE)
GET_EMA_PRICE_NO_OLDER_THAN: Final = Function("getEmaPriceNoOlderThan(bytes32,uint256)", _PRICE)
GET_PRICE: Final = Function("getPrice(bytes32)", _PRICE)
GET_EMA_PRICE: Final = Function("getEmaPrice(bytes32)", _PRICE)
QUERY_PRICE_FEED: Final = Function("queryPriceFeed(bytes32)", _FEED)
PRICE_FEED_EXISTS: Final = Function("priceFeedExists(bytes32)", "bool")
LATEST_PUBLISH_TIME: Final = Function("latestPriceInfoPublishTime(bytes32)", "uint64")
GET_VALID_TIME_PERIOD: Final = Function("getValidTimePeriod()", "uint256")
VALID_TIME_PERIOD_SECONDS: Final = Function("validTimePeriodSeconds()", "uint256")
GET_UPDATE_FEE: Final = Function("getUpdateFee(bytes[])", "uint256")
GET_UPDATE_FEE_BY_COUNT: Final = Function("getUpdateFee(uint256)", "uint256")
GET_TWAP_UPDATE_FEE: Final = Function("getTwapUpdateFee(bytes[])", "uint256")
SINGLE_UPDATE_FEE: Final = Function("singleUpdateFeeInWei()", "uint256")
TRANSACTION_FEE: Final = Function("transactionFeeInWei()", "uint256")
UPDATE_PRICE_FEEDS: Final = Function("updatePriceFeeds(bytes[])", payable=True)
UPDATE_PRICE_FEEDS_IF_NECESSARY: Final = Function("updatePriceFeedsIfNecessary(bytes[],bytes32[],uint64[])", payable=True)
PARSE_UPDATES: Final = Function(f"parsePriceFeedUpdates({_WINDOW})", f"{_FEED}[]", payable=True)
PARSE_UPDATES_UNIQUE: Final = Function(f"parsePriceFeedUpdatesUnique({_WINDOW})", f"{_FEED}[]", payable=True)
PARSE_UPDATES_WITH_CONFIG: Final = Function(
    f"parsePriceFeedUpdatesWithConfig({_WINDOW},bool,bool,bool)", f"{_FEED}[],uint64[]", payable=True
)
PARSE_TWAPS: Final = Function("parseTwapPriceFeedUpdates(bytes[],bytes32[])", f"{_TWAP}[]", payable=True)
WORMHOLE: Final = Function("wormhole()", "address")
CHAIN_ID: Final = Function("chainId()", "uint16")
VALID_DATA_SOURCES: Final = Function("validDataSources()", f"{_SOURCE}[]")
IS_VALID_DATA_SOURCE: Final = Function("isValidDataSource(uint16,bytes32)", "bool")
HASH_DATA_SOURCE: Final = Function("hashDataSource((uint16,bytes32))", "bytes32")
GOVERNANCE_DATA_SOURCE: Final = Function("governanceDataSource()", _SOURCE)
IS_VALID_GOVERNANCE_DATA_SOURCE: Final = Function("isValidGovernanceDataSource(uint16,bytes32)", "bool")
GOVERNANCE_DATA_SOURCE_INDEX: Final = Function("governanceDataSourceIndex()", "uint32")
LAST_EXECUTED_GOVERNANCE_SEQUENCE: Final = Function("lastExecutedGovernanceSequence()", "uint64")
EXECUTE_GOVERNANCE_INSTRUCTION: Final = Function("executeGovernanceInstruction(bytes)")
PARSE_GOVERNANCE_INSTRUCTION: Final = Function("parseGovernanceInstruction(bytes)", "(uint8,uint8,uint16,bytes)")
PYTH_UPGRADABLE_MAGIC: Final = Function("pythUpgradableMagic()", "uint32")
VERSION: Final = Function("version()", "string")
OWNER: Final = Function("owner()", "address")
PROXIABLE_UUID: Final = Function("proxiableUUID()", "bytes32")
# PythAggregatorV3, Chainlink's interface over one feed.
AGGREGATOR_DECIMALS: Final = Function("decimals()", "uint8")
AGGREGATOR_LATEST_ROUND: Final = Function("latestRoundData()", "uint80,int256,uint256,uint256,uint80")
AGGREGATOR_LATEST_TIMESTAMP: Final = Function("latestTimestamp()", "uint256")


def _id(feed: Feed) -> bytes:
    return bytes(FeedId(feed))


def _ids(feeds: Sequence[Feed]) -> list[bytes]:
    return [_id(feed) for feed in feeds]


def price_of(raw: tuple[Any, ...]) -> OnChainPrice:
    """The struct ``Price``."""
    return OnChainPrice(*raw)


def feed_of(raw: tuple[Any, ...]) -> OnChainPriceFeed:
    """The struct ``PriceFeed``."""
    feed, spot, ema = raw
    return OnChainPriceFeed(FeedId(feed), OnChainPrice(*spot), OnChainPrice(*ema))


def raw_price(price: OnChainPrice) -> tuple[int, int, int, int]:
    """The members of the struct ``Price``, to encode an answer."""
    return price.price_mantissa, price.conf_mantissa, price.expo, price.publish_time_s


def raw_feed(feed: OnChainPriceFeed) -> tuple[Any, ...]:
    """The members of the struct ``PriceFeed``, to encode an answer."""
    return bytes(feed.feed_id), raw_price(feed.spot), raw_price(feed.ema)


def _twap_of(raw: tuple[Any, ...]) -> OnChainTwap:
    feed, start, end, twap, down = raw
    return OnChainTwap(FeedId(feed), start, end, OnChainPrice(*twap), down)


def source_of(raw: tuple[Any, ...]) -> DataSource:
    """The struct ``DataSource``."""
    return DataSource(*raw)


def sources_of(raw: tuple[Any, ...]) -> tuple[DataSource, ...]:
    """An array of the struct ``DataSource``."""
    return tuple(DataSource(*one) for one in raw)


def _feeds_of(raw: tuple[Any, ...]) -> tuple[OnChainPriceFeed, ...]:
    return tuple(feed_of(one) for one in raw)


def _in_order(feeds: Sequence[Feed], found: tuple[F, ...]) -> tuple[F, ...]:
    """What was read of ``feeds``, each of the one asked for. Raises ``ValueError``."""
    asked, told = [FeedId(feed) for feed in feeds], [one.feed_id for one in found]
    if asked != told:
        raise ValueError(f"asked for {', '.join(asked)}, the answer is about {', '.join(told) or 'none'}")
    return found


# -- prices --------------------------------------------------------------------------------------------------------------------


def get_price_unsafe(feed: Feed) -> ContractCall[OnChainPrice]:
    """The stored price, of any age. Reverts with PriceFeedNotFound where the feed was never pushed."""
    return GET_PRICE_UNSAFE.one(_id(feed)).then(price_of)


def get_price_no_older_than(feed: Feed, max_age_s: int) -> ContractCall[OnChainPrice]:
    """The stored price, or StalePrice where its publish time and the block's time are more than ``max_age_s`` apart, in either
    direction.
    """
    return GET_PRICE_NO_OLDER_THAN.one(_id(feed), max_age_s).then(price_of)


def get_ema_price_unsafe(feed: Feed) -> ContractCall[OnChainPrice]:
    """The stored moving average, of any age."""
    return GET_EMA_PRICE_UNSAFE.one(_id(feed)).then(price_of)


def get_ema_price_no_older_than(feed: Feed, max_age_s: int) -> ContractCall[OnChainPrice]:
    """The stored moving average; StalePrice as for the price."""
    return GET_EMA_PRICE_NO_OLDER_THAN.one(_id(feed), max_age_s).then(price_of)


def get_price(feed: Feed) -> ContractCall[OnChainPrice]:
    """The stored price no older than the contract's valid time period. Deprecated, still deployed."""
    return GET_PRICE.one(_id(feed)).then(price_of)


def get_ema_price(feed: Feed) -> ContractCall[OnChainPrice]:
    """The stored moving average no older than the contract's valid time period. Deprecated, still deployed."""
    return GET_EMA_PRICE.one(_id(feed)).then(price_of)


def query_price_feed(feed: Feed) -> ContractCall[OnChainPriceFeed]:
    """Price and moving average in one call, of any age."""
    return QUERY_PRICE_FEED.one(_id(feed)).then(lambda row: _in_order([feed], (feed_of(row),))[0])


def price_feed_exists(feed: Feed) -> ContractCall[bool]:
    """Whether the feed was ever pushed; never reverts."""
    return PRICE_FEED_EXISTS.one(_id(feed))


def latest_publish_time_s(feed: Feed) -> ContractCall[int]:
    """Unix seconds, 0 for a feed never pushed; never reverts. The cheapest question about freshness."""
    return LATEST_PUBLISH_TIME.one(_id(feed))


def latest_round_data() -> ContractCall[tuple[int, int]]:
    """Of an aggregator wrapper: (answer, publish time in Unix seconds). The answer's exponent is minus its ``decimals``."""
    return AGGREGATOR_LATEST_ROUND.call().then(lambda row: (row[1], row[3]))


def aggregator_decimals() -> ContractCall[int]:
    """Of an aggregator wrapper: minus the feed's exponent."""
    return AGGREGATOR_DECIMALS.one()


def aggregator_latest_timestamp_s() -> ContractCall[int]:
    """Of an aggregator wrapper: the publish time in Unix seconds."""
    return AGGREGATOR_LATEST_TIMESTAMP.one()


# -- updates -------------------------------------------------------------------------------------------------------------------


def get_update_fee(updates: Sequence[bytes]) -> ContractCall[int]:
    """Wei due for these updates. Checks their form, not their signatures."""
    return GET_UPDATE_FEE.one(updates)


def get_update_fee_by_count(updates: int) -> ContractCall[int]:
    """Wei that so many updates can cost at most. Deprecated."""
    return GET_UPDATE_FEE_BY_COUNT.one(updates)


def get_twap_update_fee(updates: Sequence[bytes]) -> ContractCall[int]:
    """Wei due for parsing averages out of these updates; panics on none."""
    return GET_TWAP_UPDATE_FEE.one(updates)


def update_price_feeds(updates: Sequence[bytes]) -> ContractCall[None]:
    """Store what is newer than what is stored. The fee is the value sent; more than that is kept."""
    return UPDATE_PRICE_FEEDS.nothing(updates)


def update_price_feeds_if_necessary(updates: Sequence[bytes], publish_times_s: Mapping[Feed, int]) -> ContractCall[None]:
    """Store the updates if any of these feeds is stored older than its time here; NoFreshUpdate otherwise. What the updates
    hold is not looked at for that.
    """
    return UPDATE_PRICE_FEEDS_IF_NECESSARY.nothing(updates, _ids(list(publish_times_s)), list(publish_times_s.values()))


def parse_price_feed_updates(
    updates: Sequence[bytes], feeds: Sequence[Feed], min_publish_time_s: int, max_publish_time_s: int
) -> ContractCall[tuple[OnChainPriceFeed, ...]]:
    """Verify and read, without storing: one price for each of ``feeds``, in order, published within the window."""
    return PARSE_UPDATES.one(updates, _ids(feeds), min_publish_time_s, max_publish_time_s).then(
        lambda row: _in_order(feeds, _feeds_of(row))
    )


def parse_price_feed_updates_unique(
    updates: Sequence[bytes], feeds: Sequence[Feed], min_publish_time_s: int, max_publish_time_s: int
) -> ContractCall[tuple[OnChainPriceFeed, ...]]:
    """The same, of the first price within the window only: its previous publish time must be before it."""
    return PARSE_UPDATES_UNIQUE.one(updates, _ids(feeds), min_publish_time_s, max_publish_time_s).then(
        lambda row: _in_order(feeds, _feeds_of(row))
    )


def parse_price_feed_updates_with_config(
    updates: Sequence[bytes],
    feeds: Sequence[Feed],
    min_publish_time_s: int,
    max_publish_time_s: int,
    *,
    unique: bool = False,
    minimal: bool = False,
    store: bool = False,
) -> ContractCall[ParsedUpdates]:
    """The same with slots. ``minimal``: the updates must hold exactly ``feeds``; ``store``: as updating does, too."""
    return PARSE_UPDATES_WITH_CONFIG.call(
        updates, _ids(feeds), min_publish_time_s, max_publish_time_s, unique, minimal, store
    ).then(lambda row: ParsedUpdates(_in_order(feeds, _feeds_of(row[0])), row[1]))


def parse_twap_price_feed_updates(updates: Sequence[bytes], feeds: Sequence[Feed]) -> ContractCall[tuple[OnChainTwap, ...]]:
    """Averages between exactly two updates, the start and the end."""
    return PARSE_TWAPS.one(updates, _ids(feeds)).then(lambda row: _in_order(feeds, tuple(_twap_of(one) for one in row)))


# -- configuration and governance ----------------------------------------------------------------------------------------------


def data_source_hash(source: DataSource) -> bytes:
    """The key under which the contract keeps a source: what ``hashDataSource`` answers."""
    if len(source.emitter) != 32:
        raise ValueError(f"an emitter has 32 bytes, not {len(source.emitter)}")
    return keccak256(source.chain_id.to_bytes(2, "big") + source.emitter)


def hash_data_source(source: DataSource) -> ContractCall[bytes]:
    """The contract's own :func:`data_source_hash`."""
    return HASH_DATA_SOURCE.one((source.chain_id, source.emitter))


def is_valid_data_source(source: DataSource) -> ContractCall[bool]:
    """Whether updates of this emitter are taken."""
    return IS_VALID_DATA_SOURCE.one(source.chain_id, source.emitter)


def is_valid_governance_data_source(source: DataSource) -> ContractCall[bool]:
    """Whether this emitter governs."""
    return IS_VALID_GOVERNANCE_DATA_SOURCE.one(source.chain_id, source.emitter)


def execute_governance_instruction(vaa: bytes) -> ContractCall[None]:
    """Carry out a governance VAA; anyone may send it."""
    return EXECUTE_GOVERNANCE_INSTRUCTION.nothing(vaa)


def parse_governance_instruction(payload: bytes) -> ContractCall[GovernanceInstruction]:
    """How the contract reads the payload of a governance VAA."""
    return PARSE_GOVERNANCE_INSTRUCTION.one(payload).then(lambda row: GovernanceInstruction(*row))


def proxiable_uuid() -> ContractCall[bytes]:
    """The implementation slot; answers on the implementation, reverts through the proxy."""
    return PROXIABLE_UUID.one()


def valid_time_period_s() -> ContractCall[int]:
    """Seconds up to which ``getPrice`` answers, through the older of its two names."""
    return GET_VALID_TIME_PERIOD.one()


STATE_CALLS: Final[Mapping[str, ContractCall[Any]]] = {
    "version": VERSION.one(),
    "chain_id": CHAIN_ID.one(),
    "wormhole": WORMHOLE.one(),
    "data_sources": VALID_DATA_SOURCES.one().then(sources_of),
    "governance_data_source": GOVERNANCE_DATA_SOURCE.one().then(source_of),
    "governance_data_source_index": GOVERNANCE_DATA_SOURCE_INDEX.one(),
    "last_executed_governance_sequence": LAST_EXECUTED_GOVERNANCE_SEQUENCE.one(),
    "single_update_fee_wei": SINGLE_UPDATE_FEE.one(),
    "transaction_fee_wei": TRANSACTION_FEE.one(),
    # By its older name, which every implementation and MockPyth have.
    "valid_time_period_s": GET_VALID_TIME_PERIOD.one(),
    "owner": OWNER.one(),
    "magic": PYTH_UPGRADABLE_MAGIC.one(),
}
"""The configuration as calls, each under its name in :class:`~probekit.model.pyth_evm.ContractState`: one batch reads all."""

ZERO_ADDRESS: Final = Address(bytes(20))
"""Who owns a contract that nobody owns."""


def contract_state(outcomes: Mapping[str, object]) -> ContractState:
    """The configuration from the outcomes of :data:`STATE_CALLS`, by name: values, or the errors of those that failed."""
    values, unanswered = sorted_out({name: outcomes.get(name) for name in STATE_CALLS})
    return ContractState(**values, unanswered=unanswered)


def sorted_out(outcomes: Mapping[str, object]) -> tuple[dict[str, Any], tuple[Unanswered, ...]]:
    """Named outcomes of calls, parted into values and what did not come, with why; ``None`` was not asked for."""
    values: dict[str, Any] = {}
    unanswered: list[Unanswered] = []
    for name, outcome in outcomes.items():
        if outcome is None:
            unanswered.append(Unanswered(name, Absence.FAILED, "not asked"))
        elif isinstance(outcome, ProbekitError):
            unanswered.append(Unanswered(name, _absence(outcome), outcome.message))
        else:
            values[name] = outcome
    return values, tuple(unanswered)


def refuse_unanswered(outcomes: Sequence[object], unanswered: Sequence[Unanswered], what: str) -> NoReturn:
    """Where nothing at all came: raises the endpoint's error, else ``NotFound``, there being no ``what``."""
    for outcome, one in zip(outcomes, unanswered, strict=True):
        if one.absence is Absence.FAILED and isinstance(outcome, ProbekitError):
            raise outcome
    raise NotFound(f"no {what}", subject=what)


def _absence(error: ProbekitError) -> Absence:
    if isinstance(error, Reverted):
        return Absence.REFUSED if error.revert_data else Absence.MISSING
    if isinstance(error, DecodeError):
        return Absence.UNREADABLE if error.raw else Absence.MISSING
    return Absence.MISSING if isinstance(error, NotFound) else Absence.FAILED
