"""Where on its way from the publishers to the chains is a price slow, or lost?"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

import probekit as pk
from probekit.checks import Check, LandedWithin, LatencyBudget, LatencySample, StageBudget, StreamContinuity
from probekit.clients.chain_options import endpoints_of
from probekit.clients.followed import followed
from probekit.clients.landings import EvmLandings, SolanaLandings
from probekit.clock import reap
from probekit.codecs.evm import registry
from probekit.errors import DecodeError, ProbekitError, VerificationError
from probekit.model.evm import Address
from probekit.model.journey import Arrival, Blind, JourneyEvent, JourneyProgress, Stage, stages_of, times_of
from probekit.model.journey_book import BookState, JourneyBook
from probekit.model.receiver import ProgramGeneration
from probekit.trust import SignerSetOption, Trust
from probekit.units import NS_PER_S, to_ns

if TYPE_CHECKING:
    import asyncio

WAITING = 1_000
"""Observations on their way to the runner; beyond, the sources wait."""

Seen = pk.Observation[Any] | pk.Failure
Looks = EvmLandings | SolanaLandings


class EvmChainOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An EVM chain to watch. ``{key}`` in an endpoint stands for ``key``; without ``contract`` it is Pyth's by the registry."""

    name: str
    chain_id: int
    endpoints: tuple[str, ...]
    key: pk.Secret | None = None
    contract: str | None = None
    heartbeat: timedelta

    def __post_init__(self) -> None:
        _check_chain(self.name, self.endpoints, self.key, self.heartbeat)
        if self.contract is not None:
            Address(self.contract)
        elif len(registry.contracts(self.chain_id, registry.ContractKind.PYTH, registry.Deployment.STABLE)) != 1:
            raise ValueError(f"no Pyth contract is known on chain {self.chain_id}: name it as contract")


class SolanaOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Solana cluster to watch: the push feed accounts of one shard under one generation of the programs."""

    name: str
    endpoints: tuple[str, ...]
    key: pk.Secret | None = None
    genesis_hash: str | None = None
    generation: Literal["core", "pro"] = "pro"
    shard: int = 0
    heartbeat: timedelta

    def __post_init__(self) -> None:
        _check_chain(self.name, self.endpoints, self.key, self.heartbeat)
        if not 0 <= self.shard < 1 << 16:
            raise ValueError(f"shard lies between 0 and 65535, not {self.shard}")


def _check_chain(name: str, endpoints: tuple[str, ...], key: pk.Secret | None, heartbeat: timedelta) -> None:
    if not name or not endpoints:
        raise ValueError("a chain has a name and at least one endpoint")
    endpoints_of(endpoints, key)
    LandedWithin(heartbeat)


class Options(pk.Options, frozen=True, kw_only=True):
    endpoint: Annotated[str, pk.doc("base URL of the Hermes service")] = "https://hermes.pyth.network"
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[str, ...], pk.doc("feed ids (64 hex digits) or symbols (Crypto.BTC/USD)")]
    network: Annotated[pk.trust.Network, pk.doc("whose signers are trusted")] = "mainnet"
    signer_sets: Annotated[tuple[SignerSetOption, ...], pk.doc("trusted sets in place of the network's own")] = ()
    evm: Annotated[tuple[EvmChainOption, ...], pk.doc("EVM chains on which landings are watched")] = ()
    solana: Annotated[tuple[SolanaOption, ...], pk.doc("Solana clusters on which landings are watched")] = ()
    every: Annotated[
        timedelta, pk.doc("one update per feed in this time becomes a trace, and the first that lands per chain")
    ] = timedelta(seconds=30)
    patience: Annotated[timedelta, pk.doc("how long a landing is waited for before the trace is written without it")] = (
        timedelta(seconds=60)
    )
    look_every: Annotated[timedelta, pk.doc("how often each chain is asked what landed")] = timedelta(seconds=2)
    aggregated: Annotated[timedelta, pk.doc("budget from publish_time to the slot; pro root only")] = timedelta(seconds=5)
    attested: Annotated[timedelta, pk.doc("budget from the slot, or publish_time, to the VAA's time")] = timedelta(seconds=5)
    proven: Annotated[timedelta, pk.doc("budget from the VAA's time to Hermes having the proof")] = timedelta(seconds=5)
    arrived: Annotated[timedelta, pk.doc("budget from Hermes having the proof to here")] = timedelta(seconds=5)
    landed: Annotated[timedelta, pk.doc("budget from Hermes having the proof to a chain's block")] = timedelta(seconds=30)
    percentile: Annotated[int, pk.doc("which percentile the budgets hold, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many updates the percentile is over")] = 100
    max_look: Annotated[
        timedelta, pk.doc("p95 of the time a look at a chain takes, above which its endpoints are too slow")
    ] = timedelta(seconds=5)
    max_silence: Annotated[timedelta, pk.doc("how long the stream may bring nothing at all")] = timedelta(seconds=10)
    first_within: Annotated[timedelta, pk.doc("how long after the start a feed may stay unseen")] = timedelta(seconds=30)

    def __post_init__(self) -> None:
        self.require(
            "feeds", "every", "patience", "look_every", "aggregated", "attested", "proven", "arrived", "landed", "max_look",
            "max_silence", "first_within",
        )  # fmt: skip
        StageBudget(self.aggregated, percentile=self.percentile, samples=self.samples)
        names = [one.name for one in chains_of(self)]
        if len(set(names)) != len(names):
            raise ValueError("two chains have the same name")
        pk.trust.chosen(self.network, self.signer_sets)


def chains_of(options: Options) -> tuple[EvmChainOption | SolanaOption, ...]:
    """All that are watched."""
    return (*options.evm, *options.solana)


def on(feed_id: str, chain: str) -> str:
    """Id of the target that is a feed on a chain."""
    return f"{feed_id} on {chain}"


class Books:
    """The book of every feed: what the sources of events tell goes in, what ended goes to the run."""

    def __init__(self, ctx: pk.Context[Options]) -> None:
        self._ctx = ctx
        self.chains = tuple(one.name for one in chains_of(ctx.options))
        self._books: dict[str, JourneyBook] = {}
        self._states: dict[str, BookState] = {}
        self._published: dict[str, tuple[int, int]] = {}

    def keep(self, feeds: Sequence[str]) -> None:
        """A book for each of these feeds; those of others are closed."""
        options = self._ctx.options
        for feed_id in feeds:
            if feed_id not in self._books:
                seed = f"{self._ctx.vantage.instance_id}/{self._ctx.vantage.region}"
                book = JourneyBook(feed_id, self.chains, options.every, options.patience, seed)
                self._books[feed_id], self._states[feed_id] = book, book.init()
        for gone in self._books.keys() - set(feeds):
            del self._books[gone], self._states[gone]
            self._published.pop(gone, None)

    def knows(self, arrival: Arrival) -> bool:
        return any(one.arrival.key == arrival.key for one in self._states[arrival.feed_id].updates)

    def take(self, feed_id: str, event: JourneyEvent | None) -> tuple[Stage, ...]:
        """Step a feed's book; returns what landed now."""
        state, told = self._books[feed_id].step(self._states[feed_id], event, now=self._ctx.clock.now())
        self._states[feed_id] = state
        for journey in told.journeys:
            self._ctx.on_journey(journey)
        if isinstance(event, Arrival) and not event.unproven:
            # What was not signed is not what a chain should have.
            first, newest = self._published.get(feed_id, (event.publish_time_s, event.publish_time_s))
            self._published[feed_id] = (first, max(newest, event.publish_time_s))
        return told.landed

    def pass_time(self) -> None:
        for feed_id in self._books:
            self.take(feed_id, None)

    def progress(self, feed_id: str, stages: Sequence[Stage], chain: str = "") -> JourneyProgress:
        """What checks judge of a feed, or of a feed on a chain."""
        first, newest = self._published.get(feed_id, (None, None))
        landed = [one.publish_time_s for view in self._states[feed_id].chains if view.chain == chain for one in view.landings]
        return JourneyProgress(
            times_of(tuple(stages)),
            None if first is None else pk.Instant.from_seconds(first),
            None if newest is None else pk.Instant.from_seconds(newest),
            pk.Instant.from_seconds(max(landed)) if landed else None,
            chain,
        )

    def landings(self, feed_id: str, stages: Sequence[Stage], chains: Sequence[str]) -> list[Seen]:
        """An observation of the feed on each of these chains."""
        now = self._ctx.clock.now()
        return [
            pk.Observation(
                self.progress(feed_id, [one for one in stages if one.chain == chain], chain), chain, now, on(feed_id, chain)
            )
            for chain in chains
        ]


