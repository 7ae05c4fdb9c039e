"""price_journey in real time over the sandbox Hermes, anvil with MockPyth and a pusher, and the SVM server: an injected delay
is shown at the stage it was given to, for each stage in turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs.evm.contract import Function
from probekit.codecs.solana.addresses import PRO
from probekit.codecs.solana.receiver import encode_price_update
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve as serve_hermes
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve as serve_svm
from probekit.dev.svm.server import ticking
from probekit.model import FeedId, PriceMessage, ProbeRun, Status
from probekit.model.journey import Journey
from probekit.model.receiver import FULL, PriceUpdateAccount
from probekit.runner import RunSettings, watch
from probekit.units import NS_PER_S, Instant
from tests.support.sandbox import load, module_of, result
from tests.system.evm.chain import GWEI, POLL, Chain
from tests.system.evm.conftest import chain, nothing_is_left

__all__ = ["chain", "nothing_is_left"]

pytestmark = [pytest.mark.system, pytest.mark.evm, pytest.mark.svm]

S = timedelta(seconds=1)
SLOT = timedelta(milliseconds=100)
DELAY_S = 8
CREATE = Function("createPriceFeedUpdateData(bytes32,int64,uint64,int32,int64,uint64,uint64,uint64)", "bytes")


class World:
    """Everything from the signers to two chains, and a pusher between."""

    def __init__(self, chain: Chain, contract: PythEvmClient, ledger: Ledger) -> None:
        self.network = SandboxNetwork(feeds=2)
        self.sandbox = Sandbox(self.network)
        self.feed = str(self.network.markets[0].feed.id)
        self.chain, self.contract, self.ledger = chain, contract, ledger
        self.delay_s = {"anvil": 0, "svm": 0}
        self.pusher: asyncio.Task[None] | None = None

    async def push(self) -> None:
        """Land an update of now every two seconds on each chain, each time after that chain's delay."""
        async with asyncio.TaskGroup() as group:
            while True:
                now = Instant.now()
                message = self.network.message(self.network.market(self.feed), self.network.published_ns(now))
                group.create_task(self._land_on_anvil(message, self.delay_s["anvil"]))
                group.create_task(self._land_on_svm(message, self.delay_s["svm"]))
                await asyncio.sleep(2)

    async def _land_on_anvil(self, message: PriceMessage, delay_s: int) -> None:
        await asyncio.sleep(delay_s)
        made = CREATE.one(
            bytes(FeedId(message.feed_id)), message.price, message.conf, message.expo, message.ema_price, message.ema_conf,
            message.publish_time, message.prev_publish_time,
        )  # fmt: skip
        client = self.chain.client
        data = await client.read(self.contract.address, made)
        prepared = await self.contract.build_update([data], fee_wei=1)
        raw = self.chain.signed(await client.nonce(self.chain.payer.address), **prepared.transaction(), gas=500_000)
        await client.wait(await client.send(raw, cap_wei=500_000 * 10 * GWEI + 1), poll=POLL)

    async def _land_on_svm(self, message: PriceMessage, delay_s: int) -> None:
        await asyncio.sleep(delay_s)
        address = PRO.push_feed(FeedId(message.feed_id))
        content = encode_price_update(PriceUpdateAccount(address, FULL, message, self.ledger.tip.slot))
        self.ledger.set_account(address, content, owner=PRO.receiver)

    def options(self, hermes: str, svm: str) -> dict[str, Any]:
        module = module_of(load("price_journey"))
        sets = tuple(
            module.SignerSetOption(root=str(one.root), index=one.index, signers=tuple(key.hex() for key in one.signers))
            for one in self.network.trust.sets
        )
        node = self.chain.node
        evm = module.EvmChainOption(
            name="anvil", chain_id=node.chain_id, endpoints=(node.url,), contract=self.contract.address, heartbeat=60 * S
        )
        solana = module.SolanaOption(name="svm", endpoints=(svm,), genesis_hash=str(self.ledger.genesis_hash), heartbeat=60 * S)
        budget = timedelta(seconds=3)
        return {
            "endpoint": hermes, "feeds": (self.feed,), "evm": (evm,), "solana": (solana,), "signer_sets": sets,
            "every": 2 * S, "patience": 14 * S, "look_every": timedelta(milliseconds=300), "samples": 4,
            "aggregated": budget, "attested": budget, "proven": budget, "arrived": budget, "landed": budget,
        }  # fmt: skip


@pytest.fixture
async def world(chain: Chain) -> AsyncIterator[World]:
    contract = PythEvmClient(chain.client, await chain.deploy("MockPyth", "uint256,uint256", 60, 1))
    ledger = Ledger(slot_time=SLOT)
    made = World(chain, contract, ledger)
    pusher = made.pusher = asyncio.create_task(made.push())
    try:
        yield made
    finally:
        pusher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pusher


