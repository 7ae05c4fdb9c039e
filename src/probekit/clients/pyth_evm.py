"""Pyth's contract on an EVM chain: prices as consumers there see them, its configuration, updates tried without sending.

The contract is a proxy whose implementation differs from chain to chain; what an older one lacks is an absence, not a failure.
Source: pyth-crosschain ``target_chains/ethereum/contracts``; the calls stand in :mod:`probekit.codecs.evm.pyth`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, Literal, Self, TypeVar

from probekit.clients.evm import BlockTag, EvmClient
from probekit.clients.wormhole import EvmReceiverClient
from probekit.clock import both
from probekit.codecs.evm import eip1967, pyth, pyth_events, registry
from probekit.codecs.evm.contract import ContractCall, PreparedCall
from probekit.codecs.evm.pyth import Feed
from probekit.codecs.evm.registry import ContractKind, DeployedContract, Deployment
from probekit.errors import DecodeError, ProbekitError
from probekit.model import FeedId, TrustRoot
from probekit.model.evm import Address, Block, Log
from probekit.model.pyth_evm import (
    ContractState,
    OnChainPrice,
    OnChainPriceFeed,
    OnChainTwap,
    ParsedUpdates,
    PythEvmState,
    ReceiverState,
)
from probekit.model.pyth_evm_events import Logged, PriceFeedUpdated, PythEvent
from probekit.trust import MAINNET, Trust

__all__ = ["FeedReads", "PythEvmClient"]

T = TypeVar("T")


@dataclass(frozen=True)
class FeedReads(Generic[T]):
    """What was read of many feeds at ``block``, in the order asked for: each its value or its own error.

    Ages are judged by ``block.time``, the clock that the contract judges by. ``route`` and ``pinned`` are those of
    :class:`~probekit.clients.evm.Reads`.
    """

    block: Block
    answers: Mapping[FeedId, T | ProbekitError]
    route: Literal["multicall3", "batch"]
    pinned: Literal["hash", "number"]

    def __getitem__(self, feed: Feed) -> T:
        """The value of one feed. Raises its error, ``KeyError`` for a feed that was not asked for."""
        found = self.answers[FeedId(feed)]
        if isinstance(found, ProbekitError):
            raise found
        return found

    @cached_property
    def values(self) -> dict[FeedId, T]:
        """The feeds that were read."""
        return {feed: found for feed, found in self.answers.items() if not isinstance(found, ProbekitError)}

    @cached_property
    def errors(self) -> dict[FeedId, ProbekitError]:
        """The feeds that were not."""
        return {feed: found for feed, found in self.answers.items() if isinstance(found, ProbekitError)}


class PythEvmClient:
    """The Pyth contract at ``address`` of the chain of ``evm``, which stays the caller's to close.

    ``trust`` says whose the guardian sets and emitters are. A call that the contract refuses raises ``Reverted``, its error
    named in the message and typed by :func:`~probekit.codecs.evm.reverts.revert_of`; otherwise what
    :class:`~probekit.clients.evm.EvmClient` raises. Feed ids are checked first: ``ValueError``.
    """

    def __init__(self, evm: EvmClient, address: str, *, trust: Trust = MAINNET) -> None:
        self.evm = evm
        self.address = Address(address)
        self._trust = trust

    @classmethod
    def known(cls, evm: EvmClient, deployment: Deployment = Deployment.STABLE, *, trust: Trust = MAINNET) -> Self:
        """The contract of a deployment on this chain, by the registry. Raises ``LookupError`` where it has none or several."""
        found = registry.contracts(evm.chain_id, ContractKind.PYTH, deployment)
        if len(found) != 1:
            raise LookupError(f"{len(found)} {deployment} contracts are known on chain {evm.chain_id}: name the address")
        return cls(evm, found[0].address, trust=trust)

    @property
    def deployed(self) -> DeployedContract | None:
        """What the registry knows of this address on this chain."""
        return registry.contract_at(self.evm.chain_id, self.address)

    # -- prices --------------------------------------------------------------------------------------------------------------

    async def price(self, feed: Feed, at: BlockTag = "latest", *, min_block: int | None = None) -> OnChainPrice:
        """The stored price, of any age (``getPriceUnsafe``). ``min_block``, here and below: no answer is taken of an
        endpoint that has not reached it, and ``NotReached`` raised where none has. So what was pushed is read.
        """
        return await self.evm.read(self.address, pyth.get_price_unsafe(feed), at, min_block=min_block)

    async def price_no_older_than(
        self, feed: Feed, max_age: timedelta, at: BlockTag = "latest", *, min_block: int | None = None
    ) -> OnChainPrice:
        """The stored price, or ``Reverted`` with StalePrice: its publish time and the block's are more than ``max_age`` (whole
        seconds, rounded down) apart in either direction.
        """
        return await self.evm.read(self.address, pyth.get_price_no_older_than(feed, _seconds(max_age)), at, min_block=min_block)

    async def ema_price(self, feed: Feed, at: BlockTag = "latest", *, min_block: int | None = None) -> OnChainPrice:
        """The stored moving average, of any age (``getEmaPriceUnsafe``)."""
        return await self.evm.read(self.address, pyth.get_ema_price_unsafe(feed), at, min_block=min_block)

    async def ema_price_no_older_than(
        self, feed: Feed, max_age: timedelta, at: BlockTag = "latest", *, min_block: int | None = None
    ) -> OnChainPrice:
        """The stored moving average, or StalePrice as for the price."""
        return await self.evm.read(
            self.address, pyth.get_ema_price_no_older_than(feed, _seconds(max_age)), at, min_block=min_block
        )

    async def feed(self, feed: Feed, at: BlockTag = "latest", *, min_block: int | None = None) -> OnChainPriceFeed:
        """Price and moving average together (``queryPriceFeed``)."""
        return await self.evm.read(self.address, pyth.query_price_feed(feed), at, min_block=min_block)

    async def prices(
        self, feeds: Iterable[Feed], at: BlockTag | Block = "latest", *, min_block: int | None = None
    ) -> FeedReads[OnChainPrice]:
        """The stored prices of many feeds, at one block."""
        return await self.each(feeds, pyth.get_price_unsafe, at, min_block=min_block)

    async def feeds(
        self, feeds: Iterable[Feed], at: BlockTag | Block = "latest", *, min_block: int | None = None
    ) -> FeedReads[OnChainPriceFeed]:
        """Prices and moving averages of many feeds, at one block."""
        return await self.each(feeds, pyth.query_price_feed, at, min_block=min_block)

    async def publish_times_s(
        self, feeds: Iterable[Feed], at: BlockTag | Block = "latest", *, min_block: int | None = None
    ) -> FeedReads[int]:
        """Unix seconds for many feeds, 0 for one never pushed: the cheapest question about freshness."""
        return await self.each(feeds, pyth.latest_publish_time_s, at, min_block=min_block)

    async def each(
        self,
        feeds: Iterable[Feed],
        call: Callable[[FeedId], ContractCall[T]],
        at: BlockTag | Block = "latest",
        *,
        min_block: int | None = None,
    ) -> FeedReads[T]:
        """One call for each feed, all at one block; a feed named twice is read once."""
        wanted = list(dict.fromkeys(FeedId(feed) for feed in feeds))
        reads = await self.evm.multicall([(self.address, call(feed)) for feed in wanted], at, min_block=min_block)
        answers = dict(zip(wanted, reads.results, strict=True))
        return FeedReads(reads.block, answers, reads.route, reads.pinned)

    # -- configuration -------------------------------------------------------------------------------------------------------

    async def state(self, at: BlockTag | Block = "latest", *, min_block: int | None = None) -> PythEvmState:
        """The whole configuration at one block: fees, valid period, data sources, governance, owner, version, implementation;
        the Wormhole receiver with its guardian set and quorum; whose roots these are.

        Five requests, two of them together: the block, the contract beside its storage slot, the receiver, its set with its
        quorum. What an implementation lacks is in ``unanswered``. Raises ``NotFound`` where nothing is answered, so that it is
        no Pyth contract, or the error of the endpoint.
        """
        with self.evm.pool.one_deadline():
            return await self._state(at if isinstance(at, Block) else await self.evm.block(at, min_block=min_block))

    async def _state(self, block: Block) -> PythEvmState:
        rows = [(str(self.address), call) for call in pyth.STATE_CALLS.values()]
        reads, implementation = await both(self.evm.multicall(rows, block), self._implementation(block.number))
        found, unanswered = pyth.sorted_out({"implementation": implementation} if implementation is not None else {})
        contract = pyth.contract_state(dict(zip(pyth.STATE_CALLS, reads.results, strict=True)))
        if len(contract.unanswered) == len(pyth.STATE_CALLS):
            pyth.refuse_unanswered(
                reads.results, contract.unanswered, f"Pyth contract at {self.address} on {self.evm.pool.chain}"
            )
        more, left_out = pyth.sorted_out(
            {} if contract.wormhole is None else {"receiver": await self._receiver_state(contract.wormhole, block)}
        )
        return PythEvmState(
            address=self.address,
            block=block,
            contract=contract,
            implementation=found.get("implementation"),
            receiver=more.get("receiver"),
            emitter_roots=self._emitter_roots(contract),
            unanswered=unanswered + left_out,
        )

    async def _receiver_state(self, address: Address, block: Block) -> ReceiverState | ProbekitError:
        try:
            return await EvmReceiverClient(self.evm, address, trust=self._trust).state(block)
        except ProbekitError as error:
            return error

    async def _implementation(self, at: int) -> Address | ProbekitError | None:
        try:
            return eip1967.decode_slot(await self.evm.storage(self.address, eip1967.IMPLEMENTATION_SLOT, at))
        except ProbekitError as error:
            return error

    def _emitter_roots(self, contract: ContractState) -> tuple[TrustRoot, ...]:
        roots = [self._trust.root_of(source.chain_id, source.emitter) for source in contract.data_sources or ()]
        return tuple(dict.fromkeys(root for root in roots if root is not None))

    async def receiver(self, at: BlockTag = "latest") -> EvmReceiverClient:
        """The Wormhole receiver that the contract verifies with."""
        address = await self.evm.read(self.address, pyth.WORMHOLE.one(), at)
        return EvmReceiverClient(self.evm, address, trust=self._trust)

    async def valid_time_period(self, at: BlockTag = "latest") -> timedelta:
        """The age up to which ``getPrice`` answers."""
        period_s = await self.evm.read(self.address, pyth.valid_time_period_s(), at)
        return timedelta(seconds=period_s)

    # -- updates, without sending anything -----------------------------------------------------------------------------------

    async def update_fee(self, updates: Sequence[bytes], at: BlockTag = "latest") -> int:
        """Wei due for these updates (the bytes that Hermes serves). Looks at their form, not at their signatures."""
        return await self.evm.read(self.address, pyth.get_update_fee(updates), at)

    async def twap_update_fee(self, updates: Sequence[bytes], at: BlockTag = "latest") -> int:
        """Wei due for an average out of these updates."""
        return await self.evm.read(self.address, pyth.get_twap_update_fee(updates), at)

    async def build_update(
        self,
        updates: Sequence[bytes],
        *,
        if_older_than: Mapping[Feed, int] | None = None,
        fee_wei: int | None = None,
        at: BlockTag = "latest",
    ) -> PreparedCall[None]:
        """``updatePriceFeeds`` with its fee, to be simulated, or signed and sent. The contract keeps what is paid above it.

        ``if_older_than`` (feed id to Unix seconds) makes it ``updatePriceFeedsIfNecessary``: NoFreshUpdate unless one of these
        feeds is stored with an older publish time. Without ``fee_wei`` the fee is asked for.
        """
        if if_older_than is None:
            call = pyth.update_price_feeds(updates)
        else:
            call = pyth.update_price_feeds_if_necessary(updates, if_older_than)
        return PreparedCall(self.address, call, await self.update_fee(updates, at) if fee_wei is None else fee_wei)

    async def simulate_update(
        self,
        updates: Sequence[bytes],
        *,
        if_older_than: Mapping[Feed, int] | None = None,
        fee_wei: int | None = None,
        sender: str | None = None,
        at: BlockTag = "latest",
        min_block: int | None = None,
    ) -> PreparedCall[None]:
        """Try :meth:`build_update` at a block; what was tried, when the contract would take it. Raises ``Reverted`` when not:
        InvalidWormholeVaa, InvalidUpdateDataSource, InsufficientFee and the like.
        """
        with self.evm.pool.one_deadline():
            prepared = await self.build_update(updates, if_older_than=if_older_than, fee_wei=fee_wei, at=at)
            await self.simulate(prepared, sender=sender, at=at, min_block=min_block)
        return prepared

    async def parse_update(
        self,
        updates: Sequence[bytes],
        feeds: Sequence[Feed],
        *,
        min_publish_time_s: int,
        max_publish_time_s: int,
        unique: bool = False,
        fee_wei: int | None = None,
        sender: str | None = None,
        at: BlockTag = "latest",
    ) -> tuple[OnChainPriceFeed, ...]:
        """What the contract reads out of signed updates, verified by it: one price for each of ``feeds``, in order, published
        within the window (Unix seconds, both ends included). ``unique`` takes the first price of the window only.

        Raises ``Reverted``: PriceFeedNotFoundWithinRange where a feed has none, and as updating does.
        """
        parse = pyth.parse_price_feed_updates_unique if unique else pyth.parse_price_feed_updates
        call = parse(updates, feeds, min_publish_time_s, max_publish_time_s)
        return await self._parsed(call, updates, self.update_fee, fee_wei, sender, at)

    async def parse_update_with_slots(
        self,
        updates: Sequence[bytes],
        feeds: Sequence[Feed],
        *,
        min_publish_time_s: int,
        max_publish_time_s: int,
        unique: bool = False,
        minimal: bool = False,
        fee_wei: int | None = None,
        sender: str | None = None,
        at: BlockTag = "latest",
    ) -> ParsedUpdates:
        """The same with the slot of each price. ``minimal``: InvalidArgument unless the updates hold exactly ``feeds``. Newer
        implementations only.
        """
        call = pyth.parse_price_feed_updates_with_config(
            updates, feeds, min_publish_time_s, max_publish_time_s, unique=unique, minimal=minimal
        )
        return await self._parsed(call, updates, self.update_fee, fee_wei, sender, at)

    async def parse_twap_update(
        self,
        start: bytes,
        end: bytes,
        feeds: Sequence[Feed],
        *,
        fee_wei: int | None = None,
        sender: str | None = None,
        at: BlockTag = "latest",
    ) -> tuple[OnChainTwap, ...]:
        """Averages between two updates, as the contract computes them. Newer implementations only."""
        updates = (start, end)
        call = pyth.parse_twap_price_feed_updates(updates, feeds)
        return await self._parsed(call, updates, self.twap_update_fee, fee_wei, sender, at)

    async def _parsed(
        self,
        call: ContractCall[T],
        updates: Sequence[bytes],
        fee: Callable[..., Any],
        fee_wei: int | None,
        sender: str | None,
        at: BlockTag,
    ) -> T:
        with self.evm.pool.one_deadline():
            value_wei = await fee(updates, at) if fee_wei is None else fee_wei
            return await self.simulate(PreparedCall(self.address, call, value_wei), sender=sender, at=at)

    async def simulate(
        self,
        prepared: PreparedCall[T],
        *,
        sender: str | None = None,
        at: BlockTag = "latest",
        min_block: int | None = None,
    ) -> T:
        """:meth:`~probekit.clients.evm.EvmClient.simulate`."""
        return await self.evm.simulate(prepared, sender=sender, at=at, min_block=min_block)

    # -- events --------------------------------------------------------------------------------------------------------------

    async def price_updates(
        self, *, from_block: int, to_block: int, feeds: Iterable[Feed] = ()
    ) -> list[Logged[PriceFeedUpdated] | DecodeError]:
        """Every newer price that was stored in a range of blocks, both ends included, in order; of some feeds, or of all. One
        that does not read is its own error.
        """
        topics = pyth_events.price_update_topics(*feeds)
        return [_logged(log, pyth_events.decode_price_update) for log in await self._logs(from_block, to_block, topics)]

    async def events(self, *, from_block: int, to_block: int) -> list[Logged[PythEvent] | DecodeError]:
        """Every event of the contract and its proxy in a range of blocks: upgrades, fees, data sources, prices and the rest."""
        topics = [[event.topic for event in pyth_events.EVENTS]]
        return [_logged(log, pyth_events.decode_known_event) for log in await self._logs(from_block, to_block, topics)]

    async def _logs(self, from_block: int, to_block: int, topics: Sequence[Any]) -> list[Log | DecodeError]:
        return await self.evm.logs(from_block=from_block, to_block=to_block, address=self.address, topics=topics)


def _logged(log: Log | DecodeError, decode: Callable[[Log], T]) -> Logged[T] | DecodeError:
    if isinstance(log, DecodeError):
        return log
    try:
        return Logged(decode(log), log)
    except DecodeError as error:
        return error


def _seconds(age: timedelta) -> int:
    return age // timedelta(seconds=1)
