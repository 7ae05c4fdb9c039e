"""``solana_slot_lag`` over the real runtime behind sockets: nodes of one ledger that lag, fail, or are of another cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.solana import SolanaClient
from probekit.clock import SYSTEM_CLOCK
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import serve as serve_proxy
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once
from probekit.transports.httpx import HttpxTransport
from tests.support.sandbox import load, module_of, others_ok, result, verdict
from tests.system.evm.chain import until

pytestmark = [pytest.mark.system, pytest.mark.svm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
SLOT = timedelta(milliseconds=100)
PROBE = load("solana_slot_lag")


@dataclass
class Nodes:
    """Two nodes over one ledger, and a proxy before the first, whose Date header bounds the error of this clock."""

    nodes: list[Node]
    urls: tuple[str, ...]
    proxy: RpcProxy
    genesis: str

    def at(self, place: int) -> str:
        return f"mine/{self.urls[place]}"

    async def look(self, **more: Any) -> ProbeRun:
        option = module_of(PROBE).ClusterOption
        own = option(endpoints=self.urls, genesis_hash=more.pop("genesis", self.genesis))
        given = {"clusters": {"mine": own}, "max_slots": 5, "timeout": 3 * S, **more}
        return await run_once(PROBE, PROBE.options(**given), settings=RunSettings(interval=10 * S, deadline=10 * S))


@asynccontextmanager
async def nodes(*, moving: bool = True) -> AsyncIterator[Nodes]:
    ledger = Ledger(slot_time=SLOT)
    made = [Node(ledger) for _ in range(2)]
    async with AsyncExitStack() as stack:
        if moving:
            await stack.enter_async_context(ticking(ledger, every=SLOT))
        served = [await stack.enter_async_context(serve(node)) for node in made]
        client = await stack.enter_async_context(SolanaClient(served[0].http))
        ledger.advance_slot(70)
        engine = HttpxTransport(clock=SYSTEM_CLOCK)
        stack.push_async_callback(engine.aclose)
        proxy = RpcProxy(served[0].http, transport=engine)
        proxied = await stack.enter_async_context(serve_proxy(proxy))
        urls = (*(one.http for one in served), proxied.http)
        yield Nodes(made, urls, proxy, await client.genesis_hash())


@pytest.mark.shows("solana_slot_lag", "OK")
async def test_every_node_follows_and_finality_is_measured() -> None:
    async with nodes() as made:
        run = await made.look()
        assert {verdict(run, one)[0] for one in ("mine", made.at(0), made.at(1), made.at(2))} == {OK}
        measured = {one.name for each in result(run, made.at(0)).verdicts for one in each.measures}
        assert measured == set(PROBE.metrics) - {"chain.endpoints_alive"}


@pytest.mark.shows("solana_slot_lag", "OK", "CRITICAL behind", "WARNING not_in_sync")
async def test_a_node_that_lags_is_named_and_says_so_itself() -> None:
    async with nodes() as made:
        with made.nodes[1].faults.behind_by(20):
            run = await made.look()
        assert verdict(run, made.at(1)) == (CRITICAL, "behind")
        assert {one.reason for one in result(run, made.at(1)).verdicts} >= {"behind", "not_in_sync"}
        assert others_ok(run, made.at(1))
        assert verdict(await made.look(), made.at(1))[0] is OK


async def test_a_node_that_does_not_know_its_health() -> None:
    async with nodes() as made:
        with made.nodes[1].faults.unknown_health():
            run = await made.look()
        assert verdict(run, made.at(1)) == (WARNING, "not_in_sync")
        assert others_ok(run, made.at(1))


@pytest.mark.shows("solana_slot_lag", "CRITICAL head_stale")
async def test_a_cluster_that_stands_still() -> None:
    async with nodes(moving=False) as made:

        async def stale() -> ProbeRun | None:
            run = await made.look(max_head_age=3 * S)
            return run if verdict(run, "mine") == (CRITICAL, "head_stale") else None

        run = await until(stale, "the cluster's clock is three seconds old")
        assert {verdict(run, made.at(place)) for place in (0, 1, 2)} == {(CRITICAL, "head_stale")}


async def test_nodes_of_another_cluster_and_nodes_that_fail() -> None:
    async with nodes() as made:
        run = await made.look(genesis="EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG")
        assert {verdict(run, one) for one in ("mine", made.at(0), made.at(1), made.at(2))} == {(CRITICAL, "wrong_chain")}
        made.nodes[1].faults.http_status = 503
        run = await made.look()
        assert verdict(run, made.at(1)) == (CRITICAL, "server_error")
        assert others_ok(run, made.at(1))


async def test_a_node_that_hangs() -> None:
    async with nodes() as made:
        with made.proxy.inject(faults.Hang()).during():
            run = await made.look(timeout=S)
        assert verdict(run, made.at(2))[0] is CRITICAL
        assert "deadline" in verdict(run, made.at(2))[1]
        assert verdict(await made.look(), made.at(2))[0] is OK
