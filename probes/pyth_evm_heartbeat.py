"""Is every feed pushed to every EVM chain as often as promised, and near its source?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import probekit as pk
from probekit.checks import (
    Check,
    CrossChainDeviation,
    Deadline,
    EndpointQuorum,
    HeadAge,
    Heartbeat,
    LatencyBudget,
)
from probekit.clients.chain_options import LastAsked
from probekit.clients.push_feeds import PushChain, PushOptions
from probekit.clients.push_watch import PushPlaces, PushWatch, Seen, read_evm

if TYPE_CHECKING:
    from probekit.clients.source_prices import SourcePrices


class Options(PushOptions[PushChain], frozen=True, kw_only=True):
    valid_period: Annotated[
        Literal["ignore", "warning", "critical"], pk.doc("what a price past the contract's own valid period is")
    ] = "ignore"


async def watch(ctx: pk.Context[Options]) -> PushWatch:
    options = ctx.options
    hermes = await ctx.hermes(options.hermes, api_key=options.api_key)
    chains = [PushPlaces.of(chain, [*options.feeds_of(chain)]) for chain in options.chains]
    return ctx.state("watch", lambda: PushWatch(hermes, options.hermes, chains, clock=ctx.clock, timeout=options.timeout))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return await (await watch(ctx)).targets()


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    options = ctx.options
    described = {target.id: target.feed for target in watched}

    async def read(place: PushPlaces, known: Mapping[str, pk.FeedId], source: Awaitable[SourcePrices]) -> Sequence[Seen]:
        chain = next(one for one in options.chains if one.id == place.id)
        asked = ctx.state(f"asked {chain.id}", lambda: LastAsked(ctx.observer, chain.id))
        evm = await ctx.evm(chain.id, chain.nodes, chain_id=chain.chain_id, timeout=options.timeout, observer=asked)
        return await read_evm(
            evm,
            chain,
            [known[one] for one in options.feeds_of(chain) if one in known],
            source,
            asked=asked,
            described=described,
            clock=ctx.clock,
            clock_error_ns=lambda: ctx.clock_error_ns,
            timeout=options.timeout,
        )

    async with aclosing((await watch(ctx)).observe(read)) as every:
        async for seen in every:
            yield seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.id == pk.Target.endpoint(options.hermes).id:
        return [LatencyBudget(options.timeout)]
    chain, promised = options.asked_for(target)
    if promised is None:
        return [HeadAge(chain.max_head_age or options.max_head_age), EndpointQuorum(options.alive_endpoints)]
    deviation = promised.max_deviation or options.max_deviation
    made: list[Check] = [Heartbeat(promised.heartbeat or options.heartbeat, options.lands_within, options.open_grace)]
    if options.valid_period != "ignore":
        made.append(Deadline(options.valid_period == "critical", options.open_grace))
    if deviation is not None:
        made.append(CrossChainDeviation(deviation, options.lands_within, chain.max_head_age or options.max_head_age))
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