Runs = Callable[[ProbeRun, list[Journey]], bool]


async def follow(
    world: World, condition: Runs, act: Callable[[], object], seconds: float = 60
) -> tuple[ProbeRun, list[Journey]]:
    """The first run that meets the condition, after all was well and ``act`` was done; and the journeys of updates since."""
    probe = load("price_journey")
    since: Instant | None = None
    journeys: list[Journey] = []
    async with (
        serve_hermes(world.sandbox) as hermes,
        ticking(world.ledger, every=SLOT),
        serve_svm(Node(world.ledger)) as svm,
        asyncio.timeout(seconds),
        aclosing(watch(probe, probe.options(**world.options(hermes, svm.http)), settings=RunSettings(interval=S))) as runs,
    ):
        async for run in runs:
            assert world.pusher is not None
            assert not world.pusher.done(), world.pusher
            if since is None:
                if {one.status for one in run.results} == {Status.OK} and any(not one.overdue for one in run.journeys):
                    since = Instant.now()
                    act()
                continue
            journeys += [one for one in run.journeys if one.stages[5].at is not None and one.stages[5].at > since]
            if condition(run, journeys):
                return run, journeys
    raise AssertionError("a watch never ends by itself")


def slow_stages(journeys: list[Journey]) -> set[tuple[str, str]]:
    """Stages that took more than half of the delay, and where."""
    return {
        (stage.name, stage.chain)
        for journey in journeys
        for stage in journey.stages
        if stage.elapsed_ns is not None and stage.elapsed_ns > DELAY_S * NS_PER_S // 2
    }


@pytest.mark.shows("price_journey", "OK")
async def test_an_update_is_followed_to_both_chains(world: World) -> None:
    def landed(_: ProbeRun, journeys: list[Journey]) -> bool:
        return any(not one.overdue for one in journeys)

    _, journeys = await follow(world, landed, lambda: None)
    journey = next(one for one in journeys if not one.overdue)
    on_anvil, on_svm = journey.stage("landed", "anvil"), journey.stage("landed", "svm")
    receipt = await world.chain.client.receipt(on_anvil.transaction)
    assert receipt is not None
    assert (receipt.block_number, receipt.block_hash) == (on_anvil.block, on_anvil.block_hash)
    assert on_svm.block is not None
    assert on_svm.block >= 435_000_000
    assert (on_anvil.clock, on_svm.clock) == ("chain_block", "local")
    assert journey.slot == journey.stage("attested").sequence
    assert all(one.explained for one in journey.stages)


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("aggregated", marks=pytest.mark.shows("price_journey", "OK", "CRITICAL slow_aggregated")),
        pytest.param("attested", marks=pytest.mark.shows("price_journey", "OK", "CRITICAL slow_attested")),
        pytest.param("proven", marks=pytest.mark.shows("price_journey", "OK", "CRITICAL slow_proven")),
        pytest.param("arrived", marks=pytest.mark.shows("price_journey", "OK", "CRITICAL slow_arrived")),
    ],
)
async def test_a_delay_before_the_chains(world: World, stage: str) -> None:
    delay = timedelta(seconds=DELAY_S)
    acts: dict[str, Callable[[], object]] = {
        "aggregated": lambda: world.sandbox.network.inject(faults.StaleFeed(world.feed)),
        "attested": lambda: setattr(world.network, "attested_after", delay),
        "proven": lambda: setattr(world.network, "proven_after", delay),
        "arrived": lambda: world.sandbox.inject(faults.Lag(delay_ms=DELAY_S * 1000)),
    }

    def found(run: ProbeRun, journeys: list[Journey]) -> bool:
        told = {one.reason for one in result(run, world.feed).verdicts}
        return told == {f"slow_{stage}"} and any(name == stage for name, _ in slow_stages(journeys))

    run, journeys = await follow(world, found, acts[stage])
    assert result(run, world.feed).status is Status.CRITICAL
    assert {name for name, _ in slow_stages(journeys) if name != "landed"} == {stage}


@pytest.mark.parametrize("chain_name", ["anvil", "svm"])
@pytest.mark.shows("price_journey", "OK", "CRITICAL slow_landed")
async def test_a_delay_of_one_chains_pusher(world: World, chain_name: str) -> None:
    other = {"anvil": "svm", "svm": "anvil"}[chain_name]

    def found(run: ProbeRun, journeys: list[Journey]) -> bool:
        told = {one.reason for one in result(run, f"{world.feed} on {chain_name}").verdicts}
        return "slow_landed" in told and ("landed", chain_name) in slow_stages(journeys)

    def late() -> None:
        world.delay_s[chain_name] = DELAY_S

    run, journeys = await follow(world, found, late)
    assert slow_stages(journeys) == {("landed", chain_name)}
    assert result(run, world.feed).status is Status.OK
    assert result(run, f"{world.feed} on {other}").status is Status.OK
