"""Is each feed's price on Hermes what the exchanges pay, by the median of several?"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

import probekit as pk
from probekit.checks import Check, FeedAccuracy, LatencyBudget, LatencySample
from probekit.checks.layers import layered, refusals
from probekit.clock import reap
from probekit.codecs.exchanges import MARKETS, VENUES, Market
from probekit.codecs.exchanges.markets import choose
from probekit.errors import ProbekitError
from probekit.model.reference_price import MarketView, MedianRule, ReferencePrice, median

RATE_SOURCES = 2
"""Exchanges that must agree on what a stand-in is worth before its prices are converted."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of some feeds; what is left out is inherited."""

    max_deviation: pk.Bps | None = None
    warn_deviation: pk.Bps | None = None
    max_deviation_confs: Decimal | None = None
    holds_for: timedelta | None = None
    min_sources: int | None = None
    max_source_age: timedelta | None = None
    max_spread: pk.Bps | None = None
    open_grace: timedelta | None = None


class Options(pk.Options, frozen=True, kw_only=True):
    endpoint: Annotated[str, pk.doc("base URL of the Hermes service")] = "https://hermes.pyth.network"
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[str, ...], pk.doc("feed ids (64 hex digits) or symbols (Crypto.BTC/USD)")]
    exchanges: Annotated[tuple[str, ...], pk.doc(f"whose median is the reference, of {', '.join(VENUES)}")] = (
        "coinbase", "kraken", "bitstamp",
    )  # fmt: skip
    base_urls: Annotated[dict[str, str], pk.doc("other hosts, by exchange")] = {}  # noqa: RUF012 - a Struct copies it
    coingecko_key: Annotated[pk.Secret | None, pk.doc("reference to CoinGecko's key")] = None
    markets: Annotated[tuple[Market, ...], pk.doc("markets beside the known ones: symbol, exchange, name there, quote")] = ()
    stand_ins: Annotated[
        tuple[str, ...], pk.doc("currencies to take where an exchange has none of the symbol's own, converted: [USDT]")
    ] = ()
    timeout: Annotated[timedelta, pk.doc("how long the exchanges, and Hermes, may take")] = timedelta(seconds=5)
    max_latency: Annotated[timedelta, pk.doc("p95 of Hermes's answers, above which it is too slow")] = timedelta(seconds=2)
    max_deviation: Annotated[pk.Bps, pk.doc("farthest from the median, of the median")] = pk.Bps.parse("50bps")
    warn_deviation: Annotated[pk.Bps | None, pk.doc("from where to warn; below max_deviation")] = None
    max_deviation_confs: Annotated[Decimal | None, pk.doc("the same in the feed's confidence intervals, to warn")] = None
    holds_for: Annotated[timedelta, pk.doc("how long it must be too far off before that is critical")] = timedelta(seconds=30)
    min_sources: Annotated[int, pk.doc("exchanges that must be left in the median")] = 3
    max_source_age: Annotated[timedelta, pk.doc("how old an exchange's price may be")] = timedelta(seconds=60)
    max_source_ages: Annotated[dict[str, timedelta], pk.doc("other ages by exchange: {coingecko: 11m}")] = {}  # noqa: RUF012
    max_spread: Annotated[pk.Bps | None, pk.doc("how far the exchanges may be apart; max_deviation unless given")] = None
    open_grace: Annotated[timedelta, pk.doc("how long after an opening nothing is held against a feed")] = timedelta(seconds=60)
    by_asset_class: Annotated[dict[str, Limits], pk.doc("other limits by asset class (crypto, fx, ...)")] = {}  # noqa: RUF012
    by_symbol: Annotated[dict[str, Limits], pk.doc("other limits by symbol, over those of the class")] = {}  # noqa: RUF012

    def __post_init__(self) -> None:
        self.require("feeds", "exchanges", "timeout", "max_latency")
        problems = [
            f"{option}: no exchange is named {name}; there are {', '.join(VENUES)}"
            for option, names in (
                ("exchanges", self.exchanges),
                ("base_urls", self.base_urls),
                ("max_source_ages", self.max_source_ages),
                ("markets", [one.exchange for one in self.markets]),
            )
            for name in names
            if name not in VENUES
        ]
        problems += self._unmapped()
        problems += [
            f"stand_ins: {RATE_SOURCES} of the exchanges must have a market for Crypto.{one}/USD to convert it, not "
            f"{len(self.listing(f'Crypto.{one}/USD'))}"
            for one in self.stand_ins
            if len(self.listing(f"Crypto.{one}/USD")) < RATE_SOURCES
        ]
        levels = {"by_asset_class": self.by_asset_class, "by_symbol": self.by_symbol}
        problems += refusals(base(self), levels, (lambda limits: accuracy(self, limits),))
        if problems:
            raise ValueError("; ".join(problems))

    def _unmapped(self) -> list[str]:
        """Symbols that fewer exchanges have a market for than must agree: they could never be judged."""
        known, problems = {one.symbol for one in self.all_markets}, []
        # Which class a symbol is of, Hermes tells later.
        wanted = [self.min_sources, *(one.min_sources for one in self.by_asset_class.values() if one.min_sources is not None)]
        for symbol in (one for one in self.feeds if not _is_id(one)):
            own = self.by_symbol.get(symbol)
            least = min(wanted) if own is None or own.min_sources is None else own.min_sources
            listed = self.listing(symbol, *self.stand_ins)
            if symbol not in known:
                near = ", ".join(difflib.get_close_matches(symbol, known, n=3)) or "none"
                problems.append(f"feeds: no market is known for {symbol!r}; nearest: {near}; markets names one")
            elif len(listed) < least:
                have = ", ".join(one.exchange for one in listed) or "none"
                problems.append(f"feeds: of the exchanges {have} have a market for {symbol}, min_sources is {least}")
        return problems

    @property
    def all_markets(self) -> tuple[Market, ...]:
        """The known markets and those of the options, which go before."""
        own = {(one.symbol, one.exchange, one.quote) for one in self.markets}
        return (*self.markets, *(one for one in MARKETS if (one.symbol, one.exchange, one.quote) not in own))

    def listing(self, symbol: str, *stand_ins: str) -> list[Market]:
        """The markets of the exchanges asked that stand for a symbol, one of each."""
        found = [choose(self.all_markets, symbol, name, stand_ins=stand_ins) for name in dict.fromkeys(self.exchanges)]
        return [one for one in found if one is not None]


