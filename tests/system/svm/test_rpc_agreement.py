"""``rpc_agreement`` over the real runtime behind sockets: nodes of one ledger, one that lags, one of a ledger of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.solana import SolanaClient
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve
from probekit.model import ProbeRun, Status
from probekit.model.pubkey import Pubkey
from probekit.runner import RunSettings, run_once
from tests.support.sandbox import load, module_of, result, verdict

pytestmark = [pytest.mark.system, pytest.mark.svm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("rpc_agreement")
KEY = Pubkey(bytes([7]) * 32)


@dataclass
class Nodes:
    """Three nodes over one ledger that holds an account."""

    ledger: Ledger
    nodes: list[Node]
    urls: list[str]
    genesis: str

    async def look(self, **more: Any) -> ProbeRun:
        option = module_of(PROBE).ChainOption
        mine = option(endpoints=tuple(self.urls), genesis_hash=self.genesis, accounts=(str(KEY),))
        given = {"chains": {"mine": mine}, "timeout": 3 * S, **more}
        return await run_once(PROBE, PROBE.options(**given), settings=RunSettings(interval=10 * S, deadline=10 * S))


@asynccontextmanager
async def nodes() -> AsyncIterator[Nodes]:
    ledger = Ledger()
    made = [Node(ledger) for _ in range(3)]
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(serve(node)) for node in made]
        client = await stack.enter_async_context(SolanaClient(served[0].http))
        ledger.set_account(KEY, b"first", lamports=10**9)
        ledger.advance_slot(70)
        yield Nodes(ledger, made, [one.http for one in served], await client.genesis_hash())


@pytest.mark.shows("rpc_agreement", "OK")
async def test_all_nodes_agree_on_a_finalized_block_and_an_account() -> None:
    async with nodes() as made:
        run = await made.look()
        assert run.status is OK
        assert "1000000000 lamports" in result(run, f"mine/{KEY}").verdicts[0].message


async def test_an_account_of_an_older_slot_is_lag() -> None:
    async with nodes() as made:
        made.ledger.set_account(KEY, b"second", lamports=10**9)
        made.ledger.advance_slot(40)
        with made.nodes[2].faults.behind_by(20):
            run = await made.look()
        assert verdict(run, f"mine/{KEY}") == (OK, "agree")
        assert "of other heights" in result(run, f"mine/{KEY}").verdicts[0].message
        assert verdict(run, "mine/block") == (OK, "agree")


@pytest.mark.shows("rpc_agreement", "WARNING few_endpoints")
async def test_a_node_that_fails_is_told_and_two_leave_no_quorum() -> None:
    async with nodes() as made:
        made.nodes[0].faults.http_status = 503
        run = await made.look()
        assert run.status is OK
        assert "gave none" in result(run, "mine/block").verdicts[0].message
        made.nodes[1].faults.http_status = 503
        run = await made.look()
        assert verdict(run, "mine") == (WARNING, "few_endpoints")
        assert {verdict(run, one) for one in ("mine/block", f"mine/{KEY}")} == {(UNKNOWN, "no_quorum")}


@pytest.mark.shows("rpc_agreement", "CRITICAL disagrees")
async def test_a_node_with_another_account_at_the_same_slot_is_named() -> None:
    async with nodes() as made, AsyncExitStack() as stack:
        # A ledger made the same way has the same blocks; this one was told something else.
        ledger = Ledger()
        ledger.set_account(KEY, b"forged", lamports=10**9)
        ledger.advance_slot(70)
        other = await stack.enter_async_context(serve(Node(ledger)))
        made.urls.append(other.http)
        run = await made.look()
        assert verdict(run, f"mine/{KEY}") == (CRITICAL, "disagrees")
        assert result(run, f"mine/{KEY}").verdicts[0].message.startswith(f"{other.http} says 1000000000 lamports")
