"""A run as spans and log records of the SDK's data model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, set_span_in_context
from opentelemetry.trace import Status as SpanStatus

from probekit._version import __version__
from probekit.model import ProbeRun, RequestRecord, Status, TargetResult, Verdict
from probekit.model.rpc import CallRecord
from probekit.secret import redact, redact_url
from probekit.telemetry.calls import SYSTEM, rpc_method
from probekit.telemetry.identity import Sampler, span_id, trace_id
from probekit.telemetry.journeys import journey_spans
from probekit.telemetry.measure import PHASES, error_type_of, method_of, origin_of, protocol_of, rpc_method_of
from probekit.telemetry.names import VERDICT_EVENT
from probekit.units import NS_PER_S

SCOPE: Final = InstrumentationScope("probekit", __version__)

_SEVERITIES: Final = {
    Status.WARNING: SeverityNumber.WARN,
    Status.UNKNOWN: SeverityNumber.WARN2,
    Status.CRITICAL: SeverityNumber.ERROR,
    Status.SKIPPED: SeverityNumber.INFO,
}

SkipKey = tuple[str, str, str | None]


def resource_of(attributes: dict[str, str]) -> Resource:
    """The resource: ``attributes`` beside ``telemetry.*``. The SDK's detectors are not asked: they may take seconds."""
    return Resource(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": sdk_version,
            "telemetry.distro.name": "probekit",
            "telemetry.distro.version": __version__,
            **{name: redact(value) for name, value in attributes.items()},
        }
    )


def spans_of(run: ProbeRun, resource: Resource) -> list[ReadableSpan]:
    """One run as one trace: a root span, a CLIENT span per JSON-RPC call, and one per attempt on the wire, beneath its call."""
    root = _context(run.run_id, 0)
    attributes: dict[str, Any] = {
        "probe": run.probe,
        "status": str(run.status),
        "vantage.region": run.vantage.region,
        "probekit.run.targets": len(run.results),
        "probekit.run.closed_by": run.closed_by,
        "probekit.run.lateness": run.queue_wait_ns / NS_PER_S,
        "probekit.version": run.probe_version,
        "probekit.source_digest": run.source_digest,
        "probekit.config_digest": run.config_digest,
    }
    if run.requests_dropped:
        attributes["probekit.run.requests_dropped"] = run.requests_dropped
    if run.calls_dropped:
        attributes["probekit.run.calls_dropped"] = run.calls_dropped
    failed = run.status in (Status.CRITICAL, Status.UNKNOWN)
    if failed and (error_type := run.error_type or _error_type_of_worst(run)) is not None:
        attributes["error.type"] = error_type
    if run.journeys_dropped:
        attributes["probekit.run.journeys_dropped"] = run.journeys_dropped
    ended_ns = run.started_at.ns + run.elapsed_ns
    spans = [
        ReadableSpan(
            name=f"probekit.run {run.probe}",
            context=root,
            resource=resource,
            attributes=_shown(attributes),
            kind=SpanKind.INTERNAL,
            status=SpanStatus(StatusCode.ERROR, str(run.status)) if failed else SpanStatus(StatusCode.UNSET),
            start_time=run.started_at.ns,
            end_time=ended_ns,
            instrumentation_scope=SCOPE,
        )
    ]
    calls = {record.number: _context(run.run_id, at) for at, record in enumerate(run.calls, len(run.requests) + 1)}
    spans += [_call_span(record, calls[record.number], root, resource) for record in run.calls]
    spans += [
        # The call of a request may have ended in the next run, or be one of those beyond the bound.
        _request_span(run, record, number, calls.get(record.call or 0, root), resource)
        for number, record in enumerate(run.requests, 1)
    ]
    return spans


def journeys_of(run: ProbeRun, resource: Resource, sampler: Sampler) -> list[ReadableSpan]:
    """A run's journeys, each a trace of its own that is kept or not by its own id, whether or not the run's is."""
    kept = [journey for journey in run.journeys if sampler.samples(journey.id)]
    return [span for journey in kept for span in journey_spans(run, journey, resource, SCOPE, _shown)]


def _error_type_of_worst(run: ProbeRun) -> str | None:
    verdicts = [verdict for result in run.results for verdict in result.verdicts if verdict.error_type is not None]
    worst = max(verdicts, key=lambda verdict: verdict.status.severity, default=None)
    return None if worst is None else worst.error_type


def _context(run_id: str, number: int) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id(run_id), span_id(run_id, number), is_remote=False, trace_flags=flags)


