"""``receiver_staleness`` and ``cross_chain_lag`` over the real runtime behind sockets: both generations, nodes that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from solders.keypair import Keypair
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction

from probekit.clients.push_feeds import PushFeed
from probekit.clients.solana import SolanaClient
from probekit.codecs.solana.addresses import GENERATIONS
from probekit.codecs.solana.receiver import encode_price_update
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve as serve_hermes
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import Served, serve, ticking
from probekit.model import FeedId, ProbeRun, Status
from probekit.model.receiver import FULL, PriceUpdateAccount, ProgramGeneration, VerificationLevel
from probekit.runner import RunSettings, run_once
from probekit.units import Bps
from tests.support.sandbox import load, module_of, others_ok, result, verdict
from tests.system.evm.chain import until

pytestmark = [pytest.mark.system, pytest.mark.svm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PRO, CORE = ProgramGeneration.PRO, ProgramGeneration.CORE
SLOT = timedelta(milliseconds=100)
SOL = 1_000_000_000


@dataclass
class Posted:
    """A cluster of two nodes over one ledger with every feed posted once under both generations, and its Hermes."""

    ledger: Ledger
    nodes: tuple[Node, Node]
    served: tuple[Served, Served]
    network: SandboxNetwork
    sandbox: Sandbox
    hermes: str
    cluster: str

    @property
    def feeds(self) -> list[str]:
        return [str(market.feed.id) for market in self.network.markets]

    def at(self, feed: str, shard: int = 0) -> str:
        return f"{self.cluster}/{shard}/{feed}"

    def post(
        self,
        feed: str,
        *,
        generation: ProgramGeneration = PRO,
        level: VerificationLevel = FULL,
        ago_s: int = 0,
        off: int = 0,
        at_ns: int | None = None,
    ) -> None:
        """Put the source's present price into a feed's account, as published ``ago_s`` ago, ``off`` ten-thousandths away."""
        network, programs = self.network, GENERATIONS[generation]
        said = network.message(network.market(feed), at_ns or network.published_ns(network.clock.now()))
        price, published_s = said.price * (10_000 + off) // 10_000, said.publish_time - ago_s
        message = msgspec.structs.replace(said, price=price, publish_time=published_s, prev_publish_time=published_s - 1)
        key = programs.push_feed(FeedId(feed), 0)
        account = PriceUpdateAccount(key, level, message, self.ledger.tip.slot)
        self.ledger.set_account(key, encode_price_update(account), owner=programs.receiver)

    async def run(self, **more: Any) -> ProbeRun:
        probe = load("receiver_staleness")
        posted = module_of(probe).PostedFeed
        options = {
            "hermes": self.hermes,
            "endpoints": tuple(one.http for one in self.served),
            "cluster": self.cluster,
            "feeds": tuple(posted(feed=one) for one in self.feeds),
            "heartbeat": timedelta(minutes=2),
            "max_deviation": Bps.parse("300bps"),
            "timeout": 3 * S,
            **more,
        }
        return await run_once(probe, probe.options(**options), settings=RunSettings(interval=10 * S, deadline=10 * S))

    async def lag(self, *, pusher: Keypair | None = None, **more: Any) -> ProbeRun:
        """``cross_chain_lag`` with the cluster as its one chain, and who posts there."""
        probe = load("cross_chain_lag")
        route = module_of(probe).ClusterRoute
        wallet = None if pusher is None else str(pusher.pubkey())
        options = {
            "hermes": self.hermes,
            "clusters": (route(cluster=self.cluster, endpoints=tuple(one.http for one in self.served), pusher=wallet),),
            "feeds": tuple(PushFeed(feed=one) for one in self.feeds),
            "heartbeat": timedelta(minutes=2),
            "max_deviation": Bps.parse("300bps"),
            "timeout": 3 * S,
            **more,
        }
        return await run_once(probe, probe.options(**options), settings=RunSettings(interval=10 * S, deadline=10 * S))

    def pay(self, payer: Keypair, lamports: int) -> str:
        """A transfer of a wallet, landed whether it succeeds or not; its signature."""
        to = Keypair().pubkey()
        move = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
        signed = Transaction([payer], Message([move], payer.pubkey()), self.ledger.tip.blockhash)
        self.ledger.send(VersionedTransaction.from_legacy(signed))
        return str(signed.signatures[0])

    def why(self, run: ProbeRun, feed: str) -> str:
        return next(one.message for one in result(run, self.at(feed)).verdicts if one.check == "push_stage")

    def stage(self, run: ProbeRun, feed: str) -> tuple[Status, str]:
        return next((one.status, one.reason) for one in result(run, self.at(feed)).verdicts if one.check == "push_stage")


@asynccontextmanager
async def posted(feeds: int = 3, *, moving: bool = True) -> AsyncIterator[Posted]:
    ledger, network = Ledger(slot_time=SLOT), SandboxNetwork(feeds=feeds)
    nodes = Node(ledger), Node(ledger)
    async with AsyncExitStack() as stack:
        if moving:
            await stack.enter_async_context(ticking(ledger, every=SLOT))
        served = [await stack.enter_async_context(serve(node)) for node in nodes]
        sandbox = Sandbox(network)
        hermes = await stack.enter_async_context(serve_hermes(sandbox))
        client = await stack.enter_async_context(SolanaClient(served[0].http))
        made = Posted(ledger, nodes, (served[0], served[1]), network, sandbox, hermes, await client.genesis_hash())
        for feed in made.feeds:
            made.post(feed)
            made.post(feed, generation=CORE)
        ledger.advance_slot(2)
        yield made


@pytest.mark.shows("receiver_staleness", "OK")
async def test_every_account_is_fresh_full_and_fit() -> None:
    async with posted() as made:
        run = await made.run(max_slots=10_000)
        assert run.status is OK
        assert len(run.results) == 2 + 3
        assert [one.rpc_method for one in run.requests if "Accounts" in one.rpc_method] == ["getMultipleAccounts"]
        measured = {one.name for each in result(run, made.at(made.feeds[0])).verdicts for one in each.measures}
        assert measured == {"feed.age", "feed.age.chain", "feed.slot_lag", "feed.deviation"}


def _old(made: Posted, feed: str) -> None:
    made.post(feed, ago_s=500)
    made.post(feed, ago_s=500, generation=CORE)


def _gone(made: Posted, feed: str) -> None:
    for programs in GENERATIONS.values():
        made.ledger.set_account(programs.push_feed(FeedId(feed), 0), lamports=0)


def _damaged(made: Posted, feed: str) -> None:
    programs = GENERATIONS[PRO]
    made.ledger.set_account(programs.push_feed(FeedId(feed), 0), bytes(134), owner=programs.receiver)


@pytest.mark.parametrize(
    ("break_it", "reads", "reason"),
    [
        (_old, "either", "overdue"),
        (_gone, "either", "never_pushed"),
        (_damaged, "pro", "decode"),
        (lambda made, feed: made.post(feed, level=VerificationLevel(2)), "pro", "under_verified"),
        (lambda made, feed: made.post(feed, ago_s=500), "pro", "overdue"),
    ],
    ids=["old", "gone", "damaged", "partial", "the-other-is-fit"],
)
async def test_a_feed_that_is_broken_alone(break_it: Callable[[Posted, str], None], reads: str, reason: str) -> None:
    async with posted() as made:
        broken = made.feeds[1]
        break_it(made, broken)
        made.ledger.advance_slot(2)
        run = await made.run(reads=reads)
        assert (CRITICAL, reason) in {(one.status, one.reason) for one in result(run, made.at(broken)).verdicts}
        assert others_ok(run, made.at(broken))


@pytest.mark.shows("receiver_staleness", "CRITICAL contradicting")
async def test_generations_that_contradict_each_other() -> None:
    async with posted() as made:
        now_ns = made.network.published_ns(made.network.clock.now())
        made.post(made.feeds[0], at_ns=now_ns)
        made.post(made.feeds[0], at_ns=now_ns, off=7, generation=CORE)
        made.ledger.advance_slot(2)
        run = await made.run()
        assert verdict(run, made.at(made.feeds[0])) == (CRITICAL, "contradicting")
        assert others_ok(run, made.at(made.feeds[0]))


@pytest.mark.shows("receiver_staleness", "CRITICAL head_stale")
async def test_a_cluster_that_stands_still() -> None:
    async with posted(1, moving=False) as made:
        made.ledger.set_clock(made.network.clock.now().seconds - 300)
        made.ledger.advance_slot(2)
        run = await made.run()
        assert verdict(run, made.cluster) == (CRITICAL, "head_stale")
        # The price was published after the cluster's last block: not overdue by either clock.
        assert verdict(run, made.at(made.feeds[0]))[0] in (OK, WARNING)


async def test_one_node_down_is_a_warning_and_both_are_one_verdict() -> None:
    async with posted(2) as made:
        made.nodes[0].faults.http_status = 503
        run = await made.run(alive_endpoints=2)
        assert verdict(run, made.cluster) == (WARNING, "few_endpoints")
        assert {verdict(run, made.at(one))[0] for one in made.feeds} == {OK}
        made.nodes[1].faults.http_status = 503
        run = await made.run()
        assert verdict(run, made.cluster) == (CRITICAL, "server_error")
        assert {verdict(run, made.at(one)) for one in made.feeds} == {(UNKNOWN, "behind_endpoint")}


@pytest.mark.shows("cross_chain_lag", "CRITICAL pusher_behind", "CRITICAL never_pushed")
async def test_stages_of_a_feed_that_follows_one_that_nobody_posts_and_one_that_never_was() -> None:
    async with posted() as made:
        run = await made.lag()
        assert run.status is OK
        assert {made.stage(run, one) for one in made.feeds} == {(OK, "keeping_up")}
        _old(made, made.feeds[0])
        _gone(made, made.feeds[1])
        made.ledger.advance_slot(2)
        run = await made.lag()
        assert made.stage(run, made.feeds[0]) == (CRITICAL, "pusher_behind")
        assert made.stage(run, made.feeds[1]) == (CRITICAL, "never_pushed")
        assert made.stage(run, made.feeds[2]) == (OK, "keeping_up")


@pytest.mark.shows("cross_chain_lag", "OK", "CRITICAL source_idle")
async def test_stage_source_idle() -> None:
    async with posted(2) as made:
        made.sandbox.inject(faults.StaleFeed(made.feeds[0]))

        async def idle() -> ProbeRun | None:
            made.post(made.feeds[1])
            run = await made.lag(max_source_age=3 * S)
            return run if made.stage(run, made.feeds[0])[1] == "source_idle" else None

        run = await until(idle, "the source is idle")
        assert made.stage(run, made.feeds[0])[0] is CRITICAL
        assert made.stage(run, made.feeds[1])[0] is OK


async def test_stages_of_a_wallet_that_is_empty_and_of_transactions_that_fail() -> None:
    async with posted(2, moving=False) as made:
        stopped, other = made.feeds
        _old(made, stopped)
        pusher, poor = Keypair(), Keypair()
        made.ledger.airdrop(pusher.pubkey(), 5 * SOL)
        made.ledger.airdrop(poor.pubkey(), SOL // 1_000)
        made.ledger.advance_slot(3)
        # What is posted in the slot of a transaction of the wallet was posted by it.
        made.post(other)
        landed = made.pay(pusher, SOL)
        made.ledger.advance_slot(3)
        run = await made.lag(pusher=pusher)
        assert made.stage(run, stopped) == (CRITICAL, "pusher_behind")
        assert made.why(run, stopped).startswith("the pusher updates other feeds and not this one"), landed
        assert made.stage(run, other) == (OK, "keeping_up")
        run = await made.lag(pusher=poor)
        assert made.stage(run, stopped) == (CRITICAL, "wallet_empty")
        assert f"wallet {poor.pubkey()} has {SOL // 1_000} lamports, needs {SOL // 100}" in made.why(run, stopped)
        failed = made.pay(pusher, 500 * SOL)
        made.ledger.advance_slot(3)
        run = await made.lag(pusher=pusher)
        assert made.stage(run, stopped) == (CRITICAL, "transaction_failing")
        assert f"the pusher's transactions fail: {failed} failed elsewhere, " in made.why(run, stopped)
        assert made.stage(run, other) == (OK, "keeping_up")


async def test_stage_rpc_lagging_on_a_cluster_that_stands_still() -> None:
    async with posted(1, moving=False) as made:
        _old(made, made.feeds[0])
        made.ledger.set_clock(made.network.clock.now().seconds - 300)
        made.ledger.advance_slot(2)
        run = await made.lag()
        assert verdict(run, made.cluster) == (CRITICAL, "head_stale")
        found = {one.check: (one.status, one.reason) for one in result(run, made.at(made.feeds[0])).verdicts}
        assert found["push_stage"] == found["cross_chain_lag"] == (UNKNOWN, "rpc_lagging")


async def test_lag_of_a_cluster_that_does_not_answer_is_one_verdict() -> None:
    async with posted(2) as made:
        for node in made.nodes:
            node.faults.http_status = 503
        run = await made.lag()
        assert verdict(run, made.cluster) == (CRITICAL, "server_error")
        assert {verdict(run, made.at(one)) for one in made.feeds} == {(UNKNOWN, "behind_endpoint")}
