"""Does every feed reach every chain from its source, and if not, at which stage does it stand still?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

import probekit as pk
from probekit.checks import (
    Check,
    CrossChainDeviation,
    CrossChainLag,
    EndpointQuorum,
    HeadAge,
    LatencyBudget,
    PushStage,
)
from probekit.clients.chain_options import LastAsked, endpoints_of
from probekit.clients.posting_wallet import PostingWallet
from probekit.clients.push_feeds import PushChain, PushFeed, PushOptions, PushRoute
from probekit.clients.push_receiver import Consumers, PostedPlace, read_receiver
from probekit.clients.push_watch import PushPlaces, PushWatch, Seen, read_evm
from probekit.clients.pusher import Pusher, PusherReads
from probekit.clock import within
from probekit.errors import ProbekitError
from probekit.model.chain_feed import ChainFeed, ChainHead, PushedFeed, PusherState, ReceiverFeed
from probekit.model.evm import Address
from probekit.model.options import require_positive
from probekit.model.solana import GENESIS
from probekit.units import format_ns, to_ns

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient
    from probekit.clients.source_prices import SourcePrices
    from probekit.clients.stored_prices import StoredPrices

_WEI, _LAMPORTS = 10**18, 10**9
L = TypeVar("L")


def require_pusher(wallet: str | None, min_balance: Decimal, made: Callable[[str], object]) -> None:
    """Raises ``ValueError`` unless the wallet is an address, as ``made`` makes it, and the balance none below zero."""
    if wallet is not None:
        try:
            made(wallet)
        except ValueError as error:
            raise ValueError(f"pusher: {error}") from None
    if min_balance < 0:
        raise ValueError(f"min_balance must not be negative, but is {min_balance}")


class Route(PushChain, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chain that feeds are pushed to, and who pushes there."""

    pusher: Annotated[str | None, pk.doc("wallet of the pusher; left out: nothing is told of its transactions")] = None
    min_balance: Annotated[Decimal, pk.doc("native coins with less of which the wallet counts as empty")] = Decimal("0.01")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_pusher(self.pusher, self.min_balance, Address)


class ClusterRoute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Solana cluster that feeds are posted to: the accounts of one shard, and who posts there."""

    cluster: Annotated[str, pk.doc("mainnet-beta, devnet, testnet, or the genesis hash of another")]
    endpoints: Annotated[tuple[str, ...], pk.doc("RPC URLs of one pool; {key} stands for the key")]
    key: Annotated[pk.Secret | None, pk.doc("reference to the key that the URLs want")] = None
    shard: Annotated[int, pk.doc("shard of the accounts"), msgspec.Meta(ge=0, le=65_535)] = 0
    reads: Annotated[Consumers, pk.doc("whose account consumers read, of which generation of programs")] = "either"
    feeds: Annotated[tuple[PushFeed, ...], pk.doc("feeds of this cluster in place of the common ones")] = ()
    max_head_age: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    pusher: Annotated[str | None, pk.doc("wallet of the pusher; left out: nothing is told of its transactions")] = None
    min_balance: Annotated[Decimal, pk.doc("SOL with less of which the wallet counts as empty")] = Decimal("0.01")

    def __post_init__(self) -> None:
        require_positive(self, "max_head_age")
        if not self.endpoints:
            raise ValueError("endpoints must not be empty")
        endpoints_of(self.endpoints, self.key)
        require_pusher(self.pusher, self.min_balance, pk.Pubkey)

    @property
    def id(self) -> str:
        """The cluster's target."""
        return self.cluster


