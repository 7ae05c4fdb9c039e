"""What breaks on three deployed hosts, and what goes on: processes, memory, the way to a host, and what was asked wrongly."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from probekit.dev.artifacts.launcher import launcher
from probekit.dev.artifacts.manifest import digest
from probekit.dev.artifacts.profiles import executable_name
from tests.fleet.ansible import Played
from tests.fleet.centre import Sample
from tests.fleet.deployment import BTC, INTERVAL_S, UNIT, UNITS, WITHOUT_COLLECTOR, Deployed, latency, manifest
from tests.fleet.hosts import Host
from tests.fleet.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.timeout(900)]

CORE = executable_name("core")
LEAK = "probekit-probe@leak.service"
STUCK = "probekit-probe@stuck.service"
LEAKS = '''"""Does this process give back what it takes, and go on?"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import probekit as pk

kept = []


class Options(pk.Options, frozen=True, kw_only=True):
    each_mb: int = 48
    stuck_after: int = 1_000


@dataclass(frozen=True)
class Kept:
    name: ClassVar[str] = "kept"

    def __call__(self, observation: pk.Observation[int], *, now: pk.Instant) -> pk.Verdict:
        return pk.Verdict(self.name, pk.Status.OK, "kept", f"{observation.value} pieces")


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target("memory", "process")]


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[int]]:
    kept.append(bytearray(ctx.options.each_mb << 20))
    if len(kept) > ctx.options.stuck_after:
        time.sleep(600)
    yield pk.Observation(len(kept), "memory", ctx.clock.now(), "memory")


