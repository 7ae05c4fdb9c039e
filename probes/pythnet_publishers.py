"""Does every publisher of every feed on Pythnet publish, near the aggregate, with a price that moves when the market does?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

import probekit as pk
from probekit.checks import (
    Check,
    FeedOffline,
    LatencyBudget,
    PublisherConfidence,
    PublisherMargin,
    PublisherOffline,
    PublisherPrice,
    PublisherScore,
    PublisherStalled,
    PublisherWithinConfidence,
)
from probekit.checks.layers import layered, refusals
from probekit.clients.pythnet_book import PythnetBook
from probekit.clients.pythnet_options import PythnetOptions, reading
from probekit.model.pythnet import PriceColumns

Own = tuple[tuple[pk.Pubkey, Any], ...]
"""Checks of publishers that have limits of their own."""


class PublisherLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of some publishers; what is left out is inherited."""

    offline_slots: int | None = None
    abandoned_slots: int | None = None
    abandoned_warns: bool | None = None
    open_grace: timedelta | None = None
    max_distance: pk.Bps | None = None
    max_confs: Decimal | None = None
    min_conf: pk.Bps | None = None
    max_conf: pk.Bps | None = None
    stall: timedelta | None = None
    noise: pk.Bps | None = None
    min_score: Decimal | None = None


