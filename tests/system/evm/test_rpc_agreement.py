"""``rpc_agreement`` over a real node, through proxies that see it otherwise, and over another node of the same chain id."""

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

pytestmark = [pytest.mark.system, pytest.mark.evm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("rpc_agreement")
# Returns the number of the block it runs in: NUMBER, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN.
NUMBER = bytes.fromhex("435f5260205ff3")
AT = "0x" + "0d" * 20


@dataclass
class Nodes:
    """A node with a contract, two proxies before it, and a second node that made its own blocks of the same chain id."""

    node: AnvilNode
    stranger: AnvilNode
    proxies: list[RpcProxy]
    proxied: list[str]

    @property
    def account(self) -> str:
        return str(self.node.accounts[0].address)

    async def look(self, *also: str, **more: Any) -> ProbeRun:
        chain, call = module_of(PROBE).ChainOption, module_of(PROBE).CallOption
        mine = chain(
            endpoints=(self.node.url, *self.proxied, *also),
            chain_id=self.node.chain_id,
            accounts=(self.account,),
            calls=(call(name="number", to=AT, data="0x"),),
        )
        given = {"chains": {"mine": mine}, "timeout": 3 * S, **more}
        return await run_once(PROBE, PROBE.options(**given), settings=RunSettings(interval=10 * S, deadline=10 * S))


@asynccontextmanager
async def nodes() -> AsyncIterator[Nodes]:
    async with AsyncExitStack() as stack:
        node, stranger = [await stack.enter_async_context(anvil()) for _ in range(2)]
        engine = HttpxTransport(clock=SYSTEM_CLOCK)
        stack.push_async_callback(engine.aclose)
        for one in (node, stranger):
            await one.set_code(AT, NUMBER)
            await one.mine(12)
        proxies = [RpcProxy(node.url, transport=engine) for _ in range(2)]
        served = [await stack.enter_async_context(serve(proxy)) for proxy in proxies]
        yield Nodes(node, stranger, proxies, [one.http for one in served])


@pytest.mark.shows("rpc_agreement", "OK")
async def test_all_agree_at_one_height() -> None:
    async with nodes() as made:
        run = await made.look()
        assert run.status is OK
        assert f"0x{10:064x} at 10" in result(run, "mine/number").verdicts[0].message


async def test_an_endpoint_that_lags_is_no_dissenter() -> None:
    async with nodes() as made:
        with made.proxies[0].inject(faults.Lag(blocks=5)).during():
            run = await made.look()
        assert run.status is OK
        assert f"0x{5:064x} at 5" in result(run, "mine/number").verdicts[0].message


@pytest.mark.shows("rpc_agreement", "CRITICAL disagrees")
async def test_a_fork_that_one_endpoint_alone_sees_is_named() -> None:
    async with nodes() as made:
        with made.proxies[0].inject(faults.Fork(depth=4)).during():
            run = await made.look()
        assert verdict(run, "mine/block") == (CRITICAL, "disagrees")
        assert f"{made.proxied[0]} says" in result(run, "mine/block").verdicts[0].message
        assert others_ok(run, "mine/block")


async def test_another_chain_that_claims_the_same_id_is_a_dissenter() -> None:
    async with nodes() as made:
        await made.stranger.set_balance(made.account, 7)
        for one in (made.node, made.stranger):
            await one.mine(4)
        run = await made.look(made.stranger.url)
        account = next(one.target.id for one in run.results if made.account.lower() in one.target.id.lower())
        assert verdict(run, account) == (CRITICAL, "disagrees")
        assert f"{made.stranger.url} says 7 wei" in result(run, account).verdicts[0].message


@pytest.mark.shows("rpc_agreement", "WARNING few_endpoints")
async def test_two_that_differ_have_no_majority_and_one_alone_no_quorum() -> None:
    async with nodes() as made:
        made.proxies[1].inject(faults.WrongChain(chain_id=1))
        with made.proxies[0].inject(faults.Fork(depth=4)).during():
            run = await made.look()
        assert verdict(run, "mine/block") == (UNKNOWN, "split")
        assert "serves chain 1" in result(run, "mine/block").verdicts[0].message
        made.proxies[0].inject(faults.ServerError(status=503))
        run = await made.look()
        assert verdict(run, "mine/block") == (UNKNOWN, "no_quorum")
        assert verdict(run, "mine") == (WARNING, "few_endpoints")
