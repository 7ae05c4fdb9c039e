"""Every event of Pyth's contract and its proxy, from logs to typed values.

Sources: pyth-crosschain ``target_chains/ethereum/sdk/solidity/IPythEvents.sol``,
``target_chains/ethereum/contracts/contracts/pyth/{PythGovernance,PythUpgradable}.sol``; ERC-1967 and OpenZeppelin's ``Ownable``
for the proxy's. BatchPriceFeedUpdate is of implementations before the accumulator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from probekit.codecs.evm.contract import Event
from probekit.codecs.evm.pyth import source_of, sources_of
from probekit.errors import DecodeError
from probekit.model.evm import Log
from probekit.model.feed import FeedId
from probekit.model.pyth_evm_events import (
    BatchUpdated,
    ContractUpgraded,
    DataSourcesSet,
    FeeWithdrawn,
    GovernanceSourceSet,
    OwnershipTransferred,
    PriceFeedUpdated,
    ProxyUpgraded,
    PythEvent,
    TransactionFeeSet,
    TwapUpdated,
    UpdateFeeSet,
    ValidPeriodSet,
    WormholeSet,
)

_SOURCE: Final = "(uint16,bytes32)"

PRICE_FEED_UPDATE: Final = Event("PriceFeedUpdate(bytes32,uint64,int64,uint64)", indexed=(0,))
BATCH_PRICE_FEED_UPDATE: Final = Event("BatchPriceFeedUpdate(uint16,uint64)")
TWAP_PRICE_FEED_UPDATE: Final = Event("TwapPriceFeedUpdate(bytes32,uint64,uint64,int64,uint64,uint32)", indexed=(0,))
CONTRACT_UPGRADED: Final = Event("ContractUpgraded(address,address)")
UPGRADED: Final = Event("Upgraded(address)", indexed=(0,))
GOVERNANCE_DATA_SOURCE_SET: Final = Event(f"GovernanceDataSourceSet({_SOURCE},{_SOURCE},uint64)")
DATA_SOURCES_SET: Final = Event(f"DataSourcesSet({_SOURCE}[],{_SOURCE}[])")
FEE_SET: Final = Event("FeeSet(uint256,uint256)")
VALID_PERIOD_SET: Final = Event("ValidPeriodSet(uint256,uint256)")
WORMHOLE_ADDRESS_SET: Final = Event("WormholeAddressSet(address,address)")
TRANSACTION_FEE_SET: Final = Event("TransactionFeeSet(uint256,uint256)")
FEE_WITHDRAWN: Final = Event("FeeWithdrawn(address,uint256)")
OWNERSHIP_TRANSFERRED: Final = Event("OwnershipTransferred(address,address)", indexed=(0, 1))

_READERS: Final[dict[bytes, tuple[Event, Callable[..., PythEvent]]]] = {
    event.topic: (event, made)
    for event, made in (
        (PRICE_FEED_UPDATE, lambda feed, *rest: PriceFeedUpdated(FeedId(feed), *rest)),
        (BATCH_PRICE_FEED_UPDATE, BatchUpdated),
        (TWAP_PRICE_FEED_UPDATE, lambda feed, *rest: TwapUpdated(FeedId(feed), *rest)),
        (CONTRACT_UPGRADED, ContractUpgraded),
        (UPGRADED, ProxyUpgraded),
        (GOVERNANCE_DATA_SOURCE_SET, lambda old, new, first: GovernanceSourceSet(source_of(old), source_of(new), first)),
        (DATA_SOURCES_SET, lambda old, new: DataSourcesSet(sources_of(old), sources_of(new))),
        (FEE_SET, UpdateFeeSet),
        (VALID_PERIOD_SET, ValidPeriodSet),
        (WORMHOLE_ADDRESS_SET, WormholeSet),
        (TRANSACTION_FEE_SET, TransactionFeeSet),
        (FEE_WITHDRAWN, FeeWithdrawn),
        (OWNERSHIP_TRANSFERRED, OwnershipTransferred),
    )
}

EVENTS: Final = tuple(event for event, _ in _READERS.values())
"""All events; their topics select the logs to ask for."""


def decode_event(log: Log) -> PythEvent | None:
    """The event in a log of a Pyth contract; ``None`` where its first topic is none of them.

    Raises ``DecodeError`` for a log that bears an event's topic and not its content. Whose log it is (``log.address``), and
    whether its block is still the chain's (``log.removed``), is for the caller to look at.
    """
    if not log.topics:
        return None
    found = _READERS.get(log.topics[0])
    if found is None:
        return None
    event, made = found
    return made(*event.decode(log.topics, log.data))


def decode_known_event(log: Log) -> PythEvent:
    """The event in a log. Raises ``DecodeError``, also for one that is none of the contract's."""
    event = decode_event(log)
    if event is None:
        raise DecodeError("a log of no event that this release knows", raw=log.data)
    return event


def decode_price_update(log: Log) -> PriceFeedUpdated:
    """A PriceFeedUpdate log. Raises ``DecodeError`` for any other."""
    event = decode_event(log)
    if not isinstance(event, PriceFeedUpdated):
        raise DecodeError("a log that is no PriceFeedUpdate", raw=log.data)
    return event


def price_update_topics(*feeds: FeedId | str | bytes) -> list[Any]:
    """Topics to ask a node for the updates of ``feeds``, or of all feeds where none is given."""
    wanted = [bytes(FeedId(feed)) for feed in feeds]
    return [PRICE_FEED_UPDATE.topic, wanted] if wanted else [PRICE_FEED_UPDATE.topic]
