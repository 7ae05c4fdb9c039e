"""Prices on EVM chains beside those of their source, read for probes: many contracts and feeds at one block, in one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from probekit.clock import Clock, within
from probekit.codecs.evm import pyth
from probekit.codecs.evm.contract import ContractCall
from probekit.codecs.evm.reverts import revert_of
from probekit.errors import DeadlineExceeded, DecodeError, NotFound, ProbekitError, Reverted
from probekit.model import FeedId
from probekit.model.chain_feed import ChainFeed, ChainHead, ChainState, EndpointStanding, PublishedPrice
from probekit.model.evm import Address, Block
from probekit.model.pyth_evm import OnChainPrice, PythError
from probekit.model.rpc import EndpointState
from probekit.units import format_ns, to_ns

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient
    from probekit.clients.source_prices import SourcePrices
    from probekit.transports.rpc import EndpointPool

__all__ = ["NeverPushed", "StoredPrices", "ask_all", "chain_state", "stored_prices"]


@dataclass(frozen=True, slots=True)
class NeverPushed:
    """The contract knows no price of the feed; ``words`` are its own."""

    words: str


@dataclass(frozen=True)
class StoredPrices:
    """Prices by (contract, feed) at ``block``, each for itself; ``valid_periods_s`` by contract, ``None`` without one."""

    block: Block
    prices: Mapping[tuple[Address, FeedId], PublishedPrice | NeverPushed | ProbekitError]
    valid_periods_s: Mapping[Address, int | None]

    elapsed_ns: int

    @property
    def head(self) -> ChainHead:
        return ChainHead(self.block.number, self.block.time)

    def beside(self, source: SourcePrices, address: Address, feed: FeedId) -> ChainFeed | ProbekitError:
        """One feed of one contract with the source's price; the error where it could not be read."""
        stored, (price, problem) = self.prices[address, feed], source.of(feed)
        if isinstance(stored, ProbekitError):
            return stored
        never = stored.words if isinstance(stored, NeverPushed) else ""
        return ChainFeed(
            head=self.head,
            stored=None if isinstance(stored, NeverPushed) else stored,
            absent=never,
            valid_period_s=self.valid_periods_s[address],
            source=price,
            source_problem=problem,
        )


async def stored_prices(
    evm: EvmClient, wanted: Mapping[Address, Sequence[FeedId]], *, clock: Clock, timeout: timedelta
) -> StoredPrices | ProbekitError:
    """Every feed of every contract, and each contract's valid period: one request for the block, one for each 500 reads.

    An address without any code is ``NotFound`` for each of its feeds. Never raises for the endpoints: what failed for all of
    them is the result.
    """
    began_ns = clock.monotonic_ns()
    try:
        block, prices, periods = await within(clock, began_ns + to_ns(timeout), _read(evm, wanted))
    except TimeoutError:
        return DeadlineExceeded(f"{evm.pool.chain} did not answer within {format_ns(to_ns(timeout))}")
    except ProbekitError as error:
        return error
    return StoredPrices(block, prices, periods, clock.monotonic_ns() - began_ns)


async def _read(
    evm: EvmClient, wanted: Mapping[Address, Sequence[FeedId]]
) -> tuple[Block, dict[tuple[Address, FeedId], PublishedPrice | NeverPushed | ProbekitError], dict[Address, int | None]]:
    rows: list[tuple[str, ContractCall[Any]]] = []
    for address, feeds in wanted.items():
        rows.append((address, pyth.valid_time_period_s()))
        rows += [(address, pyth.get_price_unsafe(feed)) for feed in feeds]
    reads = await evm.multicall(rows)
    found = iter(reads.results)
    prices: dict[tuple[Address, FeedId], PublishedPrice | NeverPushed | ProbekitError] = {}
    periods: dict[Address, int | None] = {}
    for address, feeds in wanted.items():
        period = next(found)
        answers = [next(found) for _ in feeds]
        periods[address] = None if isinstance(period, ProbekitError) else period
        if answers and all(isinstance(one, DecodeError) for one in (period, *answers)) and not await evm.code(address):
            missing = NotFound(f"no contract at {address} on {evm.pool.chain}", subject=str(address))
            answers = [missing] * len(feeds)
        prices |= {(address, feed): _stored(one) for feed, one in zip(feeds, answers, strict=True)}
    return reads.block, prices, periods


def _stored(answer: OnChainPrice | ProbekitError) -> PublishedPrice | NeverPushed | ProbekitError:
    if isinstance(answer, Reverted):
        told = revert_of(answer)
        if told is not None and told.error is PythError.PRICE_FEED_NOT_FOUND:
            return NeverPushed(str(told))
    if isinstance(answer, ProbekitError):
        return answer
    if not answer.publish_time_s:
        return NeverPushed("its publish time is 0")
    return PublishedPrice(answer.price, answer.conf, answer.publish_time_s)


async def ask_all(pool: EndpointPool, *, timeout: timedelta) -> None:
    """Look at every endpoint of a pool that has several, so that none counts as alive because nobody asked it."""
    if len(pool.endpoints) > 1:
        await pool.refresh(timeout=timeout)


def chain_state(head: ChainHead, pool: EndpointPool) -> ChainState:
    """The chain at ``head`` with what its pool thinks of each endpoint now."""
    heads = {member.label: member.health.head for member in pool.members}
    told = []
    for label, one in pool.standings().items():
        # One failure does not take an endpoint out; but what has never told its head cannot be counted on.
        unseen = len(pool.endpoints) > 1 and one.state is EndpointState.ALIVE and heads.get(label) is None
        state, reason = ("unseen", "it has not told its head yet") if unseen else (str(one.state), one.reason)
        told.append(EndpointStanding(label, state, reason))
    return ChainState(head, tuple(told))
