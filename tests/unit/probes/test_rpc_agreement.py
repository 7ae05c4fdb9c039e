"""``rpc_agreement`` over several nodes that answer from a table, on a clock that the test turns; and its check by itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import RpcAgreement
from probekit.clients.solana import GENESIS
from probekit.errors import ConfigError, ConnectError, NotServed, ProbekitError
from probekit.manifest import read_manifest
from probekit.model import Comparison, Observation, ProbeRun, Status
from probekit.model.rpc_answer import RpcAnswer
from probekit.model.solana import Account
from tests.support.chains import ChainLab, LivingCluster, LivingNode
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict
from tests.unit.checks.builders import NOW
from tests.unit.clients.cluster import KEYS, OWNER
from tests.unit.clients.contracts import Contract, Refused

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("rpc_agreement")
ChainOption, CallOption = module_of(PROBE).ChainOption, module_of(PROBE).CallOption
A, B, C = NODES = "http://a.test", "http://b.test", "http://c.test"
WALLET, TOKEN = "0x" + "ab" * 20, "0x" + "0c" * 20
HELD = "0x" + "AB" * 20


class Lab(ChainLab):
    """A chain behind three nodes, each with a wallet and a contract."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = [LivingNode(self.clock, chain_id=7) for _ in NODES]
        self.supply = [100, 100, 100]
        for place, (host, node) in enumerate(zip(("a.test", "b.test", "c.test"), self.nodes, strict=True)):
            self.also[host] = node._reply
            node.balances[WALLET] = 5
            made = node.contracts[TOKEN] = Contract()
            made.has("totalSupply()", ["uint256"], lambda _, place=place: [self.supply[place]])

    def options(self, **more: Any) -> dict[str, Any]:
        chain = {
            "endpoints": NODES,
            "chain_id": 7,
            "accounts": (WALLET,),
            "calls": (CallOption(name="supply", to=TOKEN, data="0x18160ddd"),),
        }
        return {"chains": {"mine": ChainOption(**chain | more.pop("chain", {}))}, **more}

    async def look(self, **more: Any) -> ProbeRun:
        return await self.once(PROBE, **self.options(**more))


def accounts(run: ProbeRun) -> str:
    return next(one.target.id for one in run.results if one.target.id.lower() == f"mine/{WALLET}")


@pytest.mark.shows("rpc_agreement", "OK")
async def test_all_agree_on_block_account_and_call() -> None:
    lab = Lab()
    run = await lab.look()
    assert run.status is OK
    assert {one.target.id.lower() for one in run.results} == {"mine", "mine/block", f"mine/{WALLET}", "mine/supply"}
    assert "5 wei, nonce 0, code none" in result(run, accounts(run)).verdicts[0].message
    assert "3 of 3 agree" in result(run, "mine/supply").verdicts[0].message
    # The chain, the head, and all questions: three requests to each.
    assert {node.requests for node in lab.nodes} == {3}


@pytest.mark.shows("rpc_agreement", "CRITICAL disagrees")
async def test_dissenters_are_named_with_their_values() -> None:
    lab = Lab()
    lab.supply[1] = 99
    lab.nodes[2].balances[WALLET] = 6
    run = await lab.look()
    assert verdict(run, "mine/supply") == (CRITICAL, "disagrees")
    told = result(run, "mine/supply").verdicts[0].message
    assert f"{B} says 0x{99:064x}" in told
    assert f"agree on 0x{100:064x}" in told
    assert verdict(run, accounts(run)) == (CRITICAL, "disagrees")
    assert f"{C} says 6 wei" in result(run, accounts(run)).verdicts[0].message
    assert verdict(run, "mine/block") == (OK, "agree")


async def test_a_fork_is_a_dissent_about_the_block() -> None:
    lab = Lab()
    lab.nodes[0].fault = lambda method, params: (
        None if method != "eth_getBlockByNumber" else {"hash": "0x" + "f0" * 32, "number": params[0]}
    )
    run = await lab.look()
    assert verdict(run, "mine/block") == (CRITICAL, "disagrees")
    assert others_ok(run, "mine/block")


