"""LazerClient: Pyth Pro's routers and the history service beside them, from a network in process."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from probekit.clients.lazer import LazerClient
from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router
from probekit.dev.lazer.transport import RouterTransport
from probekit.errors import DecodeError, NotFound, ProbekitError
from probekit.model.lazer import UpdateFormat
from probekit.secret import Secret
from probekit.testing import FakeClock
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import FIRST, SPARE, HttpWorld

KEY = "a-key-for-the-router"
NOW = FakeClock().now()
MINUTE = timedelta(seconds=60)
FEED = {"priceFeedId": 1, "price": "5", "exponent": -2}


def world(spare: bool) -> HttpWorld:
    clock = FakeClock()
    router = Router(LazerNetwork(feeds=4), keys=(KEY,), clock=clock)
    routers = RouterTransport({"node.test": router, "spare.test": router}, clock=clock)
    urls = (FIRST, SPARE) if spare else (FIRST,)
    return HttpWorld(
        routers.send, clock, lambda wire: LazerClient(urls, history=urls, api_key=Secret(KEY), transport=wire, clock=clock)
    )


async def reduced(client: LazerClient) -> Any:
    """One feed of three that were read before."""
    (update,) = (await client.latest([1, 2, 3], formats=[UpdateFormat.EVM])).updates
    return await client.reduced(update, [2])


def both(batch: Any) -> bool:
    return not batch.errors and all(batch[number].price is not None for number in (1, 2))


def batch_errors(batch: Any) -> list[object]:
    return errors_in(batch.errors)


def prices(method: str, call: Any) -> Row:
    broken = {"parsed": {"timestampUs": "9", "priceFeeds": [FEED, {"priceFeedId": 2, "price": 1.5}]}}
    return Row(
        method,
        call,
        both,
        empty=Case({"/": {}}, ProbekitError),
        malformed=Case({"/": broken}, lambda batch: batch[1].price_mantissa == 5 and _refuses(batch.errors[2])),
        tells=batch_errors,
    )


def _refuses(error: object) -> bool:
    return isinstance(error, DecodeError)


def with_a_bad_entry(body: bytes) -> Any:
    return [*json.loads(body), {"pyth_lazer_id": "?"}]


TABLE = Table(
    LazerClient,
    world,
    [
        prices("latest", lambda c: c.latest([1, 2])),
        prices("at", lambda c: c.at(NOW.plus(-MINUTE), [1, 2])),
        Row(
            "reduced",
            reduced,
            lambda update: list(update.parsed.by_id) == [2],
            empty=Case({"/v1/reduce_price": {}}, DecodeError),
            malformed=Case({"/v1/reduce_price": {"parsed": 7}}, lambda update: _refuses(update.parsed)),
            # What is to be reduced is read first, by a call of its own.
            within_s=20,
        ),
        Row(
            "symbols",
            lambda c: c.symbols(),
            lambda found: [one.feed_id for one in found] == [1, 2, 3, 4],
            empty=Case({"/v1/symbols": []}, ()),
            malformed=Case({"/v1/symbols": with_a_bad_entry}, one_bad),
            tells=errors_in,
        ),
        Row(
            "feed_id",
            lambda c: c.feed_id("Crypto.ETH/USD"),
            2,
            empty=Case({"/v1/symbols": []}, NotFound),
            malformed=Case({"/v1/symbols": with_a_bad_entry}, 2),
        ),
        Row(
            "candles",
            lambda c: c.candles("Crypto.BTC/USD", start=NOW.plus(-5 * MINUTE), end=NOW),
            lambda found: len(found) == 5 and not errors_in(found),
            empty=Case({"/v1/": {"s": "no_data", "t": [], "o": [], "h": [], "l": [], "c": [], "v": []}}, ()),
            malformed=Case({"/v1/": lambda body: _bad_candle(body)}, one_bad),
            tells=errors_in,
        ),
        Row(
            "live",
            lambda c: c.live(),
            True,
            empty=Case({"/live": b""}, True),
            malformed=Case({"/live": b"<html>"}, True),
            instead={"http_429": False, "http_5xx": False},
        ),
        Row(
            "access_token",
            lambda c: c.access_token(MINUTE),
            lambda made: made.expires_at == NOW.plus(MINUTE),
            excused={"spare": "a token is asked for once, of one service: nobody knows whether it was made"},
        ),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
    },
)


def _bad_candle(body: bytes) -> Any:
    table = json.loads(body)
    return table | {"o": [*table["o"][:-1], "a lot"]}
