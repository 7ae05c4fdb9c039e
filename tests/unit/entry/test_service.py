"""A probe as a systemd service: what the manager is told and when, the vantage of a deployment, one process per identity."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from probekit.cli.main import main as cli
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread
from probekit.entry.output import junit, plain_table, rich_table
from probekit.entry.service import SystemdNotifier, claim_instance, notifier
from probekit.entry.vantage import VARIABLES, vantage_of
from probekit.errors import ConfigError
from probekit.model import ProbeRun, Status, Target, TargetResult, Vantage, Verdict
from probekit.runner.encode import decode_run, encode_run
from probekit.telemetry.environment import read
from probekit.telemetry.spans import resource_of, spans_of
from probekit.units import Instant

ROOT = Path(__file__).parents[3]


class Manager:
    """systemd's end of the socket."""

    def __init__(self, address: str | bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def told(self) -> list[list[str]]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


def run_of(*statuses: Status) -> ProbeRun:
    now = Instant.parse("2026-09-12T10:00:00Z")
    results = tuple(
        TargetResult(Target(f"t{n}", "service"), (Verdict("check", status, "why", "message"),))
        for n, status in enumerate(statuses)
    )
    return ProbeRun(
        probe="p", run_id="ab" * 16, vantage=Vantage("h"), scheduled_at=now, started_at=now, elapsed_ns=1, results=results
    )


async def test_ready_follows_the_first_run_and_every_run_feeds_the_watchdog(manager: Manager, tmp_path: Path) -> None:
    made = notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, interval=timedelta(seconds=5))
    assert made is not None
    assert manager.told() == []
    made.record(run_of(Status.CRITICAL, Status.OK, Status.OK))
    made.record(run_of())
    await made.aclose()
    assert manager.told() == [
        ["READY=1", "WATCHDOG=1", "STATUS=p critical: 1 critical, 2 ok"],
        ["WATCHDOG=1", "STATUS=p unknown: nothing judged"],
        ["STOPPING=1"],
    ]


async def test_ready_that_was_not_heard_is_said_again(tmp_path: Path) -> None:
    made = SystemdNotifier(str(tmp_path / "notify"))
    made.record(run_of(Status.OK))
    manager = Manager(str(tmp_path / "notify"))
    made.record(run_of(Status.OK))
    made.record(run_of(Status.OK))
    await made.aclose()
    told = manager.told()
    manager.close()
    assert [one[0] for one in told] == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


async def test_the_socket_may_have_an_abstract_name() -> None:
    name = f"probekit-test-{os.getpid()}"
    manager = Manager(b"\0" + name.encode())
    made = SystemdNotifier(f"@{name}")
    await made.aclose()
    assert manager.told() == [["STOPPING=1"]]
    manager.close()