async def hermes(ctx: pk.Context[Options]) -> pk.HermesClient:
    options = ctx.options
    return await ctx.hermes(options.endpoint, api_key=options.api_key)


async def book(ctx: pk.Context[Options]) -> pk.FeedBook:
    client = await hermes(ctx)
    return ctx.state("book", lambda: pk.FeedBook(client, ctx.options.feeds, clock=ctx.clock))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoint = pk.Target.endpoint(ctx.options.endpoint)
    feeds = await (await book(ctx)).targets(behind=endpoint.id)
    found = [endpoint, *feeds]
    for chain in chains_of(ctx.options):
        found.append(pk.Target(chain.name, "contract"))
        found += [
            pk.Target(on(feed.id, chain.name), "feed", f"{feed.name} on {chain.name}", None, chain.name)
            for feed in feeds
            if feed.feed is not None
        ]
    return found


def arrival_of(update: pk.PriceUpdate, batch: pk.Batch, clock_error_ns: int | None, *, unproven: str = "") -> Arrival:
    proof = update.verified_by
    return Arrival(
        feed_id=update.id,
        publish_time_s=update.point.publish_time,
        price=update.point.price,
        conf=update.point.conf,
        slot=update.slot,
        root=None if proof is None else proof.root,
        sequence=None if proof is None else proof.sequence,
        vaa_time=None if proof is None else proof.vaa_time,
        unproven=unproven,
        proven_at=update.proof_available_time,
        received_at=batch.received_at,
        clock_error_ns=clock_error_ns,
    )


async def follow_hermes(ctx: pk.Context[Options], books: Books, feeds: Sequence[str]) -> AsyncGenerator[Seen, None]:
    """The stream: every stage from the publishers to here."""
    client, endpoint, clock = await hermes(ctx), pk.Target.endpoint(ctx.options.endpoint).id, ctx.clock
    trust = ctx.state("trust", lambda: pk.trust.chosen(ctx.options.network, ctx.options.signer_sets))
    async with aclosing(followed(client, feeds, endpoint, clock=clock)) as stream:
        async for seen in stream:
            if not isinstance(seen, pk.Batch):
                yield seen
                continue
            for served in seen.updates.values():
                for one in judged(ctx, books, trust, served, seen):
                    yield one


def judged(ctx: pk.Context[Options], books: Books, trust: Trust, served: pk.PriceUpdate, batch: pk.Batch) -> list[Seen]:
    """One update into its book. What does not verify has its stages, too: without those that only signed bytes tell."""
    endpoint, at, clock_error_ns = pk.Target.endpoint(ctx.options.endpoint).id, batch.received_at, ctx.clock_error_ns
    broken: ProbekitError | None = None
    try:
        arrival = arrival_of(served.verified(trust, at=at), batch, clock_error_ns)
    except (VerificationError, DecodeError) as error:
        broken, arrival = error, arrival_of(served, batch, clock_error_ns, unproven=error.error_type)
    again = books.knows(arrival)
    landed = books.take(arrival.feed_id, arrival)
    if broken is not None:
        return [pk.Failure(broken, endpoint, at, arrival.feed_id)]
    progress = books.progress(arrival.feed_id, () if again else stages_of(arrival))
    return [
        pk.Observation(progress, endpoint, at, arrival.feed_id, 0, clock_error_ns),
        *books.landings(arrival.feed_id, landed, books.chains),
    ]


async def follow_chain(
    ctx: pk.Context[Options], books: Books, feeds: Sequence[str], chain: str, looks: Looks
) -> AsyncGenerator[Seen, None]:
    """What lands on a chain, looked at again and again: one request or two for all feeds."""
    clock = ctx.clock
    told: set[str] = set()
    while True:
        began_ns, at = clock.monotonic_ns(), clock.now()
        try:
            found = await looks.look(feeds, at=at, clock_error_ns=ctx.clock_error_ns)
        except ProbekitError as error:
            for feed_id in feeds:
                books.take(feed_id, Blind(chain, at, error.error_type))
            yield pk.Failure.of(error, chain, clock.now())
        else:
            elapsed_ns = clock.monotonic_ns() - began_ns
            if looks.unreadable is None:
                yield pk.Observation(LatencySample(elapsed_ns, "look"), chain, clock.now(), chain, elapsed_ns)
            else:
                yield pk.Failure(looks.unreadable, chain, clock.now(), chain)
            for feed_id, look in found.items():
                if isinstance(look, ProbekitError):
                    books.take(feed_id, Blind(chain, at, look.error_type))
                    yield pk.Failure(look, chain, at, on(feed_id, chain))
                    told.discard(feed_id)
                    continue
                landed = books.take(feed_id, look)
                if landed or look.landings or feed_id not in told:
                    told.add(feed_id)
                    for seen in books.landings(feed_id, landed, (chain,)):
                        yield seen
        await clock.sleep_until_ns(began_ns + to_ns(ctx.options.look_every))


