"""Does every feed on Pythnet aggregate, near its reference, with a confidence that means something and publishers to spare?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

import probekit as pk
from probekit.checks import (
    AggregateConfidence,
    AggregateDeviation,
    Check,
    ConfidenceRatio,
    Deviation,
    FeedOffline,
    LatencyBudget,
    PublisherMargin,
)
from probekit.checks.layers import layered, refusals
from probekit.clients.exchanges import ExchangesClient
from probekit.clients.pythnet_book import PythnetBook
from probekit.clients.pythnet_options import PythnetOptions, reading
from probekit.codecs.exchanges import MARKETS, VENUES
from probekit.errors import ProbekitError
from probekit.model import PricePoint
from probekit.model.pythnet import PriceHead
from probekit.model.reference_price import MedianRule, median

QUOTED = frozenset(market.symbol for market in MARKETS)
"""Symbols that an exchange has a market for."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of some feeds; what is left out is inherited."""

    max_slots: int | None = None
    abandoned_slots: int | None = None
    abandoned_warns: bool | None = None
    open_grace: timedelta | None = None
    max_conf: pk.Bps | None = None
    min_conf: pk.Bps | None = None
    min_margin: int | None = None
    max_deviation: pk.Bps | None = None
    max_deviation_confs: Decimal | None = None


class Options(PythnetOptions, frozen=True, kw_only=True):
    max_slots: Annotated[int, pk.doc("slots without an aggregate from which a feed is offline")] = 120
    abandoned_slots: Annotated[int, pk.doc("slots beyond which it is abandoned; above max_slots")] = 100_000
    abandoned_warns: Annotated[bool, pk.doc("abandoned is WARNING, not CRITICAL")] = False
    open_grace: Annotated[timedelta, pk.doc("how long after an opening nothing is held against a feed")] = timedelta(seconds=60)
    max_conf: Annotated[pk.Bps, pk.doc("widest conf, as a part of the price")] = pk.Bps.parse("200bps")
    min_conf: Annotated[pk.Bps, pk.doc("conf at or below which it is too narrow to be true")] = pk.Bps.parse("0bps")
    min_margin: Annotated[int, pk.doc("publishers to spare below which to warn")] = 1
    reference_exchanges: Annotated[tuple[str, ...], pk.doc(f"whose median is the reference: {', '.join(VENUES)}")] = ()
    min_sources: Annotated[int, pk.doc("exchanges that must agree on a reference")] = 2
    max_deviation: Annotated[pk.Bps, pk.doc("farthest from the reference")] = pk.Bps.parse("500bps")
    max_deviation_confs: Annotated[Decimal | None, pk.doc("the same in confidence intervals, to warn")] = None
    by_asset_class: Annotated[dict[str, Limits], pk.doc("other limits by asset class (crypto, fx, ...)")] = {}  # noqa: RUF012 - a Struct copies it
    by_symbol: Annotated[dict[str, Limits], pk.doc("other limits by symbol, over those of the class")] = {}  # noqa: RUF012

    def __post_init__(self) -> None:
        problems = self.problems(self.by_asset_class)
        if unknown := sorted(set(self.reference_exchanges) - set(VENUES)):
            problems.append(f"reference_exchanges: no exchange is named {', '.join(unknown)}; there are {', '.join(VENUES)}")
        if self.min_sources < 1:
            problems.append("min_sources must be at least 1")
        levels = {"by_asset_class": self.by_asset_class, "by_symbol": self.by_symbol}
        problems += refusals(base(self), levels, (offline, confidence, margin, deviation))
        if problems:
            raise ValueError("; ".join(problems))


def base(options: Options) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in msgspec.structs.fields(Limits)}


def offline(limits: Mapping[str, Any]) -> Check:
    return FeedOffline(limits["max_slots"], limits["abandoned_slots"], limits["open_grace"], limits["abandoned_warns"])


def confidence(limits: Mapping[str, Any]) -> Check:
    return AggregateConfidence(ConfidenceRatio(limits["max_conf"], None, limits["min_conf"]))


def margin(limits: Mapping[str, Any]) -> Check:
    return PublisherMargin(limits["min_margin"])


def deviation(limits: Mapping[str, Any]) -> Check:
    rule = Deviation(limits["max_deviation"], "pythnet", "reference", max_confs=limits["max_deviation_confs"])
    return AggregateDeviation(rule)


async def book(ctx: pk.Context[Options]) -> PythnetBook[PriceHead]:
    options = ctx.options
    solana = await ctx.solana(options.network, options.endpoints, genesis_hash=options.genesis_hash, timeout=options.timeout)
    return ctx.state(
        "book",
        lambda: PythnetBook(
            pk.PythnetClient(solana, options.deployment),
            options.feeds,
            PriceHead,
            clock=ctx.clock,
            expected=options.by_symbol,
            listing_every=options.listing_every,
            timeout=options.timeout,
        ),
    )


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoint = pk.Target.endpoint(ctx.options.endpoints[0])
    return [endpoint, *await (await book(ctx)).read(behind=endpoint.id)]


async def references(ctx: pk.Context[Options], symbols: Sequence[str]) -> dict[str, pk.PriceUpdate | ProbekitError]:
    """Symbol -> the median of the exchanges, or why there is none."""
    wanted = [symbol for symbol in symbols if symbol in QUOTED]
    if not ctx.options.reference_exchanges or not wanted:
        return {}
    exchanges = await ctx.hold(
        "exchanges",
        lambda: ExchangesClient(
            ctx.options.reference_exchanges, transport=ctx.engine(), observer=ctx.observer, clock=ctx.clock
        ),
    )
    reads = await exchanges.prices(wanted)
    made: dict[str, pk.PriceUpdate | ProbekitError] = {}
    for symbol in wanted:
        try:
            middle = median(reads.prices(symbol), now=ctx.clock.now(), rule=MedianRule(min_sources=ctx.options.min_sources))
        except ProbekitError as error:
            made[symbol] = error
            continue
        price = price_of(middle.price)
        point = PricePoint(price.mantissa, 0, price.expo, ctx.clock.now().seconds)
        made[symbol] = pk.PriceUpdate("", point, point)
    return made


def price_of(number: Decimal) -> pk.Price:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    return pk.Price((-1 if sign else 1) * int("".join(map(str, digits))), exponent)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    known, endpoint = await book(ctx), watched[0].id
    now = ctx.clock.now()
    for told in reading(known, endpoint, clock=ctx.clock):
        yield told
    accounts = list(known.accounts)
    prices = await references(ctx, [target.feed.symbol for target, _ in accounts if target.feed is not None])
    for target, account in accounts:
        feed = known.feed(target, account, now)
        reference = prices.get(feed.symbol)
        if isinstance(reference, ProbekitError):
            feed = msgspec.structs.replace(feed, reference_error=reference)
        elif reference is not None:
            feed = msgspec.structs.replace(feed, reference=reference)
        yield pk.Observation(feed, endpoint, now, target.id, 0, ctx.clock_error_ns, target.feed)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    feed = target.feed
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    if feed is None:
        return []
    limits = layered(base(options), options.by_asset_class.get(feed.asset_class), options.by_symbol.get(feed.symbol))
    made = [offline(limits), confidence(limits), margin(limits)]
    if options.reference_exchanges and feed.symbol in QUOTED:
        made.append(deviation(limits))
    return made


probe = pk.Probe.poll(
    name="pythnet_feeds",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=(
        "feed.slot_lag",
        "feed.confidence_ratio",
        "feed.publishers.margin",
        "feed.deviation",
        "feed.deviation.conf",
        "latency",
    ),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
