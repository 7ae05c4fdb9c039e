"""``pyth_evm_heartbeat`` over two chains and the sandbox Hermes, on a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.clients.push_feeds import PushChain, PushFeed
from probekit.dev import faults
from probekit.errors import ConnectError
from probekit.model import ProbeRun, Status
from probekit.units import Bps
from tests.support.pushes import OTHER_PYTH, ChainLab
from tests.support.sandbox import FIRST, S, load, others_ok, result, verdict
from tests.unit.clients.contracts import PYTH

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("pyth_evm_heartbeat")
ONE, TWO = "evm:5001", "evm:5002"
MINUTE = 60 * S


def options(lab: ChainLab, **more: Any) -> dict[str, Any]:
    return {
        "hermes": FIRST,
        "chains": (
            PushChain(chain="5001", endpoints=("http://one",), contracts=(PYTH,)),
            PushChain(chain="5002", endpoints=("http://two",), contracts=(PYTH, OTHER_PYTH)),
        ),
        "feeds": tuple(PushFeed(feed=one) for one in lab.ids),
        "heartbeat": 10 * MINUTE,
        **more,
    }


def at(chain: str, feed: str, contract: str = PYTH) -> str:
    return f"{chain}/{contract}/{feed}"


def pushed(feeds: int = 3) -> ChainLab:
    """A lab in which every feed has just been pushed to each contract."""
    lab = ChainLab(feeds=feeds)
    lab.push()
    lab.push(chain=lab.two, contract=OTHER_PYTH)
    return lab


async def run_of(lab: ChainLab, **more: Any) -> ProbeRun:
    return await lab.once(PROBE, **options(lab, **more))


@pytest.mark.shows("pyth_evm_heartbeat", "OK")
async def test_all_is_well_in_two_requests_for_each_chain() -> None:
    lab = pushed()
    run = await run_of(lab, max_deviation=Bps.parse("50bps"))
    assert run.status is OK
    assert len(run.results) == 3 + 3 * 3
    assert verdict(run, at(TWO, lab.ids[0], OTHER_PYTH)) == (OK, "kept")
    for chain in (lab.one, lab.two):
        # Whose chain it is, the block, and every contract and feed at that block.
        assert [name for name, _ in chain.seen] == ["eth_chainId", "eth_getBlockByNumber", "eth_call"]
    names = {measure.name for one in run.results for each in one.verdicts for measure in each.measures}
    assert names == set(PROBE.metrics) - {"feed.valid_margin"}


async def test_a_feed_never_pushed_says_so_in_the_contracts_words() -> None:
    lab = pushed()
    del lab.one.pyth[PYTH].feeds[bytes.fromhex(lab.ids[1])]
    zero = lab.two.pyth[PYTH].feeds[bytes.fromhex(lab.ids[2])][0]
    lab.two.pyth[PYTH].feeds[bytes.fromhex(lab.ids[2])] = ((*zero[:3], 0),) * 2
    run = await run_of(lab)
    never, nought = at(ONE, lab.ids[1]), at(TWO, lab.ids[2])
    assert verdict(run, never) == verdict(run, nought) == (CRITICAL, "never_pushed")
    assert "PriceFeedNotFound" in result(run, never).verdicts[0].message
    # The evidence is of the chain that the target is on, not of whoever was asked last.
    for target, node in ((never, "one"), (nought, "two")):
        evidence = result(run, target).evidence
        assert evidence is not None
        assert evidence.request == f"POST http://{node}"
    assert others_ok(run, never, nought)


@pytest.mark.shows("pyth_evm_heartbeat", "WARNING late", "CRITICAL overdue")
async def test_a_heartbeat_is_late_and_then_overdue_by_the_feeds_own_limits() -> None:
    lab = pushed()
    feeds = (PushFeed(feed="Crypto.BTC/USD", heartbeat=2 * MINUTE), *(PushFeed(feed=one) for one in lab.ids[1:]))
    await lab.clock.advance(130 * S)
    run = await run_of(lab, feeds=feeds)
    assert verdict(run, at(ONE, lab.ids[0])) == (WARNING, "late")
    await lab.clock.advance(60 * S)
    run = await run_of(lab, feeds=feeds)
    late = [at(ONE, lab.ids[0]), at(TWO, lab.ids[0]), at(TWO, lab.ids[0], OTHER_PYTH)]
    assert {verdict(run, one) for one in late} == {(CRITICAL, "overdue")}
    assert others_ok(run, *late)
    evidence = result(run, late[0]).evidence
    assert evidence is not None
    assert "heartbeat: " in evidence.arithmetic


async def test_a_chain_that_stands_still_is_its_own_verdict_and_no_feeds_fault() -> None:
    lab = pushed()
    lab.one.stop()
    await lab.clock.advance(12 * MINUTE)
    lab.push(chain=lab.two)
    lab.push(chain=lab.two, contract=OTHER_PYTH)
    run = await run_of(lab)
    assert verdict(run, ONE) == (CRITICAL, "head_stale")
    assert {verdict(run, at(ONE, one)) for one in lab.ids} == {(WARNING, "chain_behind")}
    assert others_ok(run, ONE, *(at(ONE, one) for one in lab.ids))


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "refuses"])
async def test_an_unreachable_chain_is_one_verdict_and_holds_up_no_other(hangs: bool) -> None:
    lab = pushed()
    lab.one.hangs, lab.one.down = hangs, ConnectError("connection refused")
    run = await run_of(lab)
    status, reason = verdict(run, ONE)
    assert (status, reason) in {(CRITICAL, "connect"), (CRITICAL, "deadline"), (CRITICAL, "deadline_first_byte")}
    assert {verdict(run, at(ONE, one)) for one in lab.ids} == {(UNKNOWN, "behind_endpoint")}
    assert others_ok(run, ONE, *(at(ONE, one) for one in lab.ids))


async def test_an_endpoint_that_is_down_beside_one_that_answers() -> None:
    lab = pushed()
    lab.two.chain_id, lab.two.down = 5001, ConnectError("connection refused")
    chains = (PushChain(chain="5001", endpoints=("http://two", "http://one"), contracts=(PYTH,)),)
    run = await run_of(lab, chains=chains, alive_endpoints=2)
    assert verdict(run, ONE) == (WARNING, "few_endpoints")
    assert others_ok(run, ONE)
    lab.two.down = None
    lab.two.chain_id = 1
    run = await run_of(lab, chains=chains, alive_endpoints=2)
    assert verdict(run, ONE) == (WARNING, "few_endpoints")
    assert "wrong_chain" in result(run, ONE).verdicts[1].message
    assert others_ok(run, ONE)


async def test_a_node_of_another_chain_is_never_believed() -> None:
    lab = pushed()
    lab.one.chain_id = 1
    run = await run_of(lab)
    assert verdict(run, ONE) == (CRITICAL, "wrong_chain")


@pytest.mark.shows("pyth_evm_heartbeat", "OK", "WARNING moving", "CRITICAL deviating")
async def test_a_deviation_has_time_to_be_pushed() -> None:
    lab = pushed()
    lab.push(lab.ids[0], chain=lab.one, off=60)
    wanted = options(lab, max_deviation=Bps.parse("50bps"))
    off = at(ONE, lab.ids[0])
    async with lab.watching(PROBE, **wanted):
        run = await lab.pass_seconds(20)
        assert verdict(run, off) == (WARNING, "moving")
        assert others_ok(run, off)
        run = await lab.pass_seconds(75)
        assert verdict(run, off) == (CRITICAL, "deviating")
        lab.push()
        run = await lab.pass_seconds(15)
        assert verdict(run, off) == (OK, "near") or run.status is OK


async def test_without_the_source_heartbeats_are_judged_and_deviations_are_not() -> None:
    lab = pushed()
    lab.first.inject(faults.Unauthorized())
    run = await run_of(lab, max_deviation=Bps.parse("50bps"))
    assert verdict(run, FIRST) == (UNKNOWN, "not_authorized")
    found = {one.check: one.reason for one in result(run, at(ONE, lab.ids[0])).verdicts}
    assert found == {"heartbeat": "kept", "cross_chain_deviation": "no_source"}


async def test_without_the_symbol_table_feeds_by_symbol_stand_behind_the_source() -> None:
    lab = pushed()
    await lab.clock.advance(12 * MINUTE)
    run = await run_of(lab, hermes="http://nowhere", feeds=(PushFeed(feed="Crypto.BTC/USD"), PushFeed(feed=lab.ids[1])))
    assert verdict(run, "http://nowhere") == (CRITICAL, "connect")
    assert verdict(run, at(ONE, "Crypto.BTC/USD")) == (UNKNOWN, "behind_endpoint")
    assert verdict(run, at(ONE, lab.ids[1])) == (UNKNOWN, "schedule_unknown")


async def test_a_symbol_that_is_none_and_an_address_without_a_contract() -> None:
    lab = pushed()
    empty = "0x" + "77" * 20
    chains = (PushChain(chain="5001", endpoints=("http://one",), contracts=(PYTH, empty)),)
    run = await run_of(lab, chains=chains, feeds=(PushFeed(feed="Crypto.BTC/USDX"), PushFeed(feed=lab.ids[1])))
    assert verdict(run, at(ONE, "Crypto.BTC/USDX")) == (CRITICAL, "no_such_feed")
    gone = at(ONE, lab.ids[1], empty)
    assert verdict(run, gone) == (CRITICAL, "no_such_feed")
    assert "no contract at" in result(run, gone).verdicts[0].message
    assert verdict(run, at(ONE, lab.ids[1])) == (OK, "kept")


@pytest.mark.shows("pyth_evm_heartbeat", "CRITICAL past_valid_period")
async def test_a_price_past_the_contracts_own_period() -> None:
    lab = pushed()
    await lab.clock.advance(90 * S)
    run = await run_of(lab, valid_period="critical")
    found = {one.check: (one.status, one.reason) for one in result(run, at(ONE, lab.ids[0])).verdicts}
    assert found == {"heartbeat": (OK, "kept"), "deadline": (CRITICAL, "past_valid_period")}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"chains": ()}, "chains must not be empty"),
        ({"feeds": ()}, "feeds must not be empty: evm:5001"),
        ({"heartbeat": 0 * S}, "heartbeat must be positive"),
        ({"lands_within": -S}, "lands_within must not be negative"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROBE.options(**options(ChainLab(feeds=1), **wrong))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"chain": "atlantis"}, "give its EVM chain id"),
        ({"chain": "avalanche", "contracts": ("pro",)}, "0 pro ones are known"),
        ({"chain": "base", "contracts": ("stable", "0x8250f4aF4B972684F7b336503E2D6dFeDeB1487a")}, "one address twice"),
        ({"chain": "base", "endpoints": ()}, "endpoints must not be empty"),
        ({"chain": "base", "endpoints": ("https://x/{key}",)}, "no key was given"),
        ({"chain": "base", "endpoints": ("x.test",)}, "starts with http"),
        ({"chain": "base", "endpoints": ("http://x", "http://x")}, "names one twice"),
    ],
)
def test_chains_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PushChain(**{"endpoints": ("http://one",), **wrong})


def test_chains_of_the_registry_have_their_names() -> None:
    chain = PushChain(chain="8453", endpoints=("http://one",), contracts=("stable", "pro"))
    assert (chain.id, chain.chain_id) == ("base", 8453)
    assert chain.addresses["stable"] == "0x8250f4aF4B972684F7b336503E2D6dFeDeB1487a"
