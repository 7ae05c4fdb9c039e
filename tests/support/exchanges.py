"""Tickers of three exchanges behind one server, round the prices of a sandbox network: what feed_accuracy compares with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qs, unquote, urlsplit

from probekit.clock import Clock
from probekit.codecs.exchanges import MARKETS, Market
from probekit.dev.network import SandboxNetwork
from probekit.dev.prices import price_at
from probekit.dev.reply import Reply
from probekit.units import Instant

NAMES = ("coinbase", "kraken", "bitstamp", "binance")


@dataclass
class Says:
    """How an exchange differs: its price by so many bps, its clock by so much, or a status instead of an answer."""

    bps: int = 0
    behind: timedelta = timedelta(0)
    status: int = 200


@dataclass
class Tickers:
    """A server without a wire; the first step of the path is the exchange. ``rate`` is dollars for a USDT."""

    network: SandboxNetwork
    says: dict[str, Says] = field(default_factory=lambda: {name: Says() for name in NAMES})
    rate: Decimal = Decimal("0.999")
    markets: tuple[Market, ...] = MARKETS
    asked: list[str] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return self.network.clock

    def urls(self, origin: str) -> dict[str, str]:
        """The options ``base_urls``."""
        return {name: f"{origin}/{name}" for name in NAMES}

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        self.asked.append(target)
        parts = urlsplit(target)
        _, name, path = parts.path.split("/", 2)
        says = self.says[name]
        if says.status != 200:
            return Reply(says.status, b'{"message": "no"}')
        now = Instant(self.network.clock.now().ns).plus(-says.behind)
        listed = {one.name: one.symbol for one in self.markets if one.exchange == name}
        if name == "coinbase":
            market = unquote(path.split("/")[1])
            stamp = now.to_datetime().isoformat()
            price = str(self.price(name, listed[market]))
            return Reply(body=json.dumps({"price": price, "bid": price, "ask": price, "time": stamp}).encode())
        if name == "kraken":
            wanted = parse_qs(parts.query)["pair"][0].split(",")
            rows = {one: {"c": [str(self.price(name, listed[one])), "1"]} for one in wanted}
            return Reply(body=json.dumps({"error": [], "result": rows}).encode())
        if name == "bitstamp":
            made = [(one, str(self.price(name, symbol))) for one, symbol in listed.items() if self.has(symbol)]
            rows_ = [{"pair": one, "last": price, "timestamp": str(now.seconds)} for one, price in made]
            return Reply(body=json.dumps(rows_).encode())
        symbols = json.loads(parse_qs(parts.query)["symbols"][0])
        quotes = [
            {"symbol": one, "lastPrice": str(self.price(name, listed[one]) / self.rate), "closeTime": now.ns // 10**6}
            for one in symbols
        ]
        return Reply(body=json.dumps(quotes).encode())

    def has(self, symbol: str) -> bool:
        return symbol == "Crypto.USDT/USD" or any(one.feed.symbol == symbol for one in self.network.markets)

    def price(self, name: str, symbol: str) -> Decimal:
        """What an exchange says: the network's own price of now, and its difference."""
        if symbol == "Crypto.USDT/USD":
            return self.rate
        market = self.network.market(symbol)
        mantissa = price_at(market, self.network.seed, self.network.published_ns(self.network.clock.now()))
        exact = Decimal(mantissa).scaleb(market.expo) * (10_000 + self.says[name].bps) / 10_000
        return exact.quantize(Decimal("0.000001"))
