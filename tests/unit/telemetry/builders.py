"""Runs to record."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from probekit.model import (
    Evidence,
    Measure,
    Phases,
    ProbeRun,
    RequestRecord,
    Status,
    Target,
    TargetResult,
    Vantage,
    VantageHealth,
    Verdict,
)
from probekit.runner import ProbeInfo
from probekit.telemetry.delivery import Backoff
from probekit.telemetry.environment import SIGNALS, SignalSettings, TelemetrySettings
from probekit.telemetry.otel import OtelRecorder
from probekit.units import NS_PER_MS, NS_PER_S, Instant
from tests.unit.telemetry.receiver import Receiver

VANTAGE = Vantage(host="probe-1", region="eu-west-1", provider="aws", unit="hermes")
BTC = Target("e6" * 32, "feed", "Crypto.BTC/USD")
ETH = Target("ff" * 32, "feed", "Crypto.ETH/USD")
NOW = Instant.parse("2026-09-12T10:00:00Z")


def info(*targets: Target, probe: str = "hermes_freshness", digest: str = "c" * 64) -> ProbeInfo:
    return ProbeInfo(
        probe=probe,
        question="Is every watched feed fresh?",
        mode="watch",
        interval=timedelta(seconds=3),
        vantage=VANTAGE,
        targets=targets or (BTC, ETH),
        checks=("freshness",),
        probe_version="1.2.3",
        source_digest="a" * 64,
        config_digest=digest,
    )


def ok(age_ns: int = NS_PER_S) -> Verdict:
    measures = (Measure("feed.age", age_ns, "ns"), Measure("proof.updates", 1, "count"))
    return Verdict("freshness", Status.OK, "fresh", "1.0s old", age_ns, 10 * NS_PER_S, "ns", measures=measures)


def stale(age_ns: int = 12 * NS_PER_S, **changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "check": "freshness",
        "status": Status.CRITICAL,
        "reason": "stale",
        "message": "12.0s old, limit 10.0s",
        "value": age_ns,
        "limit": 10 * NS_PER_S,
        "unit": "ns",
        "measures": (Measure("feed.age", age_ns, "ns"),),
    }
    return Verdict(**{**fields, **changes})


def timed(elapsed_ns: int, limit_ns: int) -> Verdict:
    measures = (Measure("latency", elapsed_ns, "ns"),)
    return Verdict("latency_budget", Status.OK, "within_budget", "fast", elapsed_ns, limit_ns, "ns", measures=measures)


def request(**changes: Any) -> RequestRecord:
    fields: dict[str, Any] = {
        "method": "GET",
        "url": "https://hermes.example:8443/v2/updates/price/latest?ids%5B%5D=e6",
        "engine": "curl",
        "started_at": NOW,
        "elapsed_ns": 90 * NS_PER_MS,
        "phases": Phases(
            resolve_ns=2 * NS_PER_MS, connect_ns=10 * NS_PER_MS, tls_ns=20 * NS_PER_MS, first_byte_ns=50 * NS_PER_MS
        ),
        "status": 200,
        "http_version": "1.1",
        "peer_address": "192.0.2.7",
        "peer_port": 8443,
        "new_connection": True,
    }
    return RequestRecord(**{**fields, **changes})


def run(*results: TargetResult, requests: tuple[RequestRecord, ...] = (), **changes: Any) -> ProbeRun:
    fields: dict[str, Any] = {
        "probe": "hermes_freshness",
        "run_id": secrets.token_hex(16),
        "vantage": VANTAGE,
        "scheduled_at": NOW,
        "started_at": NOW.plus(timedelta(milliseconds=4)),
        "queue_wait_ns": 4 * NS_PER_MS,
        "elapsed_ns": 120 * NS_PER_MS,
        "health": VantageHealth(clock_error_ns=3 * NS_PER_MS, loop_lag_ns=NS_PER_MS),
        "requests": requests,
        "results": results or (TargetResult(BTC, (ok(),), NOW), TargetResult(ETH, (ok(),), NOW)),
        "probe_version": "1.2.3",
        "source_digest": "a" * 64,
        "config_digest": "c" * 64,
    }
    return ProbeRun(**{**fields, **changes})


def bad_run(**changes: Any) -> ProbeRun:
    """One target OK, one stale with its evidence."""
    evidence = Evidence(request="GET https://hermes.example/", status=200, arithmetic="freshness: 12 against 10")
    return run(TargetResult(BTC, (ok(),), NOW), TargetResult(ETH, (stale(),), NOW, evidence), **changes)


def settings(endpoint: str, protocol: str = "http/protobuf", **changes: Any) -> TelemetrySettings:
    """Everything to one receiver, without waiting for company."""
    shared: dict[str, Any] = {"timeout_s": 5.0, "delay_s": 0.01}
    one = {name: value for name, value in changes.items() if name in SignalSettings.__dataclass_fields__}
    rest = {name: value for name, value in changes.items() if name not in one}
    signals = tuple(
        SignalSettings(
            signal=signal,
            endpoint=f"{endpoint}/v1/{signal}" if protocol == "http/protobuf" else endpoint,
            protocol="grpc" if protocol == "grpc" else "http/protobuf",
            **{**shared, **({"delay_s": 3600.0, "queue": 200_000} if signal == "metrics" else {}), **one},
        )
        for signal in SIGNALS
    )
    return TelemetrySettings(signals=signals, resource={"service.name": "probekit"}, **rest)


FAST = Backoff(first_s=0.01, longest_s=0.02)


def record(receiver: Receiver, *runs: ProbeRun, info_: ProbeInfo | None = None, **changes: Any) -> OtelRecorder:
    """Record runs, and close: everything has arrived when this returns."""
    recorder = OtelRecorder(settings(receiver.url, **changes), backoff=FAST)
    recorder.start(info_ or info())
    for one in runs:
        recorder.record(one)
    recorder.close()
    return recorder