async def test_a_manager_that_is_gone_stops_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = SystemdNotifier(str(tmp_path / "absent"))
    made.record(run_of(Status.OK))
    made.record(run_of(Status.OK))
    await made.aclose()
    assert [record.message for record in caplog.records] == ["the service manager cannot be told: No such file or directory"]


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"NOTIFY_SOCKET": "notify"}, "NOTIFY_SOCKET: 'notify' is no socket's path"),
        ({"NOTIFY_SOCKET": "@"}, "NOTIFY_SOCKET: '@' is no socket's path"),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "5s"}, "WATCHDOG_USEC: '5s' is no number of microseconds"),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "10000000"}, "WatchdogSec=10 is not longer than two intervals of 5 s"),
    ],
)
def test_a_service_that_could_not_work_does_not_start(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        notifier(environ, interval=timedelta(seconds=5))


def test_outside_systemd_nobody_is_told() -> None:
    assert notifier({}, interval=timedelta(seconds=5)) is None
    made = notifier({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "10000001"}, interval=timedelta(seconds=5))
    assert made is not None
    made._socket.close()


def test_explaining_refuses_what_the_unit_would_be_refused_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deployment lets a probe explain its configuration before it switches, with the watchdog that the unit will have."""
    command = ["run", "hermes_freshness", "--explain", "--interval", "60s"]
    monkeypatch.setenv("WATCHDOG_USEC", "120000000")
    assert cli(command) == 3
    assert "WatchdogSec=120 is not longer than two intervals of 60 s" in capsys.readouterr().err
    monkeypatch.setenv("WATCHDOG_USEC", "121000000")
    assert cli(command) == 0


def test_a_run_says_from_where_it_was_seen_wherever_it_is_told() -> None:
    vantage = Vantage("eu-1", "eu-west", "aws", "freshness")
    run = msgspec.structs.replace(run_of(Status.CRITICAL), vantage=vantage)
    assert "(eu-west, aws, eu-1/freshness, " in plain_table(run).splitlines()[0]
    assert str(rich_table(run).title).startswith(plain_table(run).split(" - ")[0])
    assert "(eu-west, aws, eu-1/freshness, " in str(rich_table(run).title)
    told = {"host": "eu-1", "region": "eu-west", "provider": "aws", "unit": "freshness"}
    assert json.loads(encode_run(run))["vantage"] == told
    assert decode_run(encode_run(run)).vantage == vantage
    settings = read({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, vantage, "1", enabled=True)
    assert settings is not None
    (span,) = spans_of(run, resource_of(dict(settings.resource)))
    assert span.attributes is not None
    assert span.attributes["vantage.region"] == "eu-west"
    seen = {"cloud.region": "eu-west", "cloud.provider": "aws", "host.name": "eu-1", "service.instance.id": "eu-1/freshness"}
    assert seen.items() <= dict(span.resource.attributes).items()
    report = junit(run)
    assert 'hostname="eu-1"' in report
    for name, value in (("cloud.region", "eu-west"), ("service.instance.id", "eu-1/freshness")):
        assert f'<property name="{name}" value="{value}"/>' in report


def test_a_deployment_says_the_vantage_and_wins_over_the_manifest() -> None:
    given = {"region": "eu", "provider": "ovh", "unit": "m"}
    environ = {"PROBEKIT_REGION": "ap-1", "PROBEKIT_HOST": "ap-host", "PROBEKIT_PROVIDER": ""}
    assert vantage_of("p", given, environ) == Vantage("ap-host", "ap-1", "ovh", "m")
    assert vantage_of("p", given, environ, region="us") == Vantage("ap-host", "us", "ovh", "m")
    assert vantage_of("p", {}, {}) == Vantage(socket.gethostname(), "local", None, "p")


@pytest.mark.parametrize("variable", VARIABLES.values())
@pytest.mark.parametrize("value", [" ", "a\nb", "x" * 256])
def test_a_vantage_that_is_no_name_is_refused(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: expected text of 1 to 255 printable characters"):
        vantage_of("p", {}, {variable: value})


def test_an_identity_is_held_by_one_and_given_back() -> None:
    one = f"host/{os.getpid()}"
    first = claim_instance(one)
    other = claim_instance(one + "x")
    with pytest.raises(ConfigError, match=rf"another process on this host already reports as {one} \(service.instance.id\)"):
        claim_instance(one)
    first.release()
    claim_instance(one).release()
    other.release()


def test_ids_longer_than_a_socket_name_are_told_apart() -> None:
    claims = [claim_instance("h" * 200 + tail) for tail in "ab"]
    for claim in claims:
        claim.release()


def test_a_second_process_of_one_id_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = f"unit-{os.getpid()}"
    held = claim_instance(f"one-host/{unit}")
    for name, value in {"HOST": "one-host", "UNIT": unit}.items():
        monkeypatch.setenv(f"PROBEKIT_{name}", value)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert cli(["run", "hermes_proof", "--once"]) == 3
    held.release()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"another process on this host already reports as one-host/{unit}" in line


@pytest.mark.parametrize("refused", ["claim", "record"])
def test_a_loop_that_refuses_to_start_leaves_no_socket_open(
    refused: str, monkeypatch: pytest.MonkeyPatch, manager: Manager, tmp_path: Path
) -> None:
    unit = f"loop-{os.getpid()}"
    for name, value in {"HOST": "one-host", "UNIT": unit}.items():
        monkeypatch.setenv(f"PROBEKIT_{name}", value)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    made: list[SystemdNotifier] = []
    begin = SystemdNotifier.__init__

    def kept(self: SystemdNotifier, path: str) -> None:
        begin(self, path)
        made.append(self)

    monkeypatch.setattr(SystemdNotifier, "__init__", kept)
    command = ["run", "hermes_proof", "--loop"]
    if refused == "claim":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        held = claim_instance(f"one-host/{unit}")
        assert cli(command) == 3
        held.release()
    else:
        assert cli([*command, "--record", str(tmp_path)]) == 3
        assert len(made) == 1
    assert [one._socket.fileno() for one in made] == [-1] * len(made)
    assert manager.told() == []


def test_a_probe_started_by_a_manager_tells_it_of_its_runs(manager: Manager, tmp_path: Path) -> None:
    network = SandboxNetwork(feeds=2)
    feeds = json.dumps([str(market.feed.id) for market in network.markets])
    command = [sys.executable, "probes/hermes_latency.py", "--loop", "--runs", "1", "--json"]
    with serve_in_thread(Sandbox(network)) as url:
        done = subprocess.run(
            [*command, "--set", f"endpoint={url}", "--set", f"feeds={feeds}"],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "WATCHDOG_USEC": "600000000",
                "PROBEKIT_REGION": "eu-1",
                "PROBEKIT_PROVIDER": "ovh",
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    run = json.loads(done.stdout.splitlines()[-1])
    assert (run["vantage"]["region"], run["vantage"]["provider"]) == ("eu-1", "ovh"), done.stderr
    first, last = manager.told()
    assert first[:2] == ["READY=1", "WATCHDOG=1"]
    assert first[2].startswith("STATUS=hermes_latency ")
    assert last == ["STOPPING=1"]
