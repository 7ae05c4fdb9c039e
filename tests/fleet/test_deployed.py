"""Three hosts from nothing to probes that run: what is deployed, what a check tells, and how long it takes."""

from __future__ import annotations

import json
import re

import pytest

from probekit.dev.artifacts.profiles import executable_name
from tests.fleet.deployment import COLLECTOR, CONFINED, KEY, NOTE, SECRET, UNIT, WITHOUT_COLLECTOR, Deployed
from tests.fleet.hosts import HOSTS, ROOT

pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.timeout(900)]

# Three times what was asked of this machine when nothing else ran on it: what else it does is not the playbook's. The times
# themselves are in build/fleet.json.
MOST_FRESH_S = 3 * 90.0
MOST_UNCHANGED_S = 3 * 30.0


def test_every_host_runs_its_probe_ready_and_says_from_where(deployed: Deployed) -> None:
    assert deployed.everywhere("systemctl", "is-active", UNIT) == dict.fromkeys(HOSTS, "active")
    status = deployed.everywhere("systemctl", "show", "--property=StatusText", UNIT)
    assert status == dict.fromkeys(HOSTS, "StatusText=hermes_latency ok: 2 ok")
    for name, journal in deployed.everywhere("journalctl", "--no-pager", "--output=cat", "--unit", UNIT).items():
        assert f"({name}-1, nspawn, {name}/latency, " in journal


def test_a_check_of_a_fresh_host_tells_what_would_be_and_does_none_of_it(deployed: Deployed) -> None:
    assert deployed.checked.code == 0, deployed.checked.output
    assert deployed.checked.changed["eu"] > 5
    assert deployed.left_by_check == ""


def test_a_check_shows_the_difference_and_no_secret(deployed: Deployed) -> None:
    eu = deployed.fleet.hosts["eu"]
    before = eu.ssh("readlink", "/opt/probekit/current")
    with deployed.configured(percentile=93):
        # One host tells it, and quicker.
        units = [
            {
                **deployed.operator.variables["probe_units"][-1],
                "credentials": {"hermes_key": f"new-{SECRET}"},
                "data_max": "400M",
            }
        ]
        checked = deployed.operator.play(
            *("site", "--check", "--diff", "--limit", "eu"),
            probe_units=units,
            collector_queue_bytes=100_000_000,
            collector_headers={"authorization": f"{KEY}-new"},
        )
    assert checked.code == 0, checked.output
    assert '"percentile": 93' in checked.output
    assert "+LimitDATA=400M" in checked.output
    assert "100000000" in checked.output
    assert SECRET not in checked.output
    # A dollar sign is written twice: of what leaks, this word is as it was.
    assert KEY.split()[-1] not in checked.output
    assert "Restart the collector" in checked.output
    assert "Restart the probes" in checked.output
    assert checked.changed["eu"] > 0
    assert eu.ssh("readlink", "/opt/probekit/current") == before
    assert eu.ssh("grep -c 400M /etc/systemd/system/probekit-probe@latency.service.d/*", check=False).strip() == "0"


def test_the_releases_are_those_of_the_build_and_only_read(deployed: Deployed) -> None:
    built = json.loads((deployed.work / "dist" / "manifest.json").read_text())
    core = executable_name("core")
    for sums in deployed.everywhere("sha256sum", f"/opt/probekit/current/{core}").values():
        assert sums.split()[0] == built["profiles"]["core"]["sha256"]
    found = "find /opt/probekit -user probekit -o -perm /022 -not -type l && echo looked"
    assert set(deployed.everywhere(found).values()) == {"looked"}


def test_a_second_run_changes_nothing_and_both_are_quick(deployed: Deployed) -> None:
    played = deployed.operator.play("site")
    assert played.code == 0, played.output
    copies = ("Copy executables and launchers", "Write the unit that all", "Put the credentials there")
    for task in (*copies, "Copy the executable", "Write the unit", "Put the headers there"):
        assert played.skipped(task), task
    assert played.changed == dict.fromkeys(HOSTS, 0), "\n".join(re.findall(r"TASK.*|RUNNING.*|changed:.*", played.output))
    checked = deployed.operator.play("site", "--check", "--diff", "--limit", "eu")
    assert checked.code == 0, checked.output
    assert checked.changed == {"eu": 0}, checked.output
    told = {"site on three fresh hosts": deployed.played.seconds, "site that changes nothing": played.seconds}
    (ROOT / "build" / "fleet.json").write_text(
        json.dumps({name: round(took, 1) for name, took in told.items()}, indent=1) + "\n"
    )
    assert deployed.played.seconds < MOST_FRESH_S
    assert played.seconds < MOST_UNCHANGED_S


