"""Each fault of the sandbox once, on a fake clock: the verdict, its reason, the target it names, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args

import pytest

from probekit.checks import SignedPoint
from probekit.clients.hermes import HermesClient
from probekit.codecs.messages import encode
from probekit.dev import faults
from probekit.dev.faults import Fault
from probekit.model import ProbeRun, Status, TrustRoot
from probekit.transports.retry import NO_RETRY
from probekit.trust import Trust, chosen
from probekit.trust.signing import sign_slot
from tests.support.sandbox import FIRST, SECOND, Lab, S, load, module_of, others_ok, result, verdict
from tests.unit.trust.builders import PRO_SET, SLOT, TIME_S, price

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN


async def prove(lab: Lab, **options: Any) -> ProbeRun:
    probe = load("hermes_proof")
    return await lab.once(probe, endpoint=FIRST, feeds=lab.ids, signer_sets=lab.signer_sets(probe), **options)


@pytest.mark.parametrize("root", list(TrustRoot))
@pytest.mark.shows("hermes_proof", "OK")
async def test_all_is_well_on_either_root(root: TrustRoot) -> None:
    lab = Lab(root=root)
    run = await prove(lab, root=str(root))
    assert run.status is OK
    assert len(run.results) == len(lab.ids) + 1


@pytest.mark.shows("hermes_proof", "CRITICAL wrong_root")
async def test_a_valid_proof_of_the_root_that_is_not_expected() -> None:
    lab = Lab(root=TrustRoot.CORE)
    run = await prove(lab, root="pro")
    assert {verdict(run, one) for one in lab.ids} == {(CRITICAL, "wrong_root")}


@pytest.mark.parametrize("root", list(TrustRoot))
@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (faults.BadSignature, CRITICAL, "bad_signature"),
        (faults.WrongQuorum, CRITICAL, "no_quorum"),
        (faults.WrongRoot, CRITICAL, "wrong_root"),
        (faults.ExpiredSet, CRITICAL, "superseded_set"),
        (faults.BadProof, CRITICAL, "bad_proof"),
        (faults.ParsedMismatch, CRITICAL, "parsed_mismatch"),
        (faults.Unentitled, UNKNOWN, "not_entitled"),
        (faults.MissingFeed, CRITICAL, "missing"),
    ],
)
async def test_a_fault_of_one_feed(root: TrustRoot, fault: Callable[[str], Fault], status: Status, reason: str) -> None:
    lab = Lab(root=root)
    broken = lab.ids[2]
    lab.first.inject(fault(broken))
    run = await prove(lab)
    assert verdict(run, broken) == (status, reason)
    assert others_ok(run, broken)
    evidence = result(run, broken).evidence
    assert evidence is not None
    assert evidence.request is not None
    assert evidence.error or evidence.decoded


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (faults.Unauthorized(), UNKNOWN, "not_authorized"),
        (faults.RateLimited(60), UNKNOWN, "rate_limited"),
        (faults.ServerError(503), CRITICAL, "server_error"),
        (faults.MalformedJson(), CRITICAL, "decode"),
        (faults.NanNumbers(), CRITICAL, "decode"),
        (faults.DuplicateIds(), CRITICAL, "decode"),
        (faults.HugeHeaders(), CRITICAL, "headers_too_large"),
        (faults.GzipBomb(), CRITICAL, "body_too_large"),
        (faults.EndlessBody(), CRITICAL, "body_too_large"),
        (faults.WrongContentType(), CRITICAL, "decode"),
        (faults.Hang(), CRITICAL, "deadline_first_byte"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else None,
)
async def test_a_fault_of_an_endpoint_is_told_once_on_the_endpoint(fault: Fault, status: Status, reason: str) -> None:
    lab = Lab(feeds=3)
    lab.first.inject(fault)
    run = await prove(lab)
    told = verdict(run, FIRST)
    assert told[0] is status
    assert told[1] == reason or told[1].startswith("deadline")
    assert {verdict(run, one) for one in lab.ids} == {(UNKNOWN, "behind_endpoint")}
    assert run.requests, "what failed is on the record"
    assert run.elapsed_ns >= 0


@pytest.mark.parametrize("root", list(TrustRoot))
@pytest.mark.parametrize("confused", ["signers", "emitter", "both"])
async def test_the_two_roots_confused_either_way(root: TrustRoot, confused: Literal["signers", "emitter", "both"]) -> None:
    lab = Lab(root=root)
    broken = lab.ids[2]
    lab.first.inject(faults.WrongRoot(broken, confused))
    run = await prove(lab, root=str(root))
    assert verdict(run, broken) == (CRITICAL, "wrong_root")
    assert others_ok(run, broken)


async def test_a_service_that_is_not_ready_and_serves_is_judged_by_what_it_serves() -> None:
    """No probe of this release asks ``/ready``: the client does, and says why."""
    lab = Lab(feeds=2)
    lab.first.inject(faults.NotReady())
    assert (await prove(lab)).status is OK
    async with HermesClient(FIRST, transport=lab.transport, clock=lab.clock, retry=NO_RETRY) as client:
        readiness = await client.ready()
    assert not readiness.ready
    assert len(readiness.reasons) == 2


@pytest.mark.parametrize("tier", ["unit/probes/test_faults.py", "system/test_verdicts.py"])
def test_every_fault_has_its_verdict_in_both_tiers(tier: str) -> None:
    """Once with an injected clock, once in real time."""
    text = (Path(__file__).parents[2] / tier).read_text()
    without = {kind.__name__ for kind in get_args(faults.AnyFault) if not re.search(rf"faults\.{kind.__name__}\b", text)}
    assert without == set()


@pytest.mark.shows("hermes_proof", "CRITICAL connect")
async def test_an_unreachable_endpoint_is_a_verdict() -> None:
    lab = Lab()
    probe = load("hermes_proof")
    run = await lab.once(probe, endpoint="http://nowhere", feeds=lab.ids)
    assert verdict(run, "http://nowhere") == (CRITICAL, "connect")


@pytest.mark.shows("hermes_proof", "CRITICAL over_budget")
async def test_a_slow_endpoint_is_over_its_budget() -> None:
    lab = Lab()
    lab.first.inject(faults.Slow(900))
    run = await prove(lab, max_latency=S / 2)
    assert verdict(run, FIRST) == (CRITICAL, "over_budget")
    assert others_ok(run, FIRST)


async def test_unknown_feeds_are_named_and_symbols_resolved() -> None:
    lab = Lab()
    nobody = "ab" * 32
    probe = load("hermes_freshness")
    run = await lab.once(probe, endpoint=FIRST, feeds=("Crypto.BTC/USD", nobody, "Crypto.BTC/USDX"))
    assert verdict(run, lab.ids[0]) == (OK, "fresh")
    assert verdict(run, nobody) == (CRITICAL, "no_such_feed")
    assert verdict(run, "Crypto.BTC/USDX") == (CRITICAL, "no_such_feed")


# -- streams -----------------------------------------------------------------------------------------------------------------


@pytest.mark.shows("hermes_freshness", "OK", "CRITICAL stale")
async def test_a_stale_feed_is_found_and_recovers() -> None:
    lab = Lab()
    async with lab.watching(load("hermes_freshness"), endpoint=FIRST, feeds=lab.ids, max_age=5 * S):
        run = await lab.pass_seconds(3)
        assert run.status is OK
        injected = lab.first.inject(faults.StaleFeed(lab.ids[1]))
        run = await lab.pass_seconds(7)
        assert verdict(run, lab.ids[1]) == (CRITICAL, "stale")
        assert others_ok(run, lab.ids[1])
        injected.clear()
        run = await lab.pass_seconds(2)
        assert run.status is OK


@pytest.mark.shows("hermes_freshness", "CRITICAL wide_confidence")
async def test_a_wide_confidence() -> None:
    lab = Lab()
    lab.first.inject(faults.WideConfidence(lab.ids[1]))
    async with lab.watching(load("hermes_freshness"), endpoint=FIRST, feeds=lab.ids):
        run = await lab.pass_seconds(2)
    assert verdict(run, lab.ids[1]) == (CRITICAL, "wide_confidence")
    assert others_ok(run, lab.ids[1])


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.shows("hermes_freshness", "CRITICAL silent_stream")
async def test_a_silent_stream_is_found_at_the_tick(keep_alive: bool) -> None:
    lab = Lab()
    async with lab.watching(load("hermes_freshness"), endpoint=FIRST, feeds=lab.ids[:2], max_age=30 * S, max_silence=5 * S):
        await lab.pass_seconds(2)
        lab.first.inject(faults.SilentStream(keep_alive=keep_alive))
        run = await lab.pass_seconds(5)
        assert run.status is OK
        run = await lab.pass_seconds(2)
    assert verdict(run, FIRST) == (CRITICAL, "silent_stream")


async def test_a_stream_that_keeps_breaking_is_down_until_it_holds() -> None:
    lab = Lab()
    async with lab.watching(load("hermes_freshness"), endpoint=FIRST, feeds=lab.ids[:2], max_age=90 * S, max_silence=5 * S):
        await lab.pass_seconds(2)
        injected = lab.first.inject(faults.CutStream())
        await lab.pass_seconds(30)
        down = [run for run in lab.runs if verdict(run, FIRST) == (CRITICAL, "disconnected")]
        assert down
        assert all(others_ok(run, FIRST) for run in down)
        injected.clear()
        run = await lab.pass_seconds(35)
        assert run.status is OK


async def test_an_endpoint_that_refuses_the_key_shadows_its_feeds() -> None:
    lab = Lab()
    lab.first.inject(faults.Unauthorized())
    async with lab.watching(load("hermes_freshness"), endpoint=FIRST, feeds=lab.ids[:2]):
        run = await lab.pass_seconds(12)
    assert verdict(run, FIRST) == (UNKNOWN, "not_authorized")
    assert {verdict(run, one) for one in lab.ids[:2]} == {(UNKNOWN, "behind_endpoint")}


@pytest.mark.shows("hermes_agreement", "OK", "WARNING lagging", "CRITICAL conflicting_data")
async def test_endpoints_agree_lag_and_conflict() -> None:
    lab = Lab()
    probe = load("hermes_agreement")
    async with lab.watching(probe, endpoints=(FIRST, SECOND), feeds=lab.ids[:3], max_delay=3 * S):
        run = await lab.pass_seconds(4)
        assert run.status is OK
        assert verdict(run, lab.ids[0]) == (OK, "agreeing")
        injected = lab.second.inject(faults.ConflictingData(lab.ids[1]))
        run = await lab.pass_seconds(2)
        assert verdict(run, lab.ids[1]) == (CRITICAL, "conflicting_data")
        assert others_ok(run, lab.ids[1])
        injected.clear()
        # What was said stays in the history for a while: 32 slots of 400 ms.
        run = await lab.pass_seconds(16)
        assert run.status is OK
        lab.second.inject(faults.Lag(delay_ms=6_000))
        run = await lab.pass_seconds(5)
        assert verdict(run, lab.ids[0]) == (WARNING, "lagging")


def test_only_price_messages_are_compared() -> None:
    """The two types of message about one feed come in any order; that is no disagreement."""
    other = b"\x01" + bytes.fromhex(price(0).feed_id) + bytes(68)
    points = []
    signed_points = module_of(load("hermes_agreement")).signed_points
    for content in ([encode(price(0)), other], [other, encode(price(0))]):
        raw = [sign_slot(content, PRO_SET, slot=SLOT, time_s=TIME_S).update([0, 1])]
        points.append(signed_points(SimpleNamespace(signed_bytes=raw.copy)))
    assert points[0] == points[1] == {price(0).feed_id: SignedPoint(TrustRoot.PRO, SLOT, encode(price(0)).hex())}


async def test_agreement_with_one_endpoint_gone_is_unknown() -> None:
    lab = Lab()
    probe = load("hermes_agreement")
    async with lab.watching(probe, endpoints=(FIRST, "http://nowhere"), feeds=lab.ids[:1]):
        run = await lab.pass_seconds(4)
    assert verdict(run, "http://nowhere") == (CRITICAL, "connect")
    assert verdict(run, lab.ids[0]) == (UNKNOWN, "too_few_sources")


def test_agreement_refuses_a_single_endpoint() -> None:
    with pytest.raises(ValueError, match="two different endpoints"):
        load("hermes_agreement").options(endpoints=(FIRST, FIRST), feeds=("aa" * 32,))


@pytest.mark.shows("hermes_latency", "OK", "CRITICAL over_budget", "CRITICAL deadline_first_byte", "CRITICAL deadline_transfer")
async def test_latency_of_requests_and_streams() -> None:
    lab = Lab()
    probe = load("hermes_latency")
    options: dict[str, Any] = {"endpoint": FIRST, "feeds": (lab.ids[0],), "timeout": 2 * S}
    run = await lab.once(probe, **options)
    assert run.status is OK
    assert [record.status for record in run.requests] == [200, 200]
    lab.first.inject(faults.Slow(1500))
    run = await lab.once(probe, **options)
    assert verdict(run, f"rest {FIRST}") == (CRITICAL, "over_budget")
    hung = lab.first.inject(faults.Hang())
    run = await lab.once(probe, **options)
    assert {one.verdicts[0].reason for one in run.results} == {"deadline_first_byte"}
    hung.clear()
    lab.first.inject(faults.SilentStream())
    run = await lab.once(probe, **{**options, "timeout": 4 * S})
    assert verdict(run, f"stream {FIRST}") == (CRITICAL, "deadline_transfer")


def test_the_trust_of_hermes_proof_comes_from_its_options() -> None:
    probe = load("hermes_proof")

    def trust_of(network: str) -> Trust:
        options = probe.options(feeds=("aa" * 32,), network=network)
        return chosen(options.network, options.signer_sets)

    newest = trust_of("mainnet").newest(TrustRoot.PRO)
    assert newest is not None
    assert newest.index == 1
    assert trust_of("beta").roots() == {TrustRoot.CORE}
    assert timedelta(minutes=10) == probe.options(feeds=("aa" * 32,)).refused_for
