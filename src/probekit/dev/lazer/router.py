"""A router without sockets: what it answers to requests, and a client's subscriptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock, reap
from probekit.codecs.lazer import messages, updates, values
from probekit.codecs.lazer.messages import IgnoredFeeds, PriceRequest, ServiceError, Subscribed, SubscriptionRefused
from probekit.dev.lazer.faults import RouterFaults
from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.prices import price_at
from probekit.errors import DecodeError
from probekit.model.lazer import Channel
from probekit.units import NS_PER_S, NS_PER_US, to_ns

Send = Callable[[str | bytes], Awaitable[None]]

_REAL_TIME_US: Final = 100_000
"""What the sandbox makes of a channel without a beat."""
_OFF_BEAT_US: Final = 137
_BEHIND: Final = 10
"""Beats after which a connection that cannot keep up goes on from now."""
_MAX_CANDLES: Final = 5_000
_TTL: Final = timedelta(hours=1)


class Router:
    """One router over a network. ``keys`` are those that it takes, any if there are none; ``unentitled`` are the feeds that
    nobody may read here.
    """

    def __init__(
        self,
        network: LazerNetwork,
        *,
        keys: Collection[str] = (),
        unentitled: Collection[int] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.network = network
        self.faults = RouterFaults()
        self.clock = clock
        self.unentitled = frozenset(unentitled)
        self._keys = set(keys)
        self._minted = 0

    def admit(self, headers: Mapping[str, str]) -> int | None:
        """The status that a client is turned away with, if any."""
        if self.faults.status is not None:
            return self.faults.status
        key = headers.get("authorization", "").removeprefix("Bearer ")
        return 401 if self._keys and key not in self._keys else None

    async def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and JSON of one request."""
        if self.faults.hangs:
            await asyncio.get_running_loop().create_future()
        if self.faults.status is not None:
            return self.faults.status, _problem(self.faults.status, "as a fault of the sandbox says")
        url = urlsplit(target)
        path, query = unquote(url.path), {name: found[-1] for name, found in parse_qs(url.query).items()}
        if method == "GET" and path == "/live":
            return 200, b'"OK"'
        if method == "GET" and path == "/v1/symbols":
            return 200, msgspec.json.encode(self._symbols(query))
        status = self.admit(headers)
        if status is not None:
            return status, _problem(status, "invalid or missing access token")
        try:
            if method == "POST" and path == "/auth/token":
                return 200, self._token(body)
            if method == "POST" and path in ("/v1/latest_price", "/v1/price"):
                return self._price(values.table(values.parsed(body, "a request"), "a request"), past=path == "/v1/price")
            if method == "POST" and path == "/v1/reduce_price":
                return 200, self._reduce(values.table(values.parsed(body, "a request"), "a request"))
            if method == "GET" and path.startswith("/v1/") and path.endswith("/history"):
                return 200, msgspec.json.encode(self._candles(query))
        except (DecodeError, ValueError, KeyError) as error:
            return 400, _problem(400, str(error))
        return 404, _problem(404, f"no {method} {path} here")

    def _symbols(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        part, kind = query.get("query", "").lower(), query.get("asset_type")
        hidden = self.unentitled if query.get("entitled_only") == "true" else ()
        return [
            row
            for row in self.network.symbols()
            if part in row["symbol"].lower() and kind in (None, row["asset_type"]) and row["pyth_lazer_id"] not in hidden
        ]

    def _token(self, body: bytes) -> bytes:
        asked = values.maybe_integer(values.table(values.parsed(body or b"{}", "a body"), "a body"), "ttl_seconds", values.U32)
        ttl = min(_TTL, timedelta(seconds=asked)) if asked else _TTL
        self._minted += 1
        token = f"sandbox-token-{self.network.seed}-{self._minted}"
        self._keys.add(token)
        expires = self.clock.now().plus(ttl).to_datetime().isoformat()
        return msgspec.json.encode({"access_token": token, "expires_at": expires, "token_type": "Bearer"})

    def _price(self, row: dict[str, Any], *, past: bool) -> tuple[int, bytes]:
        request = messages.read_request(row)
        at_us = values.integer(row.get("timestamp"), "timestamp", values.U64) if past else self.clock.now().ns // NS_PER_US
        period_us = request.channel.period_us or 1
        feeds, left_out = self.network.sorted_out(request, self.unentitled)
        if left_out.not_entitled:
            return 403, _problem(403, f"not entitled to price feeds {list(left_out.not_entitled)}")
        if left_out != IgnoredFeeds():
            return 404, _problem(404, f"unknown price feeds {[*left_out.unknown_ids, *left_out.unknown_symbols]}")
        update = self.network.update(
            request, feeds, at_us // period_us * period_us, frozen=self.faults.frozen, forged=self.faults.forged
        )
        return 200, msgspec.json.encode(updates.write_update(update, request.encoding))

    def _reduce(self, row: dict[str, Any]) -> bytes:
        update = updates.read_update(row.get("payload"))
        kept = [
            values.integer(one, "priceFeedIds", values.U32) for one in values.array(row.get("priceFeedIds"), "priceFeedIds")
        ]
        return msgspec.json.encode(updates.write_update(self.network.reduced(update, kept)))

    def _candles(self, query: Mapping[str, str]) -> dict[str, Any]:
        number = next((one for one, market in self.network.markets.items() if market.feed.symbol == query["symbol"]), None)
        if number is None:
            return {"s": "error", "errmsg": f"unknown symbol {query['symbol']}"}
        market, step_s = self.network.markets[number], 60 * int(query["resolution"])
        first_s, last_s = int(query["from"]) // step_s * step_s, int(query["to"])
        starts = range(first_s, last_s, step_s)[:_MAX_CANDLES]
        if not starts:
            return {"s": "no_data"}
        columns: dict[str, list[Any]] = {name: [] for name in "tohlc"}
        for start_s in starts:
            path = [price_at(market, self.network.seed, (start_s + step_s * part // 4) * NS_PER_S) for part in range(5)]
            exact = [json.loads(f"{price}e{market.expo}") for price in (path[0], max(path), min(path), path[-1])]
            for name, value in zip("tohlc", (start_s, *exact), strict=True):
                columns[name].append(value)
        return {"s": "ok", **columns, "v": []}


def _problem(status: int, text: str) -> bytes:
    return msgspec.json.encode({"error": f"STATUS_{status}", "message": text})


class Session:
    """One client's connection. :meth:`aclose` ends its subscriptions; no task is left."""

    def __init__(self, router: Router, send: Send) -> None:
        self._router, self._send = router, send
        self._telling: dict[int, asyncio.Task[None]] = {}

    async def take(self, text: str | bytes) -> None:
        """One message of the client."""
        try:
            asked = messages.decode_client(text)
        except DecodeError as error:
            await self._send(messages.encode(ServiceError(error.message)))
            return
        number = asked.subscription_id
        if asked.request is None:
            task = self._telling.pop(number, None)
            if task is None:
                await self._send(messages.encode(SubscriptionRefused(number, "no such subscription")))
                return
            await reap(task)
            await self._send(messages.encode(messages.Unsubscribed(number)))
            return
        await self._subscribe(number, asked.request)

    async def _subscribe(self, number: int, request: PriceRequest) -> None:
        if number in self._telling:
            await self._send(messages.encode(SubscriptionRefused(number, "duplicate subscription id")))
            return
        feeds, left_out = self._router.network.sorted_out(request, self._router.unentitled)
        clean = left_out == IgnoredFeeds()
        if not clean and (not feeds or not request.ignore_invalid):
            why = "not entitled to requested feeds" if left_out.not_entitled else "unknown price feeds"
            await self._send(messages.encode(SubscriptionRefused(number, why)))
            return
        await self._send(messages.encode(Subscribed(number) if clean else Subscribed(number, tuple(feeds), left_out)))
        self._telling[number] = asyncio.create_task(self._tell(number, request, feeds), name=f"lazer subscription {number}")

    async def _tell(self, number: int, request: PriceRequest, feeds: list[int]) -> None:
        router, clock, faults = self._router, self._router.clock, self._router.faults
        period_us = request.channel.period_us or _REAL_TIME_US
        offset_us = 0 if request.channel is not Channel.REAL_TIME else _OFF_BEAT_US
        at_us = self._beat(period_us)
        while True:
            due_ns = (at_us + offset_us) * NS_PER_US + to_ns(faults.late)
            await clock.sleep_until_ns(clock.monotonic_ns() + due_ns - clock.now().ns)
            if not faults.silent:
                update = router.network.update(
                    request,
                    feeds,
                    at_us + offset_us,
                    frozen=faults.frozen,
                    forged=faults.forged,
                    subscription_id=number,
                )
                if request.delivery == "binary":
                    message: str | bytes = updates.encode_frame(update)
                else:
                    message = messages.encode(update, request.encoding)
                if faults.malformed:
                    await self._send(message[: len(message) // 2])
                for _ in range(2 if faults.repeated else 1):
                    await self._send(message)
            at_us += period_us
            if at_us < self._beat(period_us) - _BEHIND * period_us:
                at_us = self._beat(period_us)

    def _beat(self, period_us: int) -> int:
        """The first beat that is not told yet, by a clock that is late where the router is."""
        now_us = (self._router.clock.now().ns - to_ns(self._router.faults.late)) // NS_PER_US
        return (now_us // period_us + 1) * period_us

    async def aclose(self) -> None:
        await reap(*self._telling.values())
