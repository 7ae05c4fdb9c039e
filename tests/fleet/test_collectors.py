"""Telemetry of three regions at one place: collectors that lose nothing, `verify`, and one feed seen from three regions."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import Any

import pytest

from tests.docs.blocks import blocks_of
from tests.fleet.centre import PROMETHEUS
from tests.fleet.deployment import (
    BTC,
    COLLECTOR,
    CONFINED,
    INSTANCES,
    INTERVAL_S,
    KEY,
    UNITS,
    Deployed,
)
from tests.fleet.hosts import CENTRE, HOSTS, ROOT, TARGET, Host
from tests.fleet.waiting import until

# A first build of the collector takes minutes.
pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.timeout(1_500)]

ASK_METRICS = "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:8888/metrics\").read().decode())'"
CREDENTIAL = "/etc/probekit-collector/credentials/authorization"


def sentence(output: str) -> str:
    """What a playbook said, in one line."""
    return " ".join(output.split())


def test_every_host_sends_through_its_own_collector(deployed: Deployed) -> None:
    assert deployed.everywhere("systemctl", "is-active", COLLECTOR) == dict.fromkeys(HOSTS, "active")
    until(lambda: {run.instance for run in deployed.centre.runs} == set(INSTANCES), "runs of every unit", 60)
    from_ap = [run for run in deployed.centre.runs if run.instance == "ap/freshness"]
    assert {(run.region, run.provider, run.host) for run in from_ap} == {("ap-1", "nspawn", "ap")}
    assert not (deployed.centre.folder / "refused").exists()
    for queue in deployed.everywhere("ls", "/var/lib/probekit-collector/queue").values():
        assert queue.split() == [f"exporter_otlp_http__{signal}" for signal in ("logs", "metrics", "traces")]


def test_the_collector_is_confined_and_its_release_only_read(deployed: Deployed) -> None:
    wanted = {
        **CONFINED,
        "MemoryMax": str(384 * 2**20),
        "TasksMax": "128",
        "User": "probekit-collector",
    }
    host = deployed.fleet.hosts["eu"]
    assert host.shown(COLLECTOR, *wanted) == wanted
    found = "find /opt/probekit-collector -user probekit-collector -o -perm /022 -not -type l && echo looked"
    assert set(deployed.everywhere(found).values()) == {"looked"}
    listening = host.ssh("ss -ltnH | grep -E ':(4317|4318|8888) ' | grep -cv '127.0.0.1:'", check=False)
    assert listening.strip() == "0"


def test_verify_finds_every_units_runs_at_the_centre(deployed: Deployed) -> None:
    played = deployed.operator.play("verify", probekit_verify_query_url=PROMETHEUS)
    assert played.code == 0, played.output
    assert "was not verified" not in played.output


def test_one_stale_feed_is_seen_from_three_regions(deployed: Deployed) -> None:
    page = ROOT / "docs" / "how-to" / "read-fleet-telemetry.md"
    regions_of, ages = (block.code for block in blocks_of(page) if block.language == "promql")
    until(lambda: len(deployed.centre.query(ages)) == 3, "ages from three regions", 60)
    assert deployed.centre.query(regions_of) == []
    began = time.time()
    with deployed.fault(fault="stale_feed", feed=BTC):
        seen = until(lambda: [one for one in deployed.centre.query(regions_of) if one["value"][1] == "3"], "three regions", 90)
        assert [one["metric"] for one in seen] == [{"target": BTC}]
        by_region = {one["metric"]["vantage_region"]: float(one["value"][1]) for one in deployed.centre.query(ages)}
        assert set(by_region) == {f"{host}-1" for host in HOSTS}
        assert min(by_region.values()) > 5

        def traces() -> dict[str, str]:
            """A critical run for each region, whose own log record names the feed."""
            stale = {
                told["run"]
                for told in deployed.centre.verdicts
                if (told["target"], told["check"], told["probekit.reason"]) == (BTC, "freshness", "stale")
            }
            runs = [run for run in deployed.centre.runs if run.began > began and run.run in stale]
            return {run.region: run.run for run in runs if (run.probe, run.status) == ("hermes_freshness", "critical")}

        until(lambda: len(traces()) == 3, "a trace from each region", 60)
        assert len(set(traces().values())) == 3
    until(lambda: deployed.centre.query(regions_of) == [], "all well again", 90)


def test_the_key_of_the_centre_is_in_nothing_but_its_file(deployed: Deployed) -> None:
    word = KEY.split()[-1]
    assert word not in deployed.played.output + deployed.checked.output
    for name, host in deployed.fleet.hosts.items():
        seen = [
            host.ssh("journalctl", "--no-pager"),
            host.ssh("systemctl", "cat", COLLECTOR),
            host.ssh("systemctl", "show", COLLECTOR),
            host.ssh("ps", "axeww", "-o", "args"),
            host.ssh(ASK_METRICS),
        ]
        assert "otelcol_exporter_queue_capacity" in seen[-1]
        assert all(word not in text for text in seen), name
        found = host.ssh("grep", "-rlF", word, "/etc", "/opt", "/var", "/root", "/tmp", check=False).split()
        assert found == [CREDENTIAL]
        assert host.ssh("stat", "--format=%a %U", CREDENTIAL).strip() == "600 root"
    assert word.encode() not in deployed.centre.everything()


@pytest.mark.parametrize("seconds", [30, pytest.param(120, marks=pytest.mark.slow)])
def test_a_region_is_cut_off_and_its_collector_killed_and_nothing_is_lost(
    deployed: Deployed, seconds: int, request: pytest.FixtureRequest
) -> None:
    if seconds > 60 and "slow" not in str(request.config.getoption("-m")):
        pytest.skip("takes minutes: run with -m slow")
    units = [f"probekit-probe@{unit}" for unit in UNITS]
    deployed.everywhere("systemctl", "stop", *units)
    started = time.time()
    deployed.everywhere("systemctl", "start", *units)
    invocations = {f"{host}/{unit}": shown for unit in UNITS for host, shown in invocation_ids(deployed, unit).items()}
    until(lambda: set(newest(deployed, started)) == set(INSTANCES), "runs of every unit", 60)
    retried = {host: retries(deployed, host) for host in HOSTS}

    eu = deployed.fleet.hosts["eu"]
    deployed.fleet.link("eu", f"cut {CENTRE}")
    cut = time.time()
    down: list[float] = []
    worst_s = 0.0
    while time.time() < cut + seconds:
        late = {instance: time.time() - ended for instance, ended in newest(deployed, started).items()}
        worst_s = max(worst_s, *(late[instance] for instance in INSTANCES if not instance.startswith("eu/")))
        if not down and time.time() > cut + seconds / 2:
            down.append(time.time())
            kill_collector(eu)
            down.append(time.time())
        time.sleep(0.5)
    assert max(ended for instance, ended in newest(deployed, started).items() if instance.startswith("eu/")) < cut + 1
    deployed.fleet.link("eu", "0")
    healed = time.time()
    until(lambda: min(newest(deployed, started).values()) > healed, "runs after the heal", 60)
    behind_s = time.time() - healed

    deployed.everywhere("systemctl", "stop", *units)
    ended = time.time()
    told = {instance: printed(deployed, instance, invocation) for instance, invocation in invocations.items()}

    def distinct() -> dict[str, int]:
        ids = {(run.instance, run.run) for run in deployed.centre.runs if run.began > started}
        return {instance: sum(of == instance for of, _ in ids) for instance in INSTANCES}

    until(lambda: distinct() == told, f"every run: {told} at the hosts, {distinct()} at the centre", 60)
    during = [run for run in deployed.centre.runs if run.region == "eu-1" and cut < run.began < healed]
    assert len({run.run for run in during}) > seconds / INTERVAL_S

    for instance in INSTANCES:
        times = samples(deployed, instance, started, ended)
        gaps = [(a, b) for a, b in itertools.pairwise(times) if b - a > 1.9 * INTERVAL_S]
        # Only while its own collector was down may an export have failed.
        assert all(instance.startswith("eu/") and a < down[1] and b > down[0] for a, b in gaps), (instance, gaps, down)
        assert sum(cut < at < healed for at in times) >= seconds / INTERVAL_S - 2 - 2 * len(gaps)
    assert all(dropped(deployed, host) == 0 for host in HOSTS)
    # The others never noticed.
    assert worst_s < 5 * INTERVAL_S
    assert {host: retries(deployed, host) for host in ("us", "ap")} == {host: retried[host] for host in ("us", "ap")}
    print(f"cut {healed - cut:.0f} s, collector down {down[1] - down[0]:.1f} s, caught up {behind_s:.1f} s after the heal")
    deployed.everywhere("systemctl", "start", *units)


def kill_collector(host: Host) -> None:
    """SIGKILL, by a way that is not cut, and wait until another answers in its place."""

    def pid() -> str:
        return host.ssh("systemctl", "show", "--value", "--property=MainPID", COLLECTOR, origin=TARGET).strip()

    before = pid()
    host.ssh("kill", "-9", before, origin=TARGET)
    until(lambda: pid() not in (before, "0"), "another collector", 30)
    until(lambda: "queue_capacity" in host.ssh(ASK_METRICS, check=False, origin=TARGET), "a collector that answers", 30)


def invocation_ids(deployed: Deployed, unit: str) -> dict[str, str]:
    """By host; a unit that was not started again has the same."""
    return deployed.everywhere("systemctl", "show", "--value", "--property=InvocationID", f"probekit-probe@{unit}")


def newest(deployed: Deployed, since: float) -> dict[str, float]:
    """When the newest run of each unit ended that the centre knows of, as its metrics say."""
    result = deployed.centre.query("probekit_run_last_time_seconds")
    found = {one["metric"]["instance"]: float(one["value"][1]) for one in result}
    return {instance: at for instance, at in found.items() if at > since}


def retries(deployed: Deployed, host: str) -> float:
    return counted(deployed, f'sum(probekit_telemetry_retried_total{{instance=~"{host}/.*"}})')


def dropped(deployed: Deployed, host: str) -> float:
    return counted(deployed, f'sum(last_over_time(probekit_telemetry_dropped_total{{instance=~"{host}/.*"}}[10m]))')


def counted(deployed: Deployed, query: str) -> float:
    """A counter that is there also when it has counted nothing."""
    value = deployed.centre.value(query)
    assert value is not None, query
    return value


def printed(deployed: Deployed, instance: str, invocation: str) -> int:
    """How many runs a unit's process has told its journal of."""
    host, unit = instance.split("/")
    line = f"journalctl --output=cat _SYSTEMD_INVOCATION_ID={invocation} | grep -c '^hermes_{unit}: '"
    return int(deployed.fleet.hosts[host].ssh(line))


