"""Probes of pushed feeds on real nodes: MockPyth, a pusher of ours, and the sandbox Hermes over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.evm import EvmClient
from probekit.clients.push_feeds import PushChain, PushFeed
from probekit.clients.pyth_evm import PythEvmClient
from probekit.dev import faults
from probekit.dev.anvil import anvil
from probekit.dev.network import SandboxNetwork
from probekit.dev.rpc_proxy import faults as rpc_faults
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import serve as serve_proxy
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once
from probekit.units import Bps
from tests.support.sandbox import load, module_of, others_ok, result, verdict
from tests.system.evm.chain import Chain, counting, until
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


@pytest.mark.shows("pyth_evm_heartbeat", "OK")
async def test_every_feed_is_pushed_and_near_its_source(chain: Chain) -> None:
    async with pushed(chain) as made:
        run = await run_of("pyth_evm_heartbeat", made.options())
        assert run.status is OK, [one.verdicts for one in run.results]
        assert {verdict(run, made.at(one))[0] for one in made.feeds} == {OK}


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


@pytest.mark.shows("pyth_evm_heartbeat", "CRITICAL overdue", "CRITICAL past_valid_period")
async def test_an_old_price_is_overdue_and_past_the_contracts_period(chain: Chain) -> None:
    async with pushed(chain, feeds=2, first=False) as made:
        fresh, old = made.feeds
        await made.pusher.push([fresh])
        await made.pusher.push([old], ago_s=800)
        run = await run_of("pyth_evm_heartbeat", made.options(valid_period="critical"))
        found = {one.check: one.reason for one in result(run, made.at(old)).verdicts}
        assert (found["heartbeat"], found["deadline"]) == ("overdue", "past_valid_period")
        assert others_ok(run, made.at(old))


@pytest.mark.shows("pyth_evm_heartbeat", "WARNING moving")
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


# -- cross_chain_lag -----------------------------------------------------------------------------------------------------------

ETHER = 10**18


def route(made: Pushed, **more: Any) -> dict[str, Any]:
    """Options under which what was pushed ``OLD_S`` ago is overdue, and what was pushed now is not."""
    fields = {"endpoints": (made.chain.node.url,), "pusher": str(made.pusher.wallet), **more.pop("route", {})}
    kind = module_of(load("cross_chain_lag")).Route
    chains = (kind(chain=str(made.chain.node.chain_id), contracts=(made.contract,), **fields),)
    return made.options(chains=chains, heartbeat=timedelta(minutes=1), lands_within=10 * S, **more)


OLD_S = 300


def stage(run: ProbeRun, target: str) -> tuple[Status, str, str]:
    (found,) = [one for one in result(run, target).verdicts if one.check == "push_stage"]
    return found.status, found.reason, found.message


async def lagging(made: Pushed, feed: str, **more: Any) -> tuple[Status, str, str]:
    await made.chain.node.mine()
    return stage(await run_of("cross_chain_lag", route(made, **more)), made.at(feed))


@pytest.mark.shows("cross_chain_lag", "OK")
async def test_a_chain_that_follows_its_source(chain: Chain) -> None:
    async with pushed(chain) as made:
        run = await run_of("cross_chain_lag", route(made))
        assert run.status is OK
        status, reason, told = stage(run, made.at(made.feeds[0]))
        assert (status, reason) == (OK, "keeping_up")
        assert "it sent 1, of which 1 stored prices and 1 this one" in told
        assert f"wallet {made.pusher.wallet} has 9999" in told


@pytest.mark.shows("cross_chain_lag", "CRITICAL source_idle")
async def test_stage_source_idle(chain: Chain) -> None:
    async with pushed(chain, feeds=2) as made:
        made.sandbox.inject(faults.StaleFeed(made.feeds[0]))

        async def idle() -> ProbeRun | None:
            await chain.node.mine()
            await made.pusher.push([made.feeds[1]])
            run = await run_of("cross_chain_lag", route(made, max_source_age=3 * S))
            return run if stage(run, made.at(made.feeds[0]))[1] == "source_idle" else None

        run = await until(idle, "the source is idle")
        assert stage(run, made.at(made.feeds[0]))[0] is CRITICAL
        assert others_ok(run, made.at(made.feeds[0]))


@pytest.mark.shows("cross_chain_lag", "CRITICAL pusher_behind")
async def test_stage_pusher_behind(chain: Chain) -> None:
    async with pushed(chain, first=False) as made:
        stopped, other, never = made.feeds
        await made.pusher.push([stopped], ago_s=OLD_S)
        status, reason, told = await lagging(made, stopped)
        assert (status, reason) == (CRITICAL, "pusher_behind")
        assert told.startswith("the pusher has sent nothing since it last updated this feed")
        assert (await lagging(made, never))[1] == "never_pushed"
        # A pusher of other feeds: what it pushed of this one is out of the blocks that are searched.
        await chain.node.mine(101)
        await made.pusher.push([other])
        status, reason, told = await lagging(made, stopped)
        assert (reason, told.partition(".")[0]) == ("pusher_behind", "the pusher updates other feeds and not this one")
        assert (await lagging(made, other))[:2] == (OK, "keeping_up")
        # Without its address no more can be told.
        assert "no pusher was named" in (await lagging(made, stopped, route={"pusher": None}))[2]


@pytest.mark.shows("cross_chain_lag", "CRITICAL wallet_empty")
async def test_stage_wallet_empty(chain: Chain) -> None:
    async with pushed(chain, feeds=1, first=False) as made:
        await made.pusher.push(made.feeds, ago_s=OLD_S)
        await chain.node.set_balance(made.pusher.wallet, ETHER // 1000)
        status, reason, told = await lagging(made, made.feeds[0])
        assert (status, reason) == (CRITICAL, "wallet_empty")
        assert f"has {ETHER // 1000} wei, needs {ETHER // 100}" in told


@pytest.mark.shows("cross_chain_lag", "CRITICAL transaction_failing")
async def test_stage_transaction_failing(chain: Chain) -> None:
    async with pushed(chain, feeds=1, first=False) as made:
        await made.pusher.push(made.feeds, ago_s=OLD_S)
        made.pusher.fee_wei = FEE - 1
        receipt = await made.pusher.push(made.feeds)
        assert not receipt.succeeded
        await chain.node.mine(5)
        status, reason, told = await lagging(made, made.feeds[0])
        assert (status, reason) == (CRITICAL, "transaction_failing")
        assert f"{receipt.transaction_hash} reverted: the call: InsufficientFee" in told
        made.pusher.fee_wei = None
        await made.pusher.push(made.feeds)
        assert (await lagging(made, made.feeds[0]))[:2] == (OK, "keeping_up")


async def test_stage_transactions_that_get_into_no_block(chain: Chain) -> None:
    async with pushed(chain, feeds=1, first=False) as made:
        await made.pusher.push(made.feeds, ago_s=OLD_S)
        await chain.node.mine(101)
        await chain.node.rpc("evm_setAutomine", False)
        nonce = await chain.client.nonce(made.pusher.wallet)
        await chain.client.send(chain.signed(nonce, by=1), cap_wei=ETHER)
        status, reason, told = stage(await run_of("cross_chain_lag", route(made)), made.at(made.feeds[0]))
        assert (status, reason) == (CRITICAL, "transaction_failing")
        assert "get into no block" in told


@pytest.mark.shows("cross_chain_lag", "CRITICAL head_stale")
async def test_stage_rpc_lagging(chain: Chain) -> None:
    async with pushed(chain, feeds=1, first=False) as made:
        await made.pusher.push(made.feeds, ago_s=OLD_S)
        proxy = RpcProxy(chain.node.url, transport=chain.transport, ws_url=chain.node.ws_url)
        async with serve_proxy(proxy) as served:
            through = {"endpoints": (served.http,)}
            behind = await chain.client.block_number()

            async def lags() -> ProbeRun | None:
                blocks = await chain.node.mine() - behind
                with proxy.inject(rpc_faults.Lag(blocks=blocks)).during():
                    run = await run_of("cross_chain_lag", route(made, route=through, max_head_age=3 * S))
                return run if verdict(run, made.id) == (CRITICAL, "head_stale") else None

            run = await until(lags, "the head of the proxy stands still")
            found = {one.check: (one.status, one.reason) for one in result(run, made.at(made.feeds[0])).verdicts}
            assert found["push_stage"] == found["cross_chain_lag"] == (UNKNOWN, "rpc_lagging")
            # The same chain, seen by a node that follows it: the pusher's fault after all.
            assert (await lagging(made, made.feeds[0], max_head_age=3 * S))[:2] == (CRITICAL, "pusher_behind")


async def test_somebody_else_pushes_which_is_as_good(chain: Chain) -> None:
    async with pushed(chain, feeds=1, first=False) as made:
        other = Pusher(chain, PythEvmClient(chain.client, made.contract), made.network, by=2)
        await other.push(made.feeds)
        assert (await lagging(made, made.feeds[0]))[:2] == (OK, "pushed_by_others")


async def test_one_feed_on_two_chains_and_only_one_is_behind(chain: Chain) -> None:
    async with (
        pushed(chain, feeds=1) as made,
        counting() as transport,
        anvil(chain_id=31_338) as node,
        EvmClient(node.url, chain_id=node.chain_id, transport=transport) as client,
    ):
        other = Chain(node, client, transport)
        await other.with_multicall()
        contract = await other.deploy("MockPyth", "uint256,uint256", PERIOD_S, FEE)
        await Pusher(other, PythEvmClient(client, contract), made.network).push(made.feeds, ago_s=OLD_S)
        options = route(made)
        kind = module_of(load("cross_chain_lag")).Route
        second = kind(chain="31338", endpoints=(node.url,), contracts=(str(contract),))
        run = await run_of("cross_chain_lag", {**options, "chains": (*options["chains"], second)})
        behind = f"evm:31338/{contract}/{made.feeds[0]}"
        assert stage(run, behind)[:2] == (CRITICAL, "pusher_behind")
        assert others_ok(run, behind)