class Options(PushOptions[Route], frozen=True, kw_only=True):
    chains: Annotated[tuple[Route, ...], pk.doc("EVM chains to watch")] = ()
    clusters: Annotated[tuple[ClusterRoute, ...], pk.doc("Solana clusters to watch beside them")] = ()
    max_source_age: Annotated[timedelta, pk.doc("age of the source's newest price at which it is idle")] = timedelta(seconds=60)
    pusher_blocks: Annotated[
        int, pk.doc("newest blocks that are searched for the pusher's transactions"), msgspec.Meta(ge=1, le=10_000)
    ] = 100
    pusher_slots: Annotated[
        int, pk.doc("newest slots of a cluster of which the pusher's transactions count"), msgspec.Meta(ge=1, le=432_000)
    ] = 9_000

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("max_source_age")

    @property
    def routes(self) -> tuple[PushRoute, ...]:
        return (*self.chains, *self.clusters)

    def min_balance(self, route_id: str) -> int:
        """Below which a pusher's wallet counts as empty, in wei on a chain, in lamports on a cluster."""
        wei = {one.id: int(one.min_balance * _WEI) for one in self.chains}
        return (wei | {one.id: int(one.min_balance * _LAMPORTS) for one in self.clusters})[route_id]


async def watch(ctx: pk.Context[Options]) -> PushWatch:
    options = ctx.options
    hermes = await ctx.hermes(options.hermes, api_key=options.api_key)
    chains = [PushPlaces.of(route, [*options.feeds_of(route)]) for route in options.chains]
    for cluster in options.clusters:
        rows = tuple((str(cluster.shard), feed) for feed in options.feeds_of(cluster))
        chains.append(PushPlaces(cluster.id, rows, f"on {cluster.id} in shard {{place}}"))
    return ctx.state("watch", lambda: PushWatch(hermes, options.hermes, chains, clock=ctx.clock, timeout=options.timeout))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return await (await watch(ctx)).targets()


async def pushers(
    ctx: pk.Context[Options], evm: EvmClient, route: Route, found: StoredPrices, feeds: Sequence[pk.FeedId]
) -> PusherReads | str:
    """What the route's pusher did lately, or why that is not known; empty where none is named."""
    if route.pusher is None or not feeds:
        return ""
    wallet, options = route.pusher, ctx.options
    pusher = ctx.state(f"pusher {route.id}", lambda: Pusher(evm, wallet, blocks=options.pusher_blocks))
    return await looked(ctx, pusher.look(found.head, dict.fromkeys(route.addresses.values(), feeds)))


async def looked(ctx: pk.Context[Options], look: Awaitable[L]) -> L | str:
    """What a look at a pusher has found, or why it could not be looked at."""
    timeout_ns = to_ns(ctx.options.timeout)
    try:
        return await within(ctx.clock, ctx.clock.monotonic_ns() + timeout_ns, look)
    except TimeoutError:
        return f"no answer within {format_ns(timeout_ns)}"
    except ProbekitError as error:
        return error.message


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    options = ctx.options
    described = {target.id: target.feed for target in watched}

    async def read(place: PushPlaces, known: Mapping[str, pk.FeedId], source: Awaitable[SourcePrices]) -> Sequence[Seen]:
        asked = ctx.state(f"asked {place.id}", lambda: LastAsked(ctx.observer, place.id))
        for cluster in options.clusters:
            if cluster.id == place.id:
                return await on_cluster(ctx, cluster, place, known, source, asked, described)
        route = next(one for one in options.chains if one.id == place.id)
        return await on_chain(ctx, route, known, source, asked, described)

    async with aclosing((await watch(ctx)).observe(read)) as every:
        async for seen in every:
            yield seen


