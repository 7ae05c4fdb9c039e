"""Three hosts from nothing to probes that run, and back: what is deployed, what stops a deployment, and what is left of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.profiles import PROFILES, executable_name
from tests.fleet.ansible import Operator
from tests.fleet.hosts import CENTRE, CENTRE_ADDRESS, ROOT, Fleet, fleet, lacking, within

pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.timeout(900)]

HOSTS = ("eu", "us", "ap")
FEED = "0xe62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
UNIT = "probekit-probe@latency.service"
SECRET = "a-key-that-nobody-may-read-7f3a"


@dataclass
class Deployed:
    """A fleet on which ``site`` has run."""

    fleet: Fleet
    operator: Operator
    work: Path
    output: str

    def everywhere(self, *command: str) -> dict[str, str]:
        return {name: host.ssh(*command, check=False).strip() for name, host in self.fleet.hosts.items()}


def manifest(**options: Any) -> str:
    """A YAML of hermes_latency against the sandbox at the centre."""
    return json.dumps(
        {
            "probe": "hermes_latency",
            "interval": "10s",
            "options": {
                "endpoint": f"http://{CENTRE_ADDRESS}:8080",
                "feeds": [FEED],
                "api_key": "credential:hermes_key",
                "timeout": "5s",
                **options,
            },
        }
    )


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    if (reason := lacking()) is not None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    work = tmp_path_factory.mktemp("fleet")
    build(ROOT, work / "dist", PROFILES[:1], say=lambda what: None)
    (work / "latency.yaml").write_text(manifest())
    units = [
        {
            "name": "latency",
            "probe": "hermes_latency",
            "manifest": str(work / "latency.yaml"),
            "credentials": {"hermes_key": SECRET},
        }
    ]
    with fleet(HOSTS, ROOT / "build" / "fleet", work) as hosts:
        sandbox = within(CENTRE, sys.executable, "-m", "probekit.dev.hermes", "--host", "0.0.0.0", "--port", "8080")
        with subprocess.Popen(sandbox, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as hermes:
            try:
                operator = Operator(
                    hosts, work, {"probe_dist": str(work / "dist"), "probe_otlp_endpoint": "", "probe_units": units}
                )
                played = operator.play("site")
                assert played.code == 0, played.output
                yield Deployed(hosts, operator, work, played.output)
            finally:
                hermes.kill()


def test_every_host_runs_its_probe_ready_and_says_from_where(deployed: Deployed) -> None:
    assert deployed.everywhere("systemctl", "is-active", UNIT) == dict.fromkeys(HOSTS, "active")
    status = deployed.everywhere("systemctl", "show", "--property=StatusText", UNIT)
    assert status == dict.fromkeys(HOSTS, "StatusText=hermes_latency ok: 2 ok")
    for name, journal in deployed.everywhere("journalctl", "--no-pager", "--output=cat", "--unit", UNIT).items():
        assert f"({name}-1," in journal


def test_the_releases_are_those_of_the_build_and_only_read(deployed: Deployed) -> None:
    built = json.loads((deployed.work / "dist" / "manifest.json").read_text())
    core = executable_name("core")
    for sums in deployed.everywhere("sha256sum", f"/opt/probekit/current/{core}").values():
        assert sums.split()[0] == built["profiles"]["core"]["sha256"]
    assert set(deployed.everywhere("find /opt/probekit -user probekit -o -perm /022 -not -type l").values()) == {""}


def test_a_second_run_changes_nothing(deployed: Deployed) -> None:
    played = deployed.operator.play("site")
    assert played.code == 0, played.output
    assert played.changed == dict.fromkeys(HOSTS, 0)


def test_units_are_confined(deployed: Deployed) -> None:
    wanted = {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "CapabilityBoundingSet": "",
        "MemoryMax": str(256 * 2**20),
        "TasksMax": "320",
        "LimitDATA": str(512 * 2**20),
        "Restart": "always",
        "Type": "notify",
        "WatchdogUSec": "2min",
        "User": "probekit",
    }
    shown = deployed.fleet.hosts["eu"].ssh("systemctl", "show", UNIT, *(f"--property={name}" for name in wanted))
    assert dict(line.split("=", 1) for line in shown.splitlines()) == wanted
    process = deployed.fleet.hosts["eu"].ssh("systemctl", "show", "--value", "--property=MainPID", UNIT).strip()
    effective = deployed.fleet.hosts["eu"].ssh("grep", "CapEff", f"/proc/{process}/status")
    assert effective.split()[1].strip("0") == ""


def test_a_probe_that_is_killed_comes_back_and_goes_on(deployed: Deployed) -> None:
    host = deployed.fleet.hosts["us"]

    def pid() -> str:
        return host.ssh("systemctl", "show", "--value", "--property=MainPID", UNIT).strip()

    before = pid()
    host.ssh("kill", "-9", before)
    until(lambda: pid() not in (before, "0"), 30, "another process")
    until(lambda: host.ssh("systemctl", "is-active", UNIT, check=False).strip() == "active", 30, "a run of it")


def test_a_secret_is_in_nothing_but_its_file(deployed: Deployed) -> None:
    assert SECRET not in deployed.output
    for name, host in deployed.fleet.hosts.items():
        seen = [
            host.ssh("journalctl", "--no-pager"),
            host.ssh("systemctl", "cat", UNIT),
            host.ssh("systemctl", "show", UNIT),
            host.ssh("ps", "axeww", "-o", "args"),
        ]
        assert all(SECRET not in text for text in seen), name
        found = host.ssh("grep", "-rlF", SECRET, "/etc", "/opt", "/var", "/root", "/tmp", check=False).split()
        assert found == ["/etc/probekit/credentials/latency/hermes_key"]
        assert host.ssh("stat", "--format=%a %U", found[0]).strip() == "600 root"


def test_a_wrong_key_on_one_probe_switches_no_host(deployed: Deployed) -> None:
    before = deployed.everywhere("readlink", "/opt/probekit/current")
    (deployed.work / "latency.yaml").write_text(manifest(fedes=[FEED]))
    try:
        played = deployed.operator.play("site")
    finally:
        (deployed.work / "latency.yaml").write_text(manifest())
    assert played.code != 0
    assert "units/latency.yaml:1:" in played.output
    assert "unknown key; did you mean 'feeds'?" in played.output
    assert deployed.everywhere("readlink", "/opt/probekit/current") == before
    assert deployed.everywhere("systemctl", "is-active", UNIT) == dict.fromkeys(HOSTS, "active")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"probe_unts": []}, "No such variable of the role probe: probe_unts"),
        ({"probe_keep_releases": "many"}, "probe_keep_releases"),
        ({"probe_dist": "/nonexistent"}, "/nonexistent/manifest.json is missing or of another format: run make dist"),
        ({"probe_units": [{"name": "a", "probe": "no_such", "manifest": "x"}]}, "holds no probe no_such"),
        (
            {"probe_units": [{"name": "Latency!", "probe": "hermes_latency", "manifest": "x"}]},
            "by small letters, digits, - and _",
        ),
    ],
)
def test_what_cannot_work_stops_in_the_preflight(deployed: Deployed, wrong: dict[str, Any], sentence: str) -> None:
    played = deployed.operator.play("site", **wrong)
    assert played.code != 0
    assert sentence in " ".join(played.output.split()), played.output
    assert "Make the user" not in played.output


def test_a_file_that_is_not_what_was_built_stops_in_the_preflight(deployed: Deployed) -> None:
    other = deployed.work / "other"
    shutil.copytree(deployed.work / "dist", other)
    with (other / executable_name("core")).open("ab") as file:
        file.write(b"\0")
    played = deployed.operator.play("site", probe_dist=str(other))
    assert played.code != 0
    assert f"{executable_name('core')} is not what manifest.json describes" in played.output


def test_a_unit_that_is_no_longer_wanted_goes_and_a_new_release_takes_over(deployed: Deployed) -> None:
    units = deployed.operator.variables["probe_units"]
    before = deployed.everywhere("readlink", "/opt/probekit/current")
    played = deployed.operator.play("site", probe_units=[{**units[0], "name": "second"}])
    assert played.code == 0, played.output
    assert deployed.everywhere("systemctl", "is-active", UNIT) == dict.fromkeys(HOSTS, "inactive")
    assert deployed.everywhere("systemctl", "is-active", "probekit-probe@second.service") == dict.fromkeys(HOSTS, "active")
    assert deployed.everywhere("ls", "/etc/probekit/credentials") == dict.fromkeys(HOSTS, "second")
    assert all(now != before[name] for name, now in deployed.everywhere("readlink", "/opt/probekit/current").items())


def test_nothing_is_left_after_decommission(deployed: Deployed) -> None:
    played = deployed.operator.play("decommission")
    assert played.code == 0, played.output
    left = deployed.everywhere(
        "find / -xdev -name '*probekit*' -not -path '/proc/*' -not -path '/sys/*'; getent passwd probekit"
    )
    assert left == dict.fromkeys(HOSTS, "")
    assert set(deployed.everywhere("systemctl", "list-units", "--all", "--no-legend", "probekit*").values()) == {""}
    again = deployed.operator.play("decommission")
    assert again.code == 0, again.output
    assert again.changed == dict.fromkeys(HOSTS, 0)