def _is_id(reference: str) -> bool:
    try:
        pk.FeedId(reference)
    except ValueError:
        return False
    return True


def base(options: Options) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in msgspec.structs.fields(Limits)}


def accuracy(options: Options, limits: Mapping[str, Any]) -> Check:
    return FeedAccuracy(
        limits["max_deviation"],
        limits["warn_deviation"],
        limits["max_deviation_confs"],
        limits["holds_for"],
        limits["min_sources"],
        limits["max_source_age"],
        tuple(options.max_source_ages.items()),
        limits["max_spread"],
        limits["open_grace"],
    )


async def hermes(ctx: pk.Context[Options]) -> pk.HermesClient:
    options = ctx.options
    return await ctx.hermes(options.endpoint, api_key=options.api_key, timeout=options.timeout)


async def book(ctx: pk.Context[Options]) -> pk.FeedBook:
    client = await hermes(ctx)
    return ctx.state("book", lambda: pk.FeedBook(client, ctx.options.feeds, clock=ctx.clock))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoint = pk.Target.endpoint(ctx.options.endpoint)
    return [endpoint, *await (await book(ctx)).targets(behind=endpoint.id)]


async def views(ctx: pk.Context[Options], symbols: Sequence[str]) -> dict[str, pk.Comparison[ReferencePrice]]:
    """Symbol -> what each exchange said, in the symbol's own currency as far as that can be had."""
    options = ctx.options
    wanted = [symbol for symbol in dict.fromkeys(symbols) if options.listing(symbol, *options.stand_ins)]
    if not wanted:
        return {}
    exchanges = await ctx.hold(
        "exchanges",
        lambda: pk.ExchangesClient(
            options.exchanges,
            markets=options.all_markets,
            base_urls=options.base_urls,
            coingecko_key=options.coingecko_key,
            timeout=options.timeout,
            transport=ctx.engine(),
            observer=ctx.observer,
            clock=ctx.clock,
        ),
    )
    rated = [f"Crypto.{one}/USD" for one in options.stand_ins]
    reads = await exchanges.prices([*wanted, *(one for one in rated if one not in wanted)], stand_ins=options.stand_ins)
    rule = MedianRule(min_sources=RATE_SOURCES, max_age=options.max_source_age, max_ages=options.max_source_ages)
    rates = {}
    for stand_in, symbol in zip(options.stand_ins, rated, strict=True):
        try:
            rates[stand_in] = median(reads.prices(symbol), now=ctx.clock.now(), rule=rule).price
        except ProbekitError:
            continue  # its prices stay in the other currency, and the median names them as that
    found = {}
    for symbol in wanted:
        read = reads.of(symbol)
        values = {source: in_dollars(one, rates) for source, one in read.values.items()}
        found[symbol] = pk.Comparison(values, read.failures)
    return found


def in_dollars(price: ReferencePrice, rates: Mapping[str, Decimal]) -> ReferencePrice:
    rate = rates.get(price.quote)
    if rate is None or not price.symbol.endswith("/USD"):
        return price
    return price.converted(rate, "USD", by=f"{price.quote}/USD")


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    import asyncio

    client, endpoint, clock = await hermes(ctx), pk.Target.endpoint(ctx.options.endpoint).id, ctx.clock
    known = await book(ctx)
    feeds = {target.id: target.feed for target in watched if target.feed is not None}
    for reference, error in known.unresolved.items():
        yield pk.Failure(error, endpoint, clock.now(), reference)
    if not feeds:
        raise known.error or pk.errors.NotFound("none of the feeds is known")
    asked = asyncio.create_task(views(ctx, [feed.symbol for feed in feeds.values()]))
    began_ns = clock.monotonic_ns()
    try:
        batch = await client.latest(feeds)
        elapsed_ns = clock.monotonic_ns() - began_ns
        references = await asked
    finally:
        await reap(asked)
    now = clock.now()
    yield pk.Observation(LatencySample(elapsed_ns, "prices"), endpoint, now, endpoint, elapsed_ns)
    for feed_id, error in batch.errors.items():
        yield pk.Failure(error, endpoint, now, feed_id)
    for feed_id, update in batch.updates.items():
        feed = feeds[feed_id]
        if not feed.described:
            # Without the symbol table nobody knows what it is a price of, nor when its market is open.
            yield pk.Failure(known.error or ProbekitError("the symbol table was never read"), endpoint, now, feed_id)
            continue
        said = references.get(feed.symbol, pk.Comparison({}))
        view = MarketView(update, tuple(said.values.values()), said.failures)
        yield pk.Observation(view, endpoint, now, feed_id, 0, ctx.clock_error_ns, feed)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    feed = target.feed
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    if feed is None:
        return []
    limits = layered(base(options), options.by_asset_class.get(feed.asset_class), options.by_symbol.get(feed.symbol))
    return [accuracy(options, limits)]


probe = pk.Probe.poll(
    name="feed_accuracy",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("feed.deviation", "feed.deviation.conf", "feed.reference.sources", "feed.reference.spread", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
