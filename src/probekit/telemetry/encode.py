"""Runs and slots as OTLP: the SDK's data model, encoded by the SDK's encoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import ExponentialHistogram as ExponentialData
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from probekit._version import __version__
from probekit.model import ProbeRun, RequestRecord, TargetResult, Verdict
from probekit.model import Status as ProbeStatus
from probekit.telemetry.names import RUN_SPAN, VERDICT_EVENT, MetricName
from probekit.telemetry.slots import OVERFLOWED, ExplicitHistogram, ExponentialHistogram, Instrument, Key, Slot
from probekit.units import NS_PER_S

SCOPE = InstrumentationScope("probekit", __version__)

_SEVERITIES = {
    ProbeStatus.WARNING: SeverityNumber.WARN,
    ProbeStatus.CRITICAL: SeverityNumber.ERROR,
    ProbeStatus.UNKNOWN: SeverityNumber.WARN2,
    ProbeStatus.SKIPPED: SeverityNumber.INFO,
}
_PHASES = ("queue", "resolve", "connect", "tls", "first_byte", "transfer")


def resource_of(attributes: dict[str, str]) -> Resource:
    """The SDK's resource: ours beside ``telemetry.sdk.*``."""
    return Resource({**Resource.create({}).attributes, **attributes})


def encode_trace(run: ProbeRun, resource: Resource) -> tuple[bytes, int]:
    """One run as one trace: a root span and a CLIENT span per attempt on the wire. Returns the bytes and how many spans."""
    trace_id = int(run.run_id, 16)
    root_id = span_id(run.run_id, 0)
    root = _context(trace_id, root_id)
    attributes: dict[str, Any] = {
        "probe": run.probe,
        "status": str(run.status),
        "vantage.region": run.vantage.region,
        "probe.targets": len(run.results),
        "probe.run.closed_by": run.closed_by,
        "probe.version": run.probe_version,
        "probe.source_digest": run.source_digest,
        "probe.config_digest": run.config_digest,
    }
    if run.error_type is not None:
        attributes["error.type"] = run.error_type
    failed = run.status in (ProbeStatus.CRITICAL, ProbeStatus.UNKNOWN)
    spans = [
        ReadableSpan(
            name=f"{RUN_SPAN} {run.probe}",
            context=root,
            resource=resource,
            attributes=attributes,
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, str(run.status)) if failed else Status(StatusCode.UNSET),
            start_time=run.started_at.ns,
            end_time=run.started_at.ns + run.elapsed_ns,
            instrumentation_scope=SCOPE,
        )
    ]
    spans += [_request_span(record, root, span_id(run.run_id, n), resource) for n, record in enumerate(run.requests, 1)]
    return encode_spans(spans).SerializeToString(), len(spans)


def span_id(run_id: str, number: int) -> int:
    """Distinct, non-zero span ids derived from a run's id."""
    return ((int(run_id[:16], 16) + number * 0x9E3779B97F4A7C15) & (2**64 - 1)) or 1