async def test_two_that_differ_are_split_and_nobody_is_blamed() -> None:
    lab = Lab()
    lab.supply[1] = 99
    run = await lab.look(chain={"endpoints": (A, B)})
    assert verdict(run, "mine/supply") == (UNKNOWN, "split")
    for words in (f"{A} says 0x{100:064x}", f"{B} says 0x{99:064x}"):
        assert words in result(run, "mine/supply").verdicts[0].message


async def test_another_height_is_lag_and_all_are_asked_at_the_lowest() -> None:
    lab = Lab()
    lab.nodes[0].behind = 10
    run = await lab.look()
    assert run.status is OK
    assert f"at {lab.nodes[0].head - 2}" in result(run, "mine/block").verdicts[0].message
    lab.nodes[0].behind = 60
    lab.supply[0] = 1
    run = await lab.look()
    assert run.status is OK
    assert "2 of 2 agree" in result(run, "mine/supply").verdicts[0].message
    # Where all must agree, all are asked.
    run = await lab.look(agree=3)
    assert verdict(run, "mine/supply") == (UNKNOWN, "split")
    assert verdict(run, "mine/block") == (OK, "agree")


async def test_one_that_claims_too_much_blinds_nobody() -> None:
    lab = Lab()
    lab.nodes[2].behind = -1_000_000
    run = await lab.look()
    assert run.status is OK
    assert "3 of 3 agree" in result(run, "mine/block").verdicts[0].message


@pytest.mark.shows("rpc_agreement", "WARNING few_endpoints", "CRITICAL connect")
async def test_too_few_answers_are_no_quorum() -> None:
    lab = Lab()
    lab.down |= dict.fromkeys(("a.test", "b.test"), ConnectError("connection refused"))
    run = await lab.look()
    assert verdict(run, "mine") == (WARNING, "few_endpoints")
    assert verdict(run, "mine/block") == (UNKNOWN, "no_quorum")
    assert "connection refused" in result(run, "mine/block").verdicts[0].message
    lab.down["c.test"] = ConnectError("connection refused")
    run = await lab.look()
    assert verdict(run, "mine") == (CRITICAL, "connect")
    assert verdict(run, "mine/block") == (UNKNOWN, "behind_endpoint")


async def test_a_question_that_one_cannot_answer_is_told_and_no_dissent() -> None:
    lab = Lab()

    def pruned(method: str, _: Any) -> Any:
        if method == "eth_getBalance":
            raise Refused(-32000, "missing trie node")
        return None

    lab.nodes[1].fault = pruned
    run = await lab.look()
    assert run.status is OK
    assert "missing trie node" in result(run, accounts(run)).verdicts[0].message


async def test_an_endpoint_of_another_chain_is_told_and_seen_again_once_it_is_mended() -> None:
    lab = Lab()
    async with lab.watching(PROBE, **lab.options(agree=3)):
        lab.nodes[1].chain_id = 1
        await lab.pass_seconds(35)
        assert verdict(lab.runs[-1], "mine") == (WARNING, "few_endpoints")
        assert "serves chain 1" in result(lab.runs[-1], "mine").verdicts[0].message
        assert verdict(lab.runs[-1], "mine/block") == (UNKNOWN, "no_quorum")
        lab.nodes[1].chain_id = 7
        await lab.pass_seconds(65)
        assert lab.runs[-1].status is OK


# -- Solana ------------------------------------------------------------------------------------------------------------------


