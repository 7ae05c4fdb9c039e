"""The OTEL_* variables: which are honoured, which are not, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import unquote

from probekit.errors import ConfigError
from probekit.model import Vantage
from probekit.secret import Secret

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["http/protobuf", "grpc"]
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)

HONOURED: Final[dict[str, str]] = {
    "OTEL_SDK_DISABLED": "true turns telemetry off",
    "OTEL_SERVICE_NAME": "service.name; wins over OTEL_RESOURCE_ATTRIBUTES (default: probekit)",
    "OTEL_RESOURCE_ATTRIBUTES": "further resource attributes, key=value, percent-encoded",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "base URL; /v1/<signal> is added for HTTP (default: http://localhost:4318, gRPC :4317)",
    "OTEL_EXPORTER_OTLP_{TRACES,METRICS,LOGS}_ENDPOINT": "URL of one signal, used as it is",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf (default) or grpc (needs the otel-grpc extra); also per signal",
    "OTEL_EXPORTER_OTLP_HEADERS": "key=value, percent-encoded; also per signal; held as secrets",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "seconds of one export request (default: 10); also per signal",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "none (default) or gzip; also per signal",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "file of CA certificates; also per signal",
    "OTEL_{TRACES,METRICS,LOGS}_EXPORTER": "none turns one signal off; otlp is the only other value",
    "OTEL_METRIC_EXPORT_INTERVAL": "milliseconds between exports of metrics (default: 60000)",
    "OTEL_BSP_SCHEDULE_DELAY": "milliseconds that spans wait for company (default: 1000)",
    "OTEL_BSP_MAX_QUEUE_SIZE": "spans kept while the receiver is away; the oldest are dropped, counted (default: 2048)",
    "OTEL_BLRP_SCHEDULE_DELAY": "the same for log records (default: 1000)",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "the same for log records (default: 2048)",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative (default); delta and lowmemory are refused",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "explicit_bucket_histogram (default) or base2_exponential_bucket_histogram"
    ),
    "PROBEKIT_OTLP_HEADERS_FILE": "file with headers as in OTEL_EXPORTER_OTLP_HEADERS",
    "PROBEKIT_OTLP_HEADERS_CREDENTIAL": "systemd credential with the same",
}

NOT_HONOURED: Final[dict[str, str]] = {
    "OTEL_TRACES_SAMPLER": "every run is one trace; runs are not sampled",
    "OTEL_METRICS_EXEMPLAR_FILTER": "no exemplars are recorded yet",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "no client certificates yet; a collector on the host does that",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "no client certificates yet; a collector on the host does that",
    "OTEL_PROPAGATORS": "probes do not propagate context to what they measure",
    "OTEL_CONFIG_FILE": "declarative configuration is not read",
    "OTEL_PYTHON_*": "the SDK's own loading is not used",
}

_PATHS: Final[dict[Signal, str]] = {"traces": "v1/traces", "metrics": "v1/metrics", "logs": "v1/logs"}


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Where and how one signal goes."""

    signal: Signal
    endpoint: str
    protocol: Protocol
    headers: tuple[tuple[str, Secret], ...]
    timeout_s: float
    gzip: bool
    ca_file: str | None
    delay_s: float
    queue: int


@dataclass(frozen=True)
class TelemetrySettings:
    """All of it."""

    signals: tuple[SignalSettings, ...]
    resource: Mapping[str, str]
    exponential: bool


