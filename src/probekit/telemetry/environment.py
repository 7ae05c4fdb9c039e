"""What the ``OTEL_*`` variables come to. A value that cannot be used is a ``ConfigError``: a monitor must not start deaf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args
from urllib.parse import unquote, urlsplit

from probekit.errors import ConfigError
from probekit.model import Vantage
from probekit.secret import redact_url
from probekit.telemetry.headers import Headers, read_headers
from probekit.telemetry.identity import Sampler

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["http/protobuf", "grpc"]
ExemplarFilter = Literal["trace_based", "always_on", "always_off"]
Temporality = Literal["cumulative", "delta"]
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)

_DEFAULT_REGION: Final = Vantage(host="").region
_METRIC_QUEUE: Final = 200_000
"""Metric points kept while the receiver is away: five minutes of 10,000 series at an export each 15 s."""
_EXPLICIT: Final = "explicit_bucket_histogram"
_EXPONENTIAL: Final = "base2_exponential_bucket_histogram"


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Where and how one signal goes."""

    signal: Signal
    endpoint: str
    """URL; for gRPC its scheme says whether there is TLS."""
    protocol: Protocol = "http/protobuf"
    headers: Headers = Headers({})
    timeout_s: float = 10.0
    """Of one request."""
    gzip: bool = False
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    delay_s: float = 5.0
    """How long items wait for company; for metrics the interval of exports."""
    queue: int = 2_048
    """Items kept while the receiver is away."""
    batch: int = 512
    """Items that make a request go at once."""


@dataclass(frozen=True)
class TelemetrySettings:
    """All of it."""

    signals: tuple[SignalSettings, ...]
    resource: Mapping[str, str]
    exponential: bool = False
    temporality: Temporality = "cumulative"
    exemplars: ExemplarFilter = "trace_based"
    sampling: float = 1.0
    cardinality_limit: int = 2_000

    @property
    def sampler(self) -> Sampler:
        """Which runs become traces."""
        return Sampler(self.sampling)


def read(environ: Mapping[str, str], vantage: Vantage, version: str, *, enabled: bool) -> TelemetrySettings | None:
    """Settings from the environment; ``None`` when telemetry is off: nothing names a place for it and ``enabled`` is false.

    Raises ``ConfigError`` naming the variable whose value cannot be used.
    """
    asked = enabled or any(
        value.strip() for name, value in environ.items() if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("ENDPOINT")
    )
    asked = asked or any(environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "otlp" for signal in SIGNALS)
    if _choice(environ, "OTEL_SDK_DISABLED", ("false", "true")) == "true" or not asked:
        return None
    prefix = "OTEL_EXPORTER_OTLP_METRICS"
    temporality = _choice(environ, f"{prefix}_TEMPORALITY_PREFERENCE", ("cumulative", "delta", "lowmemory"))
    aggregation = _choice(environ, f"{prefix}_DEFAULT_HISTOGRAM_AGGREGATION", (_EXPLICIT, _EXPONENTIAL))
    exemplars = _choice(environ, "OTEL_METRICS_EXEMPLAR_FILTER", get_args(ExemplarFilter))
    return TelemetrySettings(
        signals=tuple(_signal(environ, signal) for signal in SIGNALS if _wanted(environ, signal)),
        resource=_resource(environ, vantage, version),
        exponential=aggregation == _EXPONENTIAL,
        temporality="cumulative" if temporality == "cumulative" else "delta",
        exemplars=next(known for known in get_args(ExemplarFilter) if known == exemplars),
        sampling=_sampling(environ),
        cardinality_limit=_whole(environ, "PROBEKIT_METRIC_CARDINALITY_LIMIT", 2_000),
    )


def _wanted(environ: Mapping[str, str], signal: Signal) -> bool:
    return _choice(environ, f"OTEL_{signal.upper()}_EXPORTER", ("otlp", "none")) == "otlp"