def test_what_is_newer_than_a_process_restarts_it(deployed: Deployed) -> None:
    """A credential alone; a header that an earlier run has put there and did not come to restart the collector for.

    And files of the release in force are put right: one that somebody changed, and one that somebody may. All of it by who is
    not root, and may become it.
    """
    eu = deployed.fleet.hosts["eu"]
    units = deployed.operator.variables["probe_units"]
    others = [units[0], {**units[-1], "credentials": {"hermes_key": f"new-{SECRET}"}}]
    launcher = eu.ssh("readlink", "-f", "/opt/probekit/current/units/freshness").strip()
    written, was = "/opt/probekit/current/units/latency.yaml", eu.ssh("sha256sum", launcher)
    eu.ssh(f"echo >>{launcher} && chmod a+w {written} && touch /etc/probekit-collector/credentials/authorization")
    eu.ssh("useradd --create-home ops && cp -r ~/.ssh ~ops/ && chown -R ops: ~ops/.ssh")
    refused = deployed.operator.play("site", "--limit", "eu", ansible_user="ops", **WITHOUT_COLLECTOR)
    assert "On eu this runs as ops: connect as root, or become root" in " ".join(refused.output.split()), refused.output
    eu.ssh("echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops")

    invocations = {unit: eu.shown(unit, "InvocationID") for unit in (COLLECTOR, UNIT)}
    played = deployed.operator.play("site", "--limit", "eu", probe_units=others, ansible_user="ops", ansible_become=True)
    assert played.code == 0, played.output
    assert all(eu.shown(unit, "InvocationID") != before for unit, before in invocations.items())
    assert eu.ssh(f"cat /run/credentials/{UNIT}/hermes_key") == f"new-{SECRET}"
    assert eu.ssh("sha256sum", launcher) == was
    assert eu.ssh("stat", "--format=%a", written).strip() == "644"
    # The next run of others finds it as it was.
    (eu.root / "etc/probekit/credentials/latency/hermes_key").write_text(SECRET)


def test_units_are_confined(deployed: Deployed) -> None:
    wanted = {
        **CONFINED,
        "MemoryMax": str(256 * 2**20),
        "TasksMax": "320",
        "LimitDATA": str(512 * 2**20),
        "Type": "notify",
        "WatchdogUSec": "2min",
        "User": "probekit",
        "StateDirectory": f"probekit/{UNIT.partition('@')[2].removesuffix('.service')}",
    }
    host = deployed.fleet.hosts["eu"]
    assert host.shown(UNIT, *wanted) == wanted
    process = host.shown(UNIT, "MainPID")["MainPID"]
    effective = host.ssh("grep", "CapEff", f"/proc/{process}/status")
    assert effective.split()[1].strip("0") == ""


def test_a_variable_reaches_the_probe_as_it_was_written(deployed: Deployed) -> None:
    host = deployed.fleet.hosts["ap"]
    process = host.shown(UNIT, "MainPID")["MainPID"]
    environment = host.ssh(f"tr '\\0' '\\n' < /proc/{process}/environ").splitlines()
    assert f"PROBEKIT_TEST_NOTE={NOTE}" in environment


def test_a_secret_is_in_nothing_but_its_file(deployed: Deployed) -> None:
    assert SECRET not in deployed.played.output + deployed.checked.output
    for name, host in deployed.fleet.hosts.items():
        seen = [
            host.ssh("journalctl", "--no-pager"),
            host.ssh("systemctl", "cat", UNIT),
            host.ssh("systemctl", "show", UNIT),
            host.ssh("ps", "axeww", "-o", "args"),
        ]
        assert all(SECRET not in text for text in seen), name
        # Executables stand unpacked below /opt.
        found = host.ssh("grep", "-rlF", SECRET, "/etc", "/opt", "/var", "/root", "/tmp", check=False).split()
        assert found == ["/etc/probekit/credentials/latency/hermes_key"]
        assert host.ssh("stat", "--format=%a %U", found[0]).strip() == "600 root"
    assert SECRET.encode() not in deployed.centre.everything()
