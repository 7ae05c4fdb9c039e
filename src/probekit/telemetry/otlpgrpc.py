"""OTLP over gRPC; the extra ``otel-grpc``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc

from probekit.errors import ConfigError
from probekit.telemetry.delivery import Outcome
from probekit.telemetry.environment import Signal, SignalSettings

RETRYABLE: Final = frozenset(("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"))
_METHODS: Final[dict[Signal, str]] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
# gRPC's own waits between attempts to connect grow to two minutes: a collector that is back would not be noticed.
_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
)


class GrpcSender:
    """One channel. Encoded requests go out as they are. Raises ``ConfigError`` when a certificate file cannot be used."""

    def __init__(self, settings: SignalSettings, parse: Callable[[bytes], tuple[int, str]]) -> None:
        self._metadata = tuple(settings.headers.reveal().items())
        target = settings.endpoint.partition("://")[2].partition("/")[0]
        compression = grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression
        if settings.endpoint.startswith("https://"):
            credentials = grpc.ssl_channel_credentials(
                _read(settings, settings.ca_file),
                _read(settings, settings.client_key),
                _read(settings, settings.client_certificate),
            )
            self._channel = grpc.secure_channel(target, credentials, options=_OPTIONS, compression=compression)
        else:
            self._channel = grpc.insecure_channel(target, options=_OPTIONS, compression=compression)
        self._parse = parse
        self._export: Any = self._channel.unary_unary(_METHODS[settings.signal])

    def send(self, payload: bytes, timeout_s: float) -> Outcome:
        """One attempt. Retryable are the protocol's codes; RESOURCE_EXHAUSTED only where the receiver says when."""
        try:
            answer = self._export(payload, metadata=self._metadata, timeout=timeout_s, wait_for_ready=False)
        except grpc.RpcError as error:
            code = error.code().name if hasattr(error, "code") else "UNKNOWN"
            wait_s = retry_info_s(error)
            return Outcome(
                delivered=False,
                message=f"the receiver answered {code}",
                retryable=code in RETRYABLE or (code == "RESOURCE_EXHAUSTED" and wait_s is not None),
                wait_s=wait_s,
            )
        try:
            rejected, message = self._parse(answer)
        except Exception:  # protobuf's DecodeError; the items were accepted all the same
            return Outcome(delivered=True, message="the receiver's answer does not decode")
        return Outcome(delivered=True, rejected=rejected, message=message)

    def close(self) -> None:
        """Close the channel; a call under way is cancelled."""
        self._channel.close()


def retry_info_s(error: Any) -> float | None:
    """The delay of a ``RetryInfo`` among a status's details; ``None`` without one."""
    from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

    metadata = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    for name, value in metadata or ():
        if name != "grpc-status-details-bin":
            continue
        try:
            details = status_pb2.Status.FromString(value).details
        except Exception:  # protobuf's DecodeError: details that cannot be read say nothing
            return None
        for detail in details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                delay_s = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
                return max(0.0, float(delay_s))
    return None


def _read(settings: SignalSettings, path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"a certificate file for OTLP {settings.signal} cannot be used: {error}") from None
