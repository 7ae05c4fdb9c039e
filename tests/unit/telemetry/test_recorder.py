"""The OTLP recorder over time: what is bounded, what is counted, and that nothing holds up a probe."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from probekit.model import Evidence, TargetResult
from probekit.telemetry.delivery import Outcome
from probekit.telemetry.identity import Sampler
from probekit.telemetry.otel import MAX_WAITING, OtelRecorder
from tests.unit.telemetry import builders as make
from tests.unit.telemetry.builders import FAST, record
from tests.unit.telemetry.receiver import Answer, Receiver, attributes, http_receiver, points, until, values


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


def test_series_of_removed_targets_expire_and_others_stay(receiver: Receiver) -> None:
    recorder = OtelRecorder(make.settings(receiver.url))
    recorder.start(make.info())
    recorder.start(make.info(make.ETH, probe="other"))
    recorder.record(make.bad_run())
    recorder.record(make.bad_run(probe="other"))
    recorder.start(make.info(make.BTC, digest="d" * 64))
    recorder.close()
    metrics = receiver.metrics()
    for name in ("probekit.target.status", "probekit.verdict.status", "probekit.feed.age"):
        seen = {(attributes(point)["probe"], attributes(point)["target"]) for point in points(metrics[name])}
        assert ("hermes_freshness", make.BTC.id) in seen
        assert ("hermes_freshness", make.ETH.id) not in seen
        assert ("other", make.ETH.id) in seen
    infos = {attributes(point)["probekit.config_digest"] for point in points(metrics["probekit.info"])}
    assert infos == {"c" * 16, "d" * 16}
    assert len(points(metrics["probekit.info"])) == 2


def test_partial_success_and_refusal_are_counted_by_signal(receiver: Receiver) -> None:
    receiver.answers["traces"].append(Answer(rejected=1, message="no"))
    receiver.answers["logs"].append(Answer(status=400))
    receiver.answers["metrics"].append(Answer(status=503))
    recorder = record(receiver, make.bad_run())
    counters = recorder.counters
    assert (counters["traces"].rejected, counters["traces"].exported) == (1, 0)
    assert counters["logs"].reasons == {"refused": 1}
    assert counters["metrics"].retried == 1
    assert counters["metrics"].exported == counters["metrics"].handed > 0
    for known in counters.values():
        assert known.handed == known.exported + known.rejected + known.dropped


def test_the_counters_are_metrics_too(receiver: Receiver) -> None:
    receiver.answers["traces"].append(Answer(rejected=1))
    receiver.answers["logs"].append(Answer(status=400))
    recorder = OtelRecorder(make.settings(receiver.url), backoff=FAST)
    recorder.start(make.info())
    recorder.record(make.bad_run())
    until(lambda: recorder.counters["traces"].rejected and recorder.counters["logs"].dropped, "the first outcomes")
    recorder.close()
    metrics = receiver.metrics()
    assert values(metrics["probekit.telemetry.rejected"])["traces",] == 1
    assert values(metrics["probekit.telemetry.dropped"])["refused", "logs"] == 1


def test_metrics_leave_at_their_interval(receiver: Receiver) -> None:
    base = make.settings(receiver.url)
    quick = tuple(replace(one, delay_s=0.05) for one in base.signals)
    recorder = OtelRecorder(replace(base, signals=quick))
    recorder.start(make.info())
    until(lambda: len(receiver.of("metrics")) >= 3, "three exports")
    recorder.close()


def test_a_receiver_that_hangs_holds_up_neither_the_probe_nor_the_exit(receiver: Receiver) -> None:
    held = threading.Event()
    for signal in receiver.answers:
        receiver.answers[signal].extend(Answer(hold=held) for _ in range(10))
    recorder = OtelRecorder(make.settings(receiver.url), flush_s=0.3)
    recorder.start(make.info())
    began = time.monotonic()
    for _ in range(20):
        recorder.record(make.bad_run())
    assert time.monotonic() - began < 1.0
    asyncio.run(recorder.aclose())
    assert time.monotonic() - began < 3.0
    held.set()
    for counters in recorder.counters.values():
        assert counters.handed == counters.exported + counters.rejected + counters.dropped
    assert recorder.counters["traces"].reasons["closing"] > 0
    recorder.close()
    recorder.record(make.run())


class _Never:
    """A sender whose receiver is away for good."""

    def __init__(self, *_: object) -> None:
        self.sent = 0

    def send(self, payload: bytes, timeout_s: float) -> Outcome:
        self.sent += 1
        return Outcome(delivered=False, message="away", retryable=True)

    def close(self) -> None:
        return None


def test_memory_is_bounded_while_the_receiver_is_away() -> None:
    recorder = OtelRecorder(make.settings("http://localhost:1", queue=50), make_sender=_Never, flush_s=0.2)
    recorder.start(make.info())
    for _ in range(500):
        recorder.record(make.run(requests=(make.request(),)))
        time.sleep(0)
    until(lambda: recorder.counters["traces"].handed == 1_000, "every run encoded or dropped")
    counters = recorder.counters["traces"]
    assert counters.reasons["queue_full"] >= 1_000 - 50 - 512
    recorder.close()
    assert recorder.counters["traces"].dropped == 1_000


def test_runs_that_come_faster_than_they_are_encoded_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(OtelRecorder, "_encode", lambda self, run: gate.wait(20))
    recorder = OtelRecorder(make.settings("http://localhost:1"), make_sender=_Never, flush_s=0.2)
    for _ in range(MAX_WAITING + 12):
        recorder.record(make.bad_run())
    lost = recorder.counters["traces"].reasons["queue_full"]
    assert lost in (11, 12)  # one may be in the encoder's hands
    assert recorder.counters["logs"].reasons["queue_full"] == lost
    recorder.close()
    assert recorder.counters["traces"].reasons["closing"] >= MAX_WAITING - 1
    gate.set()


def test_a_defect_in_encoding_is_counted_and_the_next_run_goes_out(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = make.run(run_id="not hexadecimal")
    monkeypatch.setattr(Sampler, "samples", lambda self, run_id: True)
    recorder = record(receiver, broken, make.run())
    assert recorder.counters["traces"].reasons == {"defect": 1}
    assert len(receiver.spans()) == 1
    assert "could not be encoded" in caplog.text


async def test_a_process_without_room_for_another_thread_still_tells_its_last_run(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = OtelRecorder(make.settings(receiver.url))
    recorder.start(make.info())
    recorder.record(make.bad_run())

    async def refused(work: object) -> None:
        raise RuntimeError("can't start new thread")

    # Not of every thread: the receiver of this test starts one for each connection.
    monkeypatch.setattr(asyncio, "to_thread", refused)
    await recorder.aclose()
    assert len(receiver.spans()) == 1
    assert "probekit.runs" in receiver.metrics()


def test_much_evidence_is_sent_in_parts(receiver: Receiver) -> None:
    evidence = Evidence(excerpt="x" * 60_000)
    results = tuple(
        TargetResult(msgspec.structs.replace(make.ETH, id=f"t{n}"), (make.stale(),), make.NOW, evidence) for n in range(100)
    )
    recorder = record(receiver, make.run(*results))
    assert len(receiver.logs()) == recorder.counters["logs"].exported == 100
    assert max(len(one.raw) for one in receiver.received if one.signal == "logs") < 4_000_000


def test_ever_new_origins_grow_neither_series_nor_memory(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probekit.telemetry.measure._ORIGINS", 8)
    recorder = OtelRecorder(make.settings(receiver.url, cardinality_limit=4))
    for number in range(50):
        recorder.record(make.run(requests=(make.request(url=f"https://h{number}.example/x"),)))
    recorder.record(make.run(requests=(make.request(url="https://[broken/x"), make.request(url="https://bare.example"))))
    meter = recorder._meter
    assert max(len(meter._origins), len(meter._http), len(meter._phases)) <= 8 + 4
    recorder.close()
    metrics = receiver.metrics()
    assert len(points(metrics["http.client.request.duration"])) == 4 + 1
    assert values(metrics["probekit.telemetry.overflow"])["http.client.request.duration",] == 52 - 4


def test_signals_that_are_off_cost_nothing_and_break_nothing(receiver: Receiver) -> None:
    base = make.settings(receiver.url)
    recorder = OtelRecorder(replace(base, signals=base.signals[:1]))
    recorder.start(make.info())
    recorder.record(make.bad_run())
    recorder.close()
    assert {one.signal for one in receiver.received} == {"traces"}
    assert set(recorder.counters) == {"traces"}


def test_a_run_of_a_probe_that_was_never_started_is_recorded(receiver: Receiver) -> None:
    recorder = OtelRecorder(make.settings(receiver.url))
    recorder.record(make.bad_run())
    recorder.close()
    assert len(receiver.logs()) == 1
    assert values(receiver.metrics()["probekit.runs"])["hermes_freshness", "critical", "eu-west-1"] == 1


def test_a_verdict_from_before_the_targets_changed_ends_with_the_next_run(receiver: Receiver) -> None:
    recorder = OtelRecorder(make.settings(receiver.url))
    recorder.start(make.info(make.BTC))
    lost = make.stale(check="observation", reason="connect", measures=())
    recorder.record(make.run(TargetResult(make.BTC, (lost,))))
    recorder.start(make.info(make.BTC, make.ETH))
    recorder.record(make.run())
    recorder.close()
    verdict = values(receiver.metrics()["probekit.verdict.status"])
    assert verdict["observation", "hermes_freshness", "critical", make.BTC.id, "eu-west-1"] == 0
    assert verdict["freshness", "hermes_freshness", "ok", make.BTC.id, "eu-west-1"] == 1