def _context(trace_id: int, own_id: int) -> SpanContext:
    return SpanContext(trace_id, own_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _request_span(record: RequestRecord, parent: SpanContext, own_id: int, resource: Resource) -> ReadableSpan:
    url = urlsplit(record.url)
    attributes: dict[str, Any] = {
        "http.request.method": record.method,
        "url.full": record.url,
        "server.address": url.hostname or "",
        "server.port": _port(record.url),
        "engine": record.engine,
        "network.protocol.name": "http",
    }
    optional: dict[str, Any] = {
        "http.response.status_code": record.status,
        "http.request.resend_count": record.attempt or None,
        "network.protocol.version": record.http_version,
        "network.peer.address": record.peer_address,
        "network.peer.port": record.peer_port,
        "error.type": error_type_of(record),
    }
    for name in _PHASES:
        ns = getattr(record.phases, f"{name}_ns")
        optional[f"probekit.phase.{name}"] = None if ns is None else ns / NS_PER_S
    attributes.update({name: value for name, value in optional.items() if value is not None})
    failed = "error.type" in attributes
    return ReadableSpan(
        name=record.method,
        context=_context(parent.trace_id, own_id),
        parent=parent,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.CLIENT,
        status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
        start_time=record.started_at.ns,
        end_time=record.started_at.ns + record.elapsed_ns,
        instrumentation_scope=SCOPE,
    )


def error_type_of(record: RequestRecord) -> str | None:
    """``error.type`` of an attempt by the HTTP conventions: the status code of a 4xx or 5xx, else our own word."""
    if record.status is not None and record.status >= 400:
        return str(record.status)
    return record.error_type


def _port(url: str) -> int:
    parts = urlsplit(url)
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return 0


def encode_log(run: ProbeRun, resource: Resource) -> tuple[bytes, int]:
    """A log record per verdict that is not OK, tied to the run's root span. Returns the bytes and how many records."""
    records = [
        ReadableLogRecord(_log_record(run, result, verdict), resource, SCOPE)
        for result in run.results
        for verdict in result.verdicts
        if verdict.status not in (ProbeStatus.OK, ProbeStatus.SKIPPED)
    ]
    return (encode_logs(records).SerializeToString() if records else b""), len(records)


def _log_record(run: ProbeRun, result: TargetResult, verdict: Verdict) -> LogRecord:
    attributes: dict[str, Any] = {
        "probe": run.probe,
        "target": result.target.id,
        "target.label": result.target.name,
        "check": verdict.check,
        "status": str(verdict.status),
        "reason": verdict.reason,
        "vantage.region": run.vantage.region,
    }
    if verdict.error_type is not None:
        attributes["error.type"] = verdict.error_type
    if verdict.value is not None and verdict.limit is not None:
        attributes["verdict.value"] = str(verdict.value)
        attributes["verdict.limit"] = str(verdict.limit)
        attributes["verdict.unit"] = verdict.unit or ""
    if result.evidence is not None:
        attributes["evidence"] = msgspec.json.encode(result.evidence).decode()
    return LogRecord(
        timestamp=run.started_at.ns + run.elapsed_ns,
        observed_timestamp=run.started_at.ns + run.elapsed_ns,
        context=set_span_in_context(NonRecordingSpan(_context(int(run.run_id, 16), span_id(run.run_id, 0)))),
        severity_text=str(verdict.status).upper(),
        severity_number=_SEVERITIES[verdict.status],
        body=f"{result.target.name}: {verdict.message}",
        attributes=attributes,
        event_name=VERDICT_EVENT,
    )


def encode_slots(instruments: Sequence[Instrument], resource: Resource, start_ns: int, now_ns: int) -> tuple[bytes, int]:
    """All series as one cumulative export. Returns the bytes and how many points."""
    metrics = [_metric(one, start_ns, now_ns) for one in instruments if one.series]
    points = sum(len(one.series) for one in instruments)
    data = MetricsData([ResourceMetrics(resource, [ScopeMetrics(SCOPE, metrics, "")], "")])
    return encode_metrics(data).SerializeToString(), points


def _metric(instrument: Instrument, start_ns: int, now_ns: int) -> Metric:
    spec = instrument.spec
    points = [_point(spec, key, slot, start_ns, now_ns) for key, slot in tuple(instrument.series.items())]
    cumulative = AggregationTemporality.CUMULATIVE
    data: Any
    if spec.kind == "counter":
        data = Sum(points, cumulative, is_monotonic=True)
    elif spec.kind == "gauge":
        data = Gauge(points)
    elif points and isinstance(points[0], ExponentialHistogramDataPoint):
        data = ExponentialData(points, cumulative)
    else:
        data = HistogramData(points, cumulative)
    return Metric(spec.name, spec.description, spec.unit, data)


def _point(spec: MetricName, key: Key, slot: Slot, start_ns: int, now_ns: int) -> Any:
    attributes = _attributes(spec, key)
    if isinstance(slot, ExplicitHistogram):
        return HistogramDataPoint(
            attributes,
            start_ns,
            now_ns,
            slot.count,
            slot.total,
            list(slot.buckets),
            list(slot.edges),
            slot.minimum if slot.count else math.inf,
            slot.maximum if slot.count else -math.inf,
        )
    if isinstance(slot, ExponentialHistogram):
        low = min(slot.buckets, default=0)
        counts = [slot.buckets.get(low + i, 0) for i in range(max(slot.buckets, default=-1) - low + 1)] if slot.buckets else []
        return ExponentialHistogramDataPoint(
            attributes,
            start_ns,
            now_ns,
            slot.count,
            slot.total,
            slot.scale,
            slot.zeros,
            Buckets(low, counts),
            Buckets(0, []),
            0,
            slot.minimum,
            slot.maximum,
        )
    return NumberDataPoint(attributes, start_ns, now_ns, slot)


def _attributes(spec: MetricName, key: Key) -> dict[str, Any]:
    if key == OVERFLOWED:
        return {"otel.metric.overflow": True}
    return {name: value for name, value in zip(spec.attributes, key, strict=True) if value}
