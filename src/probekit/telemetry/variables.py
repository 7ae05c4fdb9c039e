"""The environment variables of telemetry: which are honoured, how, and which are not, and why.

``docs/reference/environment.md`` is generated from these tables, and each honoured one has a test of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Variable:
    """One honoured variable. ``per_signal``: ``OTEL_EXPORTER_OTLP_<SIGNAL>_...`` wins for that signal."""

    name: str
    default: str
    description: str
    per_signal: bool = False


HONOURED: Final[tuple[Variable, ...]] = (
    Variable("OTEL_SDK_DISABLED", "false", "`true` turns telemetry off, whatever else is set"),
    Variable("OTEL_SERVICE_NAME", "`probekit`", "`service.name`; wins over `OTEL_RESOURCE_ATTRIBUTES`"),
    Variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "",
        "further resource attributes, `key=value,...`, percent-encoded; what the configuration states about the vantage "
        "(`service.instance.id`, `host.name`, a region that is not the default) wins. "
        "`deployment.environment.name` is set here",
    ),
    Variable("OTEL_TRACES_EXPORTER", "otlp", "`otlp`, or `none` to send no traces"),
    Variable("OTEL_METRICS_EXPORTER", "otlp", "`otlp`, or `none` to send no metrics"),
    Variable("OTEL_LOGS_EXPORTER", "otlp", "`otlp`, or `none` to send no log records"),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "`http://localhost:4318`, gRPC `http://localhost:4317`",
        "base URL; over HTTP `/v1/<signal>` is added, but a signal's own variable is used as it is",
        per_signal=True,
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
        "`http/protobuf`, or `grpc` with the extra `otel-grpc`",
        per_signal=True,
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "`key=value,...`, percent-encoded; held as secrets and never shown",
        per_signal=True,
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10000",
        "milliseconds of one export request, as in the specification (the Python SDK reads seconds)",
        per_signal=True,
    ),
    Variable("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "`none` or `gzip`", per_signal=True),
    Variable("OTEL_EXPORTER_OTLP_CERTIFICATE", "the system's", "file of CA certificates to trust, PEM", per_signal=True),
    Variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "", "client certificate, PEM", per_signal=True),
    Variable("OTEL_EXPORTER_OTLP_CLIENT_KEY", "", "its private key, PEM", per_signal=True),
    Variable(
        "OTEL_EXPORTER_OTLP_INSECURE", "false", "`true`: no TLS for a gRPC endpoint written without a scheme", per_signal=True
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "cumulative",
        "`cumulative`, or `delta` (`lowmemory` means the same here) for counters and histograms",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "explicit_bucket_histogram",
        "or `base2_exponential_bucket_histogram`",
    ),
    Variable("OTEL_METRIC_EXPORT_INTERVAL", "60000", "milliseconds between exports of metrics"),
    Variable("OTEL_METRIC_EXPORT_TIMEOUT", "30000", "milliseconds; a tighter bound of one request for metrics"),
    Variable(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "trace_based",
        "`trace_based`: runs that are traced give exemplars; `always_on`: all runs; `always_off`: none",
    ),
    Variable(
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        "`always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`, which is the same here: a run has no "
        "parent. Metrics and log records are not sampled",
    ),
    Variable("OTEL_TRACES_SAMPLER_ARG", "1.0", "the share of `traceidratio`, 0 to 1"),
    Variable("OTEL_BSP_SCHEDULE_DELAY", "5000", "milliseconds that spans wait for company"),
    Variable(
        "OTEL_BSP_MAX_QUEUE_SIZE", "2048", "spans kept while the receiver is away; then the oldest are dropped, and counted"
    ),
    Variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512", "spans in one request, not counting the rest of a run"),
    Variable("OTEL_BSP_EXPORT_TIMEOUT", "30000", "milliseconds; a tighter bound of one request for spans"),
    Variable("OTEL_BLRP_SCHEDULE_DELAY", "1000", "milliseconds that log records wait for company"),
    Variable("OTEL_BLRP_MAX_QUEUE_SIZE", "2048", "as for spans"),
    Variable("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512", "as for spans"),
    Variable("OTEL_BLRP_EXPORT_TIMEOUT", "30000", "as for spans"),
    Variable("PROBEKIT_OTLP_HEADERS_FILE", "", "file with more headers, as in `OTEL_EXPORTER_OTLP_HEADERS` or one a line"),
    Variable("PROBEKIT_OTLP_HEADERS_CREDENTIAL", "", "name of a systemd credential (`LoadCredential=`) with the same"),
    Variable("PROBEKIT_METRIC_CARDINALITY_LIMIT", "2000", "attribute sets per metric; what is beyond is folded and counted"),
)

NOT_HONOURED: Final[dict[str, str]] = {
    "OTEL_CONFIG_FILE": "declarative configuration is not read",
    "OTEL_PROPAGATORS": "probes do not pass context to what they measure",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "detectors may take seconds at the start; the manifest states the vantage",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "values are bounded where they are made (evidence: 64 kB)",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "the number of attributes is fixed by the table of names",
    "OTEL_SPAN_*_LIMIT, OTEL_EVENT_*_LIMIT, OTEL_LINK_*_LIMIT, OTEL_LOGRECORD_*_LIMIT": "as above",
    "OTEL_LOG_LEVEL": "probekit logs through Python's logging",
    "OTEL_EXPORTER_ZIPKIN_*, OTEL_EXPORTER_PROMETHEUS_*": "OTLP is the only way out; a Collector speaks the others",
    "OTEL_PYTHON_*": "the SDK's own loading is not used, only its data model and its encoder",
    "HTTP_PROXY, HTTPS_PROXY, NO_PROXY": "telemetry goes straight to its receiver, best a Collector on the host",
}
