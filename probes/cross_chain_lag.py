"""Does every feed reach every chain from its source, and if not, at which stage does it stand still?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

import probekit as pk
from probekit.checks import (
    Check,
    CrossChainDeviation,
    CrossChainLag,
    EndpointQuorum,
    HeadAge,
    LatencyBudget,
    LatencySample,
    PushStage,
)
from probekit.clients.evm import EvmClient
from probekit.clients.push_feeds import LastAsked, PushChain, PushFeed, asked_for
from probekit.clients.pusher import Pusher, PusherReads
from probekit.clients.source_prices import source_prices
from probekit.clients.stored_prices import StoredPrices, ask_all, chain_state, stored_prices
from probekit.clock import reap, within
from probekit.errors import NotFound, ProbekitError
from probekit.model.chain_feed import PushedFeed
from probekit.model.evm import Address
from probekit.units import format_ns, to_ns

_WEI = 10**18


class Route(PushChain, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chain that feeds are pushed to, and who pushes there."""

    pusher: Annotated[str | None, pk.doc("wallet of the pusher; left out: nothing is told of its transactions")] = None
    min_balance: Annotated[Decimal, pk.doc("native coins with less of which the wallet counts as empty")] = Decimal("0.01")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pusher is not None:
            try:
                Address(self.pusher)
            except ValueError as error:
                raise ValueError(f"pusher: {error}") from None
        if self.min_balance < 0:
            raise ValueError(f"min_balance must not be negative, but is {self.min_balance}")


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[tuple[Route, ...], pk.doc("chains to watch")]
    feeds: Annotated[tuple[PushFeed, ...], pk.doc("feeds to watch on every chain")] = ()
    heartbeat: Annotated[timedelta, pk.doc("heartbeat of feeds that name none")] = timedelta(hours=1)
    lands_within: Annotated[timedelta, pk.doc("time that a push may take")] = timedelta(seconds=60)
    max_deviation: Annotated[pk.Bps | None, pk.doc("deviation of feeds that name none; left out: not judged")] = None
    max_source_age: Annotated[timedelta, pk.doc("age of the source's newest price at which it is idle")] = timedelta(seconds=60)
    pusher_blocks: Annotated[
        int, pk.doc("newest blocks that are searched for the pusher's transactions"), msgspec.Meta(ge=1, le=10_000)
    ] = 100
    open_grace: Annotated[timedelta, pk.doc("how long after an opening an old price is not held against a feed")] = timedelta(
        minutes=5
    )
    max_head_age: Annotated[timedelta, pk.doc("age of the newest block at which a chain stands still")] = timedelta(seconds=60)
    alive_endpoints: Annotated[int, pk.doc("endpoints of each chain that must be alive"), msgspec.Meta(ge=1)] = 1
    hermes: Annotated[str, pk.doc("base URL of the source: symbols, market hours and prices to compare with")] = (
        "https://hermes.pyth.network"
    )
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    timeout: Annotated[timedelta, pk.doc("how long a chain or the source may take to answer")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        self.require("chains", "heartbeat", "max_head_age", "max_source_age", "max_deviation", "timeout")
        for name in ("lands_within", "open_grace"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
        ids = [route.id for route in self.chains]
        if len(set(ids)) != len(ids):
            raise ValueError("chains names one chain twice: give it all its contracts and endpoints at once")
        if bare := [route.id for route in self.chains if not (route.feeds or self.feeds)]:
            raise ValueError(f"feeds must not be empty: {', '.join(bare)} has none")

    def feeds_of(self, route: Route) -> dict[str, PushFeed]:
        """The feeds of a chain by what the operator wrote."""
        return {one.feed: one for one in route.feeds or self.feeds}


async def hermes(ctx: pk.Context[Options]) -> pk.HermesClient:
    options = ctx.options
    return await ctx.hold(
        "hermes",
        lambda: pk.HermesClient(
            options.hermes, api_key=options.api_key, transport=ctx.engine(), observer=ctx.observer, clock=ctx.clock
        ),
    )


async def book(ctx: pk.Context[Options]) -> pk.FeedBook:
    client = await hermes(ctx)
    references = dict.fromkeys(feed for route in ctx.options.chains for feed in ctx.options.feeds_of(route))
    return ctx.state("book", lambda: pk.FeedBook(client, tuple(references), clock=ctx.clock))


def asked(ctx: pk.Context[Options], route: Route) -> LastAsked:
    """Tells which endpoint of a chain was asked last."""
    return ctx.state(f"asked {route.id}", lambda: LastAsked(ctx.observer, route.id))


async def evm(ctx: pk.Context[Options], route: Route) -> EvmClient:
    return await ctx.hold(
        f"chain {route.id}",
        lambda: route.client(
            transport=ctx.engine(),
            timeout=ctx.options.timeout,
            observer=asked(ctx, route),
            on_call=ctx.on_call,
            on_change=ctx.on_change,
            clock=ctx.clock,
        ),
    )


def target_id(route: Route, contract: str, feed: str) -> str:
    return f"{route.id}/{contract}/{feed}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    known = await (await book(ctx)).feeds()
    made = [pk.Target.endpoint(ctx.options.hermes)]
    for route in ctx.options.chains:
        made.append(pk.Target(route.id, "endpoint"))
        for contract in route.contracts:
            for reference in ctx.options.feeds_of(route):
                feed = known[reference]
                name = reference if feed is None else feed.symbol or feed.id.short
                one = target_id(route, contract, reference if feed is None else feed.id)
                # What the source does not name is not asked of the chain.
                behind = made[0].id if feed is None else route.id
                made.append(pk.Target(one, "feed", f"{name} on {route.id} {contract}", feed, behind))
    return list({one.id: one for one in made}.values())


async def pushers(ctx: pk.Context[Options], route: Route, found: StoredPrices, feeds: Sequence[pk.FeedId]) -> PusherReads | str:
    """What the route's pusher did lately, or why that is not known; empty where none is named."""
    if route.pusher is None or not feeds:
        return ""
    client, wallet, options, clock = await evm(ctx, route), route.pusher, ctx.options, ctx.clock
    pusher = ctx.state(f"pusher {route.id}", lambda: Pusher(client, wallet, blocks=options.pusher_blocks))
    look = pusher.look(found.head, dict.fromkeys(route.addresses.values(), feeds))
    try:
        return await within(clock, clock.monotonic_ns() + to_ns(options.timeout), look)
    except TimeoutError:
        return f"no answer within {format_ns(to_ns(options.timeout))}"
    except ProbekitError as error:
        return error.message


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    options, clock, known = ctx.options, ctx.clock, await book(ctx)
    described = {target.id: target.feed for target in watched if target.kind == "feed"}
    feeds = {reference: feed.id for reference, feed in (await known.feeds()).items() if feed is not None}
    unresolved = dict(known.unresolved)
    source = asyncio.ensure_future(source_prices(await hermes(ctx), feeds.values(), clock=clock, timeout=options.timeout))
    endpoint = pk.Target.endpoint(options.hermes).id

    async def one(route: Route) -> list[pk.Observation[Any] | pk.Failure]:
        resolved = [feeds[reference] for reference in options.feeds_of(route) if reference in feeds]
        client, wanted = await evm(ctx, route), dict.fromkeys(route.addresses.values(), resolved)
        found, _ = await asyncio.gather(
            stored_prices(client, wanted, clock=clock, timeout=options.timeout),
            ask_all(client.pool, timeout=options.timeout),
        )
        at, origin = clock.now(), asked(ctx, route).origin
        if isinstance(found, ProbekitError):
            return [pk.Failure(found, origin, at, route.id)]
        spent, error_ns = found.elapsed_ns, ctx.clock_error_ns
        state = chain_state(found.head, client.pool)
        seen: list[pk.Observation[Any] | pk.Failure] = [pk.Observation(state, origin, at, route.id, spent, error_ns)]
        pusher = await pushers(ctx, route, found, resolved)
        prices = await source
        for contract, address in route.addresses.items():
            for feed in resolved:
                value, target = found.beside(prices, address, feed), target_id(route, contract, feed)
                if isinstance(value, ProbekitError):
                    seen.append(pk.Failure(value, origin, at, target, spent))
                else:
                    value = PushedFeed(
                        **msgspec.structs.asdict(value),
                        pusher=pusher.of(address, feed) if isinstance(pusher, PusherReads) else None,
                        pusher_problem=pusher if isinstance(pusher, str) else "",
                    )
                    seen.append(pk.Observation(value, origin, at, target, spent, error_ns, described.get(target)))
        return seen

    # Each chain tells as soon as it is read: one that hangs holds up no other.
    tasks = [asyncio.ensure_future(one(route)) for route in options.chains]
    try:
        for done in asyncio.as_completed(tasks):
            for seen in await done:
                yield seen
        prices = await source
        for route in options.chains:
            for reference in options.feeds_of(route):
                error = unresolved.get(reference)
                if isinstance(error, NotFound):
                    for contract in route.contracts:
                        yield pk.Failure(error, endpoint, prices.received_at, target_id(route, contract, reference))
        # Without the symbol table nobody knows which feeds those are that were given by symbol: they stand behind the source.
        error = prices.error or (known.error if unresolved else None)
        if error is not None:
            yield pk.Failure(error, endpoint, prices.received_at, endpoint, prices.elapsed_ns)
        else:
            sample = LatencySample(prices.elapsed_ns)
            yield pk.Observation(sample, endpoint, prices.received_at, endpoint, prices.elapsed_ns)
    finally:
        await reap(*tasks, source)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        if target.id == pk.Target.endpoint(options.hermes).id:
            return [LatencyBudget(options.timeout)]
        route = next(route for route in options.chains if route.id == target.id)
        return [HeadAge(route.max_head_age or options.max_head_age), EndpointQuorum(options.alive_endpoints)]
    chain_id, _, name = target.id.split("/", 2)
    route = next(route for route in options.chains if route.id == chain_id)
    promised = asked_for(options.feeds_of(route).values(), target.feed, name)
    heartbeat, deviation = promised.heartbeat or options.heartbeat, promised.max_deviation or options.max_deviation
    made: list[Check] = [
        PushStage(
            heartbeat,
            deviation,
            options.lands_within,
            options.max_source_age,
            route.max_head_age or options.max_head_age,
            int(route.min_balance * _WEI),
            options.open_grace,
        ),
        CrossChainLag(heartbeat + options.lands_within, options.open_grace),
    ]
    if deviation is not None:
        made.append(CrossChainDeviation(deviation, options.lands_within))
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
