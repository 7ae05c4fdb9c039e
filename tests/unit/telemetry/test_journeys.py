"""A journey on the wire: a trace of its own, linked to its run; its stages as histograms and counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from probekit.model import TrustRoot
from probekit.model.journey import Arrival, Journey, Landing, Look, Stage
from probekit.model.journey_book import JourneyBook
from probekit.runner.encode import decode_run, encode_run
from probekit.telemetry.identity import span_id
from probekit.units import NS_PER_MS, NS_PER_S, Instant
from tests.unit.telemetry import builders as make
from tests.unit.telemetry.builders import record
from tests.unit.telemetry.receiver import Receiver, attributes, http_receiver, points

T0 = make.NOW.ns // NS_PER_S


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


def at(seconds: float) -> Instant:
    return Instant(T0 * NS_PER_S + round(seconds * 1000) * NS_PER_MS)


def journey(*, chains: tuple[str, ...] = ("base",), **changes: Any) -> Journey:
    """Followed by a book, landed on the first chain; the signers' clock is half a second behind the slots'."""
    fields: dict[str, Any] = {
        "feed_id": make.BTC.id, "publish_time_s": T0, "price": 1, "conf": 1, "slot": T0 * 20 + 10, "sequence": T0 * 20 + 10,
        "root": TrustRoot.PRO, "vaa_time": at(0), "proven_at": at(1), "received_at": at(1.25), "clock_error_ns": 0,
    }  # fmt: skip
    book = JourneyBook(make.BTC.id, chains)
    state, told = book.step(book.init(), Arrival(**{**fields, **changes}), now=at(2))
    if chains:
        landing = Landing(publish_time_s=T0, price=1, conf=1, block=7, at=at(5), transaction="0xabc", log_index=3)
        state, told = book.step(state, Look(chain=chains[0], first=1, last=9, at=at(6), landings=(landing,)), now=at(6))
    if not told.journeys:
        state, told = book.step(state, None, now=at(100))
    (made,) = told.journeys
    return made


def test_a_journey_is_a_trace_of_its_own_linked_to_its_run(receiver: Receiver) -> None:
    followed = journey(chains=("base", "solana"))
    run = make.run(journeys=(followed,))
    record(receiver, run)
    spans = [span for span in receiver.spans() if span.trace_id.hex() == followed.id]
    root, *stages = spans
    assert len({span.span_id for span in spans}) == 9
    assert (root.name, root.parent_span_id) == ("probekit.journey hermes_freshness", b"")
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (at(0).ns, at(5).ns)
    (link,) = root.links
    assert (link.trace_id.hex(), int.from_bytes(link.span_id, "big")) == (run.run_id, span_id(run.run_id, 0))
    assert attributes(root) == {
        "probe": "hermes_freshness",
        "target": make.BTC.id,
        "vantage.region": "eu-west-1",
        "probekit.target.label": "Crypto.BTC/USD",
        "probekit.journey.publish_time": T0,
        "probekit.journey.slot": T0 * 20 + 10,
        "probekit.journey.root": "pro",
        "probekit.journey.overdue": True,
    }
    assert {span.parent_span_id for span in stages} == {root.span_id}
    assert [span.name for span in stages] == [
        "published", "aggregated", "attested", "proven", "served", "arrived", "landed", "landed",
    ]  # fmt: skip
    found = {(span.name, attributes(span).get("probekit.chain")): span for span in stages}
    attested = found["attested", None]
    assert attested.end_time_unix_nano - attested.start_time_unix_nano == 500 * NS_PER_MS
    told = attributes(attested)
    assert (told["probekit.journey.elapsed"], told["probekit.journey.elapsed.error"]) == (-0.5, 1.05)
    assert (told["probekit.journey.backwards"], told["probekit.journey.explained"]) == (True, True)
    assert (told["probekit.journey.clock"], told["probekit.journey.since"]) == ("signers", "aggregated")
    assert told["probekit.journey.sequence"] == T0 * 20 + 10
    landed = found["landed", "base"]
    assert landed.end_time_unix_nano - landed.start_time_unix_nano == 4 * NS_PER_S
    told = attributes(landed)
    assert (told["probekit.journey.block"], told["probekit.journey.transaction"]) == (7, "0xabc")
    assert (told["probekit.journey.log_index"], told["probekit.journey.error"]) == (3, 1.0)
    assert "probekit.journey.backwards" not in told
    absent = found["landed", "solana"]
    assert absent.start_time_unix_nano == absent.end_time_unix_nano == at(1).ns
    assert attributes(absent)["probekit.journey.reason"] == "not_watched"
    assert attributes(found["served", None])["probekit.journey.reason"] == "not_stamped"


def test_which_stage_is_slow_is_one_query(receiver: Receiver) -> None:
    followed = journey()
    record(receiver, make.run(journeys=(followed,)))
    metrics = receiver.metrics()
    found = {attributes(point)["probekit.journey.stage"]: point for point in points(metrics["probekit.journey.stage.duration"])}
    assert set(found) == {"aggregated", "attested", "proven", "arrived", "landed"}
    assert attributes(found["landed"]) == {
        "probe": "hermes_freshness", "target": make.BTC.id, "probekit.journey.stage": "landed", "probekit.chain": "base",
        "vantage.region": "eu-west-1",
    }  # fmt: skip
    attested = found["attested"]
    below = [count for edge, count in zip(attested.explicit_bounds, attested.bucket_counts, strict=False) if edge <= -0.5]
    assert (attested.min, sum(below), attested.HasField("sum")) == (-0.5, 1, False)
    (exemplar,) = found["proven"].exemplars
    assert exemplar.trace_id.hex() == followed.id
    (missing,) = points(metrics["probekit.journey.missing"])
    told = attributes(missing)
    assert (told["probekit.journey.stage"], told["probekit.journey.reason"], missing.as_int) == ("served", "not_stamped", 1)


def test_traces_are_sampled_by_the_journeys_own_id_and_metrics_are_not(receiver: Receiver) -> None:
    run = make.run(journeys=(journey(),), journeys_dropped=2)
    recorder = record(receiver, run, sampling=0.0)
    assert receiver.spans() == []
    assert len(points(receiver.metrics()["probekit.journey.stage.duration"])) == 5
    assert recorder.counters["traces"].handed == 0


def test_journeys_beyond_the_runs_bound_are_counted(receiver: Receiver) -> None:
    record(receiver, make.run(journeys_dropped=2))
    assert attributes(receiver.spans()[0])["probekit.run.journeys_dropped"] == 2


def test_the_series_of_a_feed_that_is_gone_expire(receiver: Receiver) -> None:
    recorder = record(receiver, make.run(journeys=(journey(),)))
    recorder.start(make.info(make.ETH))
    for name in ("probekit.journey.stage.duration", "probekit.journey.missing"):
        held = [one for one in recorder.slots if one.spec.name == name]
        assert [one.series for one in held] == [{}]


def test_a_run_with_journeys_goes_through_json() -> None:
    run = make.run(journeys=(journey(chains=()),))
    assert decode_run(encode_run(run)) == msgspec.structs.replace(run)


def test_a_canarys_failed_stage_is_an_error_and_no_duration(receiver: Receiver) -> None:
    timed = {"clock": "local", "chain": "base", "error_ns": 0, "elapsed_error_ns": 0}
    sent = Stage(name="sent", at=at(1), elapsed_ns=NS_PER_S, transaction="0xabc", **timed)  # type: ignore[arg-type]
    included = Stage(
        name="included", at=at(4), since="sent", elapsed_ns=3 * NS_PER_S, reason="reverted", failed=True, block=7,
        gas_used=21_000, gas_price=2**70, paid=2**80, **timed,  # type: ignore[arg-type]
    )  # fmt: skip
    readable = Stage(name="readable", clock="local", chain="base", reason="not_reached")
    followed = Journey(
        id="ab" * 16, feed_id=make.BTC.id, publish_time=None, slot=None, root=None, stages=(sent, included, readable),
        told_at=at(4), overdue=True,
    )  # fmt: skip
    assert [one.name for one in followed.missing] == ["included", "readable"]
    run = make.run(journeys=(followed,))
    assert decode_run(encode_run(run)) == run
    record(receiver, run)
    spans = {span.name: span for span in receiver.spans() if span.trace_id.hex() == followed.id}
    assert {name: span.status.code for name, span in spans.items()} == {
        "probekit.journey hermes_freshness": 0, "sent": 0, "included": 2, "readable": 0,
    }  # fmt: skip
    assert spans["included"].status.message == "reverted"
    told = attributes(spans["included"])
    # What an integer of the protocol cannot hold is text.
    assert (told["probekit.journey.gas_used"], told["probekit.journey.paid"]) == (21_000, str(2**80))
    assert "probekit.journey.publish_time" not in attributes(spans["probekit.journey hermes_freshness"])
    metrics = receiver.metrics()
    durations = points(metrics["probekit.journey.stage.duration"])
    assert [attributes(point)["probekit.journey.stage"] for point in durations] == ["sent"]
    missing = {attributes(one)["probekit.journey.stage"]: one for one in points(metrics["probekit.journey.missing"])}
    assert {name: attributes(one)["probekit.journey.reason"] for name, one in missing.items()} == {
        "included": "reverted", "readable": "not_reached",
    }  # fmt: skip


def test_a_journey_of_which_nothing_came_about(receiver: Receiver) -> None:
    nothing = Stage(name="built", clock="local", reason="not_reached")
    told = Journey(
        id="cd" * 16,
        feed_id=make.BTC.id,
        publish_time=None,
        slot=None,
        root=None,
        stages=(nothing,),
        told_at=at(4),
        overdue=True,
    )
    record(receiver, make.run(journeys=(told,)))
    (root, _) = [span for span in receiver.spans() if span.trace_id.hex() == told.id]
    assert root.start_time_unix_nano == root.end_time_unix_nano == at(4).ns