class ClusterLab(ChainLab):
    """A cluster behind three nodes, each with an account."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = [LivingCluster(self.clock) for _ in NODES]
        for host, node in zip(("a.test", "b.test", "c.test"), self.nodes, strict=True):
            self.also[host] = node.answer
            self.hold(node, b"data")
            node.methods["getBlock"] = lambda params: {"blockhash": f"hash of {params[0]}"}

    @staticmethod
    def hold(node: LivingCluster, data: bytes) -> None:
        node.put(Account(KEYS[0], OWNER, 5, data, False, 1))

    async def look(self, **more: Any) -> ProbeRun:
        chain = ChainOption(endpoints=NODES, accounts=(str(KEYS[0]),))
        return await self.once(PROBE, chains={"solana_devnet": chain}, **more)


ACCOUNT, SLOT = f"solana_devnet/{KEYS[0]}", "solana_devnet/block"


async def test_a_clusters_nodes_agree_at_the_lowest_finalized_slot() -> None:
    lab = ClusterLab()
    lab.nodes[0].behind = 5
    run = await lab.look()
    assert run.status is OK
    (asked,) = {node.asked("getBlock")[0][0] for node in lab.nodes}
    assert asked == lab.nodes[0].slot - 32 or asked <= lab.nodes[0].slot - 32
    assert f"hash of {asked}" in result(run, SLOT).verdicts[0].message


async def test_an_account_of_another_slot_is_lag_and_of_the_same_a_dissent() -> None:
    lab = ClusterLab()
    lab.hold(lab.nodes[2], b"older")
    lab.nodes[2].behind = 7
    run = await lab.look()
    assert verdict(run, ACCOUNT) == (OK, "agree")
    assert "of other heights" in result(run, ACCOUNT).verdicts[0].message
    lab.nodes[2].behind = 0
    run = await lab.look()
    assert verdict(run, ACCOUNT) == (CRITICAL, "disagrees")
    assert others_ok(run, ACCOUNT)


async def test_a_skipped_slot_is_an_answer_and_a_fork_a_dissent() -> None:
    lab = ClusterLab()
    skipped = NotServed("Slot 5 was skipped, or missing in long-term storage", code=-32009)
    for node in lab.nodes:
        node.methods["getBlock"] = lambda _: skipped
    run = await lab.look()
    assert verdict(run, SLOT) == (OK, "agree")
    assert "skipped" in result(run, SLOT).verdicts[0].message
    lab.nodes[0].methods["getBlock"] = lambda _: {"blockhash": "another"}
    run = await lab.look()
    assert verdict(run, SLOT) == (CRITICAL, "disagrees")


async def test_nodes_of_another_cluster_are_not_counted() -> None:
    lab = ClusterLab()
    for node in lab.nodes[:2]:
        node.methods["getGenesisHash"] = lambda _: GENESIS["testnet"]
    run = await lab.look()
    assert verdict(run, "solana_devnet") == (WARNING, "few_endpoints")
    assert verdict(run, ACCOUNT) == (UNKNOWN, "no_quorum")


# -- the check ---------------------------------------------------------------------------------------------------------------


def judged(answers: dict[str, RpcAnswer], agree: int = 2, **failures: ProbekitError) -> tuple[Status, str]:
    made = RpcAgreement(agree)(Observation(Comparison(answers, failures), "mine", NOW, "mine/block"), now=NOW)
    return made.status, made.reason


def test_answers_that_differ_at_different_heights_are_nobodys_fault() -> None:
    apart = {"a": RpcAnswer("1", 10), "b": RpcAnswer("2", 11)}
    assert judged(apart) == (UNKNOWN, "other_heights")
    assert judged(apart | {"c": RpcAnswer("2", 12)}) == (OK, "agree")
    assert judged({"a": RpcAnswer("1", 10), "b": RpcAnswer("1", 10), "c": RpcAnswer("2", 11)}, 3) == (UNKNOWN, "other_heights")


def test_nobody_is_blamed_at_a_height_where_one_stands_against_one() -> None:
    answers = {"a": RpcAnswer("1", 10), "b": RpcAnswer("2", 11), "c": RpcAnswer("2", 10)}
    assert judged(answers) == (UNKNOWN, "split")
    assert judged(answers | {"d": RpcAnswer("2", 10)}) == (CRITICAL, "disagrees")
    # Where enough stand together at one height, its dissenter is named, and who is in doubt at another is told beside.
    more = answers | {"d": RpcAnswer("2", 10), "e": RpcAnswer("3", 11)}
    made = RpcAgreement()(Observation(Comparison(more, {}), "mine", NOW, "mine/block"), now=NOW)
    assert made.reason == "disagrees"
    assert made.message.startswith("a says 1 at 10; ")
    assert "where too few answered to tell: e says 3 at 11" in made.message


def test_two_that_differ_at_a_height_of_their_own_are_no_pass() -> None:
    answers = {"a": RpcAnswer("1", 10), "b": RpcAnswer("1", 10), "c": RpcAnswer("2", 11), "d": RpcAnswer("3", 11)}
    assert judged(answers) == (UNKNOWN, "split")
    assert judged(answers | {"d": RpcAnswer("3", 12)}) == (OK, "agree")


def counts_of(told: dict[str, tuple[str, int]]) -> Counter[str]:
    return Counter(value for value, _ in told.values())


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.sampled_from("xyz"), st.integers(1, 3)), min_size=0, max_size=8),
    st.integers(2, 4),
)
def test_a_verdict_follows_from_the_counts(told: dict[str, tuple[str, int]], agree: int) -> None:
    """Against the plain definition, and in whatever order the endpoints stand."""
    answers = {label: RpcAnswer(*one) for label, one in told.items()}
    found = judged(answers, agree)
    assert found == judged(dict(reversed(answers.items())), agree)
    counts = sorted(
        ([one for one, _ in told.values()].count(value) for value in {one for one, _ in told.values()}), reverse=True
    )
    winner = bool(counts) and counts[0] >= agree and counts[1:2] != counts[:1]
    value = max(counts_of(told), key=lambda one: counts_of(told)[one]) if told else ""
    # Beside the winner, at each height where both it and another were told: as many as must agree, or nobody knows.
    shared = [
        sum(one == (value, height) for one in told.values())
        for other, height in told.values()
        if other != value and (value, height) in told.values()
    ]
    assert (found[0] is CRITICAL) == (winner and any(count >= agree for count in shared))
    # And where only others were told, they are not to differ.
    apart = any(
        len({one for one, at in told.values() if at == height}) > 1
        for height in {height for _, height in told.values()}
        if (value, height) not in told.values()
    )
    assert (found[0] is OK) == (winner and not shared and not apart)
    if len(counts) == 1 and winner:
        assert found == (OK, "agree")
    if len(told) < agree:
        assert found == (UNKNOWN, "no_quorum")


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "wrong.yaml"
    manifest.write_text(
        "probe: rpc_agreement\noptions:\n  agre: 2\n  chains:\n"
        f"    ethereum: {{endpoints: ['http://a', 'http://b'], calls: [{{name: x, to: '{WALLET}', data: zz}}]}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, manifest)
    words = "\n".join(caught.value.problems)
    assert "did you mean 'agree'?" in words
    assert "is not hex data" in words
    two = {"endpoints": ("http://a", "http://b")}
    call = CallOption(name="block", to=WALLET, data="0x01")
    with pytest.raises(ValueError, match=r"nowhere is not known.*solana is of Solana's kind.*has an account or a call twice"):
        PROBE.options(
            chains={
                "nowhere": ChainOption(**two),
                "solana": ChainOption(**two, calls=(call,)),
                "ethereum": ChainOption(**two, calls=(call,)),
            }
        )
    with pytest.raises(ValueError, match="has 2 endpoints, and agree wants 3"):
        PROBE.options(chains={"ethereum": ChainOption(**two, agree=3)})
    with pytest.raises(ValueError, match="is not an address"):
        PROBE.options(chains={"ethereum": ChainOption(**two, accounts=("0x12",))})
    with pytest.raises(ValueError, match="agrees with itself always"):
        RpcAgreement(1)
    with pytest.raises(ValueError, match="timeout must be positive"):
        PROBE.options(chains={"ethereum": ChainOption(**two)}, timeout=0 * S)
