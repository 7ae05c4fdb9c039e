"""Is every feed pushed to every EVM chain as often as promised, and near its source?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

import probekit as pk
from probekit.checks import (
    Check,
    CrossChainDeviation,
    Deadline,
    EndpointQuorum,
    HeadAge,
    Heartbeat,
    LatencyBudget,
    LatencySample,
)
from probekit.clients.evm import EvmClient
from probekit.clients.push_feeds import LastAsked, PushChain, PushFeed, asked_for
from probekit.clients.source_prices import source_prices
from probekit.clients.stored_prices import ask_all, chain_state, stored_prices
from probekit.clock import reap
from probekit.errors import NotFound, ProbekitError


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[tuple[PushChain, ...], pk.doc("chains to watch")]
    feeds: Annotated[tuple[PushFeed, ...], pk.doc("feeds to watch on every chain")] = ()
    heartbeat: Annotated[timedelta, pk.doc("heartbeat of feeds that name none")] = timedelta(hours=1)
    lands_within: Annotated[timedelta, pk.doc("time that a push may take")] = timedelta(seconds=60)
    max_deviation: Annotated[pk.Bps | None, pk.doc("deviation of feeds that name none; left out: not judged")] = None
    valid_period: Annotated[
        Literal["ignore", "warning", "critical"], pk.doc("what a price past the contract's own valid period is")
    ] = "ignore"
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
        self.require("chains", "heartbeat", "max_head_age", "max_deviation", "timeout")
        for name in ("lands_within", "open_grace"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
        ids = [chain.id for chain in self.chains]
        if len(set(ids)) != len(ids):
            raise ValueError("chains names one chain twice: give it all its contracts and endpoints at once")
        if bare := [chain.id for chain in self.chains if not (chain.feeds or self.feeds)]:
            raise ValueError(f"feeds must not be empty: {', '.join(bare)} has none")

    def feeds_of(self, chain: PushChain) -> dict[str, PushFeed]:
        """The feeds of a chain by what the operator wrote."""
        return {one.feed: one for one in chain.feeds or self.feeds}


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
    references = dict.fromkeys(feed for chain in ctx.options.chains for feed in ctx.options.feeds_of(chain))
    return ctx.state("book", lambda: pk.FeedBook(client, tuple(references), clock=ctx.clock))


def asked(ctx: pk.Context[Options], chain: PushChain) -> LastAsked:
    """Tells which endpoint of a chain was asked last."""
    return ctx.state(f"asked {chain.id}", lambda: LastAsked(ctx.observer, chain.id))


async def evm(ctx: pk.Context[Options], chain: PushChain) -> EvmClient:
    return await ctx.hold(
        f"chain {chain.id}",
        lambda: chain.client(
            transport=ctx.engine(),
            timeout=ctx.options.timeout,
            observer=asked(ctx, chain),
            on_call=ctx.on_call,
            on_change=ctx.on_change,
            clock=ctx.clock,
        ),
    )


def target_id(chain: PushChain, contract: str, feed: str) -> str:
    return f"{chain.id}/{contract}/{feed}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    known = await (await book(ctx)).feeds()
    made = [pk.Target.endpoint(ctx.options.hermes)]
    for chain in ctx.options.chains:
        made.append(pk.Target(chain.id, "endpoint"))
        for contract in chain.contracts:
            for reference in ctx.options.feeds_of(chain):
                feed = known[reference]
                name = reference if feed is None else feed.symbol or feed.id.short
                one = target_id(chain, contract, reference if feed is None else feed.id)
                # What the source does not name is not asked of the chain.
                behind = made[0].id if feed is None else chain.id
                made.append(pk.Target(one, "feed", f"{name} on {chain.id} {contract}", feed, behind))
    return list({one.id: one for one in made}.values())


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    options, clock, known = ctx.options, ctx.clock, await book(ctx)
    described = {target.id: target.feed for target in watched if target.kind == "feed"}
    feeds = {reference: feed.id for reference, feed in (await known.feeds()).items() if feed is not None}
    unresolved = dict(known.unresolved)
    source = asyncio.ensure_future(source_prices(await hermes(ctx), feeds.values(), clock=clock, timeout=options.timeout))
    endpoint = pk.Target.endpoint(options.hermes).id

    async def one(chain: PushChain) -> list[pk.Observation[Any] | pk.Failure]:
        resolved = [feeds[reference] for reference in options.feeds_of(chain) if reference in feeds]
        client, wanted = await evm(ctx, chain), dict.fromkeys(chain.addresses.values(), resolved)
        found, _ = await asyncio.gather(
            stored_prices(client, wanted, clock=clock, timeout=options.timeout),
            ask_all(client.pool, timeout=options.timeout),
        )
        at, origin = clock.now(), asked(ctx, chain).origin
        if isinstance(found, ProbekitError):
            return [pk.Failure(found, origin, at, chain.id)]
        spent, error_ns = found.elapsed_ns, ctx.clock_error_ns
        state = chain_state(found.head, client.pool)
        seen: list[pk.Observation[Any] | pk.Failure] = [pk.Observation(state, origin, at, chain.id, spent, error_ns)]
        prices = await source
        for contract, address in chain.addresses.items():
            for feed in resolved:
                value, target = found.beside(prices, address, feed), target_id(chain, contract, feed)
                if isinstance(value, ProbekitError):
                    seen.append(pk.Failure(value, origin, at, target, spent))
                else:
                    seen.append(pk.Observation(value, origin, at, target, spent, error_ns, described.get(target)))
        return seen

    # Each chain tells as soon as it is read: one that hangs holds up no other.
    tasks = [asyncio.ensure_future(one(chain)) for chain in options.chains]
    try:
        for done in asyncio.as_completed(tasks):
            for seen in await done:
                yield seen
        prices = await source
        for chain in options.chains:
            for reference in options.feeds_of(chain):
                error = unresolved.get(reference)
                if isinstance(error, NotFound):
                    for contract in chain.contracts:
                        yield pk.Failure(error, endpoint, prices.received_at, target_id(chain, contract, reference))
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
        chain = next(chain for chain in options.chains if chain.id == target.id)
        return [HeadAge(chain.max_head_age or options.max_head_age), EndpointQuorum(options.alive_endpoints)]
    chain_id, _, name = target.id.split("/", 2)
    wanted = options.feeds_of(next(chain for chain in options.chains if chain.id == chain_id))
    promised = asked_for(wanted.values(), target.feed, name)
    deviation = promised.max_deviation or options.max_deviation
    made: list[Check] = [Heartbeat(promised.heartbeat or options.heartbeat, options.lands_within, options.open_grace)]
    if options.valid_period != "ignore":
        made.append(Deadline(options.valid_period == "critical", options.open_grace))
    if deviation is not None:
        made.append(CrossChainDeviation(deviation, options.lands_within))
    return made


probe = pk.Probe.poll(
    name="pyth_evm_heartbeat",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=15),
    metrics=(
        "feed.age",
        "feed.age.chain",
        "feed.valid_margin",
        "feed.deviation",
        "chain.head_age",
        "chain.endpoints_alive",
        "latency",
    ),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
