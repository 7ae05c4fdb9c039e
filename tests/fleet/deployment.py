"""Three regions with probes, a collector on each host, and the centre that they send to: what `site` made of fresh hosts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.profiles import PROFILES
from tests.fleet.ansible import Operator, Played
from tests.fleet.centre import Centre, ask, centre
from tests.fleet.hosts import HOSTS, ROOT, TARGET, TARGET_ADDRESS, Fleet, fleet, lacking, sandbox
from tests.fleet.waiting import refused
from tests.support import debian
from tests.system.otel import collector as collectors

BTC: Final = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
ETH: Final = "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"
UNITS: Final = ("freshness", "latency")
INSTANCES: Final = tuple(f"{host}/{unit}" for host in HOSTS for unit in UNITS)
UNIT: Final = "probekit-probe@latency.service"
COLLECTOR: Final = "probekit-collector.service"
INTERVAL_S: Final = 2.0
SECRET: Final = "a-key-that-nobody-may-read-7f3a"
# With what a collector's expansion of ${...}, and YAML, would spoil.
KEY: Final = "Bearer ${env:HOME} a$b: a-key-of-the-centre-91c2"
NOTE: Final = '50 % "of" C:\\all'
"""Text of which systemd would make something else, were it written into a unit as it is."""
CONFINED: Final = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "CapabilityBoundingSet": "",
    "LimitCORE": "0",
    "Restart": "always",
}
"""What systemd has of every unit of ours."""
WITHOUT_COLLECTOR: Final[dict[str, Any]] = {"collector_binary": ""}
"""Variables of a play that looks at the probes only; the collector that is there stays."""


@dataclass
class Deployed:
    """A fleet on which ``site`` has run: on one host as a check (``checked``, and what that left there), then in earnest."""

    fleet: Fleet
    operator: Operator
    centre: Centre
    work: Path
    checked: Played
    left_by_check: str
    played: Played

    def everywhere(self, *command: str) -> dict[str, str]:
        return self.fleet.everywhere(*command)

    @contextlib.contextmanager
    def configured(self, **options: Any) -> Iterator[None]:
        """Another configuration of the unit ``latency``, until the end of the block."""
        (self.work / "latency.yaml").write_text(latency(**options))
        try:
            yield
        finally:
            (self.work / "latency.yaml").write_text(latency())

    @contextlib.contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        """A fault of the sandbox that all hosts look at."""
        url = "http://127.0.0.1:8080/_sandbox/faults"
        ask(TARGET, "POST", url, json.dumps(fault).encode())
        try:
            yield
        finally:
            ask(TARGET, "DELETE", url)


def manifest(probe: str, *, interval: str = f"{INTERVAL_S:g}s", **options: Any) -> str:
    """A YAML against the sandbox, which stands apart from the centre."""
    endpoint = f"http://{TARGET_ADDRESS}:8080"
    return json.dumps({"probe": probe, "interval": interval, "options": {"endpoint": endpoint, **options}})


def latency(**options: Any) -> str:
    """The YAML of the unit ``latency``, which reads a credential; an ``interval`` among ``options`` is its own."""
    return manifest("hermes_latency", **{"feeds": [BTC], "api_key": "credential:hermes_key", "timeout": "1s", **options})


@contextlib.contextmanager
def deployment(work: Path) -> Iterator[Deployed]:
    """Hosts, the sandbox, the centre, and ``site``; skips where this machine cannot, and fails in CI."""
    if (reason := lacking()) is not None:
        refused(reason)
    try:
        binary = _upstream()
        debian.program("prometheus", "prometheus")
    except (collectors.Unavailable, debian.Unavailable) as problem:
        refused(str(problem))
    (work / "freshness.yaml").write_text(manifest("hermes_freshness", feeds=[BTC, ETH], max_age="5s"))
    (work / "latency.yaml").write_text(latency())
    with contextlib.ExitStack() as stack:
        builders = stack.enter_context(ThreadPoolExecutor(1))
        built = builders.submit(build, ROOT, work / "dist", PROFILES[:1], say=lambda what: None)
        hosts = stack.enter_context(fleet(HOSTS, ROOT / "build" / "fleet", work))
        behind = stack.enter_context(centre(binary, work / "centre", KEY))
        for host in hosts.hosts.values():
            host.trust(behind.authority)
        stack.enter_context(sandbox(TARGET, "--control"))
        operator = Operator(hosts, work, {**_variables(work, binary), "collector_endpoint": behind.address})
        built.result()
        # One host tells it, and quicker.
        checked = operator.play("site", "--check", "--diff", "--limit", "eu")
        left = hosts.hosts["eu"].ssh("find", "/opt", "/etc", "/var", "-name", "*probekit*").strip()
        played = operator.play("site")
        assert played.code == 0, played.output
        yield Deployed(hosts, operator, behind, work, checked, left, played)


def _variables(work: Path, binary: Path) -> dict[str, Any]:
    """Of every host, but for where the centre is."""
    units: list[dict[str, Any]] = [
        {"name": unit, "probe": f"hermes_{unit}", "manifest": str(work / f"{unit}.yaml")} for unit in UNITS
    ]
    units[-1] |= {"credentials": {"hermes_key": SECRET}, "environment": {"PROBEKIT_TEST_NOTE": NOTE}}
    told = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
    return {
        "probe_dist": str(work / "dist"),
        "probe_provider": "nspawn",
        "probe_environment": {"OTEL_METRIC_EXPORT_INTERVAL": f"{INTERVAL_S * 1000:g}"},
        "probe_units": units,
        "collector_binary": str(binary),
        "collector_version": told.split()[-1],
        "collector_sha256": hashlib.sha256(binary.read_bytes()).hexdigest(),
        "collector_headers": {"authorization": KEY},
    }


def _upstream() -> Path:
    """The upstream Collector, found or built as for the telemetry tier. Raises its ``Unavailable``."""
    binary = collectors.find()
    if binary.kind != "otelcol":
        raise collectors.Unavailable("hosts need the upstream Collector: Go on PATH to build it, or PROBEKIT_COLLECTOR")
    return binary.path
