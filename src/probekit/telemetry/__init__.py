"""Telemetry: runs as OpenTelemetry traces, metrics and logs, and as lines of JSON. The SDK is imported only when used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from probekit._version import __version__
from probekit.errors.extras import missing_extra
from probekit.model import Vantage
from probekit.telemetry.environment import read

if TYPE_CHECKING:
    from probekit.telemetry.otel import OtelRecorder

__all__ = ["exports", "recorder_from_env"]


def exports(vantage: Vantage, environ: Mapping[str, str], *, enabled: bool = False) -> bool:
    """Whether :func:`recorder_from_env` would give a recorder. Raises ``ConfigError`` for a value that cannot be used."""
    settings = read(environ, vantage, __version__, enabled=enabled)
    return settings is not None and bool(settings.signals)


def recorder_from_env(vantage: Vantage, environ: Mapping[str, str], *, enabled: bool = False) -> OtelRecorder | None:
    """The OTLP recorder that ``environ`` asks for; ``None`` when it names no endpoint and ``enabled`` is false.

    Raises ``ConfigError`` for a value that cannot be used, or an extra that is not installed.
    """
    settings = read(environ, vantage, __version__, enabled=enabled)
    if settings is None or not settings.signals:
        return None
    try:
        from probekit.telemetry.otel import OtelRecorder

        return OtelRecorder(settings)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] not in ("opentelemetry", "grpc", "google"):
            raise
        extra = "otel-grpc" if missing.partition(".")[0] == "grpc" else "otel"
        raise missing_extra(f"telemetry needs {missing}", extra) from None