def _signal(environ: Mapping[str, str], signal: Signal) -> SignalSettings:
    def find(word: str) -> tuple[str, str]:
        """The variable that speaks for this signal, and its value."""
        own, shared = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{word}", f"OTEL_EXPORTER_OTLP_{word}"
        value = environ.get(own, "").strip()
        return (own, value) if value else (shared, environ.get(shared, "").strip())

    def choice(word: str, known: tuple[str, ...]) -> str:
        name, value = find(word)
        return _choice({name: value}, name, known)

    protocol: Protocol = "grpc" if choice("PROTOCOL", get_args(Protocol)) == "grpc" else "http/protobuf"
    name, text = find("TIMEOUT")
    timeout_s = _number({name: text}, name, 10_000) / 1000
    prefix = {"traces": "OTEL_BSP", "logs": "OTEL_BLRP"}.get(signal)
    if prefix is None:
        delay_s, queue, batch = _number(environ, "OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1000, _METRIC_QUEUE, 1
        bound = "OTEL_METRIC_EXPORT_TIMEOUT"
    else:
        delay_s = _number(environ, f"{prefix}_SCHEDULE_DELAY", 5_000 if signal == "traces" else 1_000) / 1000
        queue = _whole(environ, f"{prefix}_MAX_QUEUE_SIZE", 2_048)
        batch = _whole(environ, f"{prefix}_MAX_EXPORT_BATCH_SIZE", min(512, queue))
        bound = f"{prefix}_EXPORT_TIMEOUT"
        if batch > queue:
            raise ConfigError(f"{prefix}_MAX_EXPORT_BATCH_SIZE={batch}: must not be above {prefix}_MAX_QUEUE_SIZE={queue}")
    certificate, key = find("CLIENT_CERTIFICATE")[1] or None, find("CLIENT_KEY")[1] or None
    if key is not None and certificate is None:
        raise ConfigError(f"{find('CLIENT_KEY')[0]} is set without a client certificate")
    return SignalSettings(
        signal=signal,
        endpoint=_endpoint(signal, protocol, *find("ENDPOINT"), insecure=choice("INSECURE", ("false", "true")) == "true"),
        protocol=protocol,
        headers=read_headers(environ, signal),
        timeout_s=min(timeout_s, _number(environ, bound, 30_000) / 1000),
        gzip=choice("COMPRESSION", ("none", "gzip")) == "gzip",
        ca_file=find("CERTIFICATE")[1] or None,
        client_certificate=certificate,
        client_key=key,
        delay_s=delay_s,
        queue=queue,
        batch=batch,
    )


def _endpoint(signal: Signal, protocol: Protocol, name: str, value: str, *, insecure: bool) -> str:
    if protocol == "grpc":
        endpoint = value or "http://localhost:4317"
        if "://" not in endpoint:
            endpoint = f"{'http' if insecure else 'https'}://{endpoint}"
    elif name.endswith(f"{signal.upper()}_ENDPOINT"):
        endpoint = value
    else:
        endpoint = f"{(value or 'http://localhost:4318').rstrip('/')}/v1/{signal}"
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        hidden = parts.username is not None
    except ValueError:
        usable = hidden = False
    if hidden:
        raise ConfigError(f"{name}: credentials do not belong in the URL; give them in OTEL_EXPORTER_OTLP_HEADERS")
    if not usable:
        raise ConfigError(f"{name}={redact_url(value)}: expected a URL such as http://localhost:4318")
    return endpoint


def _resource(environ: Mapping[str, str], vantage: Vantage, version: str) -> dict[str, str]:
    resource = {"service.name": "probekit", "cloud.region": vantage.region}
    for item in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, separator, value = item.partition("=")
        if not item.strip():
            continue
        if not separator or not name.strip():
            raise ConfigError(f"OTEL_RESOURCE_ATTRIBUTES: {item.strip()!r} is not key=value (write , and = as %2C and %3D)")
        resource[unquote(name.strip())] = unquote(value.strip())
    if service := environ.get("OTEL_SERVICE_NAME", "").strip():
        resource["service.name"] = service
    # What was configured for this vantage wins over the environment, as the specification has it for what code states.
    resource |= {"service.version": version, "service.instance.id": vantage.instance_id, "host.name": vantage.host}
    if vantage.region != _DEFAULT_REGION:
        resource["cloud.region"] = vantage.region
    if vantage.provider is not None:
        resource["cloud.provider"] = vantage.provider
    return resource


def _sampling(environ: Mapping[str, str]) -> float:
    name = "OTEL_TRACES_SAMPLER"
    plain = ("always_on", "always_off", "traceidratio")
    known = ("parentbased_always_on", *plain, "parentbased_always_off", "parentbased_traceidratio")
    chosen = _choice(environ, name, known).removeprefix("parentbased_")
    if chosen != "traceidratio":
        return 1.0 if chosen == "always_on" else 0.0
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1.0"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise ConfigError(f"OTEL_TRACES_SAMPLER_ARG={text}: expected a share between 0 and 1")
    return ratio


def _choice(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The first of ``known`` is the default."""
    value = environ.get(name, "").strip().lower() or known[0]
    if value not in known:
        raise ConfigError(f"{name}={value}: expected {', '.join(known[:-1])} or {known[-1]}")
    return value


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise ConfigError(f"{name}={text}: expected a positive number")
    return number


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    number = _number(environ, name, default)
    if number != int(number):
        raise ConfigError(f"{name}={environ[name]}: expected a whole number")
    return int(number)