probe = pk.Probe.poll(
    name="leak", question=__doc__, options=Options, targets=targets, observe=observe, checks=lambda options, target: [Kept()],
    interval=timedelta(seconds=1),
)
'''


def shown(host: Host, unit: str, name: str) -> str:
    return host.shown(unit, name)[name]


def active(host: Host, unit: str = UNIT) -> bool:
    return shown(host, unit, "ActiveState") == "active"


def release_of(host: Host) -> str:
    """The release that the process runs, not the one that it should."""
    return host.ssh(
        f"tr '\\0' '\\n' < /proc/{shown(host, UNIT, 'MainPID')}/cmdline | grep -o '/opt/probekit/releases/[0-9a-f]*' | head -1"
    )


def widest_gap_s(samples: list[Sample]) -> float:
    times = [sample.time for sample in samples]
    return max(after - before for before, after in pairwise(times))


def test_a_probe_that_is_killed_comes_back_and_its_series_continue(deployed: Deployed) -> None:
    host = deployed.fleet.hosts["us"]
    asked = time.time()
    until(lambda: deployed.centre.samples("us/latency", asked), "a sample of us/latency", 30)
    before = deployed.centre.samples("us/latency")[-1]
    process = shown(host, UNIT, "MainPID")
    host.ssh("kill", "-9", process)
    until(lambda: shown(host, UNIT, "MainPID") not in (process, "0") and active(host), "another process that ran", 60)

    def counted_again() -> bool:
        newest = deployed.centre.samples("us/latency")[-1]
        return newest.start > before.time and newest.runs >= 3

    until(counted_again, "three runs of the new process at the centre", 60)
    series = deployed.centre.samples("us/latency", before.time)
    # One series: the same identity, counting again from a later start, as a restart of a counter is told.
    assert {(sample.instance, sample.region) for sample in series} == {("us/latency", "us-1")}
    assert [sample.start for sample in series] == sorted(sample.start for sample in series)
    assert len({sample.start for sample in series}) == 2
    assert widest_gap_s(series) < 30
    others = {name: deployed.centre.samples(f"{name}/latency", before.time) for name in ("eu", "ap")}
    assert {name: len({one.start for one in told}) for name, told in others.items()} == {"eu": 1, "ap": 1}


def test_a_second_process_of_one_id_refuses_to_start(deployed: Deployed) -> None:
    host = deployed.fleet.hosts["eu"]
    variables = "PROBEKIT_UNIT=latency OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9"
    variables += " CREDENTIALS_DIRECTORY=/etc/probekit/credentials/latency"
    started = f"{variables} /opt/probekit/current/units/latency --once --config /opt/probekit/current/units/latency.yaml"
    said = host.ssh(f"{started} 2>&1; echo exit $?")
    assert said.splitlines() == [
        "probekit run hermes_latency: another process on this host already reports as eu/latency (service.instance.id): "
        "stop it, or give this one a unit of its own (error.type=config)",
        "exit 3",
    ]
    # Under an id of its own it runs, beside the other.
    assert "hermes_latency: OK" in host.ssh(f"env {started.replace('PROBEKIT_UNIT=latency', 'PROBEKIT_UNIT=by-hand')} 2>&1")
    assert active(host)


@pytest.fixture(scope="module")
def leaking(deployed: Deployed) -> Path:
    """A build with one more launcher, of a probe that keeps all it takes or hangs; the probe itself is put on the hosts."""
    dist = deployed.work / "leaking"
    shutil.copytree(deployed.work / "dist", dist)
    (dist / "leak").write_text(launcher("leak", CORE))
    told = json.loads((dist / "manifest.json").read_text())
    sha256, size = digest(dist / "leak")
    told["probes"]["leak"] = {
        **told["probes"]["hermes_latency"],
        "file": "leak",
        "sha256": sha256,
        "size": size,
    }
    (dist / "manifest.json").write_text(json.dumps(told))
    (deployed.work / "leak.yaml").write_text("probe: leak\ninterval: 1s\n")
    (deployed.work / "stuck.yaml").write_text("probe: leak\ninterval: 1s\noptions: {each_mb: 0, stuck_after: 2}\n")
    for host in deployed.fleet.hosts.values():
        (host.root / "opt/leak").mkdir()
        (host.root / "opt/leak/leak.py").write_text(LEAKS)
    return dist


def test_a_probe_that_leaks_or_hangs_is_ended_and_its_neighbour_never_notices(deployed: Deployed, leaking: Path) -> None:
    """By its limit of memory, and by its watchdog."""
    units = deployed.operator.variables["probe_units"]
    leak = {
        "name": "leak",
        "manifest": str(deployed.work / "leak.yaml"),
        "data_max": "320M",
        "environment": {"PROBEKIT_PROBE_PATH": "/opt/leak"},
    }
    stuck = {**leak, "name": "stuck", "probe": "leak", "manifest": str(deployed.work / "stuck.yaml"), "watchdog": "5s"}
    played = deployed.operator.play(
        "site", "--limit", "eu", probe_units=[*units, leak, stuck], probe_dist=str(leaking), **WITHOUT_COLLECTOR
    )
    assert played.code == 0, played.output
    host = deployed.fleet.hosts["eu"]
    assert shown(host, LEAK, "LimitDATA") == str(320 * 2**20)
    # Control groups of version 1 enforce no unit's MemoryMax= here: that it is set is all that can be seen.
    assert shown(host, LEAK, "MemoryMax") == str(256 * 2**20)
    began = time.time()

    # The fourth is told before its wait: by then three were made.
    until(lambda: int(shown(host, LEAK, "NRestarts")) >= 4, "three restarts of the probe that leaks", 240)
    journal = host.ssh("journalctl", "--no-pager", "--output=short-unix", "--unit", LEAK).splitlines()
    assert any("probekit run leak: out of memory" in line for line in journal), "\n".join(journal[-40:])
    exits = [float(line.split()[0]) for line in journal if "Main process exited" in line]
    starts = [float(line.split()[0]) for line in journal if f"Started {LEAK}" in line]
    waits = [next(start - ended for start in starts if start > ended) for ended in exits[:3]]
    # 1, 2 and 4 seconds beside what a start takes.
    assert waits[0] >= 1.0, waits
    assert waits[1] >= 2.0, waits
    assert waits[2] >= 4.0, waits

    # Two runs feed the watchdog, the third never ends.
    until(lambda: int(shown(host, STUCK, "NRestarts")) >= 1, "a restart of the probe that hangs", 60)
    journal = host.ssh("journalctl", "--no-pager", "--output=cat", "--unit", STUCK).splitlines()
    assert sum(line.startswith("leak: OK") for line in journal) >= 2
    assert f"{STUCK}: Watchdog timeout (limit 5s)!" in journal, "\n".join(journal[-40:])

    series = deployed.centre.samples("eu/latency", began)
    assert len({sample.start for sample in series}) == 1, "the neighbour was started again"
    assert widest_gap_s(series) < 3 * INTERVAL_S
    assert series[-1].runs > series[0].runs
    # What leaks tells that it does, as what it is: a fault of this side.
    assert any(sample.runs >= 3 for sample in deployed.centre.samples("eu/leak"))

    # It would not listen, and its stop take half a minute.
    host.ssh(f"systemctl stop --no-block {STUCK} && systemctl kill --signal=KILL {STUCK}")
    played = deployed.operator.play("site", "--limit", "eu", **WITHOUT_COLLECTOR)
    assert played.code == 0, played.output
    assert {shown(host, one, "ActiveState") for one in (LEAK, STUCK)} == {"inactive"}
    assert host.ssh("ls", "/run/probekit-probe").split() == list(UNITS)


def test_a_host_that_goes_away_half_way_is_brought_up_to_date_by_the_next_run(deployed: Deployed) -> None:
    """Twice the same host, at another place: the second time it has switched already, and not restarted, so the next run finds
    every file as it should be.
    """
    eu, us = deployed.fleet.hosts["eu"], deployed.fleet.hosts["us"]
    before = deployed.everywhere("readlink", "/opt/probekit/current")
    # As releases that were refused leave them: newer than the one in force, which outlives them all the same.
    eu.ssh("cd /opt/probekit/releases && mkdir refused-1 && mkdir refused-2")
    # Two hosts tell it as three do, and quicker.
    limit = ("--limit", "eu,us")

    def site_without_us_from(task: str) -> Played:
        played = deployed.operator.play(
            "site", *limit, at=(task, lambda: deployed.fleet.link("us", "cut")), **WITHOUT_COLLECTOR
        )
        deployed.fleet.link("us", "0")
        assert played.code != 0
        assert re.search(r"^us +: .* unreachable=1 ", played.output, re.MULTILINE), played.output
        assert release_of(us).strip() == before["us"], "what was cut off runs on as it was"
        assert active(us)
        return played

    with deployed.configured(timeout="913ms"):
        site_without_us_from("Unpack the executables, as their owner")
        now = eu.ssh("readlink", "/opt/probekit/current").strip()
        assert now != before["eu"]
        kept = {f"/opt/probekit/releases/{name}" for name in eu.ssh("ls", "/opt/probekit/releases").split()}
        assert kept == {now, before["eu"], "/opt/probekit/releases/refused-2"}
        assert us.ssh("readlink", "/opt/probekit/current").strip() == before["us"]

        again = site_without_us_from("Find what the probes were not started with")
        assert again.changed["eu"] == 0
        assert us.ssh("readlink", "/opt/probekit/current").strip() == now

        third = deployed.operator.play("site", *limit, **WITHOUT_COLLECTOR)
        assert third.code == 0, third.output
        assert third.changed["eu"] == 0
        assert third.changed["us"] > 0
        assert {release_of(host).strip() for host in (eu, us)} == {now}
        assert active(eu)
        assert active(us)


@contextmanager
def file_as(host: Host, path: str, text: str) -> Iterator[None]:
    """A file of a host with another content, until the end of the block."""
    kept = host.ssh("cat", path)
    (host.root / path.lstrip("/")).write_text(text)
    try:
        yield
    finally:
        (host.root / path.lstrip("/")).write_text(kept)


def refused(deployed: Deployed, sentence: str, *, everywhere: bool = False, **wrong: Any) -> None:
    # One host is enough to be refused, and quicker.
    played = deployed.operator.play("site", *(() if everywhere else ("--limit", "eu")), **WITHOUT_COLLECTOR, **wrong)
    assert played.code != 0
    assert sentence in " ".join(played.output.split()), played.output
    assert "Make the user" not in played.output, "it went beyond the preflight"


def unit(deployed: Deployed, **other: Any) -> list[dict[str, Any]]:
    return [{**deployed.operator.variables["probe_units"][-1], **other}]


def test_unknown_variables_wrong_types_and_names_stop_in_the_preflight(deployed: Deployed) -> None:
    refused(deployed, "No such variable of the role probe: probe_unts", probe_unts=[])
    refused(deployed, "probe_keep_releases", probe_keep_releases="many")
    refused(deployed, "memroy_max", probe_units=unit(deployed, memroy_max="1G"))
    refused(deployed, "/nonexistent/manifest.json is missing or of another format: run make dist", probe_dist="/nonexistent")
    refused(deployed, "holds no probe no_such", probe_units=unit(deployed, probe="no_such"))
    refused(deployed, "by small letters, digits, - and _", probe_units=unit(deployed, name="Latency!"))
    refused(
        deployed,
        "There is no file latency.yaml: manifest is the whole path",
        probe_units=unit(deployed, manifest="latency.yaml"),
    )
    refused(deployed, "data_max 512MB: write each as 256M, 1G or infinity", probe_units=unit(deployed, data_max="512MB"))
    refused(deployed, "The watchdog of the unit latency is soon: write it as", probe_units=unit(deployed, watchdog="soon"))


def test_a_credential_that_is_missing_or_empty_stops_in_the_preflight(deployed: Deployed) -> None:
    sentence = "The unit latency has no credential hermes_key, or an empty one, and its configuration reads it: give it a value"
    refused(deployed, sentence, probe_units=unit(deployed, credentials={}))
    refused(deployed, sentence, probe_units=unit(deployed, credentials={"hermes_key": ""}))
    refused(deployed, sentence, probe_units=unit(deployed, credentials={"hermes_kye": "x"}))


def changed_build(deployed: Deployed, name: str, **profile: str) -> str:
    other = deployed.work / name
    shutil.copytree(deployed.work / "dist", other)
    told = json.loads((other / "manifest.json").read_text())
    told["profiles"]["core"] |= profile
    (other / "manifest.json").write_text(json.dumps(told))
    return str(other)


def test_a_file_that_is_not_what_was_built_stops_in_the_preflight(deployed: Deployed) -> None:
    other = changed_build(deployed, "other")
    with (Path(other) / CORE).open("ab") as file:
        file.write(b"\0")
    refused(deployed, f"{CORE} is not what manifest.json describes: build again with make dist", probe_dist=other)


def test_hosts_of_another_abi_or_platform_stop_in_the_preflight(deployed: Deployed) -> None:
    newer = changed_build(deployed, "newer", abi="cp399")
    refused(deployed, f"{CORE} needs python3.99 on eu, which has none: install it, or run make dist by", probe_dist=newer)
    arm = changed_build(deployed, "arm", platform="linux_aarch64")
    refused(deployed, f"{CORE} is for linux_aarch64, and eu is linux_x86_64: run make dist on such a machine", probe_dist=arm)


def test_one_host_of_an_unsupported_release_stops_them_all_in_the_preflight(deployed: Deployed) -> None:
    host = deployed.fleet.hosts["ap"]
    told = 'ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="11"\n'
    with file_as(host, "/etc/os-release", told), file_as(host, "/etc/debian_version", "11.9\n"):
        refused(
            deployed,
            "ap runs Debian 11.9 with systemd: probes are deployed to Debian 12 or Ubuntu 22.04 and newer",
            everywhere=True,
        )


def test_a_wrong_key_and_an_interval_that_the_watchdog_is_too_short_for_switch_no_host(deployed: Deployed) -> None:
    """On one host of several, with a credential that is another one everywhere."""
    before = deployed.everywhere("readlink", "/opt/probekit/current")
    slow, wrong = deployed.work / "slow.yaml", deployed.work / "wrong.yaml"
    slow.write_text(manifest("hermes_freshness", interval="60s", feeds=[BTC]))
    wrong.write_text(latency(fedes=["x"]))

    def instead(path: Path, name: str) -> dict[str, str]:
        return {"manifest": f"{{{{ '{path}' if inventory_hostname == 'us' else '{deployed.work / name}.yaml' }}}}"}

    freshness, second = deployed.operator.variables["probe_units"]
    units = [
        {**freshness, **instead(slow, "freshness")},
        {**second, **instead(wrong, "latency"), "credentials": {"hermes_key": "rotated"}},
    ]
    played = deployed.operator.play("site", "--limit", "us,ap", probe_units=units, **WITHOUT_COLLECTOR)
    assert played.code != 0
    assert played.failed == {"us": 1, "ap": 1}, played.output
    assert "units/latency.yaml:1:" in played.output
    assert "unknown key; did you mean 'feeds'?" in played.output
    assert "WatchdogSec=120 is not longer than two intervals of 60 s" in played.output
    assert deployed.everywhere("readlink", "/opt/probekit/current") == before
    assert "rotated" not in deployed.everywhere("cat", "/etc/probekit/credentials/latency/hermes_key").values()
    assert all(active(host) for host in deployed.fleet.hosts.values())
