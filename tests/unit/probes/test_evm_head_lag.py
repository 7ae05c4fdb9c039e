"""``evm_head_lag`` over several nodes of two chains that answer from a table, on a clock that the test turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from tests.support.chains import ChainLab, LivingNode
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict
from tests.unit.clients.contracts import Refused

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("evm_head_lag")
ChainOption = module_of(PROBE).ChainOption
A, B, C = "http://a.test", "http://b.test", "http://c.test"
ONE, ALONE = "one", "alone"


def at(url: str, chain: str = ONE) -> str:
    return f"{chain}/{url}"


class Lab(ChainLab):
    """Chain ``one`` behind three nodes, chain ``alone`` behind a fourth."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (LivingNode(self.clock, chain_id=7) for _ in range(3))
        self.d = LivingNode(self.clock, chain_id=8)
        for host, node in (("a.test", self.a), ("b.test", self.b), ("c.test", self.c), ("d.test", self.d)):
            self.also[host] = node._reply

    def options(self, **more: Any) -> dict[str, Any]:
        chains = {
            ONE: ChainOption(endpoints=(A, B, C), chain_id=7),
            ALONE: ChainOption(endpoints=("http://d.test",), chain_id=8),
        }
        return {"chains": chains, **more}

    async def look(self, **more: Any) -> ProbeRun:
        return await self.once(PROBE, **self.options(**more))


def reasons(run: ProbeRun, target: str) -> dict[str, str]:
    return {one.check: one.reason for one in result(run, target).verdicts}


@pytest.mark.shows("evm_head_lag", "OK")
async def test_all_endpoints_are_level_and_one_alone_is_compared_with_nobody() -> None:
    lab = Lab()
    run = await lab.look(max_finality_lag=60 * S)
    assert run.status is OK
    assert len(run.results) == 2 + 4
    assert reasons(run, at(A)) == {
        "head_age": "moving", "head_lag": "level", "head_stall": "rising", "finality_lag": "settling", "node_sync": "in_sync",
        "finality_holds": "holding",
    }  # fmt: skip
    assert reasons(run, f"{ALONE}/http://d.test")["head_lag"] == "alone"
    assert reasons(run, ONE) == {"head_age": "moving", "endpoint_quorum": "enough"}
    names = {measure.name for one in run.results for each in one.verdicts for measure in each.measures}
    assert names == set(PROBE.metrics)
    # One request each, beside the pool's own proof of the chain.
    assert lab.a.requests == 2


@pytest.mark.shows("evm_head_lag", "CRITICAL behind")
async def test_an_endpoint_behind_the_best_is_named_with_both_heads() -> None:
    lab = Lab()
    lab.b.behind = 20
    run = await lab.look()
    assert verdict(run, at(B)) == (CRITICAL, "behind")
    told = next(one.message for one in result(run, at(B)).verdicts if one.check == "head_lag")
    assert f"head {lab.b.head}" in told
    assert "20 blocks and 40.0s behind" in told
    assert verdict(run, ONE) == (OK, "moving")
    assert others_ok(run, at(B))
    run = await lab.look(alive_endpoints=1, max_lag=60 * S)
    assert run.status is OK
    assert verdict(await lab.look(max_lag=60 * S, max_blocks=19), at(B)) == (CRITICAL, "behind")


@pytest.mark.shows("evm_head_lag", "CRITICAL head_stale")
async def test_the_whole_chain_stands_still() -> None:
    lab = Lab()
    for node in (lab.a, lab.b, lab.c):
        node.standing = node.head
    await lab.clock.advance(70 * S)
    run = await lab.look()
    assert {verdict(run, one) for one in (ONE, at(A), at(B), at(C))} == {(CRITICAL, "head_stale")}
    assert reasons(run, at(A))["head_lag"] == "level"
    assert verdict(run, f"{ALONE}/http://d.test")[0] is OK


async def test_one_head_stands_still_by_our_own_count() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options(max_stall=40 * S, max_lag=600 * S, max_head_age=600 * S)):
        await lab.pass_seconds(20)
        lab.c.standing = lab.c.head
        await lab.pass_seconds(70)
    assert verdict(lab.runs[-1], at(C)) == (CRITICAL, "stalled")
    assert others_ok(lab.runs[-1], at(C))
    assert all(run.status is OK for run in lab.runs[:2])


@pytest.mark.shows("evm_head_lag", "CRITICAL not_finalizing", "WARNING not_settling")
async def test_finality_behind_and_not_told() -> None:
    lab = Lab()
    lab.a.settled["finalized"] = 100
    lab.b.settled["finalized"] = None
    lab.c.settled = {"safe": 50, "finalized": 55}
    run = await lab.look(max_finality_lag=120 * S, max_safe_lag=60 * S)
    assert verdict(run, at(A)) == (CRITICAL, "not_finalizing")
    assert verdict(run, at(B)) == (UNKNOWN, "not_told")
    assert verdict(run, at(C)) == (WARNING, "not_settling")
    assert "finalized block not found" in next(
        one.message for one in result(run, at(B)).verdicts if one.check == "finality_lag"
    )
    lab.d.settled = {"safe": None, "finalized": None}
    run = await lab.look()
    assert reasons(run, f"{ALONE}/http://d.test")["finality_lag"] == "no_finality"
    assert run.status is OK