class Limits(PublisherLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of some feeds; what is left out is inherited."""

    feed_offline_slots: int | None = None
    feed_abandoned_slots: int | None = None
    min_margin: int | None = None
    score_window: timedelta | None = None


class Options(PythnetOptions, frozen=True, kw_only=True):
    publishers: Annotated[dict[str, pk.Pubkey], pk.doc("publishers' names, each with its key")] = {}  # noqa: RUF012 - a Struct copies it
    offline_slots: Annotated[int, pk.doc("slots without a quote from which a publisher is offline")] = 25
    abandoned_slots: Annotated[int, pk.doc("slots beyond which it has abandoned the feed; above offline_slots")] = 10_000
    abandoned_warns: Annotated[bool, pk.doc("abandoned is WARNING, not CRITICAL")] = False
    open_grace: Annotated[timedelta, pk.doc("how long after an opening nothing is held against anyone")] = timedelta(seconds=60)
    max_distance: Annotated[pk.Bps, pk.doc("farthest from the aggregate, beyond the publisher's own conf")] = pk.Bps.parse(
        "500bps"
    )
    max_confs: Annotated[Decimal, pk.doc("the aggregate's confidence intervals from which a price is outside")] = Decimal(20)
    min_conf: Annotated[pk.Bps, pk.doc("conf at or below which it is too narrow to be true")] = pk.Bps.parse("0bps")
    max_conf: Annotated[pk.Bps | None, pk.doc("widest conf, as a part of the price")] = None
    stall: Annotated[timedelta, pk.doc("how long a price may stand still while the aggregate moves")] = timedelta(seconds=120)
    noise: Annotated[pk.Bps, pk.doc("movement that still counts as standing still")] = pk.Bps.parse("1bps")
    min_score: Annotated[Decimal, pk.doc("score below which to warn, 0 to 1")] = Decimal("0.6")
    score_window: Annotated[timedelta, pk.doc("what a score is over")] = timedelta(hours=1)
    feed_offline_slots: Annotated[int, pk.doc("slots without an aggregate from which a feed is offline")] = 120
    feed_abandoned_slots: Annotated[int, pk.doc("slots beyond which it is abandoned; above feed_offline_slots")] = 100_000
    min_margin: Annotated[int, pk.doc("publishers to spare below which to warn")] = 1
    by_asset_class: Annotated[dict[str, Limits], pk.doc("other limits by asset class (crypto, fx, ...)")] = {}  # noqa: RUF012
    by_symbol: Annotated[dict[str, Limits], pk.doc("other limits by symbol, over those of the class")] = {}  # noqa: RUF012
    by_publisher: Annotated[dict[str, PublisherLimits], pk.doc("other limits by name or key, over those of the feed")] = {}  # noqa: RUF012

    def __post_init__(self) -> None:
        problems = self.problems(self.by_asset_class)
        if len(set(self.publishers.values())) < len(self.publishers):
            problems.append("publishers: two names have one key")
        for name in self.by_publisher:
            if key_of(self, name) is None:
                known = ", ".join(self.publishers) or "none"
                problems.append(f"by_publisher.{name}: neither a key nor one of publishers ({known})")
        levels: dict[str, Mapping[str, msgspec.Struct]] = {
            "by_asset_class": self.by_asset_class,
            "by_symbol": self.by_symbol,
            "by_publisher": self.by_publisher,
        }
        makers = (feed_offline, margin, *PUBLISHER_CHECKS)
        problems += refusals(base(self), levels, makers)
        if problems:
            raise ValueError("; ".join(problems))


def base(options: Options) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in msgspec.structs.fields(Limits)}


def key_of(options: Options, name: str) -> pk.Pubkey | None:
    """The key of a publisher written by name or by key."""
    if name in options.publishers:
        return options.publishers[name]
    try:
        return pk.Pubkey(name)
    except ValueError:
        return None


def feed_offline(limits: Mapping[str, Any]) -> Check:
    return FeedOffline(
        limits["feed_offline_slots"], limits["feed_abandoned_slots"], limits["open_grace"], limits["abandoned_warns"]
    )


def margin(limits: Mapping[str, Any]) -> Check:
    return PublisherMargin(limits["min_margin"])


def offline(limits: Mapping[str, Any], own: Own = ()) -> Check:
    return PublisherOffline(
        limits["offline_slots"], limits["abandoned_slots"], limits["open_grace"], limits["abandoned_warns"], own
    )


def price(limits: Mapping[str, Any], own: Own = ()) -> Check:
    return PublisherPrice(limits["max_distance"], own)


def within_confidence(limits: Mapping[str, Any], own: Own = ()) -> Check:
    return PublisherWithinConfidence(limits["max_confs"], own)


def confidence(limits: Mapping[str, Any], own: Own = ()) -> Check:
    return PublisherConfidence(limits["min_conf"], limits["max_conf"], own)


def stalled(limits: Mapping[str, Any], own: Own = ()) -> Check:
    return PublisherStalled(limits["stall"], limits["noise"], limits["offline_slots"], per_publisher=own)


def score(limits: Mapping[str, Any], own: Own = ()) -> Check:
    return PublisherScore(limits["min_score"], limits["score_window"], per_publisher=own)


PUBLISHER_CHECKS: tuple[Callable[..., Check], ...] = (offline, price, within_confidence, confidence, stalled, score)


async def book(ctx: pk.Context[Options]) -> PythnetBook[PriceColumns]:
    options = ctx.options
    solana = await ctx.solana(options.network, options.endpoints, genesis_hash=options.genesis_hash, timeout=options.timeout)
    return ctx.state(
        "book",
        lambda: PythnetBook(
            pk.PythnetClient(solana, options.deployment),
            options.feeds,
            PriceColumns,
            clock=ctx.clock,
            names=options.publishers,
            expected=options.by_symbol,
            listing_every=options.listing_every,
            timeout=options.timeout,
        ),
    )


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoint = pk.Target.endpoint(ctx.options.endpoints[0])
    return [endpoint, *await (await book(ctx)).read(behind=endpoint.id)]


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    known, endpoint = await book(ctx), watched[0].id
    now = ctx.clock.now()
    for told in reading(known, endpoint, clock=ctx.clock):
        yield told
    clock_error_ns = ctx.clock_error_ns
    for target, account in known.accounts:
        sheet = known.sheet(target, account, now)
        yield pk.Observation(sheet, endpoint, now, target.id, 0, clock_error_ns, target.feed)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    feed = target.feed
    if feed is None:
        return []
    layers = (options.by_asset_class.get(feed.asset_class), options.by_symbol.get(feed.symbol))
    limits = layered(base(options), *layers)
    others = [(key_of(options, name), layered(limits, layer)) for name, layer in options.by_publisher.items()]

    def made(make: Callable[..., Check]) -> Check:
        return make(limits, tuple((key, make(own)) for key, own in others))

    return [feed_offline(limits), margin(limits), *map(made, PUBLISHER_CHECKS)]


probe = pk.Probe.poll(
    name="pythnet_publishers",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("feed.slot_lag", "feed.publishers.margin", "feed.publishers.score", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