async def on_chain(
    ctx: pk.Context[Options],
    route: Route,
    known: Mapping[str, pk.FeedId],
    source: Awaitable[SourcePrices],
    asked: LastAsked,
    described: Mapping[str, pk.Feed | None],
) -> Sequence[Seen]:
    """The contracts of an EVM chain, with who pushes there."""
    options = ctx.options
    feeds = [known[one] for one in options.feeds_of(route) if one in known]
    evm = await ctx.evm(route.id, route.nodes, chain_id=route.chain_id, timeout=options.timeout, observer=asked)

    async def with_pusher(found: StoredPrices) -> Callable[[ChainFeed, Address, pk.FeedId], ChainFeed]:
        told = await pushers(ctx, evm, route, found, feeds)

        def extended(value: ChainFeed, address: Address, feed: pk.FeedId) -> ChainFeed:
            return PushedFeed(
                **msgspec.structs.asdict(value),
                pusher=told.of(address, feed) if isinstance(told, PusherReads) else None,
                pusher_problem=told if isinstance(told, str) else "",
            )

        return extended

    return await read_evm(
        evm,
        route,
        feeds,
        source,
        asked=asked,
        described=described,
        clock=ctx.clock,
        clock_error_ns=lambda: ctx.clock_error_ns,
        timeout=options.timeout,
        also=with_pusher,
    )


async def on_cluster(
    ctx: pk.Context[Options],
    cluster: ClusterRoute,
    place: PushPlaces,
    known: Mapping[str, pk.FeedId],
    source: Awaitable[SourcePrices],
    asked: LastAsked,
    described: Mapping[str, pk.Feed | None],
) -> Sequence[Seen]:
    """The accounts of a Solana cluster, with who posts there, where one is named: anybody may, from any wallet."""
    options = ctx.options
    solana = await ctx.solana(
        cluster.id,
        endpoints_of(cluster.endpoints, cluster.key),
        genesis_hash=GENESIS.get(cluster.cluster, cluster.cluster),
        timeout=options.timeout,
        observer=asked,
    )

    async def with_pusher(head: ChainHead, feeds: Mapping[pk.FeedId, ReceiverFeed]) -> Callable[..., ChainFeed]:
        told: Mapping[pk.FeedId, PusherState] | str = ""
        if (wallet := cluster.pusher) is not None and feeds:
            slots = options.pusher_slots
            pusher = ctx.state(f"pusher {cluster.id}", lambda: PostingWallet(solana, wallet, slots=slots))
            told = await looked(ctx, pusher.look(head, feeds))

        def extended(value: ReceiverFeed, feed: pk.FeedId) -> ChainFeed:
            return PushedFeed(
                **{name: getattr(value, name) for name in ChainFeed.__struct_fields__},
                pusher=None if isinstance(told, str) else told[feed],
                pusher_problem=told if isinstance(told, str) else "",
            )

        return extended

    places = [
        PostedPlace(one.feed, cluster.shard, (one.heartbeat or options.heartbeat) + options.lands_within, cluster.reads)
        for one in options.feeds_of(cluster).values()
    ]
    return await read_receiver(
        solana,
        place,
        places,
        known,
        source,
        asked=asked,
        described=described,
        clock=ctx.clock,
        clock_error_ns=lambda: ctx.clock_error_ns,
        timeout=options.timeout,
        also=with_pusher,
    )


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.id == pk.Target.endpoint(options.hermes).id:
        return [LatencyBudget(options.timeout)]
    route, promised = options.asked_for(target)
    if promised is None:
        return [HeadAge(route.max_head_age or options.max_head_age), EndpointQuorum(options.alive_endpoints)]
    heartbeat, deviation = promised.heartbeat or options.heartbeat, promised.max_deviation or options.max_deviation
    max_head_age = route.max_head_age or options.max_head_age
    made: list[Check] = [
        PushStage(
            heartbeat,
            deviation,
            options.lands_within,
            options.max_source_age,
            max_head_age,
            options.min_balance(route.id),
            options.open_grace,
        ),
        CrossChainLag(heartbeat + options.lands_within, options.open_grace, max_head_age),
    ]
    if deviation is not None:
        made.append(CrossChainDeviation(deviation, options.lands_within, max_head_age))
    return made


probe = pk.Probe.poll(
    name="cross_chain_lag",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=15),
    metrics=("feed.source_lag", "feed.deviation", "chain.head_age", "chain.endpoints_alive", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
