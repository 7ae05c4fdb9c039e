"""Every attribute, by name: a part of :mod:`probekit.telemetry.names`, which is where they are taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Stability = Literal["stable", "experimental", "semconv stable", "semconv release candidate", "semconv development"]


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
    _ours("probekit.rpc.attempts", "int", "endpoints that a call asked, one after the other or beside each other"),
    _ours("probekit.rpc.items", "int", "calls in a batch; absent on a call of its own"),
    _ours("probekit.rpc.failed_items", "int", "those of them that ended in an error"),
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
    AttributeName(
        "network.protocol.name",
        "string",
        "of a connection that carries no HTTP request: tls, tcp, ws or wss; of DNS dns, dnstcp or dot",
        _S,
    ),
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
