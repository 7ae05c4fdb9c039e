"""``cross_chain_lag`` over two chains and the sandbox Hermes: each stage stopped in turn, on a clock that the test turns."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from probekit.clients.push_feeds import PushFeed
from probekit.dev import faults
from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.units import Bps
from tests.support.pushes import ChainLab
from tests.support.sandbox import FIRST, S, load, module_of, others_ok, result, verdict
from tests.unit.clients.contracts import PYTH, Refused

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("cross_chain_lag")
Route = module_of(PROBE).Route
ONE, TWO = "evm:5001", "evm:5002"
WALLET, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
ETHER = 10**18
MINUTE = 60 * S
SENDS = "updatePriceFeeds"


def options(lab: ChainLab, **more: Any) -> dict[str, Any]:
    return {
        "hermes": FIRST,
        "chains": (
            Route(chain="5001", endpoints=("http://one",), contracts=(PYTH,), pusher=WALLET),
            Route(chain="5002", endpoints=("http://two",), contracts=(PYTH,)),
        ),
        "feeds": tuple(PushFeed(feed=one) for one in lab.ids),
        "heartbeat": 2 * MINUTE,
        "lands_within": 30 * S,
        **more,
    }


def at(chain: str, feed: str) -> str:
    return f"{chain}/{PYTH}/{feed}"


def pushed(feeds: int = 2) -> ChainLab:
    """A lab in which a pusher with money has just pushed every feed."""
    lab = ChainLab(feeds=feeds)
    lab.push()
    lab.one.balances[WALLET] = ETHER
    lab.one.transact(WALLET, *lab.ids)
    return lab


async def late(lab: ChainLab, seconds: int = 200) -> None:
    """Let time pass in which only the other chain is pushed to."""
    await lab.clock.advance(seconds * S)
    lab.push(chain=lab.two)


async def run_of(lab: ChainLab, **more: Any) -> ProbeRun:
    return await lab.once(PROBE, **options(lab, **more))


def stage(run: ProbeRun, target: str) -> tuple[Status, str]:
    (found,) = [one for one in result(run, target).verdicts if one.check == "push_stage"]
    return found.status, found.reason


def words(run: ProbeRun, target: str) -> str:
    return next(one.message for one in result(run, target).verdicts if one.check == "push_stage")


@pytest.mark.shows("cross_chain_lag", "OK")
async def test_all_is_well_and_every_sum_is_told() -> None:
    lab = pushed()
    run = await run_of(lab, max_deviation=Bps.parse("50bps"))
    assert run.status is OK
    assert stage(run, at(ONE, lab.ids[0])) == (OK, "keeping_up")
    told = words(run, at(ONE, lab.ids[0]))
    for part in (
        "source ",
        "stored 0us behind it, heartbeat 2m00s",
        "0.00bps off, pushed at 50bps",
        "head ",
        "it sent 1, of which 1",
    ):
        assert part in told
    names = {measure.name for one in run.results for each in one.verdicts for measure in each.measures}
    assert names == set(PROBE.metrics)


@pytest.mark.shows("cross_chain_lag", "CRITICAL source_idle")
async def test_the_source_is_idle() -> None:
    lab = pushed()
    await lab.clock.advance(S)
    lab.first.inject(faults.StaleFeed(lab.ids[0]))
    await lab.clock.advance(90 * S)
    lab.push(lab.ids[1])
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == stage(run, at(TWO, lab.ids[0])) == (CRITICAL, "source_idle")
    assert others_ok(run, at(ONE, lab.ids[0]), at(TWO, lab.ids[0]))


@pytest.mark.shows("cross_chain_lag", "CRITICAL pusher_behind")
async def test_the_pusher_sends_nothing() -> None:
    lab = pushed()
    await late(lab, 300)
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert words(run, at(ONE, lab.ids[0])).startswith("the pusher sends nothing")
    found = {one.check: one.reason for one in result(run, at(ONE, lab.ids[0])).verdicts}
    assert found["cross_chain_lag"] == "lagging"
    assert others_ok(run, *(at(ONE, one) for one in lab.ids))


async def test_the_pusher_pushes_other_feeds() -> None:
    lab = pushed()
    await late(lab, 300)
    lab.push(lab.ids[1], chain=lab.one)
    lab.one.transact(WALLET, lab.ids[1])
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert "updates other feeds" in words(run, at(ONE, lab.ids[0]))
    assert others_ok(run, at(ONE, lab.ids[0]))


async def test_nobody_said_who_pushes() -> None:
    lab = pushed()
    await lab.clock.advance(300 * S)
    lab.push(chain=lab.one)
    run = await run_of(lab)
    assert stage(run, at(TWO, lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert "no pusher was named" in words(run, at(TWO, lab.ids[0]))


@pytest.mark.shows("cross_chain_lag", "CRITICAL wallet_empty")
async def test_the_wallet_is_empty() -> None:
    lab = pushed()
    await late(lab)
    lab.one.balances[WALLET] = ETHER // 100 - 1
    run = await run_of(lab)
    assert {stage(run, at(ONE, one)) for one in lab.ids} == {(CRITICAL, "wallet_empty")}
    assert f"has {ETHER // 100 - 1} wei, needs {ETHER // 100}" in words(run, at(ONE, lab.ids[0]))
    chains = (Route(chain="5001", endpoints=("http://one",), contracts=(PYTH,), pusher=WALLET, min_balance=Decimal("0.001")),)
    run = await run_of(lab, chains=chains)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "pusher_behind")


async def test_an_event_that_does_not_read_is_counted_and_takes_no_other_with_it() -> None:
    lab = pushed()
    broken = lab.one.transact(WALLET, *lab.ids)
    for log in lab.one.logs:
        if log["transactionHash"] == broken and log["topics"][1] == "0x" + lab.ids[0]:
            log["data"] = "0x01"
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (OK, "keeping_up")
    told = words(run, at(ONE, lab.ids[1]))
    assert "it sent 2, of which 2 stored prices and 2 this one" in told
    assert "1 events of these blocks do not read and are not counted" in told
    clean = await run_of(pushed())
    assert "do not read" not in words(clean, at(ONE, lab.ids[1]))


@pytest.mark.shows("cross_chain_lag", "CRITICAL transaction_failing")
async def test_transactions_revert() -> None:
    lab = pushed()
    await late(lab, 300)
    told = lab.one.transact(WALLET, succeeded=False, data="0x96834ad3" + "77" * 32)
    await lab.clock.advance(20 * S)
    run = await run_of(lab)
    assert {stage(run, at(ONE, one)) for one in lab.ids} == {(CRITICAL, "transaction_failing")}
    assert f"{told} reverted: the call: PriceFeedNotFound" in words(run, at(ONE, lab.ids[0]))


async def test_a_failure_after_a_success_is_still_a_failure() -> None:
    lab = pushed()
    # All within the blocks that are searched.
    await late(lab, 170)
    lab.one.transact(WALLET, succeeded=False, data="0x96834ad3" + "77" * 32)
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "transaction_failing")
    assert "sent 2, of which 1 stored prices and 1 this one, 1 since then stored nothing" in words(run, at(ONE, lab.ids[0]))


async def test_what_succeeds_and_stores_nothing_is_the_pushers_own() -> None:
    lab = pushed()
    await late(lab, 300)
    lab.one.transact(WALLET)
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert "prices that are no newer" in words(run, at(ONE, lab.ids[0]))


async def test_a_pusher_that_stopped_after_a_success() -> None:
    lab = pushed()
    await late(lab, 170)
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert "nothing since it last updated this feed" in words(run, at(ONE, lab.ids[0]))


async def test_transactions_that_wait_for_a_block() -> None:
    lab = pushed()
    await late(lab, 300)
    lab.one.waiting[WALLET] = 3
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "transaction_failing")
    assert "get into no block" in words(run, at(ONE, lab.ids[0]))


@pytest.mark.shows("cross_chain_lag", "CRITICAL head_stale")
async def test_the_endpoints_head_stands_still() -> None:
    lab = pushed()
    lab.one.stop()
    await late(lab)
    run = await run_of(lab)
    assert verdict(run, ONE) == (CRITICAL, "head_stale")
    assert {stage(run, at(ONE, one)) for one in lab.ids} == {(UNKNOWN, "rpc_lagging")}
    assert others_ok(run, ONE, *(at(ONE, one) for one in lab.ids))


async def test_somebody_else_pushes_which_is_as_good() -> None:
    lab = pushed()
    await late(lab, 300)
    lab.push(chain=lab.one)
    lab.one.transact(OTHER, *lab.ids)
    lab.one.transact(WALLET, succeeded=False)
    run = await run_of(lab)
    assert run.status is OK
    assert {stage(run, at(ONE, one)) for one in lab.ids} == {(OK, "pushed_by_others")}


async def test_a_deviation_is_landing_and_then_the_pushers_fault() -> None:
    lab = pushed()
    lab.push(lab.ids[0], chain=lab.one, off=80)
    lab.push(lab.ids[1], chain=lab.one)
    off = at(ONE, lab.ids[0])
    async with lab.watching(PROBE, **options(lab, max_deviation=Bps.parse("50bps"), heartbeat=60 * MINUTE)):
        run = await lab.pass_seconds(20)
        assert stage(run, off) == (OK, "landing")
        run = await lab.pass_seconds(45)
        assert stage(run, off) == (CRITICAL, "pusher_behind")
        assert others_ok(run, off)


async def test_a_feed_that_nobody_ever_pushed() -> None:
    lab = pushed()
    await lab.clock.advance(300 * S)
    del lab.one.pyth[PYTH].feeds[bytes.fromhex(lab.ids[0])]
    lab.push(lab.ids[1])
    lab.push(chain=lab.two)
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "never_pushed")
    assert others_ok(run, at(ONE, lab.ids[0]))


async def test_a_pusher_that_cannot_be_looked_at_costs_no_feed_its_verdict() -> None:
    lab = pushed()
    await late(lab)

    def refuse(method: str, params: list[Any]) -> Any:
        if method == "eth_getTransactionCount":
            raise Refused(-32000, "missing trie node")

    lab.one.fault = refuse
    run = await run_of(lab)
    assert stage(run, at(ONE, lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert "could not be looked at" in words(run, at(ONE, lab.ids[0]))
    lab.push(chain=lab.one)
    assert (await run_of(lab)).status is OK


async def test_what_is_out_of_reach_is_told_once() -> None:
    lab = pushed()
    lab.one.down = ConnectError("connection refused")
    run = await run_of(lab)
    assert verdict(run, ONE) == (CRITICAL, "connect")
    assert {verdict(run, at(ONE, one)) for one in lab.ids} == {(UNKNOWN, "behind_endpoint")}
    assert others_ok(run, ONE, *(at(ONE, one) for one in lab.ids))
    lab.one.down = None
    lab.first.inject(faults.Unauthorized())
    run = await run_of(lab)
    assert verdict(run, FIRST) == (UNKNOWN, "not_authorized")
    assert {stage(run, at(chain, one)) for one in lab.ids for chain in (ONE, TWO)} == {(UNKNOWN, "no_source")}


async def test_symbols_that_are_none() -> None:
    lab = pushed()
    run = await run_of(lab, feeds=(PushFeed(feed="Crypto.BTC/USDX"), PushFeed(feed="Crypto.BTC/USD")))
    assert verdict(run, at(ONE, "Crypto.BTC/USDX")) == (CRITICAL, "no_such_feed")
    assert verdict(run, at(ONE, lab.ids[0]))[0] is OK


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"pusher": "0x12"}, "is not an address"), ({"min_balance": Decimal(-1)}, "min_balance must not be negative")],
)
def test_routes_that_make_no_sense_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Route(chain="5001", endpoints=("http://one",), contracts=(PYTH,), **wrong)


def test_a_manifest_that_is_wrong_in_many_places_says_all_of_them(tmp_path: Path) -> None:
    manifest = tmp_path / "wrong.yaml"
    manifest.write_text("""\
