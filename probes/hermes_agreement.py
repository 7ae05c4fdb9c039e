"""Do several Hermes endpoints serve the same signed bytes, and how far apart are they?"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import probekit as pk
from probekit.checks import Agreement, Check, SignedPoint, StreamContinuity
from probekit.clients.signed import points_of
from probekit.errors import DecodeError, ProbekitError, StreamClosed

if TYPE_CHECKING:
    import asyncio

HISTORY = 32
"""Signed points kept per feed and endpoint: how far apart two endpoints may be and still share a slot."""


class Options(pk.Options, frozen=True, kw_only=True):
    endpoints: Annotated[tuple[str, ...], pk.doc("base URLs of at least two Hermes services")]
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[str, ...], pk.doc("feed ids (64 hex digits) or symbols (Crypto.BTC/USD)")]
    max_delay: Annotated[timedelta, pk.doc("how far an endpoint may be behind the newest")] = timedelta(seconds=5)
    max_silence: Annotated[timedelta, pk.doc("how long a stream may bring nothing at all")] = timedelta(seconds=10)

    def __post_init__(self) -> None:
        self.require("feeds", "max_delay", "max_silence")
        if len(set(self.endpoints)) < 2:
            raise ValueError("agreement needs at least two different endpoints")


async def client(ctx: pk.Context[Options], endpoint: str) -> pk.HermesClient:
    return await ctx.hermes(endpoint, api_key=ctx.options.api_key)


async def book(ctx: pk.Context[Options]) -> pk.FeedBook:
    first = await client(ctx, ctx.options.endpoints[0])
    return ctx.state("book", lambda: pk.FeedBook(first, ctx.options.feeds, clock=ctx.clock))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoints = [pk.Target.endpoint(url) for url in ctx.options.endpoints]
    return [*endpoints, *await (await book(ctx)).targets()]


def signed_points(batch: pk.Batch) -> dict[str, SignedPoint]:
    """Feed id -> its signed price message in this batch. Raises ``DecodeError``."""
    return dict(point for raw in batch.signed_bytes() for point in points_of(raw))


class Histories:
    """What every endpoint said lately of every feed."""

    def __init__(self) -> None:
        self._points: dict[str, dict[str, deque[SignedPoint]]] = defaultdict(dict)
        self.failures: dict[str, ProbekitError] = {}

    def take(self, endpoint: str, points: dict[str, SignedPoint]) -> None:
        self.failures.pop(endpoint, None)
        for feed_id, point in points.items():
            self._points[feed_id].setdefault(endpoint, deque(maxlen=HISTORY)).appendleft(point)

    def fail(self, endpoint: str, error: ProbekitError) -> None:
        """Forget what a lost endpoint said: it is absent now, not behind."""
        self.failures[endpoint] = error
        for by_endpoint in self._points.values():
            by_endpoint.pop(endpoint, None)

    def comparison(self, feed_id: str) -> pk.Comparison[tuple[SignedPoint, ...]]:
        values = {endpoint: tuple(points) for endpoint, points in self._points[feed_id].items()}
        return pk.Comparison(values, dict(self.failures))


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    import asyncio

    feeds = [target.id for target in watched if target.feed is not None]
    for refusal in (await book(ctx)).refusals(feeds, source=""):
        yield refusal
    histories = Histories()
    merged: asyncio.Queue[pk.Observation[Any] | pk.Failure] = asyncio.Queue(maxsize=10_000)

    async def follow(url: str) -> None:
        stream = (await client(ctx, url)).stream(feeds)
        endpoint = pk.Target.endpoint(url).id
        opened_at, last_at = ctx.clock.now(), None
        async with aclosing(stream.events()) as events:
            async for event in events:
                at = ctx.clock.now()
                problem: ProbekitError | None = None
                if isinstance(event, pk.Batch):
                    last_at = event.received_at
                    try:
                        histories.take(endpoint, signed_points(event))
                    except DecodeError as error:
                        problem = error
                else:
                    problem = event.error
                    for feed_id, refusal in stream.errors.items():
                        await merged.put(pk.Failure(refusal, endpoint, at, feed_id))
                if problem is not None:
                    histories.fail(endpoint, problem)
                if problem is not None and not isinstance(problem, StreamClosed):
                    await merged.put(pk.Failure(problem, endpoint, at, endpoint))
                else:
                    state = stream.state(
                        connected=problem is None,
                        opened_at=opened_at,
                        last_event_at=last_at,
                        reason="" if problem is None else problem.message,
                    )
                    await merged.put(pk.Observation(state, endpoint, at, endpoint))
                for one in feeds if not isinstance(event, pk.Batch) else tuple(event):
                    if one not in stream.errors:
                        await merged.put(pk.Observation(histories.comparison(one), "streams", at, one))

    async with asyncio.TaskGroup() as group:
        followers = [group.create_task(follow(url)) for url in ctx.options.endpoints]
        try:
            while True:
                yield await merged.get()
        finally:
            for follower in followers:
                follower.cancel()


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [StreamContinuity(max_silence=options.max_silence)]
    return [Agreement(options.max_delay)]


probe = pk.Probe.watch(
    name="hermes_agreement",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=1),
    first_within=lambda options: options.max_silence,
    metrics=("agreement.slot_delay", "agreement.delay", "stream.silence"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
