"""Does Benchmarks say of the past, to the byte, what Hermes served, and how soon does it have a second?"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import probekit as pk
from probekit.checks import ArchiveLag, BarHolds, Check, LatencyBudget, LatencySample, PastParity, SignedPoint
from probekit.clients.signed import points_of
from probekit.clock import Clock
from probekit.errors import DecodeError, Missing, NotFound, ProbekitError
from probekit.model.benchmarks import ArchiveReach, BarSample, PastPair, PastPrice
from probekit.transports.retry import NO_RETRY
from probekit.units import to_ns

HERMES_KEEPS = timedelta(minutes=10)
"""Hermes keeps 640 s; what is older it asks Benchmarks for, and would be held against itself."""
REMEMBERED = 64
"""Prices kept per feed until the bar of their minute is made."""
MINUTE = 60
WITNESSES = 3
"""Feeds of which the archive must have nothing before it is unavailable."""
MOST_ASKED = 24
"""Requests for one second: to find a few feeds without an update among a hundred."""


class Options(pk.Options, frozen=True, kw_only=True):
    endpoint: Annotated[str, pk.doc("base URL of the Hermes service")] = "https://hermes.pyth.network"
    benchmarks: Annotated[str, pk.doc("base URL of the Benchmarks service")] = "https://benchmarks.pyth.network"
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[str, ...], pk.doc("feed ids (64 hex digits) or symbols (Crypto.BTC/USD), at most 100")]
    steps: Annotated[tuple[timedelta, ...], pk.doc("how long ago the seconds are that are asked for, nearest first")] = (
        timedelta(seconds=10), timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=3), timedelta(minutes=9),
    )  # fmt: skip
    max_lag: Annotated[timedelta, pk.doc("how long a second may take until Benchmarks has it")] = timedelta(minutes=1)
    max_absence: Annotated[timedelta, pk.doc("how long a feed's seconds may all be absent")] = timedelta(minutes=10)
    max_latency: Annotated[timedelta, pk.doc("p95 of Hermes's answers, above which it is too slow")] = timedelta(seconds=2)
    timeout: Annotated[timedelta, pk.doc("how long each service may take")] = timedelta(seconds=10)
    charts: Annotated[tuple[str, ...], pk.doc("feeds whose minute bars are compared as well; the service may have none")] = ()
    bars_after: Annotated[timedelta, pk.doc("how long after its minute a bar must be made")] = timedelta(minutes=2)
    bar_tolerance: Annotated[pk.Bps, pk.doc("how far a price may lie outside its bar")] = pk.Bps.parse("1bps")

    def __post_init__(self) -> None:
        self.require("feeds", "steps", "max_lag", "max_absence", "max_latency", "timeout")
        problems = []
        if len(self.feeds) > 100:
            problems.append(f"feeds: at most 100, not {len(self.feeds)}: Benchmarks takes 10 requests in 10 s")
        if list(self.steps) != sorted(set(self.steps)) or self.steps[0] < timedelta(seconds=1):
            problems.append("steps must rise, from 1s on")
        if self.steps[-1] > HERMES_KEEPS:
            problems.append(f"steps: Hermes itself asks Benchmarks for what is older than {HERMES_KEEPS}")
        if self.max_lag > self.steps[-1]:
            problems.append(f"max_lag must not be above the last of steps: {self.max_lag} is above {self.steps[-1]}")
        if unknown := sorted(set(self.charts) - set(self.feeds)):
            problems.append(f"charts: {', '.join(unknown)} is none of feeds")
        if pk.Target.endpoint(self.endpoint) == pk.Target.endpoint(self.benchmarks):
            problems.append("endpoint and benchmarks are two services")
        if self.bars_after < timedelta(0):
            problems.append("bars_after must not be negative")
        if problems:
            raise ValueError("; ".join(problems))


async def hermes(ctx: pk.Context[Options]) -> pk.HermesClient:
    options = ctx.options
    return await ctx.hermes(options.endpoint, api_key=options.api_key, timeout=options.timeout, retry=NO_RETRY)


async def archive(ctx: pk.Context[Options]) -> pk.BenchmarksClient:
    options = ctx.options
    return await ctx.hold(
        "benchmarks",
        lambda: pk.BenchmarksClient(
            options.benchmarks,
            api_key=options.api_key,
            timeout=options.timeout,
            transport=ctx.engine(),
            observer=ctx.observer,
            clock=ctx.clock,
            # Whoever repeats what a limit refused is shut out for a minute.
            retry=NO_RETRY,
        ),
    )


async def book(ctx: pk.Context[Options]) -> pk.FeedBook:
    client = await hermes(ctx)
    return ctx.state("book", lambda: pk.FeedBook(client, ctx.options.feeds, clock=ctx.clock))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    source, past = pk.Target.endpoint(ctx.options.endpoint), pk.Target.endpoint(ctx.options.benchmarks)
    feeds = await (await book(ctx)).targets(behind=past.id)
    charts = [
        pk.Target(f"chart {one.feed.symbol}", "service", "", None, past.id)
        for one in feeds
        if one.feed is not None and wanted(ctx.options, one.feed)
    ]
    return [source, past, *feeds, *charts]


def wanted(options: Options, feed: pk.Feed) -> bool:
    """Whether its chart is compared, too; charts go by symbols."""
    return bool(feed.symbol) and (feed.symbol in options.charts or feed.id in options.charts)


# -- Hermes ------------------------------------------------------------------------------------------------------------------

Past = Mapping[str, PastPrice | ProbekitError]


class Served:
    """What Hermes served at a second, in at most ``MOST_ASKED`` requests, of which the slowest took ``slowest_ns``."""

    def __init__(self, client: pk.HermesClient, second: int, clock: Clock) -> None:
        self._client, self._at, self._clock = client, pk.Instant.from_seconds(second), clock
        self._left = MOST_ASKED - 1
        self.slowest_ns: int | None = None

    async def of(self, ids: Sequence[str]) -> Past:
        """Each feed. One without an update refuses the whole request and is not named: the ids are halved."""
        began_ns = self._clock.monotonic_ns()
        try:
            return proven(await self._client.at(self._at, ids))
        except NotFound as error:
            if len(ids) == 1 or self._left < 2:
                return dict.fromkeys(ids, error)
        finally:
            self.slowest_ns = max(self.slowest_ns or 0, self._clock.monotonic_ns() - began_ns)
        self._left -= 2
        middle = len(ids) // 2
        return {**await self.of(ids[:middle]), **await self.of(ids[middle:])}


def proven(batch: pk.Batch) -> dict[str, PastPrice | ProbekitError]:
    """Each feed of a batch with the signed message behind it. What is not signed is that feed's error."""
    points: dict[str, SignedPoint] = {}
    broken: ProbekitError | None = None
    for binary in batch.binary:
        try:
            for raw in binary.decoded():
                points.update(points_of(raw))
        except DecodeError as error:
            broken = broken or error
    found: dict[str, PastPrice | ProbekitError] = {}
    for feed_id in batch:
        point = points.get(feed_id)
        if feed_id in batch.errors:
            found[feed_id] = batch.errors[feed_id]
        elif point is None:
            found[feed_id] = broken or Missing(f"no signed message of {feed_id}", subject=feed_id)
        else:
            found[feed_id] = PastPrice(batch[feed_id], point.root, point.slot, point.message)
    return found


