"""Every metric, span, log and attribute name, in one table. The reference page is generated from it and a test pins it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from probekit.model.verdict import MeasureName

Kind = Literal["counter", "gauge", "histogram"]

# The edges of the HTTP semantic conventions, with the thresholds of our own defaults (1, 2, 5, 8 and 10 s) among them.
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 8.0, 10.0)
SHORT_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.0025, *SECONDS)


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric: durations in seconds, ratios in basis points (unit ``1e-4``)."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...]
    edges: tuple[float, ...] = ()


_RUN: Final = ("probe", "vantage.region")
_TARGET: Final = ("probe", "target", "vantage.region")

RUN_DURATION: Final = MetricName(
    "probekit.run.duration", "histogram", "s", "Time a run took, also of one that failed", (*_RUN, "error.type"), SHORT_SECONDS
)
RUN_LATENESS: Final = MetricName(
    "probekit.run.lateness", "histogram", "s", "From a run's scheduled to its actual start", _RUN, SHORT_SECONDS
)
RUN_STATUS: Final = MetricName(
    "probekit.run.status", "gauge", "1", "1 for the status of the last run, 0 for the others", (*_RUN, "status")
)
RUNS: Final = MetricName("probekit.runs", "counter", "{run}", "Runs by status", (*_RUN, "status"))
SKIPPED_TICKS: Final = MetricName(
    "probekit.run.skipped_ticks", "counter", "{tick}", "Ticks that passed while a run was still going", _RUN
)
LAST_RUN: Final = MetricName("probekit.run.last_time", "gauge", "s", "When the last run ended, in Unix seconds", _RUN)
TARGET_STATUS: Final = MetricName(
    "probekit.target.status",
    "gauge",
    "1",
    "Severity of a target's worst verdict: 0 skipped, 1 ok, 2 warning, 3 unknown, 4 critical",
    _TARGET,
)
VERDICTS: Final = MetricName(
    "probekit.verdicts", "counter", "{verdict}", "Verdicts by check and status", (*_RUN, "check", "status")
)
CLOCK_ERROR: Final = MetricName(
    "probekit.vantage.clock_error", "gauge", "s", "Bound of the local wall clock's error; absent while nothing bounds it", _RUN
)
LOOP_LAG: Final = MetricName("probekit.vantage.loop_lag", "gauge", "s", "How late the event loop ran its own timer", _RUN)
INFO: Final = MetricName(
    "probekit.info",
    "gauge",
    "1",
    "Always 1: which code and configuration is running",
    (*_RUN, "probe.version", "probe.source_digest", "probe.config_digest"),
)
HTTP_DURATION: Final = MetricName(
    "http.client.request.duration",
    "histogram",
    "s",
    "Time of one attempt on the wire",
    ("http.request.method", "server.address", "server.port", "http.response.status_code", "error.type"),
    SECONDS,
)
PHASE_DURATION: Final = MetricName(
    "probekit.http.phase.duration",
    "histogram",
    "s",
    "Time of one phase of an attempt: queue, resolve, connect, tls, first_byte, transfer",
    ("phase", "server.address", "engine"),
    SHORT_SECONDS,
)
TELEMETRY_ITEMS: Final = MetricName(
    "probekit.telemetry.items",
    "counter",
    "{item}",
    "Spans, log records and metric points by what became of them: exported, rejected, dropped",
    ("signal", "outcome"),
)
TELEMETRY_RETRIES: Final = MetricName(
    "probekit.telemetry.retries", "counter", "{request}", "Export requests sent again", ("signal",)
)
OVERFLOW: Final = MetricName(
    "probekit.telemetry.overflow",
    "counter",
    "{measurement}",
    "Measurements folded into otel.metric.overflow because their instrument had too many series",
    ("instrument",),
)

MEASURES: Final[dict[MeasureName, MetricName]] = {
    "feed.age": MetricName("probekit.feed.age", "gauge", "s", "Now minus publish_time", _TARGET),
    "feed.age.pipeline": MetricName(
        "probekit.feed.age.pipeline", "gauge", "s", "From publish_time to Hermes having the proof; whole seconds", _TARGET
    ),
    "feed.age.delivery": MetricName("probekit.feed.age.delivery", "gauge", "s", "From Hermes having the proof to now", _TARGET),
    "feed.confidence_ratio": MetricName("probekit.feed.confidence_ratio", "gauge", "1e-4", "conf / |price|", _TARGET),
    "feed.deviation": MetricName("probekit.feed.deviation", "gauge", "1e-4", "Distance from the reference price", _TARGET),
    "feed.slot_lag": MetricName("probekit.feed.slot_lag", "gauge", "{slot}", "Slots behind the newest", _TARGET),
    "agreement.slot_delay": MetricName(
        "probekit.agreement.slot_delay", "gauge", "{slot}", "Slots between the newest and the slowest endpoint", _TARGET
    ),
    "agreement.delay": MetricName(
        "probekit.agreement.delay", "gauge", "s", "The same in time, at the root's slot length", _TARGET
    ),
    "latency": MetricName("probekit.latency", "histogram", "s", "Time of one exchange with a target", _TARGET, SECONDS),
    "stream.gaps": MetricName("probekit.stream.gaps", "gauge", "{gap}", "Updates missed since the stream was opened", _TARGET),
    "stream.duplicates": MetricName(
        "probekit.stream.duplicates", "gauge", "{update}", "Updates seen twice since the stream was opened", _TARGET
    ),
    "stream.out_of_order": MetricName(
        "probekit.stream.out_of_order",
        "gauge",
        "{update}",
        "Updates older than one before, since the stream was opened",
        _TARGET,
    ),
    "stream.silence": MetricName("probekit.stream.silence", "gauge", "s", "Time since the last event", _TARGET),
    "proof.updates": MetricName("probekit.proof.updates", "counter", "{update}", "Updates whose proof held", _TARGET),
}
"""The instrument of each measure that checks record."""

METRICS: Final[tuple[MetricName, ...]] = (
    RUN_DURATION,
    RUN_LATENESS,
    RUN_STATUS,
    RUNS,
    SKIPPED_TICKS,
    LAST_RUN,
    TARGET_STATUS,
    VERDICTS,
    CLOCK_ERROR,
    LOOP_LAG,
    INFO,
    HTTP_DURATION,
    PHASE_DURATION,
    TELEMETRY_ITEMS,
    TELEMETRY_RETRIES,
    OVERFLOW,
    *MEASURES.values(),
)

RUN_SPAN: Final = "probekit.run"
"""Root span of a run, kind INTERNAL; its trace id is the run's id."""
VERDICT_EVENT: Final = "probekit.verdict"
"""Event name of the log record of a target that is not OK."""

