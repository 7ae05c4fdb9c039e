"""Push feeds on chains beside their source, for probes: the targets, one reading of all, and what of it fails whom."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from probekit.checks import LatencySample
from probekit.clients.feedbook import FeedBook
from probekit.clients.source_prices import SourcePrices, source_prices
from probekit.clients.stored_prices import StoredPrices, ask_all, chain_state, stored_prices
from probekit.clock import Clock, reap
from probekit.errors import NotFound, ProbekitError
from probekit.model import Failure, Feed, FeedId, Observation, Target
from probekit.model.chain_feed import ChainFeed
from probekit.model.evm import Address

if TYPE_CHECKING:
    from probekit.clients.chain_options import LastAsked
    from probekit.clients.evm import EvmClient
    from probekit.clients.hermes import HermesClient
    from probekit.clients.push_feeds import PushChain

__all__ = ["PushPlaces", "PushRead", "PushWatch", "Seen", "push_target", "read_evm"]

Seen = Observation[Any] | Failure

PushRead = Callable[["PushPlaces", Mapping[str, FeedId], Awaitable[SourcePrices]], Awaitable[Sequence[Seen]]]
"""Reads one chain: given the feeds that are known, by what the operator wrote, and the source's prices, that come later."""

Extend = Callable[[ChainFeed, Address, FeedId], ChainFeed]


def push_target(chain: str, place: str, feed: str) -> str:
    """Id of the target that is a feed in a place on a chain."""
    return f"{chain}/{place}/{feed}"


@dataclass(frozen=True, slots=True)
class PushPlaces:
    """A chain, whose target is ``id``, and where on it which feeds stand: (place, feed as the operator wrote it).

    ``label`` says how a feed in a place is called, ``{place}`` being the place.
    """

    id: str
    rows: tuple[tuple[str, str], ...]
    label: str

    @classmethod
    def of(cls, chain: PushChain, feeds: Sequence[str]) -> PushPlaces:
        """Every feed in every contract of an EVM chain."""
        rows = tuple((contract, feed) for contract in chain.contracts for feed in feeds)
        return cls(chain.id, rows, f"on {chain.id} {{place}}")


class PushWatch:
    """Feeds on chains, and the source they come from: ``hermes``, whose target is ``endpoint``.

    A chain or the source answers within ``timeout`` or not at all.
    """

    def __init__(
        self, hermes: HermesClient, endpoint: str, chains: Sequence[PushPlaces], *, clock: Clock, timeout: timedelta
    ) -> None:
        self._hermes = hermes
        self._source = Target.endpoint(endpoint)
        self._chains = tuple(chains)
        self._clock = clock
        self._timeout = timeout
        references = dict.fromkeys(feed for chain in chains for _, feed in chain.rows)
        self._book = FeedBook(hermes, tuple(references), clock=clock)

    async def targets(self) -> list[Target]:
        """The source, each chain, and behind it its feeds; behind the source those that it does not name."""
        known = await self._book.feeds()
        made = {self._source.id: self._source}
        for chain in self._chains:
            made[chain.id] = Target(chain.id, "endpoint")
            for place, reference in chain.rows:
                feed = known[reference]
                name = reference if feed is None else feed.symbol or feed.id.short
                one = push_target(chain.id, place, reference if feed is None else feed.id)
                # What the source does not name is not asked of the chain.
                behind = self._source.id if feed is None else chain.id
                made[one] = Target(one, "feed", f"{name} {chain.label.format(place=place)}", feed, behind)
        return list(made.values())

    async def observe(self, read: PushRead) -> AsyncGenerator[Seen, None]:
        """Read the source and all chains at once. Each chain tells as soon as it is read: one that hangs holds up no other."""
        import asyncio

        known, clock = self._book, self._clock
        feeds = {reference: feed.id for reference, feed in (await known.feeds()).items() if feed is not None}
        unresolved = dict(known.unresolved)
        source = asyncio.ensure_future(source_prices(self._hermes, feeds.values(), clock=clock, timeout=self._timeout))
        tasks = [asyncio.ensure_future(read(chain, feeds, source)) for chain in self._chains]
        endpoint = self._source.id
        try:
            for done in asyncio.as_completed(tasks):
                for seen in await done:
                    yield seen
            prices = await source
            for chain in self._chains:
                for place, reference in chain.rows:
                    error = unresolved.get(reference)
                    if isinstance(error, NotFound):
                        yield Failure(error, endpoint, prices.received_at, push_target(chain.id, place, reference))
            # Without the symbol table nobody knows which feeds those are that were given by symbol: they stand behind the
            # source.
            error = prices.error or (known.error if unresolved else None)
            if error is not None:
                yield Failure(error, endpoint, prices.received_at, endpoint, prices.elapsed_ns)
            else:
                yield Observation(LatencySample(prices.elapsed_ns), endpoint, prices.received_at, endpoint, prices.elapsed_ns)
        finally:
            await reap(*tasks, source)


async def read_evm(
    client: EvmClient,
    chain: PushChain,
    feeds: Sequence[FeedId],
    source: Awaitable[SourcePrices],
    *,
    asked: LastAsked,
    described: Mapping[str, Feed | None],
    clock: Clock,
    clock_error_ns: Callable[[], int | None],
    timeout: timedelta,
    also: Callable[[StoredPrices], Awaitable[Extend]] | None = None,
) -> list[Seen]:
    """An EVM chain's state, and every feed of each of its contracts beside the source's price, at one block.

    ``described`` are the feeds by target. ``also`` reads more at that block, and gives what each feed is extended by.
    """
    import asyncio

    wanted = dict.fromkeys(chain.addresses.values(), feeds)
    found, _ = await asyncio.gather(
        stored_prices(client, wanted, clock=clock, timeout=timeout), ask_all(client.pool, timeout=timeout)
    )
    at, origin = clock.now(), asked.origin
    if isinstance(found, ProbekitError):
        return [Failure(found, origin, at, chain.id)]
    spent, error_ns = found.elapsed_ns, clock_error_ns()
    state = chain_state(found.head, client.pool)
    seen: list[Seen] = [Observation(state, origin, at, chain.id, spent, error_ns)]
    extend = None if also is None else await also(found)
    prices = await source
    for contract, address in chain.addresses.items():
        for feed in feeds:
            value, target = found.beside(prices, address, feed), push_target(chain.id, contract, feed)
            if isinstance(value, ProbekitError):
                seen.append(Failure(value, origin, at, target, spent))
                continue
            if extend is not None:
                value = extend(value, address, feed)
            seen.append(Observation(value, origin, at, target, spent, error_ns, described.get(target)))
    return seen