def _shown(attributes: dict[str, Any]) -> dict[str, Any]:
    """Absent values left out, and secrets removed from texts once more: this is the last border before the wire."""
    return {
        name: redact(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value not in (None, "")
    }


def _family_of(address: str | None) -> str | None:
    return None if not address else "ipv6" if ":" in address else "ipv4"


def _call_span(record: CallRecord, context: SpanContext, root: SpanContext, resource: Resource) -> ReadableSpan:
    method = rpc_method(record.method)
    attributes: dict[str, Any] = {
        "rpc.system.name": SYSTEM,
        "rpc.method": method,
        "rpc.status_code": None if record.rpc_code is None else str(record.rpc_code),
        "error.type": record.error_type,
        "probekit.chain": record.chain,
        "probekit.rpc.attempts": len(record.attempts),
        "probekit.rpc.items": record.items if record.items > 1 else None,
        "probekit.rpc.failed_items": record.failed_items if record.items > 1 else None,
    }
    failed = record.error_type not in (None, "cancelled")
    return ReadableSpan(
        name=method,
        context=context,
        parent=root,
        resource=resource,
        attributes=_shown(attributes),
        kind=SpanKind.CLIENT,
        status=SpanStatus(StatusCode.ERROR if failed else StatusCode.UNSET),
        start_time=record.started_at.ns,
        end_time=record.started_at.ns + record.elapsed_ns,
        instrumentation_scope=SCOPE,
    )


def _request_span(run: ProbeRun, record: RequestRecord, number: int, parent: SpanContext, resource: Resource) -> ReadableSpan:
    host, port = origin_of(record.url)
    method = method_of(record)
    error_type = error_type_of(record)
    protocol = protocol_of(record)
    attributes: dict[str, Any] = {
        "http.request.method": method if protocol is None else None,
        "http.request.method_original": record.method if protocol is None and method == "_OTHER" else None,
        "network.protocol.name": protocol,
        "url.full": redact_url(record.url),
        "server.address": host,
        "server.port": port or None,
        "http.response.status_code": record.status,
        "http.request.resend_count": record.attempt or None,
        "network.protocol.version": record.http_version,
        "network.peer.address": record.peer_address,
        "network.peer.port": record.peer_port,
        "network.type": _family_of(record.peer_address) or record.family,
        "error.type": error_type,
        "rpc.system.name": "jsonrpc" if record.rpc_method else None,
        "rpc.method": rpc_method_of(record),
        "rpc.status_code": None if record.rpc_code is None else str(record.rpc_code),
        "probekit.endpoint": record.endpoint,
        "probekit.engine": record.engine,
        "target": record.target,
        "probekit.connection.reused": None if record.new_connection is None else not record.new_connection,
    }
    for name in PHASES:
        ns = getattr(record.phases, f"{name}_ns")
        attributes[f"probekit.phase.{name}"] = None if ns is None else ns / NS_PER_S
    return ReadableSpan(
        name=attributes["rpc.method"] or protocol or (method if method != "_OTHER" else "HTTP"),
        context=_context(run.run_id, number),
        parent=parent,
        resource=resource,
        attributes=_shown(attributes),
        kind=SpanKind.CLIENT,
        status=SpanStatus(StatusCode.UNSET if error_type is None else StatusCode.ERROR),
        start_time=record.started_at.ns,
        end_time=record.started_at.ns + record.elapsed_ns,
        instrumentation_scope=SCOPE,
    )


class VerdictLog:
    """Log records of the verdicts that are not OK, tied to their run's root span.

    A verdict that warns, fails or is unknown is told in every run, with its evidence; a skip only when it begins, since a
    closed market would otherwise fill the log store. A verdict of many parts has a record, and each of its parts that is not OK
    one of its own, with its scope and without the evidence. Remembers the last run's skips, no more.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._skipped: dict[tuple[str, str], frozenset[SkipKey]] = {}

    def records(self, run: ProbeRun, *, sampled: bool) -> Iterator[ReadableLogRecord]:
        """The records of one run."""
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        root = SpanContext(trace_id(run.run_id), span_id(run.run_id, 0), is_remote=False, trace_flags=flags)
        context = set_span_in_context(NonRecordingSpan(root))
        place = (run.probe, run.vantage.region)
        before = self._skipped.get(place, frozenset())
        skipped: set[SkipKey] = set()
        for result in run.results:
            for verdict in result.verdicts:
                if verdict.status is Status.OK:
                    continue
                if verdict.status is Status.SKIPPED:
                    key = (result.target.id, verdict.check, verdict.scope)
                    skipped.add(key)
                    if key in before:
                        continue
                yield ReadableLogRecord(_log_record(run, result, verdict, context), self._resource, SCOPE)
                for part in verdict.parts:
                    yield ReadableLogRecord(_log_record(run, result, part, context, evidence=False), self._resource, SCOPE)
        self._skipped[place] = frozenset(skipped)


def _log_record(run: ProbeRun, result: TargetResult, verdict: Verdict, context: Any, *, evidence: bool = True) -> LogRecord:
    ended_ns = run.started_at.ns + run.elapsed_ns
    attributes: dict[str, Any] = {
        "probe": run.probe,
        "target": result.target.id,
        "probekit.target.label": result.target.label,
        "check": verdict.check,
        "source": verdict.scope,
        "status": str(verdict.status),
        "probekit.reason": verdict.reason,
        "vantage.region": run.vantage.region,
        "error.type": verdict.error_type,
        "probekit.value": None if verdict.value is None else str(verdict.value),
        "probekit.limit": None if verdict.limit is None else str(verdict.limit),
        "probekit.unit": verdict.unit,
        "probekit.evidence": None if result.evidence is None or not evidence else msgspec.json.encode(result.evidence).decode(),
    }
    return LogRecord(
        timestamp=ended_ns,
        observed_timestamp=ended_ns,
        context=context,
        severity_text=str(verdict.status).upper(),
        severity_number=_SEVERITIES[verdict.status],
        body=redact(f"{result.target.name}: {verdict.message}"),
        attributes=_shown(attributes),
        event_name=VERDICT_EVENT,
    )