ATTRIBUTES: Final[dict[str, str]] = {
    "probe": "name of the probe",
    "target": "id of the target: a feed id, an endpoint's URL, ...",
    "target.label": "the target's name for people",
    "check": "name of the check that gave the verdict",
    "status": "ok, warning, critical, unknown or skipped",
    "reason": "literal token of the verdict",
    "vantage.region": "where the observer stands",
    "error.type": "one of the closed list of probekit.errors; absent on success",
    "verdict.value": "what was measured, in verdict.unit",
    "verdict.limit": "what it was measured against",
    "verdict.unit": "ns, bps, slots or count",
    "probe.version": "version of probekit",
    "probe.source_digest": "sha256 of the probe's file",
    "probe.config_digest": "sha256 of its options, secrets masked",
    "probe.targets": "how many targets the run covered",
    "probe.run.closed_by": "tick, change or end",
    "phase": "queue, resolve, connect, tls, first_byte or transfer",
    "engine": "httpx or curl",
    "signal": "traces, metrics or logs",
    "outcome": "exported, rejected or dropped",
    "instrument": "name of the metric that overflowed",
    "evidence": "what on-call asks for, as JSON; redacted",
    "probekit.phase.queue": "seconds waiting for the engine",
    "probekit.phase.resolve": "seconds of name look-up",
    "probekit.phase.connect": "seconds of connecting",
    "probekit.phase.tls": "seconds of the TLS handshake",
    "probekit.phase.first_byte": "seconds from the request sent to the first byte",
    "probekit.phase.transfer": "seconds of the body",
    "http.request.method": "semantic conventions",
    "http.request.resend_count": "semantic conventions; absent on the first attempt",
    "http.response.status_code": "semantic conventions",
    "server.address": "semantic conventions",
    "server.port": "semantic conventions",
    "url.full": "semantic conventions; redacted",
    "network.peer.address": "semantic conventions",
    "network.peer.port": "semantic conventions",
    "network.protocol.name": "semantic conventions",
    "network.protocol.version": "semantic conventions",
    "otel.metric.overflow": "true on the one series that stands for all beyond the limit",
}
