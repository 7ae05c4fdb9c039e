"""Every metric, span, event and attribute name, in one table. ``docs/reference/metrics.md`` is generated from it.

Units are metadata, never part of a name: durations in seconds, ratios in basis points (``1e-4``). The words that join
signals and that alert rules rest on (``probe``, ``target``, ``check``, ``source``, ``status``, ``vantage.region``) are short;
every other attribute of ours begins with ``probekit.``, but for the low-cardinality ``phase`` and ``signal``; the rest are
OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from probekit.model.verdict import MeasureName

Kind = Literal["counter", "gauge", "state", "histogram"]
Stability = Literal["stable", "experimental", "semconv stable", "semconv release candidate", "semconv development"]

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
_MEASURE: Final = ("probe", "target", "source", "vantage.region")
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

MEASURES: Final[dict[MeasureName, MetricName]] = {
    "feed.age": MetricName("probekit.feed.age", "gauge", "s", "Now minus publish_time", _MEASURE),
    "feed.age.chain": MetricName(
        "probekit.feed.age.chain",
        "gauge",
        "s",
        "The newest block's own time minus the stored publish_time",
        _MEASURE,
    ),
    "feed.age.pipeline": MetricName(
        "probekit.feed.age.pipeline", "gauge", "s", "From publish_time to Hermes having the proof; whole seconds", _MEASURE
    ),
    "feed.age.delivery": MetricName(
        "probekit.feed.age.delivery", "gauge", "s", "From Hermes having the proof to now", _MEASURE
    ),
    "feed.confidence_ratio": MetricName("probekit.feed.confidence_ratio", "gauge", "1e-4", "conf / |price|", _MEASURE),
    "feed.deviation": MetricName("probekit.feed.deviation", "gauge", "1e-4", "Distance from the reference price", _MEASURE),
    "feed.deviation.conf": MetricName(
        "probekit.feed.deviation.conf", "gauge", "{conf}", "The same distance in the feed's own confidence intervals", _MEASURE
    ),
    "feed.slot_lag": MetricName("probekit.feed.slot_lag", "gauge", "{slot}", "Slots behind the newest", _MEASURE),
    "feed.source_lag": MetricName(
        "probekit.feed.source_lag",
        "gauge",
        "s",
        "publish_time of the source's newest minus the stored one",
        _MEASURE,
    ),
    "feed.valid_margin": MetricName(
        "probekit.feed.valid_margin", "gauge", "s", "Time left until the contract itself refuses the price", _MEASURE
    ),
    "chain.endpoints_alive": MetricName(
        "probekit.chain.endpoints_alive", "gauge", "{endpoint}", "Endpoints of a chain that its pool calls alive", _MEASURE
    ),
    "chain.head_age": MetricName("probekit.chain.head_age", "gauge", "s", "Now minus the newest block's own time", _MEASURE),
    "feed.publishers.margin": MetricName(
        "probekit.feed.publishers.margin", "gauge", "{publisher}", "Publishers that count, above the minimum", _MEASURE
    ),
    "feed.publishers.score": MetricName(
        "probekit.feed.publishers.score", "gauge", "1e-4", "Lowest score among the feed's publishers", _MEASURE
    ),
    "agreement.slot_delay": MetricName(
        "probekit.agreement.slot_delay", "gauge", "{slot}", "Slots between the newest and the slowest endpoint", _MEASURE
    ),
    "agreement.delay": MetricName(
        "probekit.agreement.delay", "gauge", "s", "The same in time, at the root's slot length", _MEASURE
    ),
    "latency": MetricName(
        "probekit.latency",
        "histogram",
        "s",
        "Time of one exchange with a target; the check's own limit is among the edges",
        _MEASURE,
        SECONDS,
    ),
    "stream.gaps": MetricName("probekit.stream.gaps", "gauge", "{gap}", "Updates missed since the stream was opened", _MEASURE),
    "stream.duplicates": MetricName(
        "probekit.stream.duplicates", "gauge", "{update}", "Updates seen twice since the stream was opened", _MEASURE
    ),
    "stream.out_of_order": MetricName(
        "probekit.stream.out_of_order",
        "gauge",
        "{update}",
        "Updates older than one before, since the stream was opened",
        _MEASURE,
    ),
    "stream.silence": MetricName("probekit.stream.silence", "gauge", "s", "Time since the last event", _MEASURE),
    "proof.updates": MetricName("probekit.proof.updates", "counter", "{update}", "Updates whose proof held", _MEASURE),
    "wallet.balance": MetricName(
        "probekit.wallet.balance", "gauge", "{coin}", "What a wallet holds, in whole coins or tokens", _MEASURE
    ),
    "wallet.runway": MetricName(
        "probekit.wallet.runway", "gauge", "s", "How long the balance lasts at the rate it is spent at", _MEASURE
    ),
    "signer_set.index": MetricName("probekit.signer_set.index", "gauge", "1", "Index of the signer set in force", _MEASURE),
    "signer_set.time_left": MetricName(
        "probekit.signer_set.time_left", "gauge", "s", "Until the signer set in force expires; below zero once it has", _MEASURE
    ),
    "wallet.age": MetricName("probekit.wallet.age", "gauge", "s", "How old the chain's state is that was read last", _MEASURE),
    "canary.paid": MetricName(
        "probekit.canary.paid", "gauge", "{coin}", "What the last transaction took in all, in whole coins", _MEASURE
    ),
    "canary.spent": MetricName(
        "probekit.canary.spent", "gauge", "{coin}", "What a canary paid, or may still pay, for the last 24 h", _MEASURE
    ),
    "canary.slots": MetricName(
        "probekit.canary.slots", "gauge", "{slot}", "Slots from sending the last transaction to its block", _MEASURE
    ),
    "landing.lag": MetricName(
        "probekit.landing.lag",
        "gauge",
        "s",
        "From the publish time a chain took last to the newest that the source brought",
        _MEASURE,
    ),
}
"""The metric of each measure that checks record."""

METRICS: Final[tuple[MetricName, ...]] = (
    RUN_STATUS,
    RUNS,
    RUN_DURATION,
    RUN_LATENESS,
    SKIPPED_TICKS,
    LAST_RUN,
    TARGET_STATUS,
    VERDICT_STATUS,
    VERDICTS,
    PARTS,
    *MEASURES.values(),
    JOURNEY_STAGE_DURATION,
    JOURNEY_MISSING,
    HTTP_DURATION,
    PHASE_DURATION,
    RPC_DURATION,
    RPC_ATTEMPT_DURATION,
    RPC_HEDGES,
    RPC_FAILED_ITEMS,
    RPC_ENDPOINT_STATE,
    RPC_ENDPOINT_CHANGES,
    CLOCK_ERROR,
    LOOP_LAG,
    INFO,
    *SELF_TELEMETRY,
)


@dataclass(frozen=True, slots=True)
class SpanName:
    """One kind of span; ``name`` is a pattern over its attributes."""

    name: str
    kind: Literal["INTERNAL", "CLIENT"]
    description: str
    stability: Stability


RUN_SPAN: Final = SpanName(
    "probekit.run {probe}",
    "INTERNAL",
    "Root of a run's one trace, whose id is the run's; Error when the run is critical or unknown",
    "stable",
)
REQUEST_SPAN: Final = SpanName(
    "{http.request.method}",
    "CLIENT",
    "One attempt on the wire; Error on a transport error or a status of 400 and above, not on our own cancellation",
    "semconv stable",
)
JOURNEY_SPAN: Final = SpanName(
    "probekit.journey {probe}",
    "INTERNAL",
    "Root of a followed update's or a canary's own trace, from the earliest to the latest time of its stages; linked to "
    "the run it ended in",
    "stable",
)
STAGE_SPAN: Final = SpanName(
    "{probekit.journey.stage}",
    "INTERNAL",
    "One stage, from the time of the one before to its own; where that is backwards, from the lesser to the greater. "
    "Without a time it has no length and probekit.journey.reason; Error where a canary's stage failed",
    "stable",
)
SPANS: Final = (RUN_SPAN, REQUEST_SPAN, JOURNEY_SPAN, STAGE_SPAN)

VERDICT_EVENT: Final = "probekit.verdict"
"""Event name of the log record of a verdict that is not OK."""
EVENTS: Final[dict[str, str]] = {
    VERDICT_EVENT: (
        "A verdict that is not ok, tied to its run's span: ERROR critical, WARN2 unknown, WARN warning, INFO skipped. "
        "A skip is logged when it begins, the others in every run. The body is the sentence for people"
    ),
}


@dataclass(frozen=True, slots=True)
class AttributeName:
    """One attribute: the type of its value and what it says."""

    name: str
    type: Literal["string", "int", "double", "boolean"]
    description: str
    stability: Stability = "stable"


def _ours(name: str, type_: Literal["string", "int", "double", "boolean"], description: str) -> AttributeName:
    return AttributeName(name, type_, description)


_S: Final[Stability] = "semconv stable"
_RC: Final[Stability] = "semconv release candidate"
_D: Final[Stability] = "semconv development"

ATTRIBUTES: Final[tuple[AttributeName, ...]] = (
    _ours("probe", "string", "name of the probe"),
    _ours("target", "string", "id of the target: a feed id, an endpoint's URL, ..."),
    _ours("check", "string", "name of the check that gave the verdict"),
    _ours("source", "string", "the part of the target judged on its own, such as one endpoint of several"),
    _ours("status", "string", "ok, warning, critical, unknown or skipped"),
    _ours("vantage.region", "string", "where the observer stands"),
    _ours("phase", "string", "queue, resolve, connect, tls, first_byte or transfer"),
    _ours("signal", "string", "traces, metrics or logs"),
    _ours("probekit.version", "string", "version of probekit the probe runs on"),
    _ours("probekit.source_digest", "string", "SHA-256 of the probe's file, 16 digits on metrics"),
    _ours("probekit.config_digest", "string", "SHA-256 of its options, secrets masked, 16 digits on metrics"),
    _ours("probekit.run.targets", "int", "how many targets the run covered"),
    _ours("probekit.run.closed_by", "string", "tick, change or end"),
    _ours("probekit.run.lateness", "double", "seconds from the scheduled to the actual start"),
    _ours("probekit.run.requests_dropped", "int", "attempts beyond the run's bound: counted, without a span"),
    _ours("probekit.run.calls_dropped", "int", "JSON-RPC calls beyond the run's bound: counted, not measured"),
    _ours("probekit.target.label", "string", "the target's name for people"),
    _ours("probekit.reason", "string", "literal token of the verdict, such as stale"),
    _ours("probekit.value", "string", "what was measured, exactly, in probekit.unit"),
    _ours("probekit.limit", "string", "what it was measured against, in probekit.unit"),
    _ours("probekit.unit", "string", "ns, bps, slots, count or conf"),
    _ours("probekit.evidence", "string", "what on-call asks for, as JSON; redacted, at most 64 kB"),
    _ours("probekit.endpoint", "string", "label of the endpoint that a pool asked; never a URL with a key"),
    _ours("probekit.chain", "string", "name of the chain that a pool's endpoints serve"),
    _ours("probekit.rpc.state", "string", "alive, lagging, limited, out_of_sync, unreachable or wrong_chain"),
    _ours("probekit.engine", "string", "httpx or curl"),
    _ours("probekit.connection.reused", "boolean", "whether the attempt went over a connection opened before"),
    _ours("probekit.phase.queue", "double", "seconds waiting for the engine, before anything was attempted"),
    _ours("probekit.phase.resolve", "double", "seconds of name look-up"),
    _ours("probekit.phase.connect", "double", "seconds of connecting"),
    _ours("probekit.phase.tls", "double", "seconds of the TLS handshake"),
    _ours("probekit.phase.first_byte", "double", "seconds from the request sent to the first byte"),
    _ours("probekit.phase.transfer", "double", "seconds of the body"),
    _ours("probekit.journey.publish_time", "int", "publish_time of the update, Unix seconds"),
    _ours("probekit.journey.slot", "int", "slot of the update in its trust root's own count"),
    _ours("probekit.journey.root", "string", "trust root that signed it: core or pro"),
    _ours("probekit.journey.overdue", "boolean", "whether it was told before it had landed everywhere"),
    _ours(
        "probekit.journey.stage",
        "string",
        "published, aggregated, attested, proven, served, arrived; landed once per chain. Of a canary: fetched, built, "
        "simulated, signed, sent; then included, readable, or processed, confirmed, finalized",
    ),
    _ours(
        "probekit.journey.clock",
        "string",
        "whose clock the stage's time is of: publisher, pythnet_slot, pro_slot, guardians, signers, hermes, local, chain_block",
    ),
    _ours("probekit.journey.error", "double", "seconds that the stage's time may be off as far as it can be known"),
    _ours("probekit.journey.since", "string", "the stage that probekit.journey.elapsed is counted from"),
    _ours("probekit.journey.elapsed", "double", "seconds since then, signed: below zero where two clocks disagree"),
    _ours("probekit.journey.elapsed.error", "double", "seconds that elapsed may be off as far as it can be known"),
    _ours("probekit.journey.backwards", "boolean", "true where elapsed is below zero"),
    _ours("probekit.journey.explained", "boolean", "on a backward step, whether the known errors account for it"),
    _ours("probekit.journey.reason", "string", "why the stage has no time, such as slot_without_time, or why it failed"),
    _ours("probekit.journey.sequence", "int", "sequence of the VAA"),
    _ours("probekit.journey.block", "int", "number of the block it landed in; on Solana the slot"),
    _ours("probekit.journey.block_hash", "string", "hash of that block"),
    _ours("probekit.journey.transaction", "string", "hash of the transaction"),
    _ours("probekit.journey.log_index", "int", "place of the event among the block's"),
    _ours("probekit.journey.gas_used", "int", "gas, or compute units, that the transaction used"),
    _ours("probekit.journey.gas_price", "string", "wei for each gas, as charged in the block"),
    _ours("probekit.journey.paid", "string", "what the transaction took in all, in wei or lamports"),
    _ours("probekit.run.journeys_dropped", "int", "journeys beyond the run's bound: counted, without a trace"),
    _ours("probekit.drop.reason", "string", "queue_full, refused, gave_up, closing or defect"),
    _ours("probekit.metric", "string", "name of the metric that overflowed"),
    AttributeName("error.type", "string", "one word of the closed list of probekit.errors; absent on success", _S),
    AttributeName("http.request.method", "string", "method of the request, _OTHER for one the conventions do not know", _S),
    AttributeName("http.request.method_original", "string", "the method behind _OTHER", _S),
    AttributeName("http.request.resend_count", "int", "absent on the first attempt", _S),
    AttributeName("http.response.status_code", "int", "status of the answer", _S),
    AttributeName("server.address", "string", "host of the URL", _S),
    AttributeName("server.port", "int", "port of the URL, also when it is the scheme's own", _S),
    AttributeName("url.full", "string", "redacted: no user-info, no key in query or path", _S),
    AttributeName("network.peer.address", "string", "address that was connected to", _S),
    AttributeName("network.peer.port", "int", "port that was connected to", _S),
    AttributeName("network.type", "string", "ipv4 or ipv6: what was connected over, else what was asked for", _S),
    AttributeName("network.protocol.version", "string", "1.1, 2 or 3", _S),
    AttributeName("rpc.system.name", "string", "jsonrpc; absent on other requests", _RC),
    AttributeName("rpc.method", "string", "the method; batch for several, _OTHER for what does not look like one", _RC),
    AttributeName("rpc.status_code", "string", "error.code of the answer; absent on success", _RC),
    AttributeName("jsonrpc.request.id", "string", "reserved for the JSON-RPC clients", _D),
    AttributeName("otel.metric.overflow", "boolean", "true on the one series that stands for all beyond the limit", _S),
    AttributeName("service.name", "string", "resource: OTEL_SERVICE_NAME, else probekit", _S),
    AttributeName("service.version", "string", "resource: version of probekit", _S),
    AttributeName("service.instance.id", "string", "resource: host/unit; the same after a restart", _S),
    AttributeName("deployment.environment.name", "string", "resource: from OTEL_RESOURCE_ATTRIBUTES", _S),
    AttributeName("host.name", "string", "resource: the vantage's host", _D),
    AttributeName("cloud.region", "string", "resource: the vantage's region", _D),
    AttributeName("cloud.provider", "string", "resource: the vantage's provider, where one is configured", _D),
    AttributeName("telemetry.sdk.name", "string", "resource: opentelemetry", _S),
    AttributeName("telemetry.sdk.language", "string", "resource: python", _S),
    AttributeName("telemetry.sdk.version", "string", "resource: version of the OpenTelemetry SDK", _S),
    AttributeName("telemetry.distro.name", "string", "resource: probekit", _D),
    AttributeName("telemetry.distro.version", "string", "resource: version of probekit", _D),
)
