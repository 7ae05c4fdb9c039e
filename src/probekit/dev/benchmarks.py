"""A sandbox Benchmarks beside a sandbox Hermes: the past of one network, second by second, with faults.

Routes as :mod:`probekit.clients.benchmarks` names them. It keeps the first update of each second, as Hermes's
``benchmarks_only`` picks them, and has a second only some time after it has passed. Faults of feeds and of price routes are
those of the sandbox Hermes; ``Lag`` makes it later still.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from probekit.dev import query as queries
from probekit.dev.network import SandboxNetwork
from probekit.dev.prices import Market
from probekit.dev.query import PriceQuery
from probekit.dev.reply import Reply, text
from probekit.dev.sandbox import Sandbox
from probekit.model import FeedId
from probekit.secret import Secret
from probekit.units import NS_PER_S, Instant, to_ns

__all__ = ["SandboxBenchmarks"]

_LONGEST_S: Final = 60
_MINUTE_S: Final = 60
_BARS_AT_ONCE: Final = 500
_CHARTS: Final = "/v1/shims/tradingview/"


class SandboxBenchmarks(Sandbox):
    """``available_after`` is how long a second takes until it is there. Without ``charts`` the TradingView routes are 404, as
    the public service's were reported to be.
    """

    def __init__(
        self,
        network: SandboxNetwork,
        *,
        api_key: Secret | None = None,
        available_after: timedelta = timedelta(seconds=5),
        charts: bool = True,
    ) -> None:
        super().__init__(network, api_key=api_key)
        self.available_after = available_after
        self.charts = charts
        self.bar_offset = 0
        """Added to every value of every bar, in mantissas: charts that are wrong."""

    def _is_priced(self, path: str) -> bool:
        return path.startswith("/v1/updates/")

    def _route(self, path: str, query: list[tuple[str, str]]) -> Reply:
        if path == "/v1/price_feeds/":
            return self._feeds(dict(query))
        if path.startswith(_CHARTS) and self.charts:
            return self._chart(path.removeprefix(_CHARTS), dict(query))
        parts = path.removeprefix("/v1/updates/price/").split("/")
        if not path.startswith("/v1/updates/price/") or not all(part.isascii() and part.isdigit() for part in parts):
            return Reply(404, b'{"detail":"Not Found"}')
        asked = queries.parse([("ids[]" if name == "ids" else name, value) for name, value in query])
        match [int(part) for part in parts]:
            case [second]:
                return self._second(asked, second)
            case [second, length] if length <= _LONGEST_S:
                return self._window(asked, second, length)
        return Reply(422, b'{"detail":"interval must be at most 60"}')

    # -- prices --------------------------------------------------------------------------------------------------------------

    def _pick(self, market: Market, second: int) -> int | None:
        """When the first slot of a second was published; ``None`` for one that is not there (yet), or brought nothing new."""
        every_ns = self.network.every_ns
        published_ns = -(-second * NS_PER_S // every_ns) * every_ns
        newest_ns = self._published_ns() - to_ns(self.available_after)
        while published_ns <= newest_ns and published_ns // NS_PER_S == second:
            if self.network.message(market, published_ns).publish_time == second:
                return published_ns
            published_ns += every_ns
        return None

    def _picks(self, ids: tuple[FeedId, ...], second: int) -> list[tuple[FeedId, int]]:
        found = [(one, self._pick(self.network.market(one), second)) for one in ids]
        return [(one, published_ns) for one, published_ns in found if published_ns is not None]

    def _second(self, query: PriceQuery, second: int) -> Reply:
        ids = self._known(query)
        if isinstance(ids, Reply):
            return ids
        picks = self._picks(ids, second)
        if len(picks) < len(ids):
            # One that is not there refuses all, and is not named.
            return text(404, f"Price update for the given ids and timestamp {second} not found.")
        return Reply(body=self._body(picks, query))

    def _window(self, query: PriceQuery, second: int, length: int) -> Reply:
        ids = self._known(query)
        if isinstance(ids, Reply):
            return ids
        found = [self._picks(ids, one) for one in range(second, second + length + 1)]
        return Reply(body=b"[" + b",".join(self._body(picks, query) for picks in found if picks) + b"]")

    # -- charts --------------------------------------------------------------------------------------------------------------

    def _chart(self, what: str, query: dict[str, str]) -> Reply:
        if what == "config":
            return Reply(body=b'{"supported_resolutions":["1"],"supports_search":false}')
        try:
            market = self.network.market(query.get("symbol", ""))
        except LookupError:
            return Reply(body=b'{"s":"error","errmsg":"Symbol not found"}')
        if what == "history" and query.get("resolution") == "1":
            return self._bars(market, int(query.get("from", "0")), int(query.get("to", "0")))
        return Reply(404, b'{"detail":"Not Found"}')

    def _bars(self, market: Market, first: int, last: int) -> Reply:
        """Whole minutes only, made of every slot."""
        columns: dict[str, list[str]] = {name: [] for name in "tohlcv"}
        begin = -(-first // _MINUTE_S) * _MINUTE_S
        for minute in range(begin, last + 1, _MINUTE_S)[:_BARS_AT_ONCE]:
            if (minute + _MINUTE_S) * NS_PER_S > self._published_ns():
                break
            slots = range(minute * NS_PER_S, (minute + _MINUTE_S) * NS_PER_S, self.network.every_ns)
            prices = [self.network.message(market, published_ns).price + self.bar_offset for published_ns in slots]
            values = {"o": prices[0], "h": max(prices), "l": min(prices), "c": prices[-1]}
            for name, value in values.items():
                columns[name].append(f"{value}e{market.expo}")
            columns["t"].append(str(minute))
            columns["v"].append("0")
        if not columns["t"]:
            return Reply(body=b'{"s":"no_data"}')
        rows = ",".join(f'"{name}":[{",".join(cells)}]' for name, cells in columns.items())
        return Reply(body=f'{{"s":"ok",{rows}}}'.encode())

    def _feeds(self, query: dict[str, str]) -> Reply:
        now = Instant(self.clock.now().ns)
        rows = msgspec.json.decode(super()._feeds(query).body)
        for row in rows:
            hours = self.network.market(row["id"]).feed.hours
            row["market_hours"] = {"is_open": hours is None or hours.is_open(now), "next_open": None, "next_close": None}
        return Reply(body=msgspec.json.encode(rows))
