"""The OTLP recorder end to end, against a receiver in this process: what a run becomes on the wire."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from probekit.model import Evidence, Phases, Status, TargetResult, VantageHealth
from probekit.runner import Planned
from probekit.secret import Secret
from probekit.telemetry import names
from probekit.telemetry.identity import span_id
from probekit.telemetry.names import ATTRIBUTES
from probekit.units import NS_PER_MS, NS_PER_S
from tests.unit.telemetry import builders as make
from tests.unit.telemetry.builders import record
from tests.unit.telemetry.receiver import Receiver, attributes, http_receiver, points, values


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


def test_a_run_is_one_trace_with_a_span_per_attempt(receiver: Receiver) -> None:
    run = make.run(requests=(make.request(), make.request(attempt=1, new_connection=False)))
    record(receiver, run)
    root, first, second = receiver.spans()
    assert {span.trace_id.hex() for span in (root, first, second)} == {run.run_id}
    assert len({span.span_id for span in (root, first, second)}) == 3
    assert (root.name, root.kind, root.parent_span_id) == ("probekit.run hermes_freshness", 1, b"")
    assert root.start_time_unix_nano == run.started_at.ns
    assert root.end_time_unix_nano == run.started_at.ns + run.elapsed_ns
    assert root.status.code == 0
    assert attributes(root) == {
        "probe": "hermes_freshness",
        "status": "ok",
        "vantage.region": "eu-west-1",
        "probekit.run.targets": 2,
        "probekit.run.closed_by": "tick",
        "probekit.run.lateness": 0.004,
        "probekit.version": "1.2.3",
        "probekit.source_digest": "a" * 64,
        "probekit.config_digest": "c" * 64,
    }
    assert (first.name, first.kind, first.parent_span_id) == ("GET", 3, root.span_id)
    assert first.end_time_unix_nano - first.start_time_unix_nano == 90 * NS_PER_MS
    assert attributes(first) == {
        "http.request.method": "GET",
        "url.full": "https://hermes.example:8443/v2/updates/price/latest?ids%5B%5D=e6",
        "server.address": "hermes.example",
        "server.port": 8443,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "network.peer.address": "192.0.2.7",
        "network.peer.port": 8443,
        "network.type": "ipv4",
        "probekit.engine": "curl",
        "probekit.connection.reused": False,
        "probekit.phase.resolve": 0.002,
        "probekit.phase.connect": 0.01,
        "probekit.phase.tls": 0.02,
        "probekit.phase.first_byte": 0.05,
    }
    assert attributes(second)["http.request.resend_count"] == 1
    assert attributes(second)["probekit.connection.reused"] is True


@pytest.mark.parametrize(
    ("changes", "error_type"),
    [
        ({"status": 200}, None),
        ({"status": 304}, None),
        ({"status": 404, "error_type": "status"}, "status"),
        ({"status": 401, "error_type": "status"}, "not_authorized"),
        ({"status": 429, "error_type": "status"}, "rate_limited"),
        ({"status": 503, "error_type": "status"}, "server_error"),
        ({"status": None, "error_type": "deadline_connect"}, "deadline_connect"),
        ({"status": None, "error_type": "cancelled"}, None),
    ],
)
def test_the_error_of_an_attempt_is_the_same_on_span_and_metric(
    receiver: Receiver, changes: dict[str, Any], error_type: str | None
) -> None:
    record(receiver, make.run(requests=(make.request(**changes),)))
    span = receiver.spans()[1]
    assert attributes(span).get("error.type") == error_type
    assert span.status.code == (0 if error_type is None else 2)
    (point,) = points(receiver.metrics()["http.client.request.duration"])
    assert attributes(point).get("error.type") == error_type
    assert attributes(point).get("http.response.status_code") == changes["status"]


def test_an_unknown_method_and_a_port_left_out(receiver: Receiver) -> None:
    record(receiver, make.run(requests=(make.request(method="PURGE", url="https://hermes.example/x"),)))
    span = receiver.spans()[1]
    assert span.name == "HTTP"
    found = attributes(span)
    assert found["http.request.method"] == "_OTHER"
    assert found["http.request.method_original"] == "PURGE"
    assert found["server.port"] == 443


def test_a_connection_without_http_is_no_http_request(receiver: Receiver) -> None:
    known = Phases(resolve_ns=2_000_000, connect_ns=10_000_000, tls_ns=20_000_000)
    wire = {"method": "CONNECT", "url": "tls://mail.example:465", "engine": "dial", "status": None, "phases": known}
    record(receiver, make.run(requests=(make.request(**wire), make.request(**wire, error_type="tls"))))
    for span, error_type in zip(receiver.spans()[1:], (None, "tls"), strict=True):
        found = attributes(span)
        assert span.name == "tls"
        assert {name for name in found if name.startswith("http.")} == set()
        assert (found["network.protocol.name"], found["server.address"], found["server.port"]) == ("tls", "mail.example", 465)
        assert (found.get("error.type"), found["probekit.phase.tls"]) == (error_type, 0.02)
    metrics = receiver.metrics()
    assert not {"http.client.request.duration", "probekit.http.phase.duration"} & metrics.keys()
    shown = [attributes(point) for point in points(metrics["probekit.connection.duration"])]
    assert [one.get("error.type") for one in shown] == [None, "tls"]
    phases = {attributes(point)["phase"]: point.sum for point in points(metrics["probekit.connection.phase.duration"])}
    assert phases == {"resolve": 0.004, "connect": 0.02, "tls": 0.04}


@pytest.mark.parametrize(
    ("method", "name"), [("eth_call", "eth_call"), ("batch", "batch"), ("<script>", "_OTHER"), ("e" * 65, "_OTHER")]
)
def test_a_json_rpc_request_is_named_by_its_method(receiver: Receiver, method: str, name: str) -> None:
    request = make.request(method="POST", rpc_method=method, rpc_code=-32005, endpoint="a", error_type="rate_limited")
    record(receiver, make.run(requests=(request,)))
    span = receiver.spans()[1]
    found = attributes(span)
    assert span.name == name
    assert (found["rpc.system.name"], found["rpc.method"], found["rpc.status_code"]) == ("jsonrpc", name, "-32005")
    assert (found["probekit.endpoint"], found["error.type"]) == ("a", "rate_limited")


@pytest.mark.parametrize(
    ("status", "severity", "code"),
    [(Status.WARNING, 13, 0), (Status.UNKNOWN, 14, 2), (Status.CRITICAL, 17, 2), (Status.SKIPPED, 9, 0)],
)
def test_what_is_not_ok_is_a_log_record_of_the_runs_span(receiver: Receiver, status: Status, severity: int, code: int) -> None:
    run = make.bad_run()
    verdict = make.stale(status=status, error_type=None if code == 0 else "decode", scope="hermes-2")
    run = msgspec.structs.replace(run, results=(run.results[0], msgspec.structs.replace(run.results[1], verdicts=(verdict,))))
    record(receiver, run)
    (log,) = receiver.logs()
    root = receiver.spans()[0]
    assert (log.trace_id, log.span_id) == (root.trace_id, root.span_id)
    assert root.status.code == code
    assert attributes(root).get("error.type") == (None if code == 0 else "decode")
    assert (log.severity_number, log.severity_text, log.event_name) == (severity, status.upper(), "probekit.verdict")
    assert log.body.string_value == "Crypto.ETH/USD: 12.0s old, limit 10.0s"
    found = attributes(log)
    evidence = msgspec.json.decode(found.pop("probekit.evidence"))
    assert evidence["arithmetic"] == "freshness: 12 against 10"
    found.pop("error.type", None)
    assert found == {
        "probe": "hermes_freshness",
        "target": make.ETH.id,
        "probekit.target.label": "Crypto.ETH/USD",
        "check": "freshness",
        "source": "hermes-2",
        "status": str(status),
        "probekit.reason": "stale",
        "vantage.region": "eu-west-1",
        "probekit.value": "12000000000",
        "probekit.limit": "10000000000",
        "probekit.unit": "ns",
    }


def test_a_skip_is_logged_when_it_begins_and_a_failure_in_every_run(receiver: Receiver) -> None:
    closed = make.run(TargetResult(make.BTC, (make.stale(status=Status.SKIPPED, reason="market_closed"),)))
    runs = [closed, closed, make.run(), closed, make.bad_run(), make.bad_run()]
    record(receiver, *[msgspec.structs.replace(run, run_id=f"{n:032x}") for n, run in enumerate(runs, 1)])
    assert [attributes(log)["status"] for log in receiver.logs()] == ["skipped", "skipped", "critical", "critical"]


def test_series_exist_at_zero_before_the_first_run(receiver: Receiver) -> None:
    record(receiver)
    metrics = receiver.metrics()
    assert sorted(values(metrics["probekit.runs"]).values()) == [0] * 5
    assert len(values(metrics["probekit.verdicts"])) == 2 * 5
    assert len(values(metrics["probekit.target.status"])) == 2 * 5
    assert set(values(metrics["probekit.run.status"]).values()) == {0}
    assert values(metrics["probekit.run.skipped_ticks"]) == {("hermes_freshness", "eu-west-1"): 0}
    assert points(metrics["probekit.run.duration"])[0].count == 0
    for name in ("exported", "rejected", "retried"):
        assert len(values(metrics[f"probekit.telemetry.{name}"])) == 3
    assert "probekit.feed.age" not in metrics


def test_what_the_checks_will_count_and_time_begins_at_zero(receiver: Receiver) -> None:
    """Otherwise the first increment is invisible to a rate: a counter that begins at one has never grown."""
    planned = (
        Planned(make.BTC.id, "proof_validity", (("proof.updates", None),)),
        Planned(make.ETH.id, "latency_budget", (("latency", 3 * NS_PER_S),)),
    )
    record(receiver, info_=replace(make.info(), planned=planned))
    metrics = receiver.metrics()
    assert values(metrics["probekit.proof.updates"]) == {("hermes_freshness", make.BTC.id, "eu-west-1"): 0}
    (latency,) = points(metrics["probekit.latency"])
    assert (attributes(latency)["target"], latency.count) == (make.ETH.id, 0)
    assert 3.0 in latency.explicit_bounds
    verdicts = values(metrics["probekit.verdict.status"])
    assert {(key[0], key[3]) for key in verdicts} == {("proof_validity", make.BTC.id), ("latency_budget", make.ETH.id)}
    assert set(verdicts.values()) == {0}


def test_a_run_becomes_measurements(receiver: Receiver) -> None:
    record(receiver, make.run(skipped_ticks=2, requests=(make.request(),)), make.bad_run())
    metrics = receiver.metrics()
    assert values(metrics["probekit.runs"])["hermes_freshness", "ok", "eu-west-1"] == 1
    assert values(metrics["probekit.runs"])["hermes_freshness", "critical", "eu-west-1"] == 1
    assert values(metrics["probekit.run.status"])["hermes_freshness", "critical", "eu-west-1"] == 1
    assert values(metrics["probekit.run.status"])["hermes_freshness", "ok", "eu-west-1"] == 0
    assert values(metrics["probekit.run.skipped_ticks"]) == {("hermes_freshness", "eu-west-1"): 2}
    assert values(metrics["probekit.clock.error"]) == {("hermes_freshness", "eu-west-1"): 0.003}
    assert values(metrics["probekit.loop.lag"]) == {("hermes_freshness", "eu-west-1"): 0.001}
    target = values(metrics["probekit.target.status"])
    assert target["hermes_freshness", "critical", make.ETH.id, "eu-west-1"] == 1
    assert target["hermes_freshness", "ok", make.BTC.id, "eu-west-1"] == 1
    verdict = values(metrics["probekit.verdict.status"])
    assert verdict["freshness", "hermes_freshness", "critical", make.ETH.id, "eu-west-1"] == 1
    assert values(metrics["probekit.verdicts"])["freshness", "hermes_freshness", "ok", "eu-west-1"] == 3
    age = values(metrics["probekit.feed.age"])
    assert age["hermes_freshness", make.ETH.id, "eu-west-1"] == 12.0
    assert values(metrics["probekit.proof.updates"])["hermes_freshness", make.BTC.id, "eu-west-1"] == 2
    (duration,) = points(metrics["probekit.run.duration"])
    assert duration.count == 2
    assert 3.0 in duration.explicit_bounds  # the probe's interval
    phases = {attributes(point)["phase"]: point.sum for point in points(metrics["probekit.http.phase.duration"])}
    assert phases == pytest.approx({"resolve": 0.002, "connect": 0.01, "tls": 0.02, "first_byte": 0.05})
    info = attributes(points(metrics["probekit.info"])[0])
    assert info["probekit.config_digest"] == "c" * 16


def test_a_checks_own_limit_is_an_edge_of_its_latency(receiver: Receiver) -> None:
    verdict = make.timed(700 * NS_PER_MS, 1_300 * NS_PER_MS)
    record(receiver, make.run(TargetResult(make.BTC, (verdict,))))
    (point,) = points(receiver.metrics()["probekit.latency"])
    assert 1.3 in point.explicit_bounds
    assert point.count == 1


def test_exponential_histograms_by_setting(receiver: Receiver) -> None:
    record(receiver, make.run(requests=(make.request(),)), exponential=True)
    (point,) = points(receiver.metrics()["http.client.request.duration"])
    assert receiver.metrics()["http.client.request.duration"].WhichOneof("data") == "exponential_histogram"
    assert sum(point.positive.bucket_counts) == 1
    base = 2 ** (2.0**-point.scale)
    assert base**point.positive.offset <= 0.09 <= base ** (point.positive.offset + 1) * 1.000001


def test_exemplars_lead_from_a_histogram_to_its_trace(receiver: Receiver) -> None:
    run = make.run(requests=(make.request(),))
    record(receiver, run)
    (exemplar,) = points(receiver.metrics()["http.client.request.duration"])[0].exemplars
    root, attempt = receiver.spans()
    assert (exemplar.trace_id, exemplar.span_id) == (attempt.trace_id, attempt.span_id)
    (exemplar,) = points(receiver.metrics()["probekit.run.duration"])[0].exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (root.trace_id, root.span_id)


@pytest.mark.parametrize(
    ("exemplars", "sampling", "expected"),
    [("trace_based", 1.0, 1), ("trace_based", 0.0, 0), ("always_on", 0.0, 1), ("always_off", 1.0, 0)],
)
def test_the_exemplar_filter(receiver: Receiver, exemplars: str, sampling: float, expected: int) -> None:
    record(receiver, make.run(), exemplars=exemplars, sampling=sampling)
    assert len(points(receiver.metrics()["probekit.run.duration"])[0].exemplars) == expected


def test_an_unsampled_run_has_no_trace_but_its_metrics_and_logs(receiver: Receiver) -> None:
    recorder = record(receiver, make.bad_run(), sampling=0.0)
    assert receiver.spans() == []
    assert receiver.logs()[0].flags == 0
    assert values(receiver.metrics()["probekit.runs"])["hermes_freshness", "critical", "eu-west-1"] == 1
    assert recorder.counters["traces"].handed == 0


def test_a_ratio_keeps_about_its_share(receiver: Receiver) -> None:
    record(receiver, *(make.run() for _ in range(100)), sampling=0.5)
    assert 20 < len(receiver.spans()) < 80


def test_the_resource_says_who_speaks(receiver: Receiver) -> None:
    record(receiver, make.bad_run())
    for signal, field in (("traces", "resource_spans"), ("logs", "resource_logs"), ("metrics", "resource_metrics")):
        found = attributes(getattr(receiver.of(signal)[0], field)[0].resource)
        assert found["service.name"] == "probekit"
        assert found["telemetry.sdk.language"] == "python"
        assert found["telemetry.distro.name"] == "probekit"


def test_every_attribute_on_the_wire_is_in_the_table(receiver: Receiver) -> None:
    latency = TargetResult(make.BTC, (make.timed(1, 2), make.stale(scope="x", error_type="decode")), make.NOW)
    odd = make.request(method="PURGE", status=503, attempt=2)
    record(receiver, make.bad_run(requests=(make.request(), odd), requests_dropped=3), make.run(latency), cardinality_limit=3)
    known = {one.name for one in ATTRIBUTES}
    used = {name for item in (*receiver.spans(), *receiver.logs()) for name in attributes(item)}
    kinds = {one.name: one.type for one in ATTRIBUTES}
    types = {str: "string", int: "int", float: "double", bool: "boolean"}
    specs = {spec.name: spec for spec in names.METRICS}
    for metric in receiver.metrics().values():
        assert metric.unit == specs[metric.name].unit
        for point in points(metric):
            found = set(attributes(point))
            assert found <= {*specs[metric.name].attributes, "otel.metric.overflow"}
            used |= found
    for item in (*receiver.spans(), *receiver.logs()):
        for name, value in attributes(item).items():
            assert types[type(value)] == kinds[name], name
    assert used <= known


def test_no_secret_reaches_the_wire_in_any_spelling(receiver: Receiver) -> None:
    text = "canary+7f3a/secret=tail&more"
    canary = Secret(text)
    spellings = (text, quote(text, safe=""), base64.b64encode(text.encode()).decode(), text.encode().hex())
    runs = []
    for spelling in spellings:
        verdict = make.stale(message=f"failed with {spelling}", scope=spelling)
        target = msgspec.structs.replace(make.ETH, id=f"https://x/{spelling}", label=spelling)
        evidence = Evidence(excerpt=spelling)
        result = TargetResult(target, (verdict,), make.NOW, evidence)
        runs.append(make.run(result, requests=(make.request(url=f"https://h.example/{spelling}?api_key={spelling}"),)))
    record(receiver, *runs, info_=make.info(*(run.results[0].target for run in runs)))
    wire = b"".join(one.raw for one in receiver.received)
    assert b"redacted" in wire
    assert b"canary" not in wire
    for spelling in spellings:
        assert spelling.encode() not in wire
    assert canary.reveal() == text


def test_span_ids_of_a_run_differ_and_are_never_zero() -> None:
    assert len({span_id("0" * 32, number) for number in range(1_000)}) == 1_000
    assert 0 not in {span_id("0" * 32, number) for number in range(1_000)}
    assert all(span_id("f" * 32, n) < 2**64 for n in range(300))


def test_a_clock_that_nothing_bounds_has_no_error_metric(receiver: Receiver) -> None:
    record(receiver, make.run(), make.run(health=VantageHealth()))
    assert "probekit.clock.error" not in receiver.metrics()


def test_what_a_run_no_longer_says_is_over(receiver: Receiver) -> None:
    """A verdict on failing to observe does not outlive the failure, and an age nobody saw is not shown as if it were new."""
    lost = make.stale(check="observation", reason="connect", error_type="connect", measures=())
    failed = make.run(TargetResult(make.BTC, (lost,)), TargetResult(make.ETH, (make.ok(),)))
    record(receiver, make.run(), failed)
    metrics = receiver.metrics()
    verdict = values(metrics["probekit.verdict.status"])
    assert verdict["observation", "hermes_freshness", "critical", make.BTC.id, "eu-west-1"] == 1
    assert verdict["freshness", "hermes_freshness", "ok", make.BTC.id, "eu-west-1"] == 0
    assert set(values(metrics["probekit.feed.age"])) == {("hermes_freshness", make.ETH.id, "eu-west-1")}
    receiver.received.clear()
    record(receiver, failed, make.run())
    metrics = receiver.metrics()
    verdict = values(metrics["probekit.verdict.status"])
    assert verdict["observation", "hermes_freshness", "critical", make.BTC.id, "eu-west-1"] == 0
    assert verdict["freshness", "hermes_freshness", "ok", make.BTC.id, "eu-west-1"] == 1
    assert len(values(metrics["probekit.feed.age"])) == 2
