"""update_canary on a real chain: what lands, is refused, waits, is dropped or replaced; and that nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from probekit.codecs.evm.contract import Function
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.rpc_proxy import faults as rpc_faults
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import serve as serve_proxy
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.model import FeedId, ProbeRun, Status, Verdict
from probekit.model.journey import Journey
from probekit.runner import RunSettings, run_once
from probekit.secret import Secret
from probekit.units import Amount
from tests.support.sandbox import load, result, verdict
from tests.system.evm.chain import GWEI, Chain, until

pytestmark = [pytest.mark.system, pytest.mark.evm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
FEE = 5
BY = 1
SEND = "eth_sendRawTransaction"


@dataclass
class Set:
    """A chain with a contract that takes what Hermes serves, and a wallet with its ledger."""

    chain: Chain
    sandbox: Sandbox
    hermes: str
    contract: str
    feed: str
    ledger: Path

    @property
    def wallet(self) -> str:
        return str(self.chain.node.accounts[BY].address)

    @property
    def target(self) -> str:
        return f"anvil/{self.contract}/{self.feed}"

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "endpoint": self.hermes,
            "feed": FeedId(self.feed),
            "chain": "anvil",
            "chain_id": self.chain.node.chain_id,
            "endpoints": (self.chain.node.url,),
            "contract": self.contract,
            "send": True,
            "key": self.chain.node.accounts[BY].key,
            "ledger": str(self.ledger),
            "wait": 2 * S,
            "poll": S / 20,
            **more,
        }

    async def run(self, **more: Any) -> ProbeRun:
        probe = load("update_canary")
        settings = RunSettings(interval=30 * S, deadline=20 * S)
        return await run_once(probe, probe.options(**self.options(**more)), settings=settings)

    def verdict(self, run: ProbeRun) -> Verdict:
        (found,) = result(run, self.target).verdicts
        return found

    async def said(self, **more: Any) -> tuple[Status, str, str]:
        found = self.verdict(await self.run(**more))
        return found.status, found.reason, found.message

    async def tell(self, signature: str, *arguments: Any, by: int = 2, **more: Any) -> None:
        data = Function(signature).calldata(*arguments)
        await self.chain.node.send(sender=self.chain.node.accounts[by].address, to=self.contract, data=data, **more)

    async def sent(self) -> int:
        return await self.chain.client.nonce(self.wallet, "latest")


@asynccontextmanager
async def in_place(chain: Chain, tmp_path: Path) -> AsyncIterator[Set]:
    network = SandboxNetwork(feeds=3)
    sandbox = Sandbox(network)
    ledger = tmp_path / "ledger.json"
    ledger.touch()
    contract = await chain.deploy("Served", "uint256", FEE)
    async with serve(sandbox) as hermes:
        yield Set(chain, sandbox, hermes, str(contract), str(network.markets[0].feed.id), ledger)


def stages(journey: Journey) -> dict[str, str]:
    return {one.name: one.reason or ("ok" if one.at is not None else "?") for one in journey.stages}


@pytest.mark.shows("update_canary", "OK")
async def test_an_update_is_paid_for_landed_and_read_back(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        before = await chain.client.balance(made.wallet)
        run = await made.run()
        assert run.status is OK
        found = made.verdict(run)
        assert (found.status, found.reason) == (OK, "landed")
        assert verdict(run, "anvil") == verdict(run, made.hermes) == (OK, "within_budget")
        (journey,) = run.journeys
        assert set(stages(journey).values()) == {"ok"}
        included = journey.stage("included", "anvil")
        receipt = await chain.client.receipt(included.transaction)
        assert receipt is not None
        assert (included.block, included.gas_used, included.gas_price) == (
            receipt.block_number, receipt.gas_used, receipt.effective_gas_price,
        )  # fmt: skip
        # Every wei: what the wallet lost is what the stage says, and so does the ledger.
        assert included.paid == receipt.fee + FEE == before - await chain.client.balance(made.wallet)
        assert f'"paid": {included.paid}' in made.ledger.read_text()
        spent = {one.name: one.value * 10**18 for one in found.measures}
        assert spent == {"canary.paid": included.paid, "canary.spent": included.paid}
        assert await made.sent() == 1


async def test_a_dry_run_stops_after_the_simulation_and_needs_no_key(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        run = await made.run(send=False, key=None, ledger=None)
        assert verdict(run, made.target) == (OK, "simulated")
        (journey,) = run.journeys
        left = dict.fromkeys(("signed", "sent", "included", "readable"), "dry_run")
        assert stages(journey) == {"fetched": "ok", "built": "ok", "simulated": "ok"} | left
        assert await made.sent() == 0


async def test_an_update_that_the_contract_refuses_is_not_sent(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await made.tell("setDistrustful(bool)", True)
        run = await made.run()
        found = made.verdict(run)
        assert (found.status, found.reason) == (CRITICAL, "would_revert")
        assert "InvalidWormholeVaa" in found.message
        assert stages(run.journeys[0])["simulated"] == "would_revert"
        assert stages(run.journeys[0])["sent"] == "not_reached"
        assert (await made.sent(), made.ledger.read_bytes()) == (0, b"")


@pytest.mark.shows("update_canary", "CRITICAL reverted")
async def test_a_transaction_that_reverts_in_its_block_says_why(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.automine(False)
        task = asyncio.ensure_future(made.run(wait=10 * S))
        await until(lambda: waiting(made), "it is sent")
        # In the same block, and before it.
        await made.tell("setFee(uint256)", 10 * FEE, maxPriorityFeePerGas=hex(50 * GWEI), maxFeePerGas=hex(90 * GWEI))
        await chain.node.mine()
        run = await task
        found = made.verdict(run)
        assert (found.status, found.reason) == (CRITICAL, "reverted")
        assert "InsufficientFee" in found.message
        included = run.journeys[0].stage("included", "anvil")
        assert (included.reason, included.failed) == ("reverted", True)
        assert included.gas_used is not None
        # The value came back; the gas is gone.
        assert included.paid == included.gas_used * (included.gas_price or 0)


async def waiting(made: Set) -> bool:
    return await made.chain.client.nonce(made.wallet, "pending") > await made.sent()


@pytest.mark.shows("update_canary", "CRITICAL not_readable")
async def test_a_price_that_is_not_stored_is_found_out(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await made.run()
        await made.tell("setDeaf(bool)", True)
        await until(lambda: newer(made), "a newer price")
        status, reason, told = await made.said()
        assert (status, reason) == (CRITICAL, "not_readable")
        assert "succeeded, and the contract tells" in told


async def newer(made: Set) -> bool:
    network = made.sandbox.network
    stored = await chain_price(made)
    now = network.message(network.market(made.feed), network.published_ns(network.clock.now()))
    return now.publish_time > stored


async def chain_price(made: Set) -> int:
    from probekit.clients.pyth_evm import PythEvmClient

    return (await PythEvmClient(made.chain.client, made.contract).price(made.feed)).publish_time_s


async def test_what_waits_is_followed_up_and_never_doubled(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.automine(False)
        first = await made.run(wait=S / 5)
        assert verdict(first, made.target) == (CRITICAL, "not_included")
        second = await made.run(wait=S / 5)
        assert verdict(second, made.target) == (CRITICAL, "not_included")
        assert await chain.client.nonce(made.wallet, "pending") == 1
        assert stages(second.journeys[0]) == {"included": "not_included", "readable": "not_reached"}
        await chain.node.mine()
        third = await made.run()
        found = made.verdict(third)
        assert (found.status, found.reason) == (WARNING, "late")
        assert "in an earlier run" in found.message
        assert await chain.client.nonce(made.wallet, "pending") == 1
        await chain.node.automine(True)
        await until(lambda: newer(made), "a newer price")
        assert (await made.said())[:2] == (OK, "landed")
        assert await made.sent() == 2


async def test_a_run_that_is_cut_short_leaves_its_transaction_to_the_next(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.automine(False)
        probe = load("update_canary")
        settings = RunSettings(interval=30 * S, deadline=2 * S)
        run = await run_once(probe, probe.options(**made.options(wait=20 * S)), settings=settings)
        assert made.verdict(run).reason == "deadline"
        assert verdict(run, made.hermes) == verdict(run, "anvil") == (OK, "within_budget")
        assert stages(run.journeys[0])["sent"] == "ok"
        await chain.node.mine()
        assert (await made.said())[:2] == (WARNING, "late")
        assert await made.sent() == 1


@pytest.mark.shows("update_canary", "CRITICAL dropped")
async def test_what_is_dropped_is_told_once_and_its_nonce_is_used_again(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.automine(False)
        run = await made.run(wait=S / 5)
        transaction = run.journeys[0].stage("sent", "anvil").transaction
        await chain.node.rpc("anvil_dropTransaction", transaction)
        status, reason, told = await made.said()
        assert (status, reason) == (CRITICAL, "dropped")
        assert transaction in told
        await chain.node.automine(True)
        assert (await made.said())[:2] == (OK, "landed")
        assert await made.sent() == 1


async def test_a_nonce_that_somebody_else_used(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.automine(False)
        await made.run(wait=S / 5)
        raw = chain.signed(0, by=BY, maxFeePerGas=500 * GWEI, maxPriorityFeePerGas=400 * GWEI)
        await chain.client.send(raw, cap_wei=10**18)
        await chain.node.mine()
        assert (await made.said())[:2] == (UNKNOWN, "replaced")
        # And one that the ledger never had.
        await chain.node.automine(True)
        await chain.client.send(chain.signed(1, by=BY, maxFeePerGas=500 * GWEI), cap_wei=10**18)
        status, reason, told = await made.said()
        assert (status, reason) == (UNKNOWN, "wallet_shared")
        assert "1 transactions that are not in the ledger" in told
        assert await made.sent() == 2


@pytest.mark.shows("update_canary", "CRITICAL not_included")
async def test_a_fee_that_rose_above_what_is_offered(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.automine(False)
        await made.run(wait=S / 5)
        await chain.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(1000 * GWEI))
        await chain.node.mine()
        status, reason, told = await made.said()
        assert (status, reason) == (UNKNOWN, "fee_too_low")
        assert "the base fee is" in told


async def test_a_wallet_without_money_and_caps_that_hold(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.set_balance(made.wallet, FEE - 1)
        assert (await made.said())[:2] == (UNKNOWN, "underfunded")
        await chain.node.set_balance(made.wallet, FEE + 1)
        assert (await made.said())[:2] == (UNKNOWN, "underfunded")
        await chain.node.set_balance(made.wallet, 10**18)
        low = Amount.parse("1000000 wei")
        status, reason, told = await made.said(cap_per_transaction=low, cap_per_day=low)
        assert (status, reason) == (UNKNOWN, "over_cap")
        assert "0.000000000001 ETH" in told
        assert await made.sent() == 0


async def test_the_cap_of_a_day_outlives_the_process(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        assert (await made.said())[:2] == (OK, "landed")
        await until(lambda: newer(made), "a newer price")
        assert (await made.said())[:2] == (OK, "landed")
        await until(lambda: newer(made), "a newer price")
        paid = [int(one.partition(",")[0]) for one in made.ledger.read_text().split('"paid": ')[1:]]
        caps = dict.fromkeys(("cap_per_transaction", "cap_per_day"), Amount.parse(f"{sum(paid) + 10**9} wei"))
        status, reason, _ = await made.said(**caps)
        assert (status, reason) == (UNKNOWN, "daily_cap")
        # Nobody gets round it by taking the file away.
        made.ledger.rename(tmp_path / "away")
        status, reason, told = await made.said(**caps)
        assert (status, reason) == (UNKNOWN, "no_ledger")
        assert "make it an empty file" in told
        assert await made.sent() == 2


@pytest.mark.parametrize("fault", [rpc_faults.Unanswered(methods=(SEND,)), rpc_faults.HangUp(methods=(SEND,))], ids=type)
async def test_a_send_without_an_answer_is_one_request_and_its_fate_is_found_out(
    chain: Chain, tmp_path: Path, fault: rpc_faults.RpcFault
) -> None:
    async with in_place(chain, tmp_path) as made:
        proxy = RpcProxy(chain.node.url, transport=chain.transport, ws_url=chain.node.ws_url)
        async with serve_proxy(proxy) as served:
            chain.transport.taken()
            with proxy.inject(fault).during():
                run = await made.run(endpoints=(served.http,), wait=S / 2)
            reached = [one for one in chain.transport.taken() if one == SEND]
            sends = [one for one in run.requests if one.rpc_method == SEND]
            assert len(sends) == 1
            assert stages(run.journeys[0])["sent"] == "connect"
            if isinstance(fault, rpc_faults.Unanswered):
                assert len(reached) == 1
                assert verdict(run, made.target) == (OK, "landed")
                assert await made.sent() == 1
            else:
                assert reached == []
                assert verdict(run, made.target) == (CRITICAL, "dropped")
                # Its nonce is free: the next one takes it, and only one of the two can ever be paid.
                assert (await made.said())[:2] == (OK, "landed")
                assert await made.sent() == 1


async def test_a_chain_that_cannot_be_reached_or_is_another(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        run = await made.run(endpoints=("http://127.0.0.1:1",))
        assert verdict(run, "anvil") == (CRITICAL, "connect")
        assert verdict(run, made.target) == (UNKNOWN, "behind_endpoint")
        run = await made.run(chain_id=1337)
        assert verdict(run, "anvil") == (CRITICAL, "wrong_chain")
        assert verdict(run, made.target) == (UNKNOWN, "behind_endpoint")
        assert await made.sent() == 0


async def test_hermes_without_an_update(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        made.sandbox.inject(faults.Unauthorized())
        run = await made.run()
        assert verdict(run, made.hermes) == (UNKNOWN, "not_authorized")
        assert verdict(run, made.target) == (UNKNOWN, "not_fetched")
        assert stages(run.journeys[0])["fetched"] == "not_authorized"
        assert await made.sent() == 0


async def test_two_processes_do_not_send_for_one_wallet(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        await chain.node.automine(False)
        first = asyncio.ensure_future(made.run(wait=3 * S))
        await until(lambda: waiting(made), "it is sent")
        status, reason, told = await made.said()
        assert (status, reason) == (UNKNOWN, "no_ledger")
        assert "in use" in told
        await chain.node.mine()
        assert verdict(await first, made.target) == (OK, "landed")


async def test_a_key_that_is_none_is_told_without_it(chain: Chain, tmp_path: Path) -> None:
    async with in_place(chain, tmp_path) as made:
        status, reason, told = await made.said(key=Secret("0x" + "f" * 64, origin="file /etc/key"))
        assert (status, reason) == (UNKNOWN, "no_key")
        assert "file /etc/key" in told
        assert "ffff" not in told