# -- Benchmarks --------------------------------------------------------------------------------------------------------------


async def reached(ctx: pk.Context[Options], client: pk.BenchmarksClient, feeds: Sequence[pk.Feed]) -> tuple[ArchiveReach, int]:
    """How far the archive reaches, by one of ``feeds``, which were open for the most of the steps; and the second of it.

    A feed that the archive lacks is no word on the archive: where it has nothing of the first, it is asked for others, and the
    next run begins with one that it has.
    """
    led: dict[str, str] = ctx.state("led", dict)
    feeds = sorted(feeds, key=lambda feed: feed.id != led.get("by"))[:WITNESSES]
    found, second = await reach(ctx, client, feeds[0] if feeds else None)
    if found.found_ns is not None:
        led["by"] = feeds[0].id
    if found.found_ns is not None or found.absent_ns is None or not found.whole:
        return found, second
    at = pk.Instant.from_seconds(second)
    for other in (one for one in feeds[1:] if is_open(one, at)):
        answer = await client.at(at, [other.id])
        if not isinstance(answer.errors.get(other.id), NotFound):
            led["by"] = other.id
            return await reach(ctx, client, other)
    return found, second


async def reach(ctx: pk.Context[Options], client: pk.BenchmarksClient, feed: pk.Feed | None) -> tuple[ArchiveReach, int]:
    """How far the archive reaches towards now, asked one second after the other; and the second that it was found at.

    Seconds at which the market was closed are left out. Begins one step nearer than it was found the last time: a service that
    is as late as before costs two requests.
    """
    steps, now = ctx.options.steps, ctx.clock.now()
    open_at = [number for number in range(len(steps)) if feed is not None and is_open(feed, now.plus(-steps[number]))]
    second = now.plus(-steps[-1]).seconds
    if feed is None or not open_at:
        return ArchiveReach(None), second
    began: dict[str, int] = ctx.state("step", lambda: {"at": len(steps) // 2})
    # The farthest of those that may be asked for is asked for in any case.
    begin, absent_ns = min(max(began["at"] - 1, 0), open_at[-1]), None
    for number in (one for one in open_at if one >= begin):
        second = now.plus(-steps[number]).seconds
        found = await client.at(pk.Instant.from_seconds(second), [feed.id])
        error = found.errors.get(feed.id)
        if not isinstance(error, NotFound):
            began["at"] = number
            return ArchiveReach(to_ns(steps[number]), absent_ns, feed.symbol or feed.id), second
        absent_ns = to_ns(steps[number])
    began["at"] = len(steps) - 1
    return ArchiveReach(None, absent_ns, feed.symbol or feed.id, whole=len(open_at) == len(steps)), second


def is_open(feed: pk.Feed, at: pk.Instant) -> bool:
    return feed.hours is None or feed.hours.is_open(at)


class Minutes:
    """Prices of a feed until the bars of their minutes are due; and the last one that was compared."""

    def __init__(self) -> None:
        self._prices: deque[tuple[int, Decimal]] = deque(maxlen=REMEMBERED)
        self.last = BarSample(0, Decimal(0), None)

    def take(self, price: PastPrice) -> None:
        self._prices.append((price.update.point.publish_time, price.update.price.decimal))

    def due(self, before_s: int) -> tuple[int, Decimal] | None:
        """The newest price whose minute ended by then, taken out together with all before it."""
        found = None
        while self._prices and (self._prices[0][0] // MINUTE + 1) * MINUTE <= before_s:
            found = self._prices.popleft()
        return found


async def compared(ctx: pk.Context[Options], client: pk.BenchmarksClient, feed: pk.Feed, minutes: Minutes) -> BarSample:
    """A price with the bar of its minute: the last such pair while no other is due."""
    due = minutes.due(ctx.clock.now().plus(-ctx.options.bars_after).seconds)
    if due is None:
        return minutes.last
    second, price = due
    start = pk.Instant.from_seconds(second // MINUTE * MINUTE)
    try:
        history = await client.chart_bars(feed.symbol, "1", start, start)
    except NotFound as error:
        sample = BarSample(second, price, None, error.message)
    except pk.errors.StatusError as error:
        if error.status != 404:
            raise
        sample = BarSample(second, price, None, error.message, served=False)
    else:
        bar = next((one for one in history.readable if one.time_s == start.seconds), None)
        sample = BarSample(second, price, bar, "" if bar else "the answer has none")
    minutes.last = sample
    return sample


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    clock, options = ctx.clock, ctx.options
    here, there = pk.Target.endpoint(options.endpoint).id, pk.Target.endpoint(options.benchmarks).id
    source, past, known = await hermes(ctx), await archive(ctx), await book(ctx)
    feeds = {target.id: target.feed for target in watched if target.feed is not None}
    for reference, error in known.unresolved.items():
        yield pk.Failure(error, here, clock.now(), reference)
    now = clock.now()
    open_ = [feed for feed in feeds.values() if is_open(feed, now)]
    longest = sorted(open_, key=lambda feed: -sum(is_open(feed, now.plus(-step)) for step in options.steps))
    try:
        found, second = await reached(ctx, past, longest)
        yield pk.Observation(found, there, clock.now(), there, 0, ctx.clock_error_ns)
    except ProbekitError as error:
        yield pk.Failure(error, there, clock.now(), there)
        found, second = ArchiveReach(None), now.plus(-options.steps[-1]).seconds
        archived: Past | None = None
    else:
        archived = {}
    at = pk.Instant.from_seconds(second)
    ids = [feed.id for feed in open_ if is_open(feed, at)]
    asked, problem = Served(source, second, clock), ""
    try:
        originals = await asked.of(ids) if ids else {}
        yield pk.Observation(LatencySample(asked.slowest_ns), here, clock.now(), here)
    except ProbekitError as error:
        yield pk.Failure(error, here, clock.now(), here)
        originals, problem = {}, error.message
    if archived is not None and ids:
        try:
            archived = proven(await past.at(at, ids))
        except NotFound:
            archived = {}
        except ProbekitError as error:
            yield pk.Failure(error, there, clock.now(), there)
            archived = None
    if archived is None:
        return  # they stand behind it
    for feed_id, feed in feeds.items():
        original, copy = originals.get(feed_id), archived.get(feed_id)
        if isinstance(copy, ProbekitError) and not isinstance(copy, NotFound):
            yield pk.Failure(copy, there, clock.now(), feed_id)
            continue
        why = original.message if isinstance(original, ProbekitError) else problem
        pair = PastPair(
            second, original if isinstance(original, PastPrice) else None, copy if isinstance(copy, PastPrice) else None, why
        )
        yield pk.Observation(pair, there, clock.now(), feed_id, 0, ctx.clock_error_ns, feed)
        if not wanted(options, feed):
            continue
        minutes = ctx.state(f"minutes {feed_id}", Minutes)
        if isinstance(original, PastPrice):
            minutes.take(original)
        chart = f"chart {feed.symbol}"
        try:
            sample = await compared(ctx, past, feed, minutes)
        except ProbekitError as error:
            yield pk.Failure(error, there, clock.now(), chart)
        else:
            yield pk.Observation(sample, there, clock.now(), chart)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "service":
        return [BarHolds(options.bar_tolerance)]
    if target.kind == "feed":
        return [PastParity(options.max_absence)]
    if target.id == pk.Target.endpoint(options.benchmarks).id:
        return [ArchiveLag(options.max_lag)]
    return [LatencyBudget(options.max_latency)]


probe = pk.Probe.poll(
    name="benchmarks_parity",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(minutes=1),
    deadline=timedelta(seconds=50),
    metrics=("archive.lag", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
