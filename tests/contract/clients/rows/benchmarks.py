"""BenchmarksClient: prices of the past over HTTP, from a table."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from probekit.clients.benchmarks import BenchmarksClient
from probekit.errors import DecodeError, Missing
from probekit.units import Instant
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import FIRST, SPARE, HttpWorld
from tests.unit.clients.archive import BARS, MATCH, Archive, numbers

THEN = Instant.parse("2026-09-12T09:00:00Z")
SECOND = timedelta(seconds=1)
IDS = Archive().ids[:2]
NO_PRICES = {"binary": {"encoding": "hex", "data": []}, "parsed": []}


def world(spare: bool) -> HttpWorld:
    archive = Archive()
    urls = (FIRST, SPARE) if spare else FIRST
    return HttpWorld(archive.answer, archive.clock, lambda wire: BenchmarksClient(urls, transport=wire, clock=archive.clock))


def without_a_price(body: bytes) -> Any:
    """The second of two prices is none any more; its id still reads."""
    answer = json.loads(body)
    for one in answer if isinstance(answer, list) else [answer]:
        one["parsed"][1]["price"] = "a lot"
    return answer


def with_a_bad_row(body: bytes) -> Any:
    return [*json.loads(body), {"id": "nobody"}]


def window_errors(window: Any) -> list[object]:
    refused = [error for _, error in window.refused]
    return [*window.errors, *refused, *(one for batch in window.batches for one in batch.errors.values())]


TABLE = Table(
    BenchmarksClient,
    world,
    [
        Row(
            "at",
            lambda c: c.at(THEN, IDS),
            lambda batch: list(batch.updates) == IDS and not batch.errors,
            empty=Case({"/": NO_PRICES}, Missing),
            malformed=Case(
                {"/": without_a_price}, lambda batch: (list(batch.updates), list(batch.errors)) == (IDS[:1], IDS[1:])
            ),
            tells=lambda batch: errors_in(batch.errors),
            within_s=30,
        ),
        Row(
            "window",
            lambda c: c.window(THEN, SECOND, IDS),
            lambda window: [list(batch.updates) for batch in window.batches] == [IDS, IDS] and not window_errors(window),
            empty=Case({"/": []}, lambda window: window.batches == ()),
            malformed=Case(
                {"/": without_a_price},
                lambda window: (
                    [list(batch.updates) for batch in window.batches] == [IDS[:1]] * 2 and len(window_errors(window)) == 2
                ),
            ),
            tells=window_errors,
            within_s=30,
        ),
        Row(
            "feeds",
            lambda c: c.feeds(),
            lambda feeds: len(feeds) == 4 and not errors_in(feeds),
            empty=Case({"/": []}, ()),
            malformed=Case({"/": with_a_bad_row}, one_bad),
            tells=errors_in,
            within_s=30,
        ),
        Row("feed", lambda c: c.feed(IDS[0]), lambda found: found.feed.id == IDS[0], within_s=30),
        Row("chart_config", lambda c: c.chart_config(), lambda config: config.supports_search, within_s=30),
        Row("chart_symbol", lambda c: c.chart_symbol("Crypto.BTC/USD"), lambda found: found.name == "BTCUSD", within_s=30),
        Row(
            "chart_search",
            lambda c: c.chart_search("bitcoin"),
            lambda found: [one.symbol for one in found] == ["BCHUSD"],
            empty=Case({"/": []}, ()),
            malformed=Case({"/": [MATCH, {"symbol": 7}]}, one_bad),
            tells=errors_in,
            within_s=30,
        ),
        Row(
            "chart_bars",
            lambda c: c.chart_bars("Crypto.BTC/USD", "1", THEN, THEN.plus(SECOND)),
            lambda bars: len(bars.readable) == 2 and not errors_in(bars.bars),
            empty=Case({"/": {"s": "no_data"}}, lambda bars: bars.bars == ()),
            malformed=Case(
                {"/": lambda _: numbers(BARS | {"o": ["27281.83", '"a lot"']})},
                lambda bars: (len(bars.readable), [type(one) for one in errors_in(bars.bars)]) == (1, [DecodeError]),
            ),
            within_s=30,
        ),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
    },
)