def read(environ: Mapping[str, str], vantage: Vantage, version: str, *, enabled: bool) -> TelemetrySettings | None:
    """Settings from the environment; ``None`` when telemetry is off: no endpoint is named and ``enabled`` is false.

    Raises ``ConfigError`` naming the variable whose value cannot be used.
    """
    named = [name for name in environ if name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT") and environ[name]]
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or not (named or enabled):
        return None
    temporality = environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative").strip().lower()
    if temporality != "cumulative":
        raise ConfigError(f"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE={temporality}: only cumulative is supported")
    return TelemetrySettings(
        tuple(_signal(environ, signal) for signal in SIGNALS if _wanted(environ, signal)),
        _resource(environ, vantage, version),
        _choice(
            environ,
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            ("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        )
        == "base2_exponential_bucket_histogram",
    )


def _wanted(environ: Mapping[str, str], signal: Signal) -> bool:
    return _choice(environ, f"OTEL_{signal.upper()}_EXPORTER", ("otlp", "none")) == "otlp"


def _signal(environ: Mapping[str, str], signal: Signal) -> SignalSettings:
    def value(name: str) -> str | None:
        own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
        return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip() or None

    where = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL or OTEL_EXPORTER_OTLP_PROTOCOL"
    chosen = value("PROTOCOL") or "http/protobuf"
    if chosen not in ("http/protobuf", "grpc"):
        raise ConfigError(f"{where}={chosen}: expected http/protobuf or grpc")
    protocol: Protocol = "grpc" if chosen == "grpc" else "http/protobuf"
    compression = value("COMPRESSION") or "none"
    if compression not in ("none", "gzip"):
        raise ConfigError(f"OTEL_EXPORTER_OTLP_COMPRESSION={compression}: expected none or gzip")
    prefix = {"traces": "OTEL_BSP", "logs": "OTEL_BLRP"}.get(signal)
    if prefix is None:
        delay_s, queue = _number(environ, "OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1000, 16
    else:
        delay_s = _number(environ, f"{prefix}_SCHEDULE_DELAY", 1_000) / 1000
        queue = int(_number(environ, f"{prefix}_MAX_QUEUE_SIZE", 2_048))
    return SignalSettings(
        signal,
        _endpoint(environ, signal, protocol),
        protocol,
        _headers(environ, signal),
        _number_of(value("TIMEOUT"), "OTEL_EXPORTER_OTLP_TIMEOUT", 10.0),
        compression == "gzip",
        value("CERTIFICATE"),
        delay_s,
        queue,
    )


def _endpoint(environ: Mapping[str, str], signal: Signal, protocol: Protocol) -> str:
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    shared = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    if protocol == "grpc":
        endpoint = own or shared or "http://localhost:4317"
    else:
        endpoint = own or f"{(shared or 'http://localhost:4318').rstrip('/')}/{_PATHS[signal]}"
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"OTEL_EXPORTER_OTLP_ENDPOINT: {endpoint!r} is not an http or https URL")
    return endpoint


def _headers(environ: Mapping[str, str], signal: Signal) -> tuple[tuple[str, Secret], ...]:
    texts = [environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")]
    try:
        if file := environ.get("PROBEKIT_OTLP_HEADERS_FILE"):
            texts.append(Path(file).read_text(encoding="utf-8"))
        if credential := environ.get("PROBEKIT_OTLP_HEADERS_CREDENTIAL"):
            texts.append(Secret.credential(credential).reveal())
    except (OSError, LookupError, ValueError) as error:
        raise ConfigError(f"the OTLP headers cannot be read: {error}") from None
    headers: dict[str, Secret] = {}
    for item in ",".join(texts).replace("\n", ",").split(","):
        if not item.strip():
            continue
        name, separator, value = item.partition("=")
        if not separator or not value.strip():
            raise ConfigError("OTEL_EXPORTER_OTLP_HEADERS: expected name=value, separated by commas")
        headers[name.strip().lower()] = Secret(unquote(value.strip()), origin=f"OTLP header {name.strip()}")
    return tuple(headers.items())


def _resource(environ: Mapping[str, str], vantage: Vantage, version: str) -> dict[str, str]:
    resource = {
        "service.name": "probekit",
        "service.version": version,
        "service.instance.id": vantage.instance_id,
        "host.name": vantage.host,
        "cloud.region": vantage.region,
    }
    if vantage.provider is not None:
        resource["cloud.provider"] = vantage.provider
    for item in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, separator, value = item.partition("=")
        if separator and name.strip():
            resource[name.strip()] = unquote(value.strip())
    if name := environ.get("OTEL_SERVICE_NAME", "").strip():
        resource["service.name"] = name
    return resource


def _choice(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = environ.get(name, "").strip().lower() or known[0]
    if value not in known:
        raise ConfigError(f"{name}={value}: expected {' or '.join(known)}")
    return value


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    return _number_of(environ.get(name, "").strip() or None, name, default)


def _number_of(text: str | None, name: str, default: float) -> float:
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise ConfigError(f"{name}={text}: expected a positive number")
    return number
