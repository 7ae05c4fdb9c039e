"""``solana_slot_lag`` over several nodes of one cluster that answer from a table, on a clock that the test turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probekit import errors
from probekit.clients.solana import GENESIS
from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from tests.support.chains import ChainLab, LivingCluster
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("solana_slot_lag")
ClusterOption = module_of(PROBE).ClusterOption
NODES = A, B, C = "http://a.test", "http://b.test", "http://c.test"
CLUSTER = "solana_devnet"


def at(url: str) -> str:
    return f"{CLUSTER}/{url}"


class Lab(ChainLab):
    """A cluster behind three nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (LivingCluster(self.clock) for _ in range(3))
        for host, node in (("a.test", self.a), ("b.test", self.b), ("c.test", self.c)):
            self.also[host] = node.answer

    def options(self, **more: Any) -> dict[str, Any]:
        return {"clusters": {CLUSTER: ClusterOption(endpoints=NODES)}, **more}

    async def look(self, **more: Any) -> ProbeRun:
        return await self.once(PROBE, **self.options(**more))


def reasons(run: ProbeRun, target: str) -> dict[str, str]:
    return {one.check: one.reason for one in result(run, target).verdicts}


def told(run: ProbeRun, target: str, check: str) -> str:
    return next(one.message for one in result(run, target).verdicts if one.check == check)


@pytest.mark.shows("solana_slot_lag", "OK")
async def test_all_nodes_are_level() -> None:
    lab = Lab()
    run = await lab.look()
    assert run.status is OK
    assert len(run.results) == 1 + 3
    assert reasons(run, at(A)) == {
        "head_age": "moving", "head_lag": "level", "head_stall": "rising", "finality_lag": "settling", "node_sync": "in_sync",
        "finality_holds": "holding",
    }  # fmt: skip
    assert "finalized " in told(run, at(A), "finality_lag")
    assert "32 slots behind" in told(run, at(A), "finality_lag")
    names = {measure.name for one in run.results for each in one.verdicts for measure in each.measures}
    assert names == set(PROBE.metrics)
    # One request each, beside the pool's own proof of the cluster.
    assert len(lab.a.requests) == 2


@pytest.mark.shows("solana_slot_lag", "CRITICAL behind", "WARNING not_in_sync")
async def test_a_node_behind_the_best_is_named_and_so_is_its_own_word() -> None:
    lab = Lab()
    lab.b.behind = 60
    lab.c.methods["getHealth"] = lambda _: errors.RpcError(
        "Node is behind by 42 slots", code=-32005, data={"numSlotsBehind": 42}
    )
    run = await lab.look()
    assert verdict(run, at(B)) == (CRITICAL, "behind")
    assert "60 slots" in told(run, at(B), "head_lag")
    assert verdict(run, at(C)) == (WARNING, "not_in_sync")
    assert "behind by 42 slots" in told(run, at(C), "node_sync")
    assert others_ok(run, at(B), at(C))
    own = ClusterOption(endpoints=NODES, max_slots=70, alive_endpoints=3)
    assert verdict(await lab.look(clusters={CLUSTER: own}), at(B)) == (OK, "moving")
    strict = ClusterOption(endpoints=NODES, alive_endpoints=3)
    assert verdict(await lab.look(clusters={CLUSTER: strict}), CLUSTER) == (WARNING, "few_endpoints")


@pytest.mark.shows("solana_slot_lag", "CRITICAL head_stale")
async def test_the_cluster_stands_still() -> None:
    lab = Lab()
    for node in (lab.a, lab.b, lab.c):
        node.standing = node.slot
    await lab.clock.advance(60 * S)
    run = await lab.look()
    assert {verdict(run, one) for one in (CLUSTER, *map(at, NODES))} == {(CRITICAL, "head_stale")}
    assert reasons(run, at(A))["head_lag"] == "level"


async def test_slots_go_on_and_no_block_is_made() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options()):
        await lab.pass_seconds(15)
        assert lab.runs[-1].status is OK
        lab.a.skipping = True
        await lab.pass_seconds(60)
    assert verdict(lab.runs[-1], at(A)) == (CRITICAL, "no_blocks")
    assert others_ok(lab.runs[-1], at(A))


async def test_a_slot_that_does_not_rise_by_our_own_count() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options(max_head_age=600 * S, max_slots=100_000)):
        await lab.pass_seconds(15)
        lab.a.standing = lab.a.slot
        await lab.pass_seconds(60)
    assert verdict(lab.runs[-1], at(A)) == (CRITICAL, "stalled")
    assert others_ok(lab.runs[-1], at(A))


@pytest.mark.shows("solana_slot_lag", "OK", "WARNING not_settling", "CRITICAL not_finalizing")
async def test_the_cluster_does_not_settle() -> None:
    lab = Lab()
    lab.a.settled |= {"finalized": 97}
    lab.b.settled |= {"confirmed": 17}
    lab.c.methods["getSlot"] = lambda _: errors.RpcError("no such method", code=-32601)
    run = await lab.look()
    assert verdict(run, at(A)) == (CRITICAL, "not_finalizing")
    assert verdict(run, at(B)) == (WARNING, "not_settling")
    assert verdict(run, at(C)) == (UNKNOWN, "not_told")
    free = await lab.look(max_finalized_slots=None, max_confirmed_slots=None)
    assert reasons(free, at(A))["finality_lag"] == "measured"
    assert reasons(free, at(C))["finality_lag"] == "no_finality"


async def test_a_node_of_another_cluster_is_named_and_seen_again_once_it_is_mended() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options()):
        await lab.pass_seconds(15)
        assert lab.runs[-1].status is OK
        lab.b.methods["getGenesisHash"] = lambda _: GENESIS["testnet"]
        await lab.pass_seconds(15)
        assert verdict(lab.runs[-1], at(B)) == (CRITICAL, "wrong_chain")
        assert GENESIS["testnet"] in result(lab.runs[-1], at(B)).verdicts[0].message
        assert others_ok(lab.runs[-1], at(B))
        lab.b.methods["getGenesisHash"] = lambda _: GENESIS["devnet"]
        await lab.pass_seconds(25)
        assert verdict(lab.runs[-1], at(B))[0] is OK


async def test_nodes_out_of_reach() -> None:
    lab = Lab()
    lab.down["a.test"] = ConnectError("connection refused")
    run = await lab.look()
    assert verdict(run, at(A)) == (CRITICAL, "connect")
    assert others_ok(run, at(A))
    lab.down |= dict.fromkeys(("b.test", "c.test"), ConnectError("connection refused"))
    run = await lab.look()
    assert {verdict(run, one) for one in (CLUSTER, *map(at, NODES))} == {(CRITICAL, "connect")}


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "wrong.yaml"
    manifest.write_text(
        "probe: solana_slot_lag\noptions:\n  max_slot: 5\n  max_stall: 10\n  clusters:\n"
        "    solana: {endpoints: ['a.test'], max_slots: 0}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, manifest)
    words = "\n".join(caught.value.problems)
    assert "did you mean 'max_slots'?" in words
    assert "10 has no unit" in words
    with pytest.raises(ValueError, match=r"nowhere is not known.*alive_endpoints wants 2"):
        PROBE.options(clusters={"nowhere": ClusterOption(endpoints=(A,))}, alive_endpoints=2)
    with pytest.raises(ValueError, match="clusters must not be empty"):
        PROBE.options(clusters={})
    with pytest.raises(ValueError, match="evm_head_lag"):
        ClusterOption(endpoints=(A,), chain_id=1)
