"""Does every feed reach every chain from its source, and if not, at which stage does it stand still?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

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
from probekit.clients.chain_options import LastAsked
from probekit.clients.evm import EvmClient
from probekit.clients.push_feeds import PushChain, PushOptions
from probekit.clients.push_watch import PushPlaces, PushWatch, Seen, read_evm
from probekit.clients.pusher import Pusher, PusherReads
from probekit.clients.source_prices import SourcePrices
from probekit.clients.stored_prices import StoredPrices
from probekit.clock import within
from probekit.errors import ProbekitError
from probekit.model.chain_feed import ChainFeed, PushedFeed
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


class Options(PushOptions[Route], frozen=True, kw_only=True):
    max_source_age: Annotated[timedelta, pk.doc("age of the source's newest price at which it is idle")] = timedelta(seconds=60)
    pusher_blocks: Annotated[
        int, pk.doc("newest blocks that are searched for the pusher's transactions"), msgspec.Meta(ge=1, le=10_000)
    ] = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("max_source_age")


async def watch(ctx: pk.Context[Options]) -> PushWatch:
    options = ctx.options
    hermes = await ctx.hermes(options.hermes, api_key=options.api_key)
    chains = [PushPlaces.of(route, [*options.feeds_of(route)]) for route in options.chains]
    return ctx.state("watch", lambda: PushWatch(hermes, options.hermes, chains, clock=ctx.clock, timeout=options.timeout))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return await (await watch(ctx)).targets()


async def pushers(
    ctx: pk.Context[Options], evm: EvmClient, route: Route, found: StoredPrices, feeds: Sequence[pk.FeedId]
) -> PusherReads | str:
    """What the route's pusher did lately, or why that is not known; empty where none is named."""
    if route.pusher is None or not feeds:
        return ""
    wallet, options, clock = route.pusher, ctx.options, ctx.clock
    pusher = ctx.state(f"pusher {route.id}", lambda: Pusher(evm, wallet, blocks=options.pusher_blocks))
    look = pusher.look(found.head, dict.fromkeys(route.addresses.values(), feeds))
    try:
        return await within(clock, clock.monotonic_ns() + to_ns(options.timeout), look)
    except TimeoutError:
        return f"no answer within {format_ns(to_ns(options.timeout))}"
    except ProbekitError as error:
        return error.message


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    options = ctx.options
    described = {target.id: target.feed for target in watched}

    async def read(place: PushPlaces, known: Mapping[str, pk.FeedId], source: Awaitable[SourcePrices]) -> Sequence[Seen]:
        route = next(one for one in options.chains if one.id == place.id)
        feeds = [known[one] for one in options.feeds_of(route) if one in known]
        asked = ctx.state(f"asked {route.id}", lambda: LastAsked(ctx.observer, route.id))
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

    async with aclosing((await watch(ctx)).observe(read)) as every:
        async for seen in every:
            yield seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.id == pk.Target.endpoint(options.hermes).id:
        return [LatencyBudget(options.timeout)]
    route, promised = options.asked_for(target)
    if promised is None:
        return [HeadAge(route.max_head_age or options.max_head_age), EndpointQuorum(options.alive_endpoints)]
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
