"""Is every push feed on Solana posted as often as promised, fully verified, and in the account that consumers read?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

import probekit as pk
from probekit.checks import (
    Check,
    CrossChainDeviation,
    EndpointQuorum,
    HeadAge,
    Heartbeat,
    LatencyBudget,
    Migration,
    SlotLag,
    VerificationDepth,
)
from probekit.clients.chain_options import LastAsked, endpoints_of
from probekit.clients.push_receiver import Consumers, PostedPlace, read_receiver
from probekit.clients.push_watch import PushPlaces, PushWatch, Seen
from probekit.model.options import require_positive
from probekit.model.receiver import FULL, VerificationLevel
from probekit.model.solana import GENESIS

if TYPE_CHECKING:
    from probekit.clients.source_prices import SourcePrices


class PostedFeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A push feed: what its pushers promise. What is left out is as the probe's own options say."""

    feed: Annotated[str, pk.doc("feed id (64 hex digits) or symbol")]
    shard: Annotated[int, pk.doc("shard of its account"), msgspec.Meta(ge=0, le=65_535)] = 0
    heartbeat: Annotated[timedelta | None, pk.doc("longest time between two updates")] = None
    max_deviation: Annotated[pk.Bps | None, pk.doc("distance from the source at which it is updated")] = None
    reads: Annotated[Consumers | None, pk.doc("whose account consumers read")] = None

    def __post_init__(self) -> None:
        require_positive(self, "heartbeat", "max_deviation")


class Options(pk.Options, frozen=True, kw_only=True):
    endpoints: Annotated[tuple[str, ...], pk.doc("RPC URLs of one pool; {key} stands for the key")]
    key: Annotated[pk.Secret | None, pk.doc("reference to the key that the URLs want")] = None
    cluster: Annotated[str, pk.doc("mainnet-beta, devnet, testnet, or the genesis hash of another")] = "mainnet-beta"
    feeds: Annotated[tuple[PostedFeed, ...], pk.doc("feeds to watch")]
    reads: Annotated[
        Consumers,
        pk.doc("whose account consumers read: one generation of programs, or the one that is best to read"),
    ] = "either"
    signatures: Annotated[int | None, pk.doc("signatures that must be verified; left out: full verification")] = None
    heartbeat: Annotated[timedelta, pk.doc("heartbeat of feeds that name none")] = timedelta(hours=1)
    lands_within: Annotated[timedelta, pk.doc("time that a push may take")] = timedelta(seconds=60)
    max_deviation: Annotated[pk.Bps | None, pk.doc("deviation of feeds that name none; left out: not judged")] = None
    max_slots: Annotated[int | None, pk.doc("slots since it was posted; left out: measured, not judged")] = None
    open_grace: Annotated[timedelta, pk.doc("how long after an opening an old price is not held against a feed")] = timedelta(
        minutes=5
    )
    max_head_age: Annotated[timedelta, pk.doc("age of the cluster's clock at which it stands still")] = timedelta(seconds=60)
    alive_endpoints: Annotated[int, pk.doc("endpoints that must be alive"), msgspec.Meta(ge=1)] = 1
    hermes: Annotated[str, pk.doc("base URL of the source: symbols, market hours and prices to compare with")] = (
        "https://hermes.pyth.network"
    )
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    timeout: Annotated[timedelta, pk.doc("how long the cluster or the source may take to answer")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        self.require("endpoints", "feeds", "heartbeat", "max_head_age", "max_deviation", "max_slots", "signatures", "timeout")
        endpoints_of(self.endpoints, self.key)
        for name in ("lands_within", "open_grace"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
        if len({(one.feed, one.shard) for one in self.feeds}) != len(self.feeds):
            raise ValueError("feeds names a feed of one shard twice")

    def place(self, feed: PostedFeed) -> PostedPlace:
        """Where the feed's account is, and when it is fit to be read."""
        max_age = (feed.heartbeat or self.heartbeat) + self.lands_within
        return PostedPlace(feed.feed, feed.shard, max_age, feed.reads or self.reads, self.level)

    @property
    def level(self) -> VerificationLevel:
        return FULL if self.signatures is None else VerificationLevel(self.signatures)


async def watch(ctx: pk.Context[Options]) -> PushWatch:
    options = ctx.options
    hermes = await ctx.hermes(options.hermes, api_key=options.api_key)
    rows = tuple((str(one.shard), one.feed) for one in options.feeds)
    cluster = PushPlaces(options.cluster, rows, "in shard {place}")
    return ctx.state("watch", lambda: PushWatch(hermes, options.hermes, [cluster], clock=ctx.clock, timeout=options.timeout))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return await (await watch(ctx)).targets()


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    options = ctx.options
    described = {target.id: target.feed for target in watched}
    asked = ctx.state("asked", lambda: LastAsked(ctx.observer, options.cluster))
    solana = await ctx.solana(
        options.cluster,
        endpoints_of(options.endpoints, options.key),
        genesis_hash=GENESIS.get(options.cluster, options.cluster),
        timeout=options.timeout,
        observer=asked,
    )

    async def read(cluster: PushPlaces, known: Mapping[str, pk.FeedId], source: Awaitable[SourcePrices]) -> Sequence[Seen]:
        return await read_receiver(
            solana,
            cluster,
            [options.place(one) for one in options.feeds],
            known,
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
    if target.kind == "endpoint":
        if target.id == options.cluster:
            return [HeadAge(options.max_head_age), EndpointQuorum(options.alive_endpoints)]
        return [LatencyBudget(options.timeout)]
    _, shard, name = target.id.split("/", 2)
    feed = target.feed
    spelt = {name.lower()} if feed is None else {feed.symbol.lower(), str(feed.id), f"0x{feed.id}"}
    promised = next(one for one in options.feeds if one.feed.lower() in spelt and one.shard == int(shard))
    deviation = promised.max_deviation or options.max_deviation
    made: list[Check] = [
        Heartbeat(promised.heartbeat or options.heartbeat, options.lands_within, options.open_grace),
        VerificationDepth(options.level),
        Migration(options.open_grace),
        SlotLag(options.max_slots),
    ]
    if deviation is not None:
        made.append(CrossChainDeviation(deviation, options.lands_within, options.max_head_age))
    return made


probe = pk.Probe.poll(
    name="receiver_staleness",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=15),
    metrics=(
        "feed.age",
        "feed.age.chain",
        "feed.deviation",
        "feed.slot_lag",
        "chain.head_age",
        "chain.endpoints_alive",
        "latency",
    ),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
