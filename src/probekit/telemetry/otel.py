"""The recorder that sends runs to an OTLP receiver. Nothing of it runs on the probe's hot path but additions."""

from __future__ import annotations

import asyncio
import threading
import time
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from probekit.model import Measure, ProbeRun, RequestRecord, Status
from probekit.runner import ProbeInfo
from probekit.telemetry import names
from probekit.telemetry.delivery import Counters, Delivery, GrpcSender, HttpSender, Sender, rejected_of
from probekit.telemetry.encode import encode_log, encode_slots, encode_trace, error_type_of, resource_of
from probekit.telemetry.environment import Signal, SignalSettings, TelemetrySettings
from probekit.telemetry.slots import Slots
from probekit.units import NS_PER_S

_FLUSH_S: Final = 5.0
_PHASES: Final = ("queue", "resolve", "connect", "tls", "first_byte", "transfer")


class OtelRecorder:
    """A :class:`~probekit.runner.Recorder` to OTLP: a trace per run, log records for what is not OK, metrics at an interval.

    ``counters`` say per signal what was exported, rejected and dropped; they are metrics too. Export failure never reaches a
    probe.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self._resource = resource_of(dict(settings.resource))
        self.slots = Slots(exponential=settings.exponential)
        self._deliveries: dict[Signal, Delivery] = {one.signal: Delivery(one, make_sender(one)) for one in settings.signals}
        self._start_ns = time.time_ns()
        self._stop = threading.Event()
        self._ticker: threading.Thread | None = None
        for one in settings.signals:
            if one.signal == "metrics":
                self._ticker = threading.Thread(target=self._tick, args=(one.delay_s,), name="otlp interval", daemon=True)
                self._ticker.start()

    @property
    def counters(self) -> dict[Signal, Counters]:
        """Per signal; live."""
        return {signal: delivery.counters for signal, delivery in self._deliveries.items()}

    # -- Recorder ------------------------------------------------------------------------------------------------------------

    def start(self, info: ProbeInfo) -> None:
        slots, run_key = self.slots, (info.probe, info.vantage.region)
        for status in Status:
            slots[names.RUNS].touch((*run_key, status))
            slots[names.RUN_STATUS].touch((*run_key, status))
            for check in (*info.checks, "observation"):
                slots[names.VERDICTS].touch((*run_key, check, status))
        slots[names.SKIPPED_TICKS].touch(run_key)
        digests = (info.probe_version, info.source_digest[:16], info.config_digest[:16])
        slots[names.INFO].set((*run_key, *digests), 1)
        kept = frozenset(target.id for target in info.targets)
        for spec in (names.TARGET_STATUS, *names.MEASURES.values()):
            slots[spec].forget("target", kept)

    def record(self, run: ProbeRun) -> None:
        self._measure(run)
        traces, logs = self._deliveries.get("traces"), self._deliveries.get("logs")
        if traces is not None:
            traces.put(*encode_trace(run, self._resource))
        if logs is not None:
            payload, count = encode_log(run, self._resource)
            if count:
                logs.put(payload, count)

    async def aclose(self) -> None:
        """Send a last export of metrics and flush, within five seconds a signal, all at once."""
        self._stop.set()
        self._export_metrics()
        await asyncio.gather(*(asyncio.to_thread(one.close, _FLUSH_S) for one in self._deliveries.values()))

    # -- metrics -------------------------------------------------------------------------------------------------------------

    def _measure(self, run: ProbeRun) -> None:
        slots, region = self.slots, run.vantage.region
        run_key = (run.probe, region)
        slots[names.RUN_DURATION].record((*run_key, run.error_type or ""), run.elapsed_ns / NS_PER_S)
        slots[names.RUN_LATENESS].record(run_key, run.queue_wait_ns / NS_PER_S)
        slots[names.RUNS].add((*run_key, run.status))
        for status in Status:
            slots[names.RUN_STATUS].set((*run_key, status), status is run.status)
        slots[names.LAST_RUN].set(run_key, (run.started_at.ns + run.elapsed_ns) / NS_PER_S)
        if run.skipped_ticks:
            slots[names.SKIPPED_TICKS].add(run_key, run.skipped_ticks)
        slots[names.LOOP_LAG].set(run_key, run.health.loop_lag_ns / NS_PER_S)
        if run.health.clock_error_ns is not None:
            slots[names.CLOCK_ERROR].set(run_key, run.health.clock_error_ns / NS_PER_S)
        target_status, verdicts = slots[names.TARGET_STATUS], slots[names.VERDICTS]
        for result in run.results:
            key = (run.probe, result.target.id, region)
            target_status.set(key, result.status.severity)
            for verdict in result.verdicts:
                verdicts.add((*run_key, verdict.check, verdict.status))
                for measure in verdict.measures:
                    self._take(measure, key)
        for record in run.requests:
            self._request(record)

    def _take(self, measure: Measure, key: tuple[str, ...]) -> None:
        spec = names.MEASURES[measure.name]
        value = _scaled(measure)
        if spec.kind == "counter":
            self.slots[spec].add(key, value)
        elif spec.kind == "gauge":
            self.slots[spec].set(key, value)
        else:
            self.slots[spec].record(key, value)

    def _request(self, record: RequestRecord) -> None:
        url = urlsplit(record.url)
        host = url.hostname or ""
        status = "" if record.status is None else str(record.status)
        key = (record.method, host, str(url.port or ""), status, error_type_of(record) or "")
        self.slots[names.HTTP_DURATION].record(key, record.elapsed_ns / NS_PER_S)
        for phase in _PHASES:
            ns = getattr(record.phases, f"{phase}_ns")
            if ns is not None:
                self.slots[names.PHASE_DURATION].record((phase, host, record.engine), ns / NS_PER_S)

    def _tick(self, interval_s: float) -> None:
        while not self._stop.wait(interval_s):
            self._export_metrics()

    def _export_metrics(self) -> None:
        metrics = self._deliveries.get("metrics")
        if metrics is None:
            return
        for signal, delivery in self._deliveries.items():
            counters = delivery.counters
            for outcome in ("exported", "rejected", "dropped"):
                self.slots[names.TELEMETRY_ITEMS].set((signal, outcome), getattr(counters, outcome))
            self.slots[names.TELEMETRY_RETRIES].set((signal,), counters.retried)
        instruments = list(self.slots)
        with self.slots.lock:
            payload, points = encode_slots(instruments, self._resource, self._start_ns, time.time_ns())
        metrics.put(payload, points)


def _scaled(measure: Measure) -> float:
    if measure.unit == "ns":
        return float(Decimal(measure.value) / NS_PER_S)
    return float(measure.value)


def make_sender(settings: SignalSettings) -> Sender:
    """The sender of one signal's protocol. Raises ``ConfigError`` when its extra is missing."""
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    response: dict[Signal, Any] = {
        "traces": trace_service_pb2.ExportTraceServiceResponse,
        "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
        "logs": logs_service_pb2.ExportLogsServiceResponse,
    }
    if settings.protocol == "http/protobuf":
        return HttpSender(settings, lambda body: rejected_of(response[settings.signal].FromString(body)))
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

    stubs: dict[Signal, tuple[Any, Any]] = {
        "traces": (trace_service_pb2_grpc.TraceServiceStub, trace_service_pb2.ExportTraceServiceRequest),
        "metrics": (metrics_service_pb2_grpc.MetricsServiceStub, metrics_service_pb2.ExportMetricsServiceRequest),
        "logs": (logs_service_pb2_grpc.LogsServiceStub, logs_service_pb2.ExportLogsServiceRequest),
    }
    stub, request = stubs[settings.signal]
    return GrpcSender(settings, stub, request)
