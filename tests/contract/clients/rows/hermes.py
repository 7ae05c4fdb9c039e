"""HermesClient: signed prices over HTTP, as the sandbox serves them."""

from __future__ import annotations

import json
from typing import Any

from probekit.clients.hermes import HermesClient, Readiness
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.transport import SandboxTransport
from probekit.errors import DecodeError, Missing, NotFound
from probekit.testing import FakeClock
from tests.contract.clients.table import Case, Row, Table, errors_in
from tests.contract.clients.wire import FIRST as FIRST_URL
from tests.contract.clients.wire import SPARE, HttpWorld

CLOCK = FakeClock()
MARKETS = SandboxNetwork(feeds=3, clock=CLOCK).markets
FIRST, SECOND = (market.feed.id for market in MARKETS[:2])
SYMBOL = MARKETS[0].feed.symbol
NO_PRICES = {"binary": {"encoding": "hex", "data": []}, "parsed": []}


def world(spare: bool) -> HttpWorld:
    clock = FakeClock()
    sandbox = SandboxTransport(Sandbox(SandboxNetwork(feeds=3, clock=clock)), clock=clock)
    urls = (FIRST_URL, SPARE) if spare else FIRST_URL
    return HttpWorld(sandbox.send, clock, lambda wire: HermesClient(urls, transport=wire, clock=clock))


def without_a_price(body: bytes) -> Any:
    """The second of two prices is none any more; its id still reads."""
    answer = json.loads(body)
    answer["parsed"][1]["price"] = "a lot"
    return answer


def both(batch: Any) -> bool:
    return list(batch.updates) == [FIRST, SECOND] and not batch.errors


def second_broken(batch: Any) -> bool:
    """The neighbour is there, and what is broken is its own error in its own place."""
    return list(batch.updates) == [FIRST] and [type(batch.errors[SECOND])] == [DecodeError]


def with_a_bad_row(body: bytes) -> Any:
    rows = json.loads(body)
    rows[2]["attributes"] = 7
    return rows


def all_missing(batch: Any) -> bool:
    return [type(one) for one in batch.errors.values()] == [Missing] * 2


READINESS = "the state is in the status; a body is read only where there are reasons in it"

TABLE = Table(
    HermesClient,
    world,
    [
        Row(
            "latest",
            lambda c: c.latest([FIRST, SECOND]),
            both,
            empty=Case({"/v2/updates": NO_PRICES}, all_missing),
            malformed=Case({"/v2/updates": without_a_price}, second_broken),
            tells=lambda batch: errors_in(batch.errors),
        ),
        Row(
            "at",
            lambda c: c.at(CLOCK.now(), [FIRST, SECOND]),
            both,
            empty=Case({"/v2/updates": NO_PRICES}, all_missing),
            malformed=Case({"/v2/updates": without_a_price}, second_broken),
            tells=lambda batch: errors_in(batch.errors),
        ),
        Row(
            "price",
            lambda c: c.price(SYMBOL),
            lambda update: update.feed_id == FIRST,
            empty=Case({"/v2/price_feeds": []}, NotFound),
        ),
        Row(
            "stake_caps",
            lambda c: c.stake_caps(),
            lambda caps: len(caps) > 0,
            empty=Case({"/v2/updates": NO_PRICES}, ()),
        ),
        Row(
            "feeds",
            lambda c: c.feeds(),
            lambda feeds: len(feeds) == 3,
            empty=Case({"/v2/price_feeds": []}, ()),
            malformed=Case(
                {"/v2/price_feeds": with_a_bad_row}, lambda feeds: [feed.described for feed in feeds] == [True, True, False]
            ),
        ),
        Row(
            "symbols",
            lambda c: c.symbols(),
            lambda table: SYMBOL in table and len(table) == 3,
            empty=Case({"/v2/price_feeds": []}, {}),
            # A feed that is not described has no symbol; it is told by feeds().
            malformed=Case({"/v2/price_feeds": with_a_bad_row}, lambda table: SYMBOL in table and len(table) == 2),
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
            "ready",
            lambda c: c.ready(),
            Readiness(ready=True),
            empty=Case({"/ready": b""}, Readiness(ready=True)),
            excused={"malformed": READINESS, "http_5xx": "503 is its answer; test_readiness_has_reasons asks for each"},
        ),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
    },
)
