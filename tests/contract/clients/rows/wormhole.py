"""WormholeClient: the guardians' public HTTP API."""

from __future__ import annotations

import base64
import json
from typing import Any

from probekit.clients.wormhole import WormholeClient
from probekit.codecs.vaa import encode
from probekit.errors import DecodeError
from probekit.model.wormhole import GuardianSet
from probekit.testing import FakeClock, reply
from probekit.transports.base import Request, Response
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import FIRST, SPARE, HttpWorld
from tests.unit.clients.test_wormhole import EMITTER, ENTRY, SET, VAA

ANSWERS: dict[str, Any] = {
    "/v1/heartbeats": {"entries": [ENTRY, ENTRY]},
    "/v1/guardianset/current": SET,
    "/v1/signed_vaa": {"vaaBytes": base64.b64encode(encode(VAA)).decode()},
}


def world(spare: bool) -> HttpWorld:
    clock = FakeClock()

    def answer(request: Request) -> Response:
        found = next(body for path, body in ANSWERS.items() if path in request.url)
        return reply(200, json.dumps(found), clock=clock)

    return HttpWorld(
        answer, clock, lambda wire: WormholeClient((FIRST, SPARE) if spare else FIRST, transport=wire, clock=clock)
    )


def with_a_bad_entry(body: bytes) -> Any:
    return {"entries": [*json.loads(body)["entries"], {"rawHeartbeat": 7}]}


TABLE = Table(
    WormholeClient,
    world,
    [
        Row(
            "heartbeats",
            lambda c: c.heartbeats(),
            lambda beats: [beat.node_name for beat in beats] == ["Certus One"] * 2,
            empty=Case({"/": {}}, ()),
            malformed=Case({"/": with_a_bad_entry}, one_bad),
            tells=errors_in,
        ),
        Row(
            "guardian_set",
            lambda c: c.guardian_set(),
            GuardianSet(4, (b"\x58" * 20, b"\x59" * 20)),
            empty=Case({"/": {"guardianSet": {}}}, DecodeError),
        ),
        Row("signed_vaa", lambda c: c.signed_vaa(1, EMITTER, 77), VAA, empty=Case({"/": {"vaaBytes": ""}}, DecodeError)),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
    },
)
