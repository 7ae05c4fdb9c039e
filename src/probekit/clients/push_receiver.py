"""Push feeds in accounts of Pyth's receiver on Solana, read for probes: all of a cluster at one slot, beside their source."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from probekit.clients.push_watch import PushPlaces, Seen, push_target
from probekit.clients.stored_prices import ask_all, chain_state
from probekit.clock import Clock, within
from probekit.codecs.solana.sysvar import ClusterClock
from probekit.errors import DeadlineExceeded, DecodeError, ProbekitError
from probekit.model import Failure, Feed, FeedId, Observation
from probekit.model.chain_feed import ChainFeed, ChainHead, PublishedPrice, ReceiverFeed
from probekit.model.receiver import (
    FULL,
    FeedMigration,
    ProgramGeneration,
    PushFeedAccount,
    PushFeedRead,
    VerificationLevel,
)
from probekit.units import format_ns, to_ns

if TYPE_CHECKING:
    from probekit.clients.chain_options import LastAsked
    from probekit.clients.solana import SolanaClient
    from probekit.clients.source_prices import SourcePrices

__all__ = ["Consumers", "PostedPlace", "read_receiver"]

Consumers = Literal["either", "core", "pro"]
"""Whose account consumers read: that of one generation of programs, or the one that is best to read."""

ExtendPosted = Callable[[ReceiverFeed, FeedId], ChainFeed]

_Reads = Mapping[tuple[FeedId, int], tuple[PushFeedRead, PushFeedRead] | ProbekitError]


@dataclass(frozen=True, slots=True)
class PostedPlace:
    """A feed, as the operator wrote it, in a shard. Its account is fit to be read up to ``max_age`` and from ``level`` on."""

    feed: str
    shard: int
    max_age: timedelta
    reads: Consumers = "either"
    level: VerificationLevel = FULL

    def judged(
        self, feed: FeedId, reads: tuple[PushFeedRead, PushFeedRead], clock: ClusterClock, source: SourcePrices
    ) -> ReceiverFeed | DecodeError:
        """The feed with the account that consumers read; the error where that account is none."""
        core, pro = reads
        migration = FeedMigration.judge(feed, core, pro, at=clock.time, max_age=self.max_age, level=self.level)
        if self.reads == "either":
            # Fit for nobody: the fresher of the two shows how far it is.
            fallback = ProgramGeneration.PRO if pro is not None else ProgramGeneration.CORE
            generation = migration.read or migration.fresher or fallback
        else:
            generation = ProgramGeneration(self.reads)
        found = pro if generation is ProgramGeneration.PRO else core
        if isinstance(found, DecodeError):
            return found
        price, problem = source.of(feed)
        update = found.update if isinstance(found, PushFeedAccount) else None
        return ReceiverFeed(
            head=ChainHead(clock.slot, clock.time),
            stored=None if update is None else PublishedPrice(update.price, update.conf, update.message.publish_time),
            absent=f"no {generation} account in shard {self.shard}" if update is None else "",
            source=price,
            source_problem=problem,
            generation=generation,
            migration=migration,
            level=None if update is None else update.level,
            posted_slot=None if update is None else update.posted_slot,
        )


async def read_receiver(
    client: SolanaClient,
    cluster: PushPlaces,
    places: Sequence[PostedPlace],
    known: Mapping[str, FeedId],
    source: Awaitable[SourcePrices],
    *,
    asked: LastAsked,
    described: Mapping[str, Feed | None],
    clock: Clock,
    clock_error_ns: Callable[[], int | None],
    timeout: timedelta,
    also: Callable[[ChainHead, Mapping[FeedId, ReceiverFeed]], Awaitable[ExtendPosted]] | None = None,
) -> list[Seen]:
    """A cluster's state by its own clock, and every feed that is ``known`` in its place.

    ``described`` are the feeds by target. ``also`` reads more, given what was read, and gives what each feed is extended by.
    """
    import asyncio

    began_ns = clock.monotonic_ns()
    posted = [one for one in places if one.feed in known]
    wanted = [(known[one.feed], one.shard) for one in posted]
    found, _ = await asyncio.gather(
        _read(client, wanted, cluster.id, clock, to_ns(timeout)), ask_all(client.pool, timeout=timeout)
    )
    at, spent_ns, error_ns = clock.now(), clock.monotonic_ns() - began_ns, clock_error_ns()
    prices, origin = await source, asked.origin
    if isinstance(found, ProbekitError):
        return [Failure(found, origin, at, cluster.id, spent_ns)]
    cluster_clock, reads = found
    state = chain_state(ChainHead(cluster_clock.slot, cluster_clock.time), client.pool)
    seen: list[Seen] = [Observation(state, origin, at, cluster.id, spent_ns, error_ns)]
    judged: list[tuple[PostedPlace, ReceiverFeed | ProbekitError]] = []
    for one in posted:
        feed, value = known[one.feed], reads[known[one.feed], one.shard]
        told = value if isinstance(value, ProbekitError) else one.judged(feed, value, cluster_clock, prices)
        judged.append((one, told))
    read = {known[one.feed]: value for one, value in judged if not isinstance(value, ProbekitError)}
    extend = None if also is None else await also(state.head, read)
    for one, told in judged:
        feed = known[one.feed]
        target = push_target(cluster.id, str(one.shard), feed)
        if isinstance(told, ProbekitError):
            seen.append(Failure(told, origin, at, target, spent_ns))
            continue
        shown = told if extend is None else extend(told, feed)
        seen.append(Observation(shown, origin, at, target, spent_ns, error_ns, described.get(target)))
    return seen


async def _read(
    client: SolanaClient, wanted: Sequence[tuple[FeedId, int]], cluster: str, clock: Clock, timeout_ns: int
) -> tuple[ClusterClock, _Reads] | ProbekitError:
    """The cluster's clock and every account, or why they could not be read."""
    from probekit.clients.receiver import ReceiverClient

    try:
        return await within(clock, clock.monotonic_ns() + timeout_ns, ReceiverClient(client, clock=clock).push_reads(wanted))
    except TimeoutError:
        return DeadlineExceeded(f"{cluster} did not answer within {format_ns(timeout_ns)}")
    except ProbekitError as error:
        return error
