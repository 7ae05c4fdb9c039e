"""ExchangesClient: six exchanges behind one read, each answered and failing for itself."""

from __future__ import annotations

from typing import Any

from probekit.clients.exchanges import ExchangesClient
from probekit.errors import ProbekitError
from tests.contract.clients.table import Case, Row, Table
from tests.contract.clients.wire import HttpWorld
from tests.unit.clients.test_exchanges import BTC, IN_DOLLARS, Exchanges


def world(_: bool) -> HttpWorld:
    exchanges = Exchanges()
    return HttpWorld(exchanges.good, exchanges.clock, lambda wire: ExchangesClient(transport=wire, clock=exchanges.clock))


def errors_of(reads: Any) -> list[ProbekitError]:
    return list(reads.of(BTC).failures.values())


def all_but(source: str) -> list[str]:
    return sorted(name for name in IN_DOLLARS if name != source)


TABLE = Table(
    ExchangesClient,
    world,
    [
        Row(
            "prices",
            lambda c: c.prices([BTC]),
            lambda reads: sorted(reads.of(BTC).values) == sorted(IN_DOLLARS) and not errors_of(reads),
            empty=Case({"/": {}}, ProbekitError),
            malformed=Case(
                {"/0/public/Ticker": b"<html>"},
                lambda reads: sorted(reads.of(BTC).values) == all_but("kraken") and len(errors_of(reads)) == 1,
            ),
            tells=errors_of,
            within_s=5,
        ),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
        "spare": "each exchange is a source of its own: none stands in for another",
    },
)
