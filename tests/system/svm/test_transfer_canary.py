"""transfer_canary over real sockets: landed, expired, and a send without an answer that is one request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from probekit.clock import SYSTEM_CLOCK
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import serve as serve_proxy
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once
from probekit.secret import Secret
from probekit.transports.httpx import HttpxTransport
from probekit.units import Amount
from tests.support.sandbox import load, result, verdict

pytestmark = [pytest.mark.system, pytest.mark.svm]

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
S = timedelta(seconds=1)
SLOT = timedelta(milliseconds=25)
SEND, TARGET = "sendTransaction", "transfer on local"


@dataclass
class Bank:
    ledger: Ledger
    url: str
    file: Path
    pair: Keypair

    async def run(self, **more: Any) -> ProbeRun:
        probe = load("transfer_canary")
        cap = Amount.parse("20000 lamports")
        options = {
            "cluster": "local", "genesis_hash": str(self.ledger.genesis_hash), "endpoints": (self.url,), "send": True,
            "key": Secret(json.dumps(list(bytes(self.pair))), origin="test"), "ledger": str(self.file), "allow_mainnet": True,
            "cap_per_transaction": cap, "cap_per_day": cap, "poll": S / 20, "wait": 12 * S, **more,
        }  # fmt: skip
        settings = RunSettings(interval=40 * S, deadline=30 * S)
        return await run_once(probe, probe.options(**options), settings=settings)

    @property
    def lamports(self) -> int:
        found = self.ledger.account(self.pair.pubkey())
        return 0 if found is None else found.lamports


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    ledger = Ledger(slot_time=SLOT)
    file, pair = tmp_path / "ledger.json", Keypair()
    file.touch()
    async with ticking(ledger, every=SLOT), serve(Node(ledger)) as node:
        ledger.airdrop(pair.pubkey(), 10**9)
        ledger.settle()
        yield Bank(ledger, node.http, file, pair)


@asynccontextmanager
async def proxied(bank: Bank) -> AsyncIterator[RpcProxy]:
    transport = HttpxTransport(clock=SYSTEM_CLOCK)
    try:
        proxy = RpcProxy(bank.url, transport=transport)
        async with serve_proxy(proxy) as served:
            bank.url = served.http
            yield proxy
    finally:
        await transport.aclose()


@pytest.mark.shows("transfer_canary", "OK")
async def test_a_transfer_lands_and_is_final(bank: Bank) -> None:
    before = bank.lamports
    run = await bank.run()
    assert run.status is OK
    assert verdict(run, TARGET) == (OK, "landed")
    (journey,) = run.journeys
    assert journey.missing == ()
    assert journey.stage("confirmed", "local").paid == before - bank.lamports == 5_000
    # Nothing to pay another with today.
    second = await bank.run(cap_per_transaction=Amount.parse("9999 lamports"), cap_per_day=Amount.parse("9999 lamports"))
    assert verdict(second, TARGET) == (UNKNOWN, "daily_cap")
    assert before - bank.lamports == 5_000


@pytest.mark.shows("transfer_canary", "CRITICAL expired")
async def test_a_send_that_never_arrives_expires(bank: Bank) -> None:
    async with proxied(bank) as proxy:
        with proxy.inject(faults.HangUp(methods=(SEND,))).during():
            run = await bank.run()
        assert [one.rpc_method for one in run.requests].count(SEND) == 1
        assert verdict(run, TARGET) == (CRITICAL, "expired")
        assert run.journeys[0].stage("sent", "local").reason == "connect"
        assert bank.lamports == 10**9


async def test_a_send_without_an_answer_is_one_request_and_lands(bank: Bank) -> None:
    async with proxied(bank) as proxy:
        with proxy.inject(faults.Unanswered(methods=(SEND,))).during():
            run = await bank.run()
        assert [one.rpc_method for one in run.requests].count(SEND) == 1
        assert verdict(run, TARGET) == (OK, "landed")
        assert bank.lamports == 10**9 - 5_000


async def test_a_node_that_hangs_at_the_send_is_not_waited_for_twice(bank: Bank) -> None:
    async with proxied(bank) as proxy:
        with proxy.inject(faults.Hang(methods=(SEND,))).during():
            run = await bank.run(wait=S)
        assert [one.rpc_method for one in run.requests].count(SEND) == 1
        assert verdict(run, TARGET)[0] is CRITICAL
        assert verdict(run, TARGET)[1] in ("expired", "not_landed")


@pytest.mark.shows("transfer_canary", "CRITICAL wrong_chain")
async def test_a_wallet_that_holds_nothing_and_a_cluster_that_is_another(bank: Bank) -> None:
    poor = Keypair()
    run = await bank.run(key=Secret(str(poor), origin="test"))
    assert verdict(run, TARGET) == (UNKNOWN, "underfunded")
    run = await bank.run(genesis_hash=str(poor.pubkey()))
    assert verdict(run, "local") == (CRITICAL, "wrong_chain")
    assert result(run, TARGET).verdicts[0].reason == "behind_endpoint"
    assert bank.lamports == 10**9
