"""Each honoured variable, by its name: what it changes. And the tables against the page and against these tests."""

from __future__ import annotations

import inspect
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import probekit
from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra
from probekit.model import Vantage
from probekit.secret import redact
from probekit.telemetry import recorder_from_env
from probekit.telemetry.environment import SIGNALS, Signal, SignalSettings, TelemetrySettings, read
from probekit.telemetry.headers import Headers
from probekit.telemetry.variables import HONOURED, NOT_HONOURED
from tests.unit.telemetry import builders as make
from tests.unit.telemetry.receiver import Receiver, attributes, grpc_receiver, http_receiver, points, until

HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def settings(environ: dict[str, str], vantage: Vantage = make.VANTAGE) -> TelemetrySettings:
    found = read({**HERE, **environ}, vantage, "1.2.3", enabled=False)
    assert found is not None
    return found


def signal(environ: dict[str, str], name: Signal = "traces") -> SignalSettings:
    return next(one for one in settings(environ).signals if one.signal == name)


def refused(environ: dict[str, str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        settings(environ)


class TestEachVariable:
    """One test per honoured variable, named after it."""

    def test_otel_sdk_disabled(self) -> None:
        assert read({**HERE, "OTEL_SDK_DISABLED": "TRUE"}, make.VANTAGE, "1", enabled=True) is None
        assert read({**HERE, "OTEL_SDK_DISABLED": "false"}, make.VANTAGE, "1", enabled=False) is not None
        refused({"OTEL_SDK_DISABLED": "1"}, "OTEL_SDK_DISABLED=1: expected false or true")

    def test_otel_service_name(self) -> None:
        assert settings({}).resource["service.name"] == "probekit"
        environ = {"OTEL_SERVICE_NAME": "oracle", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other"}
        assert settings(environ).resource["service.name"] == "oracle"

    def test_otel_resource_attributes(self) -> None:
        text = "deployment.environment.name=staging, team=price%2Cfeeds,service.name=x,host.name=liar,cloud.region=mars"
        resource = settings({"OTEL_RESOURCE_ATTRIBUTES": text}).resource
        assert resource == {
            "deployment.environment.name": "staging",
            "team": "price,feeds",
            "service.name": "x",
            "service.version": "1.2.3",
            "service.instance.id": "probe-1/hermes",
            "host.name": "probe-1",
            "cloud.region": "eu-west-1",
            "cloud.provider": "aws",
        }
        unnamed = settings({"OTEL_RESOURCE_ATTRIBUTES": "cloud.region=mars"}, Vantage(host="h")).resource
        assert unnamed["cloud.region"] == "mars"
        assert settings({}, Vantage(host="h")).resource["cloud.region"] == "local"
        refused({"OTEL_RESOURCE_ATTRIBUTES": "a=b,oops"}, "'oops' is not key=value")

    @pytest.mark.parametrize("name", SIGNALS)
    def test_otel_traces_exporter_otel_metrics_exporter_otel_logs_exporter(self, name: Signal) -> None:
        variable = f"OTEL_{name.upper()}_EXPORTER"
        assert name not in {one.signal for one in settings({variable: "none"}).signals}
        assert read({variable: "otlp"}, make.VANTAGE, "1", enabled=False) is not None
        refused({variable: "console"}, f"{variable}=console: expected otlp or none")

    def test_otel_exporter_otlp_endpoint(self) -> None:
        assert [one.endpoint for one in settings({}).signals] == [f"http://collector:4318/v1/{name}" for name in SIGNALS]
        assert signal({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://x/otlp/"}).endpoint == "https://x/otlp/v1/traces"
        assert signal({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://y:1/as-is"}).endpoint == "http://y:1/as-is"
        assert signal({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://y:1/as-is"}, "logs").endpoint.startswith("http://coll")
        found = read({}, make.VANTAGE, "1", enabled=True)
        assert found is not None
        assert found.signals[0].endpoint == "http://localhost:4318/v1/traces"
        refused({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "expected a URL")
        refused({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:bad"}, "expected a URL")

    def test_an_endpoint_shows_no_credentials(self) -> None:
        with pytest.raises(ConfigError) as error:
            settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:canary-pass@host"})
        assert "canary" not in str(error.value)
        assert "OTEL_EXPORTER_OTLP_HEADERS" in str(error.value)

    def test_otel_exporter_otlp_protocol(self) -> None:
        assert signal({}).protocol == "http/protobuf"
        found = signal({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
        assert (found.protocol, found.endpoint) == ("grpc", "http://collector:4318")
        mixed = {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"}
        assert [one.protocol for one in settings(mixed).signals] == ["http/protobuf", "http/protobuf", "grpc"]
        refused({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "expected http/protobuf or grpc")

    def test_otel_exporter_otlp_headers(self) -> None:
        found = signal({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20canary-one,x-tenant = 7"})
        assert found.headers.reveal() == {"authorization": "Bearer canary-one", "x-tenant": "7"}
        own = {"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "c=d"}
        assert signal(own).headers.reveal() == {"c": "d"}
        assert signal(own, "logs").headers.reveal() == {"a": "b"}
        for text in ("oops", "a b=c", "a=", "=b", "a=x%0Ay", "a=é"):
            with pytest.raises(ConfigError) as error:
                settings({"OTEL_EXPORTER_OTLP_HEADERS": f"ok=canary-two,{text}"})
            assert "canary" not in str(error.value)

    def test_otel_exporter_otlp_timeout(self) -> None:
        assert signal({}).timeout_s == 10.0
        assert signal({"OTEL_EXPORTER_OTLP_TIMEOUT": "2500"}).timeout_s == 2.5
        assert signal({"OTEL_EXPORTER_OTLP_TIMEOUT": "2500", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1000"}).timeout_s == 1.0
        refused({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT=soon: expected a positive number")
        refused({"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}, "expected a positive number")

    def test_otel_exporter_otlp_compression(self) -> None:
        assert not signal({}).gzip
        assert signal({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}).gzip
        assert not signal({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none"}).gzip
        refused({"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "expected none or gzip")

    def test_otel_exporter_otlp_certificate(self) -> None:
        assert signal({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem"}).ca_file == "/ca.pem"
        assert signal({"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/own.pem"}).ca_file == "/own.pem"

    def test_otel_exporter_otlp_client_certificate_otel_exporter_otlp_client_key(self) -> None:
        environ = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/c.pem", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "/k.pem"}
        found = signal(environ)
        assert (found.client_certificate, found.client_key) == ("/c.pem", "/k.pem")
        refused({"OTEL_EXPORTER_OTLP_CLIENT_KEY": "/k.pem"}, "without a client certificate")

    def test_otel_exporter_otlp_insecure(self) -> None:
        environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}
        assert signal(environ).endpoint == "https://collector:4317"
        assert signal({**environ, "OTEL_EXPORTER_OTLP_INSECURE": "true"}).endpoint == "http://collector:4317"

    def test_otel_exporter_otlp_metrics_temporality_preference(self) -> None:
        name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
        assert settings({}).temporality == "cumulative"
        assert settings({name: "Delta"}).temporality == "delta"
        assert settings({name: "lowmemory"}).temporality == "delta"
        refused({name: "both"}, "expected cumulative, delta or lowmemory")

    def test_otel_exporter_otlp_metrics_default_histogram_aggregation(self) -> None:
        name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
        assert not settings({}).exponential
        assert settings({name: "base2_exponential_bucket_histogram"}).exponential
        refused({name: "linear"}, name)

    def test_otel_metric_export_interval(self) -> None:
        assert signal({}, "metrics").delay_s == 60.0
        assert signal({"OTEL_METRIC_EXPORT_INTERVAL": "1500"}, "metrics").delay_s == 1.5

    def test_otel_metric_export_timeout(self) -> None:
        assert signal({"OTEL_METRIC_EXPORT_TIMEOUT": "4000"}, "metrics").timeout_s == 4.0
        assert signal({"OTEL_METRIC_EXPORT_TIMEOUT": "40000"}, "metrics").timeout_s == 10.0

    def test_otel_metrics_exemplar_filter(self) -> None:
        assert settings({}).exemplars == "trace_based"
        assert settings({"OTEL_METRICS_EXEMPLAR_FILTER": "always_off"}).exemplars == "always_off"
        refused({"OTEL_METRICS_EXEMPLAR_FILTER": "some"}, "OTEL_METRICS_EXEMPLAR_FILTER=some")

    def test_otel_traces_sampler_otel_traces_sampler_arg(self) -> None:
        name, share = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
        assert settings({}).sampling == 1.0
        assert settings({name: "parentbased_always_off"}).sampling == 0.0
        assert settings({name: "traceidratio", share: "0.25"}).sampling == 0.25
        assert settings({name: "parentbased_traceidratio"}).sampling == 1.0
        assert settings({name: "always_on", share: "nonsense"}).sampling == 1.0
        refused({name: "traceidratio", share: "2"}, "expected a share between 0 and 1")
        refused({name: "traceidratio", share: "x"}, "expected a share between 0 and 1")
        refused({name: "jaeger_remote"}, "OTEL_TRACES_SAMPLER=jaeger_remote")

    @pytest.mark.parametrize(("prefix", "name", "delay_s"), [("OTEL_BSP", "traces", 5.0), ("OTEL_BLRP", "logs", 1.0)])
    def test_otel_bsp_and_otel_blrp_schedule_delay_max_queue_size_max_export_batch_size_export_timeout(
        self, prefix: str, name: Signal, delay_s: float
    ) -> None:
        found = signal({}, name)
        assert (found.delay_s, found.queue, found.batch, found.timeout_s) == (delay_s, 2_048, 512, 10.0)
        environ = {"SCHEDULE_DELAY": "250", "MAX_QUEUE_SIZE": "100", "MAX_EXPORT_BATCH_SIZE": "10", "EXPORT_TIMEOUT": "3000"}
        found = signal({f"{prefix}_{word}": value for word, value in environ.items()}, name)
        assert (found.delay_s, found.queue, found.batch, found.timeout_s) == (0.25, 100, 10, 3.0)
        assert signal({f"{prefix}_MAX_QUEUE_SIZE": "100"}, name).batch == 100
        refused({f"{prefix}_MAX_EXPORT_BATCH_SIZE": "5000"}, "must not be above")
        refused({f"{prefix}_MAX_QUEUE_SIZE": "1.5"}, "expected a whole number")

    def test_probekit_otlp_headers_file(self, tmp_path: Path) -> None:
        file = tmp_path / "headers"
        file.write_text("authorization=Bearer canary-three\n\nx-more=1\n")
        environ = {"PROBEKIT_OTLP_HEADERS_FILE": str(file), "OTEL_EXPORTER_OTLP_HEADERS": "x-more=0,a=b"}
        assert signal(environ).headers.reveal() == {"authorization": "Bearer canary-three", "x-more": "1", "a": "b"}
        refused({"PROBEKIT_OTLP_HEADERS_FILE": str(tmp_path / "gone")}, "PROBEKIT_OTLP_HEADERS_FILE: .* cannot be read")
        file.write_bytes(b"\xff\xfe")
        refused({"PROBEKIT_OTLP_HEADERS_FILE": str(file)}, "not UTF-8")

    def test_probekit_otlp_headers_credential(self, tmp_path: Path) -> None:
        (tmp_path / "otlp").write_text("authorization=Bearer canary-four")
        environ = {"PROBEKIT_OTLP_HEADERS_CREDENTIAL": "otlp", "CREDENTIALS_DIRECTORY": str(tmp_path)}
        assert signal(environ).headers.reveal() == {"authorization": "Bearer canary-four"}
        refused({"PROBEKIT_OTLP_HEADERS_CREDENTIAL": "otlp"}, "CREDENTIALS_DIRECTORY is unset")
        refused({**environ, "PROBEKIT_OTLP_HEADERS_CREDENTIAL": "../otlp"}, "not a credential's name")

    def test_probekit_metric_cardinality_limit(self) -> None:
        assert settings({}).cardinality_limit == 2_000
        assert settings({"PROBEKIT_METRIC_CARDINALITY_LIMIT": "50"}).cardinality_limit == 50


def test_every_honoured_variable_has_its_test() -> None:
    tested = " ".join(name for name, _ in inspect.getmembers(TestEachVariable) if name.startswith("test_"))
    for variable in HONOURED:
        name = variable.name.lower()
        if name.startswith(("otel_bsp_", "otel_blrp_")):
            prefix, _, word = name.partition("p_")
            assert f"{prefix}p" in tested, name
            assert word in tested, name
        else:
            assert name in tested, name


def test_no_variable_is_both_honoured_and_not() -> None:
    assert not {one.name for one in HONOURED} & set(NOT_HONOURED)
    assert len({one.name for one in HONOURED}) == len(HONOURED)


def test_telemetry_is_off_when_nothing_names_a_place() -> None:
    assert recorder_from_env(make.VANTAGE, {}) is None
    assert recorder_from_env(make.VANTAGE, {"OTEL_EXPORTER_OTLP_ENDPOINT": " "}) is None
    off = {f"OTEL_{name.upper()}_EXPORTER": "none" for name in SIGNALS}
    assert recorder_from_env(make.VANTAGE, {**HERE, **off}) is None


class TestHeaders:
    def test_are_never_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        headers = Headers({"authorization": "Bearer canary-six", "x-scope-orgid": "1"})
        assert "canary" not in f"{headers} {headers!r} {SignalSettings('traces', 'http://x', headers=headers)}"
        logging.getLogger("probekit.telemetry").warning("the answer was %s", redact("said canary-six, order 11"))
        assert "canary" not in caplog.text
        # A tenant's number is no secret worth hiding in every other text.
        assert "order 11" in caplog.text

    def test_compare_by_value(self) -> None:
        assert Headers({"a": "b"}) == Headers({"a": "b"}) != Headers({"a": "c"})
        assert hash(Headers({"a": "b"})) == hash(Headers({"a": "c"}))
        assert Headers({}) != {}


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request: pytest.FixtureRequest) -> Iterator[tuple[Receiver, str]]:
    with (http_receiver if request.param == "http/protobuf" else grpc_receiver)() as receiver:
        yield receiver, request.param


def test_from_the_environment_to_the_wire(receiver: tuple[Receiver, str]) -> None:
    there, protocol = receiver
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": there.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20canary-five",
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_METRIC_EXPORT_INTERVAL": "50",
        "OTEL_SERVICE_NAME": "oracle",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_BLRP_SCHEDULE_DELAY": "10",
    }
    recorder = recorder_from_env(make.VANTAGE, environ)
    assert recorder is not None
    recorder.start(make.info())
    recorder.record(make.bad_run())
    until(lambda: there.spans() and there.logs() and len(there.of("metrics")) > 1, "all three signals")
    recorder.close()
    assert {one.headers["authorization"] for one in there.received} == {"Bearer canary-five"}
    resource: Any = there.of("traces")[0].resource_spans[0].resource
    assert attributes(resource)["service.name"] == "oracle"
    duration = there.metrics()["probekit.run.duration"]
    assert duration.exponential_histogram.aggregation_temporality == 1
    counts = [
        points(metric)[0].count
        for message in there.of("metrics")
        for metric in message.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "probekit.run.duration"
    ]
    assert sum(counts) == 1


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    """A new interpreter with this package, installed or not."""
    paths = os.pathsep.join((str(Path(probekit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
    environ = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ)


@pytest.mark.parametrize(
    ("missing", "protocol", "extra"),
    [("opentelemetry.sdk", "http/protobuf", "otel"), ("grpc", "grpc", "otel-grpc")],
)
def test_a_missing_extra_is_one_sentence(missing: str, protocol: str, extra: str) -> None:
    script = f"""
import sys
sys.modules[{missing!r}] = None
from probekit.errors import ConfigError
from probekit.model import Vantage
from probekit.telemetry import recorder_from_env
try:
    recorder_from_env(Vantage(host="h"), {{"OTEL_EXPORTER_OTLP_PROTOCOL": {protocol!r}}}, enabled=True)
except ConfigError as error:
    print(error.message)
"""
    done = run_python(script)
    assert done.stdout.startswith(f"telemetry needs {missing}")
    assert done.stdout.rstrip().endswith(str(missing_extra("", extra)))


def test_importing_telemetry_imports_no_sdk() -> None:
    script = "import sys, probekit.telemetry, probekit.telemetry.jsonl, probekit.telemetry.names\n"
    script += "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'grpc', 'google')])"
    done = run_python(script)
    assert done.stdout.strip() == "[]"
