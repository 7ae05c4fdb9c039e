"""Three regions with a collector on each host, and the centre that they send to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.profiles import PROFILES
from tests.fleet.ansible import Operator
from tests.fleet.centre import Centre, ask, centre
from tests.fleet.hosts import ROOT, TARGET, TARGET_ADDRESS, Fleet, fleet, within
from tests.system.otel import collector as collectors

HOSTS: Final = ("eu", "us", "ap")
BTC: Final = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
ETH: Final = "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"
UNITS: Final = ("freshness", "latency")
INSTANCES: Final = tuple(f"{host}/{unit}" for host in HOSTS for unit in UNITS)
INTERVAL_S: Final = 2.0
# With what a collector's expansion of ${...}, and YAML, would spoil.
KEY: Final = "Bearer ${env:HOME} a$b: a-key-of-the-centre-91c2"


@dataclass(frozen=True)
class Regions:
    """A fleet on which `site` has run. ``output`` is what that said."""

    fleet: Fleet
    operator: Operator
    centre: Centre
    work: Path
    output: str

    def everywhere(self, *command: str) -> dict[str, str]:
        """What a command says on each host."""
        return {name: host.ssh(*command, check=False).strip() for name, host in self.fleet.hosts.items()}

    @contextlib.contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        """A fault of the sandbox that all hosts look at."""
        url = "http://127.0.0.1:8080/_sandbox/faults"
        ask(TARGET, "POST", url, json.dumps(fault).encode())
        try:
            yield
        finally:
            ask(TARGET, "DELETE", url)


def manifest(probe: str, **options: Any) -> str:
    """A YAML against the sandbox, which stands apart from the centre."""
    endpoint = f"http://{TARGET_ADDRESS}:8080"
    return json.dumps({"probe": probe, "interval": f"{INTERVAL_S:g}s", "options": {"endpoint": endpoint, **options}})


@contextlib.contextmanager
def regions(binary: Path, work: Path) -> Iterator[Regions]:
    """Everything, deployed by `site` with the collector ``binary``."""
    build(ROOT, work / "dist", PROFILES[:1], say=lambda what: None)
    (work / "freshness.yaml").write_text(manifest("hermes_freshness", feeds=[BTC, ETH], max_age="5s"))
    (work / "latency.yaml").write_text(manifest("hermes_latency", feeds=[BTC], timeout="2s"))
    told = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
    variables = {
        "probe_dist": str(work / "dist"),
        "probe_environment": {"OTEL_METRIC_EXPORT_INTERVAL": f"{INTERVAL_S * 1000:g}"},
        "probe_units": [{"name": unit, "probe": f"hermes_{unit}", "manifest": str(work / f"{unit}.yaml")} for unit in UNITS],
        "collector_binary": str(binary),
        "collector_version": told.split()[-1],
        "collector_sha256": hashlib.sha256(binary.read_bytes()).hexdigest(),
        "collector_headers": {"authorization": KEY},
    }
    sandbox = within(TARGET, sys.executable, "-m", "probekit.dev.hermes", "--host", "0.0.0.0", "--port", "8080", "--control")
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(fleet(HOSTS, ROOT / "build" / "fleet", work))
        behind = stack.enter_context(centre(binary, work / "centre", KEY))
        hermes = stack.enter_context(subprocess.Popen(sandbox, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        stack.callback(hermes.kill)
        operator = Operator(hosts, work, {**variables, "collector_endpoint": behind.address})
        played = operator.play("site")
        assert played.code == 0, played.output
        yield Regions(hosts, operator, behind, work, played.output)


def upstream() -> Path:
    """The upstream Collector, found or built as for the telemetry tier. Raises its ``Unavailable``."""
    binary = collectors.find()
    if binary.kind != "otelcol":
        raise collectors.Unavailable("hosts need the upstream Collector: Go on PATH to build it, or PROBEKIT_COLLECTOR")
    return binary.path
