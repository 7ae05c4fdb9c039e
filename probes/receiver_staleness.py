"""Is every push feed on Solana posted as often as promised, fully verified, and in the account that consumers read?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Literal

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
from probekit.clients.push_watch import PushPlaces, PushWatch, Seen, push_target
from probekit.clients.solana import GENESIS
from probekit.clients.source_prices import SourcePrices
from probekit.clients.stored_prices import ask_all, chain_state
from probekit.clock import within
from probekit.codecs.solana.sysvar import ClusterClock
from probekit.errors import DeadlineExceeded, DecodeError, ProbekitError
from probekit.model.chain_feed import ChainHead, PublishedPrice, ReceiverFeed
from probekit.model.options import require_positive
from probekit.model.receiver import FULL, FeedMigration, ProgramGeneration, PushFeedAccount, PushFeedRead, VerificationLevel
from probekit.units import format_ns, to_ns

PRO, CORE = ProgramGeneration.PRO, ProgramGeneration.CORE


class PostedFeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A push feed: what its pushers promise. What is left out is as the probe's own options say."""

    feed: Annotated[str, pk.doc("feed id (64 hex digits) or symbol")]
    shard: Annotated[int, pk.doc("shard of its account"), msgspec.Meta(ge=0, le=65_535)] = 0
    heartbeat: Annotated[timedelta | None, pk.doc("longest time between two updates")] = None
    max_deviation: Annotated[pk.Bps | None, pk.doc("distance from the source at which it is updated")] = None
    reads: Annotated[Literal["either", "core", "pro"] | None, pk.doc("whose account consumers read")] = None

    def __post_init__(self) -> None:
        require_positive(self, "heartbeat", "max_deviation")


class Options(pk.Options, frozen=True, kw_only=True):
    endpoints: Annotated[tuple[str, ...], pk.doc("RPC URLs of one pool; {key} stands for the key")]
    key: Annotated[pk.Secret | None, pk.doc("reference to the key that the URLs want")] = None
    cluster: Annotated[str, pk.doc("mainnet-beta, devnet, testnet, or the genesis hash of another")] = "mainnet-beta"
    feeds: Annotated[tuple[PostedFeed, ...], pk.doc("feeds to watch")]
    reads: Annotated[
        Literal["either", "core", "pro"],
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

    @property
    def level(self) -> VerificationLevel:
        return FULL if self.signatures is None else VerificationLevel(self.signatures)

    def oldest(self, feed: PostedFeed) -> timedelta:
        """The age up to which the feed's account is fit to be read."""
        return (feed.heartbeat or self.heartbeat) + self.lands_within


async def watch(ctx: pk.Context[Options]) -> PushWatch:
    options = ctx.options
    hermes = await ctx.hermes(options.hermes, api_key=options.api_key)
    rows = tuple((str(one.shard), one.feed) for one in options.feeds)
    cluster = PushPlaces(options.cluster, rows, "in shard {place}")
    return ctx.state("watch", lambda: PushWatch(hermes, options.hermes, [cluster], clock=ctx.clock, timeout=options.timeout))


def asked(ctx: pk.Context[Options]) -> LastAsked:
    """Tells which endpoint of the cluster was asked last."""
    return ctx.state("asked", lambda: LastAsked(ctx.observer, ctx.options.cluster))


async def solana(ctx: pk.Context[Options]) -> pk.SolanaClient:
    options = ctx.options
    nodes, genesis = endpoints_of(options.endpoints, options.key), GENESIS.get(options.cluster, options.cluster)
    return await ctx.solana(options.cluster, nodes, genesis_hash=genesis, timeout=options.timeout, observer=asked(ctx))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return await (await watch(ctx)).targets()


Reads = dict[tuple[pk.FeedId, int], tuple[PushFeedRead, PushFeedRead] | ProbekitError]


async def read(ctx: pk.Context[Options], wanted: Sequence[tuple[pk.FeedId, int]]) -> tuple[ClusterClock, Reads] | ProbekitError:
    """The cluster's clock and every account, or why they could not be read."""
    timeout_ns = to_ns(ctx.options.timeout)
    client = pk.ReceiverClient(await solana(ctx), clock=ctx.clock)
    try:
        return await within(ctx.clock, ctx.clock.monotonic_ns() + timeout_ns, client.push_reads(wanted))
    except TimeoutError:
        return DeadlineExceeded(f"{ctx.options.cluster} did not answer within {format_ns(timeout_ns)}")
    except ProbekitError as error:
        return error


def judged(
    options: Options, posted: PostedFeed, feed: pk.FeedId, reads: tuple[PushFeedRead, PushFeedRead], clock: ClusterClock,
    source: SourcePrices,
) -> ReceiverFeed | DecodeError:  # fmt: skip
    """One feed with the account that consumers read; the error where that account is none."""
    core, pro = reads
    migration = FeedMigration.judge(feed, core, pro, at=clock.time, max_age=options.oldest(posted), level=options.level)
    chosen = posted.reads or options.reads
    if chosen == "either":
        # Fit for nobody: the fresher of the two shows how far it is.
        fallback = PRO if pro is not None else CORE
        generation = migration.read or migration.fresher or fallback
    else:
        generation = ProgramGeneration(chosen)
    found = pro if generation is PRO else core
    if isinstance(found, DecodeError):
        return found
    price, problem = source.of(feed)
    update = found.update if isinstance(found, PushFeedAccount) else None
    return ReceiverFeed(
        head=ChainHead(clock.slot, clock.time),
        stored=None if update is None else PublishedPrice(update.price, update.conf, update.message.publish_time),
        absent=f"no {generation} account in shard {posted.shard}" if update is None else "",
        source=price,
        source_problem=problem,
        generation=generation,
        migration=migration,
        level=None if update is None else update.level,
        posted_slot=None if update is None else update.posted_slot,
    )


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    options, clock = ctx.options, ctx.clock
    described = {target.id: target.feed for target in watched}

    async def read_all(place: PushPlaces, known: Mapping[str, pk.FeedId], source: Awaitable[SourcePrices]) -> Sequence[Seen]:
        began_ns, pool = clock.monotonic_ns(), (await solana(ctx)).pool
        posted = [one for one in options.feeds if one.feed in known]
        found, _ = await asyncio.gather(
            read(ctx, [(known[one.feed], one.shard) for one in posted]), ask_all(pool, timeout=options.timeout)
        )
        at, spent_ns, error_ns = clock.now(), clock.monotonic_ns() - began_ns, ctx.clock_error_ns
        prices, origin = await source, asked(ctx).origin
        if isinstance(found, ProbekitError):
            return [pk.Failure(found, origin, at, place.id, spent_ns)]
        cluster_clock, reads = found
        state = chain_state(ChainHead(cluster_clock.slot, cluster_clock.time), pool)
        seen: list[Seen] = [pk.Observation(state, origin, at, place.id, spent_ns, error_ns)]
        for one in posted:
            feed = known[one.feed]
            target, accounts = push_target(place.id, str(one.shard), feed), reads[feed, one.shard]
            if not isinstance(accounts, ProbekitError):
                value = judged(options, one, feed, accounts, cluster_clock, prices)
                if not isinstance(value, ProbekitError):
                    seen.append(pk.Observation(value, origin, at, target, spent_ns, error_ns, described.get(target)))
                    continue
                accounts = value
            seen.append(pk.Failure(accounts, origin, at, target, spent_ns))
        return seen

    async with aclosing((await watch(ctx)).observe(read_all)) as every:
        async for one in every:
            yield one


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
        made.append(CrossChainDeviation(deviation, options.lands_within))
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
