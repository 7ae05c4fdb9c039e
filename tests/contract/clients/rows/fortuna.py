"""FortunaClient: the HTTP API of Entropy's provider, one service at one address."""

from __future__ import annotations

import json
from typing import Any

from probekit.clients.fortuna import FortunaClient
from probekit.codecs import fortuna as codec
from probekit.errors import DecodeError
from probekit.model.fortuna import Revelation
from probekit.testing import FakeClock, reply
from probekit.transports.base import Request, Response
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import FIRST, HttpWorld
from tests.unit.clients.test_fortuna import CONFIG, ROW, VALUE

ANSWERS: dict[str, Any] = {
    "/v1/chains/configs": [CONFIG, CONFIG],
    "/v1/chains/base/revelations": json.loads(codec.encode_revelation(VALUE, "hex")),
    "/v1/chains": ["base", "monad"],
    "/v1/logs": {"requests": [ROW, ROW | {"sequence": 13}], "total_results": 2},
}


def world(_: bool) -> HttpWorld:
    clock = FakeClock()

    def answer(request: Request) -> Response:
        found = next(body for path, body in ANSWERS.items() if path in request.url)
        return reply(200, json.dumps(found), clock=clock)

    return HttpWorld(answer, clock, lambda wire: FortunaClient(FIRST, transport=wire, clock=clock))


def with_a_bad_row(body: bytes) -> Any:
    found = json.loads(body)
    return found | {"requests": [*found["requests"], {"sequence": "?"}]}


TABLE = Table(
    FortunaClient,
    world,
    [
        Row("chains", lambda c: c.chains(), ("base", "monad"), empty=Case({"/": []}, ())),
        Row(
            "configs",
            lambda c: c.configs(),
            lambda found: [one.name for one in found] == ["base"] * 2,
            empty=Case({"/": []}, ()),
            malformed=Case({"/": [CONFIG, CONFIG, {"name": "x"}]}, one_bad),
            tells=errors_in,
        ),
        Row("revelation", lambda c: c.revelation("base", 7), Revelation("base", 7, VALUE)),
        Row(
            "logs",
            lambda c: c.logs(),
            lambda found: ([one.sequence for one in found.requests], found.total, found.errors) == ([12, 13], 2, ()),
            empty=Case({"/": {"requests": [], "total_results": 0}}, lambda found: (found.requests, found.total) == ((), 0)),
            malformed=Case(
                {"/": with_a_bad_row},
                lambda found: (len(found.requests), [type(one) for one in found.errors]) == (2, [DecodeError]),
            ),
        ),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
        "spare": "one provider has one service: nobody else knows its numbers",
    },
)
