"""KubernetesClient: one API server, whose lists may fail kind by kind."""

from __future__ import annotations

import json
from typing import Any

from probekit.clients.kubernetes import KubernetesClient
from probekit.clients.kubernetes_access import ClusterAccess
from probekit.model.kubernetes import Listing
from probekit.testing import FakeClock
from tests.contract.clients.table import Case, Row, Table, errors_in
from tests.contract.clients.wire import FIRST, HttpWorld
from tests.support.kubernetes import ApiServer, Objects


def world(_: bool) -> HttpWorld:
    clock = FakeClock()
    server = ApiServer(Objects(clock.now()).healthy(), clock)
    return HttpWorld(server, clock, lambda wire: KubernetesClient(ClusterAccess(FIRST), transport=wire, clock=clock))


def with_a_bad_one(body: bytes) -> Any:
    found = json.loads(body)
    return found | {"items": [*found["items"], {"metadata": {"name": "x"}}]}


def names(found: Listing) -> list[str]:
    return [one.name for one in found.objects]


HAPPY = ["oracle/pusher", "oracle/hermes"]
EMPTY: dict[str, Any] = {"metadata": {}, "items": []}

TABLE = Table(
    KubernetesClient,
    world,
    [
        Row(
            "listing",
            lambda c: c.listing("deployments"),
            lambda found: names(found) == HAPPY,
            empty=Case({"/": EMPTY}, lambda found: (found.objects, found.problems) == ((), ())),
            malformed=Case(
                {"/": with_a_bad_one},
                lambda found: (names(found), [one.kind for one in found.problems]) == (HAPPY, ["unreadable"]),
            ),
            within_s=20.0,
        ),
        Row(
            "listings",
            lambda c: c.listings(["deployments", "statefulsets"]),
            lambda found: [names(one) for one in found.values()] == [HAPPY, ["oracle/db"]],
            empty=Case({"/": EMPTY}, lambda found: [one.objects for one in found.values()] == [(), ()]),
            malformed=Case(
                {"/": with_a_bad_one},
                lambda found: [[one.kind for one in each.problems] for each in found.values()] == [["unreadable"]] * 2,
            ),
            tells=errors_in,
            within_s=20.0,
        ),
    ],
    excused={
        "rpc_error": "plain HTTP: there are no JSON-RPC error objects",
        "wrong_chain": "a service of no one chain: no endpoint serves a wrong one",
        "spare": "a cluster has one API server, behind one address",
    },
)