def samples(deployed: Deployed, instance: str, since: float, until_: float) -> list[float]:
    """Times of a series that has a sample for each export."""
    span = int(time.time() - since) + 10
    [series] = deployed.centre.query(f'probekit_run_last_time_seconds{{instance="{instance}"}}[{span}s]')
    return [at for at, _ in series["values"] if since < at < until_]


def test_a_queue_that_is_misspelt_stops_the_play(deployed: Deployed) -> None:
    ours = (ROOT / "ansible/roles/collector/templates/collector.yaml.j2").read_text()
    assert "sending_queue:" in ours
    # One host is enough, and quicker.
    own = deployed.work / "own.yaml.j2"
    running = invocation_ids(deployed, "latency")
    # Validation finds this one, and nothing is switched.
    own.write_text(ours.replace("storage: file", "storag: file"))
    before = deployed.everywhere("readlink", "/opt/probekit-collector/current")
    played = deployed.operator.play("site", "--limit", "eu", collector_template=str(own))
    assert played.code != 0
    assert "'queuebatch.Config' has invalid keys: storag" in played.output
    assert deployed.everywhere("readlink", "/opt/probekit-collector/current") == before
    # Validation lets this one pass: there is a queue, in memory.
    own.write_text(ours.replace("sending_queue:", "sending_que:"))
    played = deployed.operator.play("site", "--limit", "eu", collector_template=str(own))
    assert played.code != 0
    assert "the collector runs without the queues on disk that it should have" in sentence(played.output)
    assert "is it spelt so?" in played.output
    assert "Switch to the probes" not in played.output
    assert invocation_ids(deployed, "latency") == running, played.output
    deployed.fleet.hosts["eu"].ssh("install --mode=600 /dev/null /etc/probekit-collector/credentials/.no-longer-wanted")
    mended = deployed.operator.play("site", "--limit", "eu")
    assert mended.code == 0, mended.output
    assert deployed.fleet.hosts["eu"].ssh("ls", "-A", "/etc/probekit-collector/credentials").split() == ["authorization"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"collector_endpiont": "http://x"}, "No such variable of the role collector: collector_endpiont"),
        ({"collector_queue_bytes": "much"}, "collector_queue_bytes"),
        ({"collector_sha256": "0" * 64}, "is not what collector_sha256 says"),
        ({"collector_endpoint": "https://me:word@otlp.example"}, "a URL such as https://otlp.example.org, without credentials"),
        ({"collector_headers": {"authorization": "Bearer "}}, "collector_headers: authorization has no value"),
        ({"collector_memory_max": "384MB"}, "write it as 384M, 1G or infinity"),
        ({"collector_endpoint": ""}, "collector_binary needs collector_version, collector_sha256 (64 hexadecimal digits)"),
        ({"collector_version": "0.0.1"}, "and collector_version is 0.0.1."),
    ],
)
def test_what_cannot_work_stops_before_any_host_switches(deployed: Deployed, wrong: dict[str, Any], said: str) -> None:
    before = deployed.everywhere("readlink", "/opt/probekit-collector/current")
    # One host is enough to be refused, and quicker.
    played = deployed.operator.play("site", "--limit", "eu", **wrong)
    assert played.code != 0
    assert said in sentence(played.output), played.output
    assert "Make the release the one in force" not in played.output
    assert deployed.everywhere("readlink", "/opt/probekit-collector/current") == before