probe: cross_chain_lag
options:
  chains:
    - chain: atlantis
      endpoints: [https://a.test]
    - chain: base
      endpoints: [base.test]
    - chain: optimism
      endpoints: [https://b.test]
      pusher: "0x1234"
    - chain: bsc
      endpoints: [https://c.test]
      contracts: [stabel]
      min_balanc: 1
  feeds:
    - {feed: Crypto.BTC/USD, heartbeat: 3600, max_deviation: 0.5}
""")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, manifest)
    lines = [line.removeprefix(str(manifest)) for line in str(caught.value).splitlines()]
    for said in (
        ":4:7 options.chains[0].chain: chain 'atlantis' is not in the registry: give its EVM chain id",
        ":7:7 options.chains[1].endpoints: endpoints: an endpoint's URL starts with http:// or https://, not 'base.test'",
        ":10:7 options.chains[2].pusher: pusher: '0x1234' is not an address: 0x and 40 hex digits",
        ":14:7 options.chains[3].min_balanc: unknown key; did you mean 'min_balance'?",
        ":16:30 options.feeds[0].heartbeat: 3600 has no unit; write a duration as 500ms, 10s or 1m30s",
        ":16:47 options.feeds[0].max_deviation: 0.5 has no unit; write a ratio as 50bps or 0.5%",
    ):
        assert any(said in line for line in lines), (said, lines)


async def test_who_sent_what_is_asked_once() -> None:
    lab = pushed()
    async with lab.watching(PROBE, **options(lab)):
        await lab.pass_seconds(50)
    assert len(lab.runs) >= 3
    assert len(lab.one.asked("eth_getTransactionReceipt")) == 1
    assert len(lab.one.asked("eth_getLogs")) == len(lab.runs)
    assert not lab.two.asked("eth_getLogs")
