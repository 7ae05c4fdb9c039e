"""``cross_chain_lag`` with accounts on a Solana cluster beside contracts on EVM chains: the stage at fault on each."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.clients.push_feeds import PushFeed
from probekit.dev import faults
from probekit.errors import ConnectError
from probekit.model import ProbeRun, Status
from probekit.model.receiver import ProgramGeneration
from probekit.units import Bps
from tests.support.pushes import ChainLab, ClusterLab, Hosts, PostedCluster
from tests.support.sandbox import FIRST, S, load, module_of, others_ok, result, verdict
from tests.unit.clients.contracts import PYTH

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("cross_chain_lag")
Route, ClusterRoute = module_of(PROBE).Route, module_of(PROBE).ClusterRoute
MINUTE = 60 * S
EVM = "evm:5001"


class Lab(ChainLab):
    """An EVM chain at ``http://one`` and a cluster at ``http://solana`` on one clock."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cluster = PostedCluster(self.clock)
        self.transport = Hosts(self.transport, {"http://solana": self.cluster}, self.clock)

    post: Any = ClusterLab.post

    async def look(self, *, evm: bool = True, **more: Any) -> ProbeRun:
        given = {
            "hermes": FIRST,
            "chains": (Route(chain="5001", endpoints=("http://one",), contracts=(PYTH,)),) if evm else (),
            "clusters": (ClusterRoute(cluster="devnet", endpoints=("http://solana",)),),
            "feeds": tuple(PushFeed(feed=one) for one in self.ids),
            "heartbeat": 2 * MINUTE,
            "lands_within": 30 * S,
            "max_deviation": Bps.parse("50bps"),
        }
        return await self.once(PROBE, **given | more)


def pushed() -> Lab:
    lab = Lab(feeds=3)
    lab.push()
    lab.post()
    return lab


def posted(feed: str) -> str:
    return f"devnet/0/{feed}"


def stage(run: ProbeRun, target: str) -> tuple[Status, str]:
    return next((one.status, one.reason) for one in result(run, target).verdicts if one.check == "push_stage")


async def test_a_feed_is_level_on_both_kinds_of_chain() -> None:
    lab = pushed()
    run = await lab.look()
    assert run.status is OK
    assert len(run.results) == 1 + (1 + 3) + (1 + 3)
    for one in lab.ids:
        assert stage(run, posted(one)) == (OK, "keeping_up")
        assert {each.check for each in result(run, posted(one)).verdicts} == {
            "push_stage", "cross_chain_lag", "cross_chain_deviation",
        }  # fmt: skip
    (asked,) = lab.cluster.asked("getMultipleAccounts")
    assert len(asked[0]) == 1 + 2 * 3


async def test_a_cluster_alone_is_enough() -> None:
    lab = pushed()
    run = await lab.look(evm=False)
    assert run.status is OK
    assert not lab.one.asked("eth_call")
    with pytest.raises(ValueError, match="chains must not be empty"):
        await lab.look(evm=False, clusters=())


async def test_the_source_is_idle_for_both() -> None:
    lab = pushed()
    await lab.clock.advance(S)
    lab.first.inject(faults.StaleFeed(lab.ids[0]))
    await lab.clock.advance(90 * S)
    lab.push(*lab.ids[1:])
    lab.post(*lab.ids[1:])
    run = await lab.look()
    idle = posted(lab.ids[0]), f"{EVM}/{PYTH}/{lab.ids[0]}"
    assert {stage(run, one) for one in idle} == {(CRITICAL, "source_idle")}
    assert others_ok(run, *idle)


async def test_nobody_posts_on_the_cluster_while_the_chain_is_pushed() -> None:
    lab = pushed()
    await lab.clock.advance(3 * MINUTE)
    lab.push()
    lab.post(*lab.ids[1:])
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert others_ok(run, posted(lab.ids[0]))
    told = next(one.message for one in result(run, posted(lab.ids[0])).verdicts if one.check == "push_stage")
    assert "heartbeat 2m00s and 30.0s to land" in told


async def test_a_feed_that_nobody_ever_posted_there() -> None:
    lab = Lab(feeds=3)
    lab.push()
    lab.post(*lab.ids[1:])
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "never_pushed")
    assert others_ok(run, posted(lab.ids[0]))


async def test_only_the_generation_that_consumers_read_counts() -> None:
    lab = Lab(feeds=1)
    lab.push()
    lab.post(generation=ProgramGeneration.CORE)
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (OK, "keeping_up")
    cluster = ClusterRoute(cluster="devnet", endpoints=("http://solana",), reads="pro")
    run = await lab.look(clusters=(cluster,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "never_pushed")


async def test_a_cluster_that_shows_an_old_head_is_no_pushers_fault() -> None:
    lab = pushed()
    lab.cluster.stop()
    await lab.clock.advance(3 * MINUTE)
    lab.push()
    run = await lab.look()
    assert verdict(run, "devnet") == (CRITICAL, "head_stale")
    assert {stage(run, posted(one)) for one in lab.ids} == {(UNKNOWN, "rpc_lagging")}
    assert verdict(run, EVM)[0] is OK


async def test_a_price_far_off_is_landing_and_then_behind() -> None:
    lab = pushed()
    lab.post(lab.ids[0], off=200)
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (OK, "landing")
    reasons = {one.check: one.reason for one in result(run, posted(lab.ids[0])).verdicts}
    assert reasons["cross_chain_deviation"] == "moving"


async def test_a_cluster_out_of_reach_is_told_once_and_costs_the_chain_nothing() -> None:
    lab = pushed()
    lab.cluster.down = ConnectError("connection refused")
    run = await lab.look()
    assert verdict(run, "devnet") == (CRITICAL, "connect")
    assert {verdict(run, posted(one)) for one in lab.ids} == {(UNKNOWN, "behind_endpoint")}
    assert others_ok(run, "devnet", *(posted(one) for one in lab.ids))


def test_clusters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="endpoints must not be empty"):
        ClusterRoute(cluster="devnet", endpoints=())
    with pytest.raises(ValueError, match="max_head_age must be positive"):
        ClusterRoute(cluster="devnet", endpoints=("http://a",), max_head_age=0 * S)
    one = ClusterRoute(cluster="devnet", endpoints=("http://a",))
    feeds = (PushFeed(feed="Crypto.BTC/USD"),)
    with pytest.raises(ValueError, match="names one chain twice"):
        PROBE.options(clusters=(one, one), feeds=feeds)
    with pytest.raises(ValueError, match="devnet has none"):
        PROBE.options(clusters=(one,))