async def test_finality_that_goes_back_is_told() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options(finality_tolerance=60 * S)):
        await lab.pass_seconds(20)
        assert lab.runs[-1].status is OK
        lab.a.settled |= {"safe": 200, "finalized": 200}
        lab.b.settled |= {"safe": 17}
        await lab.pass_seconds(20)
    assert verdict(lab.runs[-1], at(A)) == (CRITICAL, "went_back")
    assert verdict(lab.runs[-1], at(B)) == (WARNING, "out_of_order")
    assert others_ok(lab.runs[-1], at(A), at(B))


async def test_an_endpoint_of_another_chain_is_named_and_seen_again_once_it_is_mended() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options()):
        lab.b.chain_id = 1
        await lab.pass_seconds(20)
        assert verdict(lab.runs[-1], at(B)) == (CRITICAL, "wrong_chain")
        assert "serves chain 1" in result(lab.runs[-1], at(B)).verdicts[0].message
        assert others_ok(lab.runs[-1], at(B))
        lab.b.chain_id = 7
        await lab.pass_seconds(35)
        assert verdict(lab.runs[-1], at(B))[0] is OK


async def test_an_endpoint_that_turns_to_another_chain_is_found_at_the_next_look() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options()):
        await lab.pass_seconds(20)
        assert lab.runs[-1].status is OK
        lab.b.chain_id = 1
        await lab.pass_seconds(20)
    assert verdict(lab.runs[-1], at(B)) == (CRITICAL, "wrong_chain")


async def test_endpoints_out_of_reach_are_told_each_for_itself_and_the_chain_when_none_is_left() -> None:
    lab = Lab()
    lab.down["a.test"] = ConnectError("connection refused")
    run = await lab.look(alive_endpoints=1)
    assert verdict(run, at(A)) == (CRITICAL, "connect")
    assert others_ok(run, at(A))
    option = ChainOption(endpoints=(A, B, C), chain_id=7, alive_endpoints=3)
    run = await lab.look(chains={ONE: option})
    assert verdict(run, ONE) == (WARNING, "few_endpoints")
    lab.down |= dict.fromkeys(("b.test", "c.test"), ConnectError("connection refused"))
    run = await lab.look()
    assert {verdict(run, one) for one in (ONE, at(A), at(B), at(C))} == {(CRITICAL, "connect")}
    assert verdict(run, ALONE)[0] is OK


async def test_the_nodes_own_word_and_one_that_says_nothing() -> None:
    lab = Lab()
    lab.a.syncing = {"currentBlock": "0x1", "highestBlock": "0x9"}
    run = await lab.look()
    assert verdict(run, at(A)) == (WARNING, "not_in_sync")
    assert others_ok(run, at(A))

    def mute(method: str, _: Any) -> Any:
        if method == "eth_syncing":
            raise Refused(-32601, "the method does not exist")
        return None

    lab.b.fault = mute
    assert reasons(await lab.look(), at(B))["node_sync"] == "not_told"


async def test_a_head_from_the_future_is_nobodys_measure() -> None:
    lab = Lab()
    lab.c.behind = -1_000
    run = await lab.look()
    assert verdict(run, at(C)) == (CRITICAL, "head_ahead")
    assert reasons(run, at(A))["head_lag"] == "level"
    assert others_ok(run, at(C))


async def test_a_wild_head_is_nobodys_measure() -> None:
    lab = Lab()
    lab.c.jump = 10**9
    run = await lab.look(max_blocks=10)
    assert reasons(run, at(C))["head_lag"] == "wild_head"
    assert reasons(run, at(A))["head_lag"] == "level"
    assert others_ok(run, at(C))


async def test_of_two_heads_of_which_one_is_wild_neither_is_blamed() -> None:
    lab = Lab()
    lab.c.jump = 10**9
    run = await lab.look(max_blocks=10, chains={ONE: ChainOption(endpoints=(A, C), chain_id=7)})
    assert verdict(run, at(A)) == verdict(run, at(C)) == (UNKNOWN, "no_measure")
    assert "further apart than any chain makes" in next(
        one.message for one in result(run, at(A)).verdicts if one.check == "head_lag"
    )


def test_a_manifest_that_is_wrong_in_many_places_says_all_of_them(tmp_path: Path) -> None:
    manifest = tmp_path / "wrong.yaml"
    manifest.write_text(
        "probe: evm_head_lag\noptions:\n  max_lga: 5s\n  max_stall: 10\n  chains:\n"
        "    atlantis: {endpoints: ['http://a.test']}\n"
        "    ethereum: {endpoints: ['a.test']}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, manifest)
    told = "\n".join(caught.value.problems)
    for words in ("did you mean 'max_lag'?", "10 has no unit", "an endpoint's URL starts with http"):
        assert words in told
    with pytest.raises(ValueError, match=r"atlantis is not known.*ethereum has 1 endpoints, and alive_endpoints wants 2"):
        PROBE.options(
            chains={
                "atlantis": ChainOption(endpoints=(A,), alive_endpoints=1),
                "ethereum": ChainOption(endpoints=(B,)),
            },
            alive_endpoints=2,
        )
    with pytest.raises(ValueError, match="chains must not be empty"):
        PROBE.options(chains={})
    with pytest.raises(ValueError, match="max_lag must be positive"):
        ChainOption(endpoints=(A,), chain_id=1, max_lag=0 * S)
    with pytest.raises(ValueError, match="solana_slot_lag"):
        ChainOption(endpoints=(A,), genesis_hash="x")
