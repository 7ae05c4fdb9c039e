"""Is every watched feed fresh on Hermes, by its own market hours, and is the stream that brings it alive?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

import probekit as pk
from probekit.checks import Check, ConfidenceRatio, Freshness, StreamContinuity


class Options(pk.Options, frozen=True, kw_only=True):
    endpoint: Annotated[str, pk.doc("base URL of the Hermes service")] = "https://hermes.pyth.network"
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[str, ...], pk.doc("feed ids (64 hex digits) or symbols (Crypto.BTC/USD)")]
    max_age: Annotated[timedelta, pk.doc("age at which a price is stale")] = timedelta(seconds=10)
    max_age_by_asset_class: Annotated[dict[str, timedelta], pk.doc("other limits by asset class (fx, equity, ...)")] = {}  # noqa: RUF012 - a Struct copies it
    warn_age: Annotated[timedelta | None, pk.doc("age from which to warn; below max_age")] = None
    open_grace: Annotated[timedelta, pk.doc("how long after an opening a stale price is not held against the feed")] = (
        timedelta(seconds=60)
    )
    max_conf: Annotated[pk.Bps, pk.doc("widest conf, as a part of the price")] = pk.Bps.parse("200bps")
    max_silence: Annotated[timedelta, pk.doc("how long the stream may bring nothing at all")] = timedelta(seconds=10)

    def __post_init__(self) -> None:
        self.require("feeds", "max_age", "warn_age", "max_conf", "max_silence")
        for asset_class, limit in self.max_age_by_asset_class.items():
            if limit <= timedelta(0):
                raise ValueError(f"max_age_by_asset_class: {asset_class} must be positive, not {limit}")
        if self.warn_age is not None and self.warn_age >= self.max_age:
            raise ValueError(f"warn_age must be below max_age: {self.warn_age} is not below {self.max_age}")


async def hermes(ctx: pk.Context[Options]) -> pk.HermesClient:
    options = ctx.options
    return await ctx.hermes(options.endpoint, api_key=options.api_key)


async def book(ctx: pk.Context[Options]) -> pk.FeedBook:
    client = await hermes(ctx)
    return ctx.state("book", lambda: pk.FeedBook(client, ctx.options.feeds, clock=ctx.clock))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoint = pk.Target.endpoint(ctx.options.endpoint)
    return [endpoint, *await (await book(ctx)).targets(behind=endpoint.id)]


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    client, endpoint, clock = await hermes(ctx), pk.Target.endpoint(ctx.options.endpoint).id, ctx.clock
    feeds = {target.id: target.feed for target in watched if target.feed is not None}
    for refusal in (await book(ctx)).refusals(feeds, source=endpoint):
        yield refusal
    from probekit.clients.followed import followed  # loads the client, which --help does without

    async with aclosing(followed(client, feeds, endpoint, clock=clock)) as stream:
        async for seen in stream:
            if not isinstance(seen, pk.Batch):
                yield seen
                continue
            clock_error_ns = ctx.clock_error_ns
            for feed_id, update in seen.updates.items():
                yield pk.Observation(update, endpoint, seen.received_at, feed_id, 0, clock_error_ns, feeds.get(feed_id))


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [StreamContinuity(max_silence=options.max_silence)]
    asset_class = "" if target.feed is None else target.feed.asset_class
    limit = options.max_age_by_asset_class.get(asset_class, options.max_age)
    warn = options.warn_age if options.warn_age is not None and options.warn_age < limit else None
    return [Freshness(limit, warn, options.open_grace), ConfidenceRatio(options.max_conf)]


probe = pk.Probe.watch(
    name="hermes_freshness",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=1),
    first_within=lambda options: options.max_age,
    metrics=("feed.age", "feed.age.pipeline", "feed.age.delivery", "feed.confidence_ratio", "stream.silence"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
