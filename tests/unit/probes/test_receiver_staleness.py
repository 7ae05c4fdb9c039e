"""``receiver_staleness`` over a Solana cluster and the sandbox Hermes, on a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.clients.solana import GENESIS
from probekit.codecs.solana.addresses import CORE, PRO
from probekit.dev import faults
from probekit.errors import ConnectError
from probekit.model import FeedId, ProbeRun, Status
from probekit.model.receiver import ProgramGeneration, VerificationLevel
from probekit.units import Bps
from tests.support.pushes import ClusterLab
from tests.support.sandbox import FIRST, S, load, module_of, others_ok, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("receiver_staleness")
PostedFeed = module_of(PROBE).PostedFeed
MINUTE = 60 * S
OLD = ProgramGeneration.CORE


def options(lab: ClusterLab, **more: Any) -> dict[str, Any]:
    return {
        "hermes": FIRST,
        "endpoints": ("http://solana",),
        "cluster": "devnet",
        "feeds": tuple(PostedFeed(feed=one) for one in lab.ids),
        "heartbeat": 2 * MINUTE,
        **more,
    }


def at(feed: str, shard: int = 0) -> str:
    return f"devnet/{shard}/{feed}"


def posted(feeds: int = 3) -> ClusterLab:
    """A lab in which every feed has just been posted under both generations."""
    lab = ClusterLab(feeds=feeds)
    lab.post()
    lab.post(generation=OLD)
    return lab


async def run_of(lab: ClusterLab, **more: Any) -> ProbeRun:
    return await lab.once(PROBE, **options(lab, **more))


def reasons(run: ProbeRun, target: str) -> dict[str, str]:
    return {one.check: one.reason for one in result(run, target).verdicts}


@pytest.mark.shows("receiver_staleness", "OK")
async def test_all_is_well_in_one_request_for_every_account_and_the_clock() -> None:
    lab = posted()
    run = await run_of(lab, max_deviation=Bps.parse("50bps"))
    assert run.status is OK
    assert len(run.results) == 2 + 3
    (asked,) = lab.cluster.asked("getMultipleAccounts")
    assert len(asked[0]) == 1 + 2 * 3
    assert reasons(run, at(lab.ids[0])) == {
        "heartbeat": "kept", "verification_depth": "verified", "migration": "fit", "slot_lag": "measured",
        "cross_chain_deviation": "near",
    }  # fmt: skip
    names = {measure.name for one in run.results for each in one.verdicts for measure in each.measures}
    assert names == set(PROBE.metrics)


@pytest.mark.shows("receiver_staleness", "CRITICAL never_pushed")
async def test_a_feed_nobody_posts_in_this_shard() -> None:
    lab = posted()
    feeds = (*(PostedFeed(feed=one) for one in lab.ids), PostedFeed(feed=lab.ids[0], shard=7))
    run = await run_of(lab, feeds=feeds)
    assert verdict(run, at(lab.ids[0], 7)) == (CRITICAL, "never_pushed")
    assert "in shard 7" in result(run, at(lab.ids[0], 7)).verdicts[0].message
    assert others_ok(run, at(lab.ids[0], 7))


@pytest.mark.shows("receiver_staleness", "CRITICAL overdue", "CRITICAL slots_behind")
async def test_a_feed_goes_old_by_its_own_heartbeat_and_in_slots() -> None:
    lab = posted()
    feeds = (PostedFeed(feed="Crypto.BTC/USD", heartbeat=30 * S), *(PostedFeed(feed=one) for one in lab.ids[1:]))
    await lab.clock.advance(95 * S)
    run = await run_of(lab, feeds=feeds)
    assert reasons(run, at(lab.ids[0])) == {
        "heartbeat": "overdue", "verification_depth": "verified", "migration": "neither_fit", "slot_lag": "measured",
    }  # fmt: skip
    assert others_ok(run, at(lab.ids[0]))
    run = await run_of(lab, max_slots=200)
    assert {verdict(run, at(one)) for one in lab.ids} == {(CRITICAL, "slots_behind")}


@pytest.mark.parametrize(
    ("reads", "expected"),
    [("either", (OK, "fit")), ("pro", (OK, "fit")), ("core", (CRITICAL, "overdue"))],
)
async def test_only_the_account_that_consumers_read_is_judged(reads: str, expected: tuple[Status, str]) -> None:
    lab = posted(1)
    await lab.clock.advance(4 * MINUTE)
    lab.post()
    run = await run_of(lab, reads=reads)
    found = {one.check: (one.status, one.reason) for one in result(run, at(lab.ids[0])).verdicts}
    assert expected in found.values()
    if reads == "core":
        assert found["migration"] == (CRITICAL, "read_the_other")
        assert "move consumers to pro" in next(
            one.message for one in result(run, at(lab.ids[0])).verdicts if one.check == "migration"
        )
    else:
        assert run.status is OK


async def test_a_feed_that_only_the_old_programs_hold_is_read_there() -> None:
    lab = ClusterLab(feeds=2)
    lab.post(generation=OLD)
    assert (await run_of(lab)).status is OK
    run = await run_of(lab, reads="pro")
    assert {verdict(run, at(one)) for one in lab.ids} == {(CRITICAL, "never_pushed")}


@pytest.mark.shows("receiver_staleness", "CRITICAL under_verified")
async def test_an_account_that_is_only_partly_verified() -> None:
    lab = posted()
    lab.post(lab.ids[1], level=VerificationLevel(2))
    run = await run_of(lab, reads="pro")
    found = {one.check: (one.status, one.reason) for one in result(run, at(lab.ids[1])).verdicts}
    assert found["verification_depth"] == (CRITICAL, "under_verified")
    assert found["migration"] == (CRITICAL, "read_the_other")
    assert others_ok(run, at(lab.ids[1]))
    assert (await run_of(lab, reads="pro", signatures=2)).status is OK


async def test_generations_that_contradict_each_other() -> None:
    lab = posted()
    lab.post(lab.ids[1], generation=OLD, off=5)
    run = await run_of(lab)
    assert verdict(run, at(lab.ids[1])) == (CRITICAL, "contradicting")
    assert others_ok(run, at(lab.ids[1]))


async def test_an_account_of_other_bytes_is_that_feeds_alone() -> None:
    lab = ClusterLab(feeds=2)
    lab.post()
    key = PRO.push_feed(FeedId(lab.ids[0]))
    lab.cluster.put(key, bytes(134), PRO.receiver)
    run = await run_of(lab)
    assert verdict(run, at(lab.ids[0])) == (CRITICAL, "decode")
    assert others_ok(run, at(lab.ids[0]))
    # Under the programs nobody reads it takes nothing from the others.
    lab.post()
    lab.cluster.put(CORE.push_feed(FeedId(lab.ids[0])), bytes(134), CORE.receiver)
    assert (await run_of(lab)).status is OK


async def test_a_cluster_that_stands_still_is_its_own_verdict() -> None:
    lab = posted(2)
    lab.cluster.stop()
    await lab.clock.advance(4 * MINUTE)
    run = await run_of(lab)
    assert verdict(run, "devnet") == (CRITICAL, "head_stale")
    assert {verdict(run, at(one)) for one in lab.ids} == {(WARNING, "chain_behind")}


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "refuses"])
async def test_an_unreachable_cluster_is_one_verdict(hangs: bool) -> None:
    lab = posted(2)
    lab.cluster.hangs, lab.cluster.down = hangs, ConnectError("connection refused")
    run = await run_of(lab)
    assert verdict(run, "devnet") in {(CRITICAL, "connect"), (CRITICAL, "deadline")}
    assert {verdict(run, at(one)) for one in lab.ids} == {(UNKNOWN, "behind_endpoint")}
    assert verdict(run, FIRST) == (OK, "within_budget")


async def test_another_cluster_is_never_believed() -> None:
    lab = posted(1)
    lab.cluster.methods["getGenesisHash"] = lambda _: GENESIS["testnet"]
    assert verdict(await run_of(lab), "devnet") == (CRITICAL, "wrong_chain")


async def test_the_source_that_refuses_and_symbols_that_are_none() -> None:
    lab = posted(2)
    run = await run_of(lab, feeds=(PostedFeed(feed="Crypto.BTC/USDX"), PostedFeed(feed=lab.ids[1])))
    assert verdict(run, at("Crypto.BTC/USDX")) == (CRITICAL, "no_such_feed")
    assert verdict(run, at(lab.ids[1])) == (OK, "kept")
    lab.first.inject(faults.Unauthorized())
    run = await run_of(lab, max_deviation=Bps.parse("50bps"))
    assert verdict(run, FIRST) == (UNKNOWN, "not_authorized")
    assert reasons(run, at(lab.ids[0]))["heartbeat"] == "kept"
    assert reasons(run, at(lab.ids[0]))["cross_chain_deviation"] == "no_source"
    run = await run_of(lab, hermes="http://nowhere", feeds=(PostedFeed(feed="Crypto.BTC/USD"),))
    assert verdict(run, at("Crypto.BTC/USD")) == (UNKNOWN, "behind_endpoint")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"feeds": ()}, "feeds must not be empty"),
        ({"endpoints": ()}, "endpoints must not be empty"),
        ({"endpoints": ("https://x/{key}",)}, "no key was given"),
        ({"endpoints": ("x.test",)}, "starts with http"),
        ({"max_slots": 0}, "max_slots must be positive"),
        ({"open_grace": -S}, "open_grace must not be negative"),
        ({"feeds": (PostedFeed(feed="a"), PostedFeed(feed="a"))}, "of one shard twice"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROBE.options(**options(ClusterLab(feeds=1), **wrong))
