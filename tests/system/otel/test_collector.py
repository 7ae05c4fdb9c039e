"""Traces, metrics and logs to the real OpenTelemetry Collector: what arrived behind it is what our counters say."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from probekit.model import ProbeRun
from probekit.telemetry import recorder_from_env
from probekit.telemetry.delivery import Counters
from probekit.telemetry.environment import Signal
from probekit.telemetry.otel import OtelRecorder
from tests.system.otel.collector import Binary, Collector, Unavailable, find
from tests.unit.telemetry import builders as make
from tests.unit.telemetry.receiver import Answer, Receiver, attributes, http_receiver, points, until, values

# Building the collector, once for a machine, takes about two minutes; each test takes seconds.
pytestmark = [pytest.mark.system, pytest.mark.otel, pytest.mark.timeout(1_200)]


@pytest.fixture(scope="session")
def binary() -> Binary:
    try:
        return find()
    except Unavailable as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem))
        pytest.skip(str(problem))


@dataclass
class Line:
    """A recorder, the collector it sends to, and the receiver behind that."""

    collector: Collector
    behind: Receiver
    protocol: str

    def recorder(self, **environ: str) -> OtelRecorder:
        """A recorder as the environment makes it, quick enough for a test."""
        made = recorder_from_env(
            make.VANTAGE,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint(self.protocol),
                "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
                "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
                "OTEL_METRIC_EXPORT_INTERVAL": "250",
                "OTEL_BSP_SCHEDULE_DELAY": "50",
                "OTEL_BLRP_SCHEDULE_DELAY": "50",
                **environ,
            },
        )
        assert made is not None
        made.start(make.info())
        return made

    def spans(self) -> set[bytes]:
        """Distinct spans that arrived: delivery is at least once."""
        return {span.span_id for span in self.behind.spans()}

    def runs(self) -> set[str]:
        """Ids of runs whose trace arrived."""
        return {span.trace_id.hex() for span in self.behind.spans() if span.kind == 1}

    def logged(self) -> set[str]:
        """Ids of runs whose log record arrived; each run has one."""
        return {record.trace_id.hex() for record in self.behind.logs()}


@pytest.fixture(params=["http/protobuf", "grpc"])
def line(request: pytest.FixtureRequest, binary: Binary, tmp_path: Path) -> Iterator[Line]:
    with http_receiver() as behind:
        collector = Collector(binary, tmp_path, behind.url)
        collector.start()
        try:
            yield Line(collector, behind, request.param)
        finally:
            collector.stop()


def upstream_only(line: Line) -> None:
    if line.collector.binary.kind != "otelcol":
        pytest.skip("rotel acknowledges before it has delivered, so its clients' counters cannot be held against arrivals")


def bad_run() -> ProbeRun:
    """Two spans and one log record."""
    return make.bad_run(requests=(make.request(),), run_id=secrets.token_hex(16))


def settled(recorder: OtelRecorder, signal: Signal, handed: int = 1) -> Counters:
    """The counters once at least so many items were handed over and each is accounted for."""

    def known() -> Counters | None:
        counters = recorder.counters[signal]
        done = counters.handed == counters.exported + counters.rejected + counters.dropped
        return counters if done and counters.handed >= handed else None

    found = until(known, f"every item of {signal} accounted for", 60.0)
    assert isinstance(found, Counters)
    return found


def consistent(recorder: OtelRecorder) -> None:
    for counters in recorder.counters.values():
        assert counters.handed == counters.exported + counters.rejected + counters.dropped


def test_all_three_signals_arrive(line: Line) -> None:
    recorder = line.recorder()
    runs = [bad_run() for _ in range(20)]
    for run in runs:
        recorder.record(run)
    recorder.close()
    until(lambda: len(line.spans()) == 40 and len(line.logged()) == 20, "40 spans and 20 log records")
    assert line.runs() == line.logged() == {run.run_id for run in runs}
    until(lambda: "probekit.runs" in line.behind.metrics(), "metrics")
    until(lambda: values(line.behind.metrics()["probekit.runs"])["hermes_freshness", "critical", "eu-west-1"] == 20, "20 runs")
    resource = attributes(line.behind.of("traces")[0].resource_spans[0].resource)
    assert resource["service.instance.id"] == "probe-1/hermes"
    root = next(span for span in line.behind.spans() if span.kind == 1)
    assert root.name == "probekit.run hermes_freshness"
    duration = points(line.behind.metrics()["http.client.request.duration"])[0]
    assert duration.count == 20
    assert duration.exemplars
    counters = recorder.counters
    assert (counters["traces"].exported, counters["logs"].exported) == (40, 20)
    consistent(recorder)


def test_a_collector_killed_and_started_again_during_runs_loses_nothing(line: Line) -> None:
    upstream_only(line)
    recorder = line.recorder()
    runs: list[ProbeRun] = []
    stop = threading.Event()

    def probe() -> None:
        while not stop.wait(0.02):
            runs.append(bad_run())
            recorder.record(runs[-1])

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        until(lambda: line.runs() and line.logged(), "the first runs")
        line.collector.kill()
        until(lambda: all(counters.retried for counters in recorder.counters.values()), "retries of all signals")
        line.collector.start()
        seen = len(runs)
        until(lambda: len(runs) > seen + 20, "more runs")
    finally:
        stop.set()
        thread.join()
    wanted: dict[Signal, int] = {"traces": 2 * len(runs), "logs": len(runs), "metrics": 1}
    for signal, handed in wanted.items():
        counters = settled(recorder, signal, handed)
        assert (counters.dropped, counters.rejected) == (0, 0)
        assert counters.retried > 0
    recorder.close()
    ids = {run.run_id for run in runs}
    assert line.runs() == line.logged() == ids
    assert recorder.counters["traces"].exported == len(line.spans()) == 2 * len(ids)
    assert recorder.counters["logs"].exported == len(ids)
    assert values(line.behind.metrics()["probekit.runs"])["hermes_freshness", "critical", "eu-west-1"] == len(ids)
    # What the counters say is told by metrics too, through the same collector.
    assert values(line.behind.metrics()["probekit.telemetry.retried"])["traces",] == recorder.counters["traces"].retried
    consistent(recorder)


def test_what_a_long_absence_loses_is_exactly_what_is_counted(line: Line) -> None:
    upstream_only(line)
    recorder = line.recorder(OTEL_BSP_MAX_QUEUE_SIZE="40", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10", OTEL_BLRP_MAX_QUEUE_SIZE="15")
    first = bad_run()
    recorder.record(first)
    until(lambda: first.run_id in line.runs(), "the first run")
    line.collector.kill()
    runs = [bad_run() for _ in range(200)]
    for run in runs:
        recorder.record(run)
        time.sleep(0.001)
    until(lambda: recorder.counters["traces"].handed == 402 and recorder.counters["logs"].handed == 201, "all runs encoded")
    line.collector.start()
    traces, logs = settled(recorder, "traces"), settled(recorder, "logs")
    recorder.close()
    assert traces.dropped == traces.reasons["queue_full"] == 402 - len(line.spans()) > 0
    assert traces.exported == len(line.spans())
    assert logs.dropped == 201 - len(line.logged()) > 0
    # The newest are kept: they say how things are now.
    assert {run.run_id for run in runs[-20:]} <= line.runs()
    assert runs[-1].run_id in line.logged()
    consistent(recorder)


def test_a_collector_gone_at_the_end_does_not_hold_up_the_exit(line: Line) -> None:
    upstream_only(line)
    recorder = line.recorder()
    for _ in range(3):
        recorder.record(bad_run())
    settled(recorder, "traces", 6)
    settled(recorder, "logs", 3)
    line.collector.kill()
    for _ in range(5):
        recorder.record(bad_run())
    began = time.monotonic()
    recorder.close()
    assert time.monotonic() - began < 7.0
    assert recorder.counters["traces"].dropped == recorder.counters["traces"].reasons["closing"] == 10
    assert len(line.spans()) == recorder.counters["traces"].exported == 6
    consistent(recorder)


def test_what_lies_behind_the_collector_refuses_or_is_busy(line: Line) -> None:
    upstream_only(line)
    line.behind.answers["traces"].append(Answer(status=400))
    line.behind.answers["logs"].append(Answer(status=503))
    recorder = line.recorder()
    refused = bad_run()
    recorder.record(refused)
    traces, logs = settled(recorder, "traces", 2), settled(recorder, "logs", 1)
    assert traces.dropped == traces.reasons["refused"] == 2
    assert (logs.exported, logs.dropped) == (1, 0)
    assert logs.retried >= 1
    assert line.logged() == {refused.run_id}
    later = bad_run()
    recorder.record(later)
    assert settled(recorder, "traces", 4).exported == 2
    recorder.close()
    assert line.runs() == {later.run_id}
    consistent(recorder)
