"""``contract_event`` on the local Solana node: transactions of a program that succeed and fail, found in their logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction

from probekit.clients.program_watch import ProgramEventWatch, ProgramRule
from probekit.clients.solana import SolanaClient
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.model import ProbeRun, Status
from probekit.model.pubkey import Pubkey as OurPubkey
from probekit.runner import RunSettings, run_once, watch
from probekit.units import Instant
from tests.support.sandbox import load, module_of, result, verdict

pytestmark = [pytest.mark.system, pytest.mark.svm]

SLOT = timedelta(milliseconds=50)
SOL = 1_000_000_000
SYSTEM = "11111111111111111111111111111111"
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


@dataclass
class Cluster:
    ledger: Ledger
    node: Node
    url: str
    genesis_hash: str
    client: SolanaClient
    payer: Keypair

    async def pay(self, lamports: int) -> str:
        """A transfer, landed whether it succeeds or not; its signature."""
        latest = await self.client.blockhash()
        to = Pubkey(bytes(Keypair().pubkey()))
        params = TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=to, lamports=lamports)
        message = Message([transfer(params)], self.payer.pubkey())
        signed = Transaction([self.payer], message, Hash.from_string(latest.blockhash))
        self.ledger.send(VersionedTransaction.from_legacy(signed))
        return str(signed.signatures[0])


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    ledger = Ledger(slot_time=SLOT)
    node = Node(ledger)
    async with ticking(ledger, every=SLOT), serve(node) as served:
        async with SolanaClient(served.http) as any_chain:
            genesis_hash = await any_chain.genesis_hash()
        payer = Keypair()
        ledger.airdrop(payer.pubkey(), 5 * SOL)
        async with SolanaClient(served.http, genesis_hash=genesis_hash) as client:
            yield Cluster(ledger, node, served.http, genesis_hash, client, payer)


def options(cluster: Cluster, **more: Any) -> Any:
    probe = load("contract_event")
    module = module_of(probe)
    chain = module.ChainOption(endpoints=(cluster.url,), genesis_hash=cluster.genesis_hash)
    rules = (
        module.RuleOption(name="failed", chain="local", program=SYSTEM, logs=("insufficient lamports",), outcome="failed"),
        module.RuleOption(name="moves", chain="local", program=SYSTEM, max_absence=timedelta(seconds=3)),
    )
    return probe.options(chains={"local": chain}, rules=rules, **more)


async def until(runs: AsyncIterator[ProbeRun], condition: Callable[[ProbeRun], bool]) -> ProbeRun:
    last: ProbeRun | None = None
    try:
        async with asyncio.timeout(40):
            async for run in runs:
                last = run
                if condition(run):
                    return run
    except TimeoutError:
        pass
    raise AssertionError(last and [(one.target.id, one.verdicts) for one in last.results])


@pytest.mark.shows("contract_event", "OK", "CRITICAL matched", "CRITICAL absent")
async def test_transactions_that_fail_and_a_program_that_is_quiet(cluster: Cluster) -> None:
    settings = RunSettings(interval=timedelta(milliseconds=300))
    async with aclosing(watch(load("contract_event"), options(cluster, lookback=20), settings=settings)) as runs:
        await until(runs, lambda run: verdict(run, "failed") == (OK, "no_match"))
        await cluster.pay(SOL)
        await until(runs, lambda run: verdict(run, "moves") == (OK, "present"))
        failed = await cluster.pay(500 * SOL)
        run = await until(runs, lambda run: verdict(run, "failed") == (CRITICAL, "matched"))
        words = result(run, "failed").verdicts[0].message
        assert failed in words
        assert "insufficient lamports" in words
        assert "1 seen in the last 10m00s" in words
        # Nothing more comes: what is due is missed, and what was counted once is not counted again.
        run = await until(runs, lambda run: verdict(run, "moves") == (CRITICAL, "absent"))
        assert "1 seen in the last 10m00s" in result(run, "failed").verdicts[0].message


async def test_a_match_that_the_node_knows_from_its_archive_alone_is_not_taken_back() -> None:
    ledger = Ledger()
    async with serve(Node(ledger)) as served:
        async with SolanaClient(served.http) as any_chain:
            genesis_hash = await any_chain.genesis_hash()
        payer = Keypair()
        ledger.airdrop(payer.pubkey(), 5 * SOL)
        async with SolanaClient(served.http, genesis_hash=genesis_hash) as client:
            cluster = Cluster(ledger, Node(ledger), served.http, genesis_hash, client, payer)
            rule = ProgramRule("paid", OurPubkey(SYSTEM))
            watching = ProgramEventWatch(client, "local", [rule], from_slot=ledger.tip.slot)
            signature = await cluster.pay(SOL)
            ledger.advance_slot(5)
            await watching.look(Instant.now())
            assert signature in {one.transaction for one in watching.sighting("paid").newest}
            standing = watching.sighting("paid").standing
            # Nobody looks for longer than a node remembers statuses.
            ledger.advance_slot(400)
            assert await client.statuses([signature]) == [None]
            state = await watching.look(Instant.now())
            assert (watching.sighting("paid").standing, watching.sighting("paid").withdrawn) == (standing, ())
            assert state.reorganised == 0


async def test_a_range_of_slots_is_replayed(cluster: Cluster) -> None:
    first = await cluster.client.slot()
    await cluster.pay(500 * SOL)
    async with asyncio.timeout(20):
        while await cluster.client.slot() < first + 60:
            await asyncio.sleep(0.05)
    wanted = options(cluster, from_block=first, to_block=first + 50)
    run = await run_once(load("contract_event"), wanted, settings=RunSettings(interval=timedelta(seconds=30)))
    assert verdict(run, "failed") == (CRITICAL, "matched")
    assert verdict(run, "local") == (OK, "abreast")
    long_ago = options(cluster, lookback=100_000)
    run = await run_once(load("contract_event"), long_ago, settings=RunSettings(interval=timedelta(seconds=30)))
    assert verdict(run, "local") == (UNKNOWN, "gap"), "the node began later"
    assert verdict(run, "failed") == (CRITICAL, "matched")
    later = options(cluster, from_block=first + 51, to_block=first + 55)
    run = await run_once(load("contract_event"), later, settings=RunSettings(interval=timedelta(seconds=30)))
    assert verdict(run, "failed") == (OK, "no_match")
