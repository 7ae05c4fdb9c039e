"""A Benchmarks service that answers from a table: proofs are a sandbox's own, all else is as the service documents it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from probekit.clients.benchmarks import BenchmarksClient
from probekit.codecs.hermes import encode_prices
from probekit.dev.network import SandboxNetwork
from probekit.errors import DeadlineExceeded
from probekit.model import FeedId, PricePoint, PriceUpdate, UpdateMetadata
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.retry import NO_RETRY
from probekit.units import NS_PER_S

URL = "https://past.test"
NOBODY = FeedId("ab" * 32)
BARS = {
    "s": "ok",
    "t": [1684127160, 1684127220],
    "o": ["27281.83", "27297.19886"],
    "h": ["27296.75", "27300.03417102"],
    "l": ["27279.24580449", "27292.33027595"],
    "c": ["27296.35698548", "27294.0"],
    "v": ["0", "0"],
}
SYMBOL = {
    "name": "BTCUSD",
    "description": "BITCOIN / US DOLLAR",
    "session": "24x7",
    "ticker": "Crypto.BTC/USD",
    "has_intraday": True,
    "timezone": "Etc/UTC",
    "minmov": 1,
    "pricescale": 100000000,
    "supported_resolutions": ["1", "D"],
    "exchange": "PYTH",
}
CONFIG = {"supported_resolutions": ["1", "2", "D"], "supports_search": True, "supports_marks": False}
MATCH = {
    "description": "BITCOIN CASH / US DOLLAR",
    "exchange": "PYTH",
    "full_name": "Crypto.BCH/USD",
    "symbol": "BCHUSD",
    "ticker": "Crypto.BCH/USD",
    "type": "crypto",
}


def numbers(table: dict[str, Any]) -> bytes:
    """A table of bars as JSON whose numbers are written as they stand here."""
    columns = {name: "[" + ",".join(str(cell) for cell in cells) + "]" for name, cells in table.items() if name != "s"}
    rest = "".join(f',"{name}":{cells}' for name, cells in columns.items())
    return f'{{"s":"{table["s"]}"{rest}}}'.encode()


class Archive:
    """The service, its client on a fake clock, and what it was asked."""

    def __init__(self, feeds: int = 4, **client: Any) -> None:
        self.clock = FakeClock()
        self.network = SandboxNetwork(feeds=feeds, clock=self.clock, publish_every=timedelta(seconds=1))
        self.ids = [market.feed.id for market in self.network.markets]
        self.unknown: set[str] = set()
        self.bodies: dict[str, bytes] = {
            "/v1/shims/tradingview/config": json.dumps(CONFIG).encode(),
            "/v1/shims/tradingview/symbols": json.dumps(SYMBOL).encode(),
            "/v1/shims/tradingview/search": json.dumps([MATCH]).encode(),
            "/v1/shims/tradingview/history": numbers(BARS),
        }
        self.fault: Response | Exception | None = None
        self.hangs = False
        self.transport = ReplyTransport(self.answer)
        self.client = BenchmarksClient(URL, transport=self.transport, clock=self.clock, **({"retry": NO_RETRY} | client))

    @property
    def asked(self) -> list[str]:
        """Path and query of each request."""
        return [request.url.removeprefix(URL) for request in self.transport.requests]

    async def answer(self, request: Request) -> Response | Exception:
        if self.hangs:
            assert request.deadline_ns is not None
            await self.clock.sleep_until_ns(request.deadline_ns)
            return DeadlineExceeded(f"{request.shown_url}: no answer", phase="first_byte")
        if self.fault is not None:
            return self.fault
        parts = urlsplit(request.url)
        ids = parse_qs(parts.query).get("ids", [])
        if parts.path in self.bodies:
            return reply(200, self.bodies[parts.path], clock=self.clock)
        match parts.path.strip("/").split("/"):
            case ["v1", "updates", "price", time]:
                refused = self.unknown.intersection(ids)
                if refused:
                    return reply(404, f"Price update for the given ids {ids} and timestamp {time} not found.", clock=self.clock)
                return reply(200, self.update(int(time), ids), clock=self.clock)
            case ["v1", "updates", "price", time, interval]:
                moments = range(int(time), int(time) + int(interval) + 1)
                body = b"[" + b",".join(self.update(moment, ids) for moment in moments) + b"]"
                return reply(200, body, clock=self.clock)
            case ["v1", "price_feeds"]:
                return reply(200, json.dumps([self.feed(one) for one in self.ids]), clock=self.clock)
            case ["v1", "price_feeds", one] if one in self.ids:
                return reply(200, json.dumps(self.feed(one)), clock=self.clock)
        return reply(404, '{"detail":"Not Found"}', clock=self.clock)

    def feed(self, feed_id: str) -> dict[str, Any]:
        market = self.network.market(feed_id)
        return {
            "id": feed_id,
            "market_hours": {"is_open": True, "next_open": 1686749400, "next_close": None},
            "attributes": dict(market.feed.attributes),
        }

    def update(self, seconds: int, ids: Sequence[str]) -> bytes:
        """Signed updates of that time, and what they say."""
        slot = self.network.slot(seconds * NS_PER_S)
        wanted = [number for number, market in enumerate(self.network.markets) if market.feed.id in ids]
        raw = slot.signed.update(wanted)
        found = []
        for number in wanted:
            message = self.network.message(self.network.markets[number], seconds * NS_PER_S)
            point = PricePoint(message.price, message.conf, message.expo, message.publish_time)
            ema = PricePoint(message.ema_price, message.ema_conf, message.expo, message.publish_time)
            metadata = UpdateMetadata(None, seconds + 1, message.prev_publish_time)
            found.append(PriceUpdate(message.feed_id, point, ema, metadata))
        return encode_prices(found, [raw])