def spoil(host: Host, path: str) -> None:
    host.ssh(f"cp -a {path} /var/tmp/kept && echo '#' >>{path}")


def put_back(host: Host, path: str) -> None:
    """With its time, and that of its folder: what is newer than the processes of a release, they would be restarted for."""
    host.ssh(f"cat /var/tmp/kept >{path} && touch --reference=/var/tmp/kept {path} && rm /var/tmp/kept")


def test_verify_names_what_is_not_as_it_should_be(deployed: Deployed) -> None:
    hosts = deployed.fleet.hosts
    launcher = hosts["us"].ssh("readlink", "-f", "/opt/probekit/current/units/latency").strip()
    hosts["eu"].ssh("systemctl", "stop", "probekit-probe@latency")
    spoil(hosts["us"], launcher)
    hosts["ap"].ssh("touch --no-dereference --date='+1 hour' /opt/probekit/current")
    asked = {"x-scope": "a-key-of-the-query-55d0"}
    played = deployed.operator.play("verify", probekit_verify_query_url=PROMETHEUS, probekit_verify_query_headers=asked)
    assert played.code != 0
    assert asked["x-scope"] not in played.output
    output = sentence(played.output)
    assert "eu: probekit-probe@latency.service is inactive (dead)" in output, played.output
    assert "hermes_latency is not what" in output
    assert (
        f"ap/freshness: {PROMETHEUS} has no run of it that is newer than the switch, within 12.0 s (its newest ended" in output
    )
    hosts["eu"].ssh("systemctl", "start", "probekit-probe@latency")
    put_back(hosts["us"], launcher)
    # As before the probes that run: what is newer than they are, they would be restarted for.
    hosts["ap"].ssh("touch --no-dereference --reference=/opt/probekit/current/backoff /opt/probekit/current")


