"""Every metric, span, event and attribute name: the measures of checks here, the others in the files beside it.
``docs/reference/metrics.md`` is generated from them.

Units are metadata, never part of a name: durations in seconds, ratios in basis points (``1e-4``). The words that join
signals and that alert rules rest on (``probe``, ``target``, ``check``, ``source``, ``status``, ``vantage.region``) are short;
every other attribute of ours begins with ``probekit.``, but for the low-cardinality ``phase`` and ``signal``; the rest are
OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

from typing import Final

from probekit.model.verdict import MeasureName
from probekit.telemetry.attribute_names import ATTRIBUTES, AttributeName
from probekit.telemetry.metric_names import (
    CLOCK_ERROR,
    CONNECTION_DURATION,
    CONNECTION_PHASE_DURATION,
    DROPPED,
    EXPORTED,
    HTTP_DURATION,
    INFO,
    JOURNEY_MISSING,
    JOURNEY_STAGE_DURATION,
    LAST_RUN,
    LOOP_LAG,
    OVERFLOW,
    PARTS,
    PHASE_DURATION,
    REJECTED,
    RETRIED,
    RPC_ATTEMPT_DURATION,
    RPC_DURATION,
    RPC_ENDPOINT_CHANGES,
    RPC_ENDPOINT_STATE,
    RPC_FAILED_ITEMS,
    RPC_HEDGES,
    RUN_DURATION,
    RUN_LATENESS,
    RUN_STATUS,
    RUNS,
    SECONDS,
    SELF_TELEMETRY,
    SHORT_SECONDS,
    SKIPPED_TICKS,
    TARGET_STATUS,
    VERDICT_STATUS,
    VERDICTS,
    MetricName,
)
from probekit.telemetry.span_names import (
    CALL_SPAN,
    EVENTS,
    JOURNEY_SPAN,
    REQUEST_SPAN,
    RUN_SPAN,
    SPANS,
    STAGE_SPAN,
    VERDICT_EVENT,
    SpanName,
)

__all__ = [
    "ATTRIBUTES",
    "CALL_SPAN",
    "CLOCK_ERROR",
    "CONNECTION_DURATION",
    "CONNECTION_PHASE_DURATION",
    "DROPPED",
    "EVENTS",
    "EXPORTED",
    "HTTP_DURATION",
    "INFO",
    "JOURNEY_MISSING",
    "JOURNEY_SPAN",
    "JOURNEY_STAGE_DURATION",
    "LAST_RUN",
    "LOOP_LAG",
    "MEASURES",
    "METRICS",
    "OVERFLOW",
    "PARTS",
    "PHASE_DURATION",
    "REJECTED",
    "REQUEST_SPAN",
    "RETRIED",
    "RPC_ATTEMPT_DURATION",
    "RPC_DURATION",
    "RPC_ENDPOINT_CHANGES",
    "RPC_ENDPOINT_STATE",
    "RPC_FAILED_ITEMS",
    "RPC_HEDGES",
    "RUNS",
    "RUN_DURATION",
    "RUN_LATENESS",
    "RUN_SPAN",
    "RUN_STATUS",
    "SECONDS",
    "SELF_TELEMETRY",
    "SHORT_SECONDS",
    "SKIPPED_TICKS",
    "SPANS",
    "STAGE_SPAN",
    "TARGET_STATUS",
    "VERDICTS",
    "VERDICT_EVENT",
    "VERDICT_STATUS",
    "AttributeName",
    "MetricName",
    "SpanName",
]

_MEASURE: Final = ("probe", "target", "source", "vantage.region")

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
    "feed.reference.sources": MetricName(
        "probekit.feed.reference.sources",
        "gauge",
        "{source}",
        "Exchanges left in the median of a feed",
        _MEASURE,
    ),
    "feed.reference.spread": MetricName(
        "probekit.feed.reference.spread",
        "gauge",
        "1e-4",
        "Highest above lowest of them, of their median",
        _MEASURE,
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
    "chain.finality_lag": MetricName(
        "probekit.chain.finality_lag", "gauge", "s", "From the finalized block's own time to the newest block's", _MEASURE
    ),
    "chain.finality_lag.blocks": MetricName(
        "probekit.chain.finality_lag.blocks", "gauge", "{block}", "Blocks, or slots, above the finalized one", _MEASURE
    ),
    "chain.head_lag": MetricName(
        "probekit.chain.head_lag",
        "gauge",
        "s",
        "From an endpoint's newest block to the best endpoint's, in their time",
        _MEASURE,
    ),
    "chain.head_lag.blocks": MetricName(
        "probekit.chain.head_lag.blocks", "gauge", "{block}", "The same in blocks, or slots", _MEASURE
    ),
    "chain.soft_lag": MetricName(
        "probekit.chain.soft_lag", "gauge", "s", "From the safe block's own time to the newest block's", _MEASURE
    ),
    "chain.soft_lag.blocks": MetricName(
        "probekit.chain.soft_lag.blocks",
        "gauge",
        "{block}",
        "Blocks above the safe one, or slots above the confirmed",
        _MEASURE,
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
    "stream.latency": MetricName(
        "probekit.stream.latency",
        "histogram",
        "s",
        "Age of a new price on arrival, by the feed's own time stamp; the check's own limit is among the edges",
        _MEASURE,
        SECONDS,
    ),
    "stream.behind": MetricName(
        "probekit.stream.behind", "gauge", "s", "How long after the first endpoint an update comes, at the percentile", _MEASURE
    ),
    "stream.first_share": MetricName(
        "probekit.stream.first_share", "gauge", "1e-4", "Share of updates that an endpoint was first with", _MEASURE
    ),
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
    "event.matches": MetricName(
        "probekit.event.matches",
        "gauge",
        "{event}",
        "Matches of a rule that stand in the chain, since the probe began",
        _MEASURE,
    ),
    "event.unreadable": MetricName(
        "probekit.event.unreadable",
        "gauge",
        "{event}",
        "Logs or transactions that a rule may have matched and that did not read, since the probe began",
        _MEASURE,
    ),
    "event.absence": MetricName(
        "probekit.event.absence", "gauge", "s", "How long ago the last match was, by the chain's own time", _MEASURE
    ),
    "scan.behind": MetricName("probekit.scan.behind", "gauge", "{block}", "Blocks that are still to be looked at", _MEASURE),
    "archive.lag": MetricName(
        "probekit.archive.lag", "gauge", "s", "How long ago the newest second is that an archive has, at most", _MEASURE
    ),
    "certificate.expiry.leaf": MetricName(
        "probekit.certificate.expiry.leaf",
        "gauge",
        "s",
        "When the certificate that a server showed expires, in Unix seconds, trusted or not",
        _MEASURE,
    ),
    "certificate.expiry.chain": MetricName(
        "probekit.certificate.expiry.chain",
        "gauge",
        "s",
        "When the first certificate expires of the chain that lives longest, in Unix seconds; absent while no chain is trusted",
        _MEASURE,
    ),
    "canary.paid": MetricName(
        "probekit.canary.paid", "gauge", "{coin}", "What the last transaction took in all, in whole coins", _MEASURE
    ),
    "canary.spent": MetricName(
        "probekit.canary.spent", "gauge", "{coin}", "What a canary paid, or may still pay, for the last 24 h", _MEASURE
    ),
    "canary.slots": MetricName(
        "probekit.canary.slots", "gauge", "{slot}", "Slots from sending the last transaction to its block", _MEASURE
    ),
    "entropy.pending": MetricName(
        "probekit.entropy.pending", "gauge", "{request}", "Requests for random numbers that wait for their provider", _MEASURE
    ),
    "entropy.oldest_age": MetricName(
        "probekit.entropy.oldest_age", "gauge", "s", "How long the oldest of them has waited", _MEASURE
    ),
    "entropy.failed": MetricName(
        "probekit.entropy.failed", "gauge", "{request}", "Requests that were revealed and whose callback failed", _MEASURE
    ),
    "entropy.remaining": MetricName(
        "probekit.entropy.remaining", "gauge", "{request}", "Requests that a provider's hash chain is still good for", _MEASURE
    ),
    "entropy.fee": MetricName(
        "probekit.entropy.fee", "gauge", "{coin}", "A provider's part of a request's fee, in whole coins", _MEASURE
    ),
    "websocket.ping": MetricName(
        "probekit.websocket.ping", "histogram", "s", "From a ping to its pong, on an open WebSocket", _MEASURE, SHORT_SECONDS
    ),
    "landing.lag": MetricName(
        "probekit.landing.lag",
        "gauge",
        "s",
        "From the publish time a chain took last to the newest that the source brought",
        _MEASURE,
    ),
    "vaa.delay": MetricName(
        "probekit.vaa.delay",
        "histogram",
        "s",
        "From a signed message's own time, in whole seconds, to its arrival at a place, at most",
        _MEASURE,
        (*SECONDS, 20.0, 30.0, 60.0, 300.0),
    ),
    "vaa.age": MetricName(
        "probekit.vaa.age", "gauge", "s", "Now minus the own time of the newest signed message at a place", _MEASURE
    ),
    "vaa.sequences_behind": MetricName(
        "probekit.vaa.sequences_behind", "gauge", "{message}", "Numbers between the newest message announced and here", _MEASURE
    ),
    "vaa.slots_behind": MetricName(
        "probekit.vaa.slots_behind", "gauge", "{slot}", "Slots between the newest message announced and here", _MEASURE
    ),
    "vaa.signature_margin": MetricName(
        "probekit.vaa.signature_margin", "gauge", "{signature}", "Signatures of the newest message above the quorum", _MEASURE
    ),
    "guardians.margin": MetricName(
        "probekit.guardians.margin", "gauge", "{guardian}", "Guardians that are well, above the quorum", _MEASURE
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
    CONNECTION_DURATION,
    CONNECTION_PHASE_DURATION,
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
