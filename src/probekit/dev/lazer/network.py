"""Feeds, prices and keys that the routers of a sandbox share: a pure function of (seed, feed, time)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from probekit.codecs.lazer import envelope
from probekit.codecs.lazer.messages import IgnoredFeeds, PriceRequest
from probekit.dev.prices import Market, markets, price_at
from probekit.model.lazer import Channel, Envelope, FeedProperty, FeedValues, LazerPayload, LazerUpdate, TradingSession
from probekit.trust.lazer import LazerSigners
from probekit.trust.lazer_signing import LazerSigning
from probekit.units import NS_PER_US, Instant

_PUBLISHERS: Final = 16


class LazerNetwork:
    """``feeds`` of them, numbered from 1; the same seed makes the same keys and prices.

    Raises ``ConfigError`` without the extra ``lazer``.
    """

    def __init__(self, *, feeds: int = 8, seed: int = 1) -> None:
        self.seed = seed
        self.signing = LazerSigning.generate(f"probekit sandbox routers {seed}".encode())
        self._stranger = LazerSigning.generate(f"a stranger to the routers {seed}".encode())
        self.markets: dict[int, Market] = dict(enumerate(markets(feeds), start=1))
        self._by_symbol = {market.feed.symbol: number for number, market in self.markets.items()}

    @property
    def signers(self) -> LazerSigners:
        """Those that verify what the routers sign."""
        return self.signing.signers()

    def sorted_out(self, request: PriceRequest, refused: Iterable[int]) -> tuple[list[int], IgnoredFeeds]:
        """The feeds of a request that can be had, and those that cannot."""
        found, unknown, symbols, left = [], [], [], []
        for named in request.feeds:
            number = self._by_symbol.get(named) if isinstance(named, str) else named
            if number is None:
                symbols.append(str(named))
            elif number not in self.markets:
                unknown.append(number)
            elif number in refused:
                left.append(number)
            else:
                found.append(number)
        return found, IgnoredFeeds(tuple(unknown), tuple(symbols), not_entitled=tuple(left))

    def values(self, number: int, at_us: int, properties: Iterable[FeedProperty], made: Instant | None = None) -> FeedValues:
        """A feed at a time; ``made`` is when its price was, for one that is only sent again."""
        market, at = self.markets[number], Instant(at_us * NS_PER_US)
        hours = market.feed.hours
        is_open = hours is None or hours.is_open(at)
        if made is None:
            since = None if is_open or hours is None else hours.session(at).since
            made = at if since is None else since
        price = price_at(market, self.seed, made.ns)
        every = FeedValues(
            number,
            price_mantissa=price,
            best_bid_mantissa=price - price // 10_000 - 1,
            best_ask_mantissa=price + price // 10_000 + 1,
            publisher_count=_PUBLISHERS,
            expo=market.expo,
            conf_mantissa=max(price // 4_000, 1),
            market_session=TradingSession.REGULAR if is_open else TradingSession.CLOSED,
            ema_price_mantissa=price_at(market, self.seed, made.ns - 60 * 10**9),
            ema_conf_mantissa=max(price // 3_500, 1),
            feed_update_timestamp_us=made.ns // NS_PER_US,
        )
        served = tuple(properties)
        return FeedValues(number, served, **{which.field: every.value(which) for which in served})

    def update(
        self,
        request: PriceRequest,
        feeds: Iterable[int],
        at_us: int,
        *,
        frozen: Mapping[int, Instant],
        forged: bool = False,
        subscription_id: int | None = None,
    ) -> LazerUpdate:
        """What a router tells of some feeds at a time, in the forms that were asked for."""
        values = tuple(self.values(number, at_us, request.properties, frozen.get(number)) for number in feeds)
        return self.signed(LazerPayload(at_us, request.channel.number, values), request, forged, subscription_id)

    def signed(
        self, payload: LazerPayload, request: PriceRequest, forged: bool = False, subscription_id: int | None = None
    ) -> LazerUpdate:
        """A payload in the forms of a request."""
        signing = self._stranger if forged else self.signing
        binary = {form: signing.sign(payload, form) for form in request.formats}
        return LazerUpdate(payload if request.parsed else None, dict(binary), subscription_id)

    def reduced(self, update: LazerUpdate, feeds: Iterable[int]) -> LazerUpdate:
        """The same with some feeds only, signed anew. Raises ``ValueError`` where a part is broken."""
        kept = set(feeds)
        binary: dict[Any, Any] = {}
        for form, part in update.binary.items():
            if not isinstance(part, Envelope):
                raise ValueError(f"{form}: {part}")
            binary[form] = self.signing.sign(_only(envelope.content(part), kept), form)
        parsed = update.parsed
        return LazerUpdate(_only(parsed, kept) if isinstance(parsed, LazerPayload) else None, binary)

    def symbols(self) -> list[dict[str, Any]]:
        """The symbol table as the history service writes it."""
        return [_entry(number, market) for number, market in self.markets.items()]


def _only(payload: LazerPayload, kept: set[int]) -> LazerPayload:
    feeds = tuple(feed for feed in payload.feeds if isinstance(feed, FeedValues) and feed.feed_id in kept)
    return LazerPayload(payload.timestamp_us, payload.channel_id, feeds)


def _entry(number: int, market: Market) -> dict[str, Any]:
    feed = market.feed
    session = {"min_pub": 3, "schedule": feed.schedule, "state": "stable"}
    return {
        "pyth_lazer_id": number,
        "name": feed.symbol.rpartition(".")[2].replace("/", ""),
        "symbol": feed.symbol,
        "description": f"sandbox {feed.symbol}",
        "asset_type": feed.asset_class,
        "instrument_type": "spot",
        "quote_currency": feed.symbol.rpartition("/")[2],
        "exponent": market.expo,
        "min_publishers": 3,
        "min_channel": str(Channel.REAL_TIME),
        "state": "stable",
        "interval": None,
        "hermes_id": str(feed.id),
        "schedule": feed.schedule,
        "market_sessions": {"regular": session},
        "groups": [],
    }
