"""``evm_head_lag`` over two real nodes and a proxy that misbehaves before a third view of one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.clock import SYSTEM_CLOCK
from probekit.dev.anvil import AnvilNode, anvil
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import serve
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once
from probekit.transports.httpx import HttpxTransport
from tests.support.sandbox import load, module_of, others_ok, result, verdict
from tests.system.evm.chain import until

pytestmark = [pytest.mark.system, pytest.mark.evm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("evm_head_lag")


@dataclass
class Nodes:
    """Chain ``mine`` behind its node and a proxy; chain ``other`` behind its own node."""

    mine: AnvilNode
    other: AnvilNode
    proxy: RpcProxy
    proxied: str

    def at(self, url: str, chain: str = "mine") -> str:
        return f"{chain}/{url}"

    async def look(self, **more: Any) -> ProbeRun:
        option = module_of(PROBE).ChainOption
        chains = {
            "mine": option(endpoints=(self.mine.url, self.proxied), chain_id=self.mine.chain_id),
            "other": option(endpoints=(self.other.url,), chain_id=self.other.chain_id),
        }
        given = {"chains": chains, "max_lag": 5 * S, "timeout": 3 * S, **more}
        return await run_once(PROBE, PROBE.options(**given), settings=RunSettings(interval=10 * S, deadline=10 * S))


@asynccontextmanager
async def nodes(**other: Any) -> AsyncIterator[Nodes]:
    async with AsyncExitStack() as stack:
        mine = await stack.enter_async_context(anvil(block_time=S))
        second = await stack.enter_async_context(anvil(chain_id=mine.chain_id + 1, **{"block_time": S, **other}))
        engine = HttpxTransport(clock=SYSTEM_CLOCK)
        stack.push_async_callback(engine.aclose)
        proxy = RpcProxy(mine.url, transport=engine)
        served = await stack.enter_async_context(serve(proxy))
        yield Nodes(mine, second, proxy, served.http)


@pytest.mark.shows("evm_head_lag", "OK")
async def test_every_endpoint_follows_and_finality_is_measured() -> None:
    async with nodes() as made:
        run = await made.look()
        assert {verdict(run, one)[0] for one in ("mine", "other", made.at(made.mine.url), made.at(made.proxied))} == {OK}
        measured = {one.name for each in result(run, made.at(made.mine.url)).verdicts for one in each.measures}
        assert {"chain.head_lag", "chain.head_age", "chain.finality_lag", "chain.soft_lag.blocks"} <= measured


@pytest.mark.shows("evm_head_lag", "OK", "CRITICAL behind")
async def test_an_endpoint_behind_is_named_and_the_others_are_well() -> None:
    async with nodes() as made:

        async def behind() -> ProbeRun | None:
            run = await made.look()
            return run if verdict(run, made.at(made.proxied)) == (CRITICAL, "behind") else None

        with made.proxy.inject(faults.Lag(blocks=8)).during():
            run = await until(behind, "the proxy is eight blocks behind")
            assert others_ok(run, made.at(made.proxied))
        assert verdict(await made.look(), made.at(made.proxied))[0] is OK


@pytest.mark.shows("evm_head_lag", "CRITICAL wrong_chain")
async def test_an_endpoint_of_another_chain_is_named() -> None:
    async with nodes() as made:
        with made.proxy.inject(faults.WrongChain(chain_id=1)).during():
            run = await made.look()
        assert verdict(run, made.at(made.proxied)) == (CRITICAL, "wrong_chain")
        assert "serves chain 1" in result(run, made.at(made.proxied)).verdicts[0].message
        assert others_ok(run, made.at(made.proxied))


async def test_an_endpoint_that_hangs_and_one_that_is_gone() -> None:
    async with nodes() as made:
        with made.proxy.inject(faults.Hang()).during():
            run = await made.look(timeout=S)
        assert verdict(run, made.at(made.proxied))[0] is CRITICAL
        assert "deadline" in verdict(run, made.at(made.proxied))[1]
        assert others_ok(run, made.at(made.proxied))
        made.other.kill()
        run = await made.look()
        assert verdict(run, "other") == verdict(run, made.at(made.other.url, "other")) == (CRITICAL, "connect")
        assert verdict(run, "mine")[0] is OK


@pytest.mark.shows("evm_head_lag", "CRITICAL head_stale")
async def test_a_chain_that_makes_no_blocks_is_stale_and_does_not_finalize() -> None:
    async with nodes(block_time=None) as made:

        async def stale() -> ProbeRun | None:
            run = await made.look(max_head_age=timedelta(seconds=4))
            return run if verdict(run, "other") == (CRITICAL, "head_stale") else None

        run = await until(stale, "the head is older than four seconds")
        assert verdict(run, "mine")[0] is OK