async def follow_time(ctx: pk.Context[Options], books: Books) -> AsyncGenerator[Seen, None]:
    """Journeys end when their time is up, whatever comes or does not."""
    nothing: tuple[Seen, ...] = ()
    while True:
        books.pass_time()
        for one in nothing:
            yield one
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + NS_PER_S)


async def looks_of(ctx: pk.Context[Options]) -> dict[str, Looks]:
    """Every chain's client, each over a pool of its own."""
    from probekit.clients.pyth_evm import PythEvmClient
    from probekit.clients.receiver import ReceiverClient

    made: dict[str, Looks] = {}
    for one in ctx.options.evm:
        evm = await ctx.evm(one.name, endpoints_of(one.endpoints, one.key), chain_id=one.chain_id)
        contract = PythEvmClient.known(evm) if one.contract is None else PythEvmClient(evm, one.contract)
        evm_looks = EvmLandings(contract, one.name)
        made[one.name] = ctx.state(f"looks {one.name}", lambda known=evm_looks: known)  # type: ignore[misc]
    for cluster in ctx.options.solana:
        nodes = endpoints_of(cluster.endpoints, cluster.key)
        receiver = ReceiverClient(await ctx.solana(cluster.name, nodes, genesis_hash=cluster.genesis_hash), clock=ctx.clock)
        looks = SolanaLandings(receiver, cluster.name, generation=ProgramGeneration(cluster.generation), shard_id=cluster.shard)
        made[cluster.name] = ctx.state(f"looks {cluster.name}", lambda known=looks: known)  # type: ignore[misc]
    return made


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    import asyncio

    endpoint = pk.Target.endpoint(ctx.options.endpoint).id
    feeds = [target.id for target in watched if target.feed is not None]
    for refusal in (await book(ctx)).refusals(feeds, source=endpoint):
        yield refusal
    books = ctx.state("books", lambda: Books(ctx))
    books.keep(feeds)
    sources = [follow_hermes(ctx, books, feeds), follow_time(ctx, books)]
    sources += [follow_chain(ctx, books, feeds, chain, looks) for chain, looks in (await looks_of(ctx)).items()]
    waiting: asyncio.Queue[Seen | Exception] = asyncio.Queue(WAITING)
    tasks = [asyncio.create_task(drain(source, waiting), name=f"price_journey {n}") for n, source in enumerate(sources)]
    try:
        while True:
            seen = await waiting.get()
            if isinstance(seen, Exception):
                raise seen
            yield seen
    finally:
        for task in tasks:
            await reap(task)


async def drain(source: AsyncGenerator[Seen, None], waiting: asyncio.Queue[Seen | Exception]) -> None:
    """Everything of a source into the queue, and the error it ends with."""
    try:
        async with aclosing(source) as items:
            async for seen in items:
                await waiting.put(seen)
    except Exception as error:
        await waiting.put(error)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [StreamContinuity(max_silence=options.max_silence)]
    if target.kind == "contract":
        return [LatencyBudget(options.max_look)]
    percentile, samples = options.percentile, options.samples
    for chain in chains_of(options):
        if target.behind == chain.name:
            return [
                StageBudget(landed=options.landed, percentile=percentile, samples=samples),
                LandedWithin(chain.heartbeat),
            ]
    return [
        StageBudget(
            options.aggregated,
            options.attested,
            options.proven,
            options.arrived,
            percentile=percentile,
            samples=samples,
        )
    ]


probe = pk.Probe.watch(
    name="price_journey",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=5),
    first_within=lambda options: options.first_within,
    metrics=("stream.silence", "latency", "landing.lag"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
