"""The table of names: complete, consistent, and the same as the published reference pages."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from probekit.checks import LatencyBudget, ProofValidity, StreamLatency, VaaDelay, WebSocketPing
from probekit.model import ProbeRun
from probekit.model.verdict import MeasureName
from probekit.telemetry import names, reference
from probekit.telemetry.variables import HONOURED

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("page", sorted(reference.PAGES))
def test_the_reference_pages_are_what_the_code_says(page: str) -> None:
    """After a wanted change: ``python -m probekit.telemetry.reference PAGE > docs/reference/PAGE.md``."""
    assert (ROOT / "docs" / "reference" / f"{page}.md").read_text() == reference.PAGES[page]()


def test_each_measure_has_its_metric() -> None:
    assert set(names.MEASURES) == set(get_args(MeasureName))
    for measure, spec in names.MEASURES.items():
        assert spec.name == f"probekit.{measure}"


def test_metric_names_are_unique_and_carry_no_unit() -> None:
    assert len({spec.name for spec in names.METRICS}) == len(names.METRICS)
    for spec in names.METRICS:
        assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", spec.name)
        assert not spec.name.endswith(("_seconds", "_total", "_ms", "_ratio_bps", ".seconds"))
        assert spec.unit in ("s", "1", "1e-4") or re.fullmatch(r"\{[a-z]+\}", spec.unit)
        assert spec.description


def test_every_metric_in_the_module_is_in_the_list() -> None:
    made = [value for value in vars(names).values() if isinstance(value, names.MetricName)]
    assert set(made) | set(names.MEASURES.values()) == set(names.METRICS)


def test_attributes_are_unique_and_every_metrics_attribute_is_described() -> None:
    known = [one.name for one in names.ATTRIBUTES]
    assert len(set(known)) == len(known)
    for spec in names.METRICS:
        assert set(spec.attributes) <= set(known), spec.name
        assert (spec.attributes[-1] == "status") or spec.kind != "state"


def test_digests_are_only_on_the_run_span_and_the_info_metric() -> None:
    for spec in names.METRICS:
        assert spec is names.INFO or not any(
            "digest" in name or "version" in name for name in spec.attributes if "probekit" in name
        )


def test_histograms_are_in_seconds_with_rising_edges_around_the_default_thresholds() -> None:
    for spec in names.METRICS:
        if spec.kind == "histogram":
            assert spec.unit == "s"
            assert list(spec.edges) == sorted(set(spec.edges))
            assert {1.0, 2.0, 5.0, 8.0, 10.0} <= set(spec.edges)
        else:
            assert not spec.edges


def test_checks_say_beforehand_what_they_count_and_time() -> None:
    """So that those series begin at zero: read from each check's source, and held against its ``records``."""
    made: dict[str, LatencyBudget | ProofValidity | StreamLatency | VaaDelay | WebSocketPing] = {
        "latency_budget": LatencyBudget(timedelta(seconds=1)),
        "proof_validity": ProofValidity(),
        "stream_latency": StreamLatency(timedelta(seconds=1)),
        "vaa_delay": VaaDelay(timedelta(seconds=1)),
        "websocket_ping": WebSocketPing(timedelta(seconds=1)),
    }
    found = set()
    for path in sorted((ROOT / "src" / "probekit" / "checks").glob("*.py")):
        source = path.read_text()
        for name in re.findall(r'Measure\("([a-z_.]+)"', source):
            if names.MEASURES[name].kind in ("counter", "histogram"):
                check = re.findall(r'name: ClassVar\[str\] = "(\w+)"', source)[0]
                found.add((check, name))
                assert name in dict(made[check].records)
    assert found == {
        ("latency_budget", "latency"), ("proof_validity", "proof.updates"), ("stream_latency", "stream.latency"),
        ("vaa_delay", "vaa.delay"),
        ("websocket_ping", "websocket.ping"),
    }  # fmt: skip


def test_deprecated_conventions_are_not_used() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src" / "probekit" / "telemetry").glob("*.py"))
    for name in ("http.method", "http.status_code", "http.url", "net.peer.name", "rpc.jsonrpc", 'rpc.system"', "peer.service"):
        assert name not in source


def test_attribute_names_are_written_nowhere_but_in_known_places() -> None:
    """Every dotted literal in the package that looks like an attribute or a metric is in the table."""
    known = {one.name for one in names.ATTRIBUTES} | {spec.name for spec in names.METRICS} | set(names.EVENTS)
    pattern = re.compile(r"(probekit|http|server|network|url|error|service|host|cloud|telemetry|otel)(\.[a-z_]+)+")
    for path in (ROOT / "src" / "probekit" / "telemetry").glob("*.py"):
        if path.name in ("reference.py", "variables.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.fullmatch(node.value):
                word = node.value
                assert word in known or word == "probekit.telemetry", f"{path.name}: {word}"


def test_the_environment_page_names_every_variable() -> None:
    page = reference.environment_page()
    for variable in HONOURED:
        assert f"`{variable.name}`" in page


def test_the_run_page_names_every_field_of_a_run() -> None:
    page = reference.run_json_page()
    for field in ProbeRun.__struct_fields__:
        assert f"`{field}`" in page
    assert "`schedule`" not in page


def test_a_page_that_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["nothing"]) == 3
    assert "expected metrics, environment, run-json" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert capsys.readouterr().out == reference.metrics_page()