def test_verify_without_a_centre_says_so_and_names_a_collector_that_is_not_as_it_should_be(deployed: Deployed) -> None:
    hosts = deployed.fleet.hosts
    written = "/opt/probekit-collector/current/collector.yaml"
    hosts["eu"].ssh("systemctl", "stop", COLLECTOR)
    spoil(hosts["us"], written)
    played = deployed.operator.play("verify")
    assert played.code != 0
    output = sentence(played.output)
    assert "eu: probekit-collector.service does not run (ActiveState=inactive, SubState=dead)" in output
    assert "us: the collector in force" in output
    # The third is well, as far as one can see without the centre.
    assert played.failed == {"eu": 1, "us": 1, "ap": 0}
    assert "Arrival at the centre was not verified: probekit_verify_query_url names no Prometheus API." in output
    hosts["eu"].ssh("systemctl", "start", COLLECTOR)
    put_back(hosts["us"], written)


def test_verify_without_a_centre_sees_that_nothing_leaves_a_host(deployed: Deployed) -> None:
    """All is as it should be, and much was sent before: what counts is what is sent now."""
    os.kill(deployed.centre.gate, signal.SIGSTOP)
    try:
        played = deployed.operator.play("verify", "--limit", "ap")
    finally:
        os.kill(deployed.centre.gate, signal.SIGCONT)
    assert played.code != 0
    said = "ap: within 12 s the collector has counted no more of exporter_sent_metric_points, exporter_sent_spans: accepted is"
    assert said in sentence(played.output), played.output
