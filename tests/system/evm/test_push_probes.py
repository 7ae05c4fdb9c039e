"""Probes of pushed feeds on real nodes: MockPyth, a pusher of ours, and the sandbox Hermes over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.push_feeds import PushChain, PushFeed
from probekit.clients.pyth_evm import PythEvmClient
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once
from probekit.units import Bps
from tests.support.sandbox import load, others_ok, result, verdict
from tests.system.evm.chain import Chain
from tests.system.evm.pusher import Pusher

pytestmark = [pytest.mark.system, pytest.mark.evm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PERIOD_S, FEE = 60, 3


@dataclass
class Pushed:
    """A chain with one MockPyth and its pusher, and the Hermes it takes prices from."""

    chain: Chain
    network: SandboxNetwork
    sandbox: Sandbox
    hermes: str
    pusher: Pusher
    contract: str

    @property
    def feeds(self) -> list[str]:
        return [str(market.feed.id) for market in self.network.markets]

    @property
    def id(self) -> str:
        return f"evm:{self.chain.node.chain_id}"

    def at(self, feed: str) -> str:
        return f"{self.id}/{self.contract}/{feed}"

    def options(self, **more: Any) -> dict[str, Any]:
        node = self.chain.node
        return {
            "hermes": self.hermes,
            "chains": (PushChain(chain=str(node.chain_id), endpoints=(node.url,), contracts=(self.contract,)),),
            "feeds": tuple(PushFeed(feed=one) for one in self.feeds),
            "heartbeat": timedelta(minutes=10),
            "max_deviation": Bps.parse("300bps"),
            "timeout": 3 * S,
            **more,
        }


@asynccontextmanager
async def pushed(chain: Chain, feeds: int = 3, *, first: bool = True) -> AsyncIterator[Pushed]:
    """Everything in place and, unless ``first`` is false, every feed pushed once."""
    await chain.with_multicall()
    contract = await chain.deploy("MockPyth", "uint256,uint256", PERIOD_S, FEE)
    network = SandboxNetwork(feeds=feeds)
    sandbox = Sandbox(network)
    async with serve(sandbox) as hermes:
        pusher = Pusher(chain, PythEvmClient(chain.client, contract), network)
        made = Pushed(chain, network, sandbox, hermes, pusher, str(contract))
        if first:
            assert (await pusher.push(made.feeds)).succeeded
        yield made


async def run_of(name: str, options: dict[str, Any]) -> ProbeRun:
    probe = load(name)
    return await run_once(probe, probe.options(**options), settings=RunSettings(interval=10 * S, deadline=10 * S))


# -- pyth_evm_heartbeat --------------------------------------------------------------------------------------------------------


async def test_heartbeats_are_kept_and_a_feed_nobody_pushes_is_named(chain: Chain) -> None:
    async with pushed(chain) as made:
        unpushed = "ab" * 32
        options = made.options(feeds=tuple(PushFeed(feed=one) for one in (*made.feeds, unpushed)))
        chain.transport.taken()
        run = await run_of("pyth_evm_heartbeat", options)
        assert verdict(run, made.at(unpushed)) == (CRITICAL, "never_pushed")
        assert "PriceFeedNotFound" in result(run, made.at(unpushed)).verdicts[0].message
        assert others_ok(run, made.at(unpushed))
        assert [one.rpc_method for one in run.requests if one.rpc_method] == ["eth_chainId", "eth_getBlockByNumber", "eth_call"]


async def test_an_old_price_is_overdue_and_past_the_contracts_period(chain: Chain) -> None:
    async with pushed(chain, feeds=2, first=False) as made:
        fresh, old = made.feeds
        await made.pusher.push([fresh])
        await made.pusher.push([old], ago_s=800)
        run = await run_of("pyth_evm_heartbeat", made.options(valid_period="critical"))
        found = {one.check: one.reason for one in result(run, made.at(old)).verdicts}
        assert (found["heartbeat"], found["deadline"]) == ("overdue", "past_valid_period")
        assert others_ok(run, made.at(old))


async def test_a_price_far_from_its_source(chain: Chain) -> None:
    async with pushed(chain, feeds=2, first=False) as made:
        one, other = made.feeds
        await made.pusher.push([one], parts=11_000)
        await made.pusher.push([other])
        run = await run_of("pyth_evm_heartbeat", made.options())
        assert verdict(run, made.at(one)) == (WARNING, "moving")
        assert others_ok(run, made.at(one))


async def test_a_node_that_hangs_is_one_verdict_on_its_chain(chain: Chain) -> None:
    async with pushed(chain, feeds=2) as made:
        with chain.node.paused():
            run = await run_of("pyth_evm_heartbeat", made.options())
        assert verdict(run, made.id)[0] is CRITICAL
        assert verdict(run, made.id)[1].startswith("deadline")
        assert {verdict(run, made.at(one)) for one in made.feeds} == {(UNKNOWN, "behind_endpoint")}
        assert verdict(run, made.hermes) == (OK, "within_budget")


async def test_without_hermes_the_heartbeat_is_judged(chain: Chain) -> None:
    async with pushed(chain, feeds=1) as made:
        made.sandbox.inject(faults.Unauthorized())
        run = await run_of("pyth_evm_heartbeat", made.options())
        assert verdict(run, made.hermes) == (UNKNOWN, "not_authorized")
        found = {one.check: one.reason for one in result(run, made.at(made.feeds[0])).verdicts}
        assert found == {"heartbeat": "kept", "cross_chain_deviation": "no_source"}
