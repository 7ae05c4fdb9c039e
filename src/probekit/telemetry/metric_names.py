"""Every metric that is no measure of a check, by name: a part of :mod:`probekit.telemetry.names`, which is where they are taken
from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from probekit.telemetry.attribute_names import Stability

Kind = Literal["counter", "gauge", "state", "histogram"]

# The edges of the HTTP semantic conventions, with the default thresholds of the catalogue (1, 2, 5, 8 and 10 s) among them.
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 8.0, 10.0)
SHORT_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.0025, *SECONDS)


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric. A ``state`` has one point per status, 1 for the present one and 0 for the others.

    ``edges`` are a histogram's upper bounds; a series may add its own threshold to them.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...]
    edges: tuple[float, ...] = ()
    stability: Stability = "stable"


_RUN: Final = ("probe", "vantage.region")
_TARGET: Final = ("probe", "target", "vantage.region")
_SIGNAL: Final = ("signal",)

RUN_DURATION: Final = MetricName(
    "probekit.run.duration",
    "histogram",
    "s",
    "Time a run took, also of one that failed; the probe's interval is among the edges",
    (*_RUN, "error.type"),
    SHORT_SECONDS,
)
RUN_LATENESS: Final = MetricName(
    "probekit.run.lateness", "histogram", "s", "From a run's scheduled to its actual start", _RUN, SHORT_SECONDS
)
RUN_STATUS: Final = MetricName("probekit.run.status", "state", "1", "Status of the last run", (*_RUN, "status"))
RUNS: Final = MetricName("probekit.runs", "counter", "{run}", "Runs by status", (*_RUN, "status"))
SKIPPED_TICKS: Final = MetricName(
    "probekit.run.skipped_ticks", "counter", "{tick}", "Ticks that passed while a run was still going", _RUN
)
LAST_RUN: Final = MetricName("probekit.run.last_time", "gauge", "s", "When the last run ended, in Unix seconds", _RUN)
TARGET_STATUS: Final = MetricName(
    "probekit.target.status", "state", "1", "Status of a target: its worst verdict", (*_TARGET, "status")
)
VERDICT_STATUS: Final = MetricName(
    "probekit.verdict.status",
    "state",
    "1",
    "Status of one check's verdict on a target, or on one source of it",
    ("probe", "target", "check", "source", "vantage.region", "status"),
)
VERDICTS: Final = MetricName(
    "probekit.verdicts",
    "counter",
    "{verdict}",
    "Verdicts by check and status, over all targets and their parts",
    (*_RUN, "check", "status"),
)
PARTS: Final = MetricName(
    "probekit.verdict.parts",
    "gauge",
    "{part}",
    "Parts of a target (the publishers of a feed) by one check's status; a status that never occurred has no series",
    ("probe", "target", "check", "vantage.region", "status"),
)
CLOCK_ERROR: Final = MetricName(
    "probekit.clock.error", "gauge", "s", "Bound of the local wall clock's error; absent until something bounds it", _RUN
)
LOOP_LAG: Final = MetricName("probekit.loop.lag", "gauge", "s", "How late the event loop ran its own timer", _RUN)
INFO: Final = MetricName(
    "probekit.info",
    "gauge",
    "1",
    "Always 1: which code and configuration is running",
    (*_RUN, "probekit.version", "probekit.source_digest", "probekit.config_digest"),
)
HTTP_DURATION: Final = MetricName(
    "http.client.request.duration",
    "histogram",
    "s",
    "Time of one attempt on the wire",
    (
        "http.request.method",
        "server.address",
        "server.port",
        "http.response.status_code",
        "error.type",
        "network.protocol.version",
    ),
    SECONDS,
    "semconv stable",
)
PHASE_DURATION: Final = MetricName(
    "probekit.http.phase.duration",
    "histogram",
    "s",
    "Time of one phase of an attempt; a phase that did not happen, or that the engine cannot know, has no value",
    ("phase", "server.address", "probekit.engine"),
    SHORT_SECONDS,
)
CONNECTION_DURATION: Final = MetricName(
    "probekit.connection.duration",
    "histogram",
    "s",
    "Time of one connection that carries no HTTP request, from name look-up to its being open, of DNS to its answer; "
    "of a failed one to its end",
    ("server.address", "server.port", "network.protocol.name", "error.type"),
    SHORT_SECONDS,
)
CONNECTION_PHASE_DURATION: Final = MetricName(
    "probekit.connection.phase.duration",
    "histogram",
    "s",
    "Time of one phase of such a connection; a phase that did not happen has no value",
    ("phase", "server.address", "network.protocol.name"),
    SHORT_SECONDS,
)
RPC_DURATION: Final = MetricName(
    "rpc.client.call.duration",
    "histogram",
    "s",
    "Time of one JSON-RPC call or batch of a pool, with all its attempts; the count by error.type is that of calls",
    ("rpc.system.name", "rpc.method", "probekit.chain", "error.type"),
    SECONDS,
    "semconv release candidate",
)
RPC_ATTEMPT_DURATION: Final = MetricName(
    "probekit.rpc.attempt.duration",
    "histogram",
    "s",
    "Time of one attempt of a call at one endpoint, a batch with its parts; the count by error.type is that of attempts",
    ("probekit.chain", "probekit.endpoint", "error.type"),
    SECONDS,
)
RPC_HEDGES: Final = MetricName(
    "probekit.rpc.hedges",
    "counter",
    "{attempt}",
    "Attempts at an endpoint that began because another was slow",
    ("probekit.chain", "probekit.endpoint"),
)
RPC_FAILED_ITEMS: Final = MetricName(
    "probekit.rpc.failed_items", "counter", "{item}", "Items of batches that ended in an error", ("probekit.chain",)
)
_ENDPOINT: Final = ("probe", "probekit.chain", "probekit.endpoint", "probekit.rpc.state", "vantage.region")
RPC_ENDPOINT_STATE: Final = MetricName(
    "probekit.rpc.endpoint.state",
    "gauge",
    "1",
    "What a probe's pool thinks of an endpoint: 1 for the present state, 0 for the others",
    _ENDPOINT,
)
RPC_ENDPOINT_CHANGES: Final = MetricName(
    "probekit.rpc.endpoint.changes", "counter", "{change}", "Changes of an endpoint's state, by the state it came to", _ENDPOINT
)
EXPORTED: Final = MetricName(
    "probekit.telemetry.exported", "counter", "{item}", "Spans, log records and metric points the receiver accepted", _SIGNAL
)
REJECTED: Final = MetricName(
    "probekit.telemetry.rejected",
    "counter",
    "{item}",
    "Items the receiver refused in a partial success; never sent again",
    _SIGNAL,
)
DROPPED: Final = MetricName(
    "probekit.telemetry.dropped", "counter", "{item}", "Items given up here, by reason", (*_SIGNAL, "probekit.drop.reason")
)
RETRIED: Final = MetricName("probekit.telemetry.retried", "counter", "{request}", "Export requests sent again", _SIGNAL)
OVERFLOW: Final = MetricName(
    "probekit.telemetry.overflow",
    "counter",
    "{measurement}",
    "Measurements folded into otel.metric.overflow because their metric had too many attribute sets",
    ("probekit.metric",),
)

SELF_TELEMETRY: Final = (EXPORTED, REJECTED, DROPPED, RETRIED, OVERFLOW)

_STAGE: Final = ("probe", "target", "probekit.journey.stage", "probekit.chain", "vantage.region")
JOURNEY_STAGE_DURATION: Final = MetricName(
    "probekit.journey.stage.duration",
    "histogram",
    "s",
    "Time a stage of a journey took since the stage before that has a time, across two clocks: below zero where they disagree. "
    "A canary's stages are of one clock",
    _STAGE,
    (-2.0, -1.0, -0.5, 0.0, *SECONDS, 20.0, 30.0, 60.0),
)
JOURNEY_MISSING: Final = MetricName(
    "probekit.journey.missing",
    "counter",
    "{stage}",
    "Stages of journeys that failed or have no time, by reason",
    (*_STAGE, "probekit.journey.reason"),
)
