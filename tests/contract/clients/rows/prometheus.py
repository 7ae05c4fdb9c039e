"""PrometheusClient: one server's instant queries."""

from __future__ import annotations

import json
from typing import Any

from probekit.clients.prometheus import PrometheusClient
from probekit.testing import FakeClock, reply
from probekit.transports.base import Request, Response
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import FIRST, HttpWorld


def series(job: str, value: str) -> dict[str, Any]:
    return {"metric": {"__name__": "up", "job": job}, "value": [1_789_200_000.5, value]}


def vector(*items: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(items)}}


def world(_: bool) -> HttpWorld:
    clock = FakeClock()

    def answer(_: Request) -> Response:
        return reply(200, json.dumps(vector(series("a", "1"), series("b", "0"))), clock=clock)

    return HttpWorld(answer, clock, lambda wire: PrometheusClient(FIRST, transport=wire, clock=clock))


TABLE = Table(
    PrometheusClient,
    world,
    [
        Row(
            "query",
            lambda c: c.query("up"),
            lambda found: ([str(one.value) for one in found.samples], found.count) == (["1", "0"], 2),
            empty=Case({"/": vector()}, lambda found: (found.samples, found.count) == ((), 0)),
            malformed=Case({"/": vector(series("a", "1"), {"metric": 7})}, lambda found: one_bad(found.samples)),
            tells=lambda found: errors_in(found.samples),
        ),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
        "spare": "one server is asked: what another knows is another's",
    },
)
