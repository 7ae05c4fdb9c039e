"""Probes on three hosts without collectors: what `site` made of fresh hosts, for the tests that look at it and break it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.profiles import PROFILES
from tests.fleet import sink
from tests.fleet.ansible import Operator, Played
from tests.fleet.hosts import CENTRE, CENTRE_ADDRESS, ROOT, Fleet, fleet, lacking, within

HOSTS: Final = ("eu", "us", "ap")
FEED: Final = "0xe62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
UNIT: Final = "probekit-probe@latency.service"
SECRET: Final = "a-key-that-nobody-may-read-7f3a"
NOTE: Final = '50 % "of" C:\\all'
"""Text of which systemd would make something else, were it written into a unit as it is."""


@dataclass
class Deployed:
    """A fleet on which ``site`` has run: first as a check (``checked``, and what that left on the hosts), then in earnest."""

    fleet: Fleet
    operator: Operator
    work: Path
    checked: Played
    left_by_check: dict[str, str]
    played: Played

    def everywhere(self, *command: str) -> dict[str, str]:
        return {name: host.ssh(*command, check=False).strip() for name, host in self.fleet.hosts.items()}

    def samples(self) -> dict[str, list[sink.Sample]]:
        return sink.samples_of(self.work / "runs.jsonl")

    @contextlib.contextmanager
    def configured(self, **options: Any) -> Iterator[None]:
        """Another configuration of the unit, until the end of the block."""
        (self.work / "latency.yaml").write_text(manifest(**options))
        try:
            yield
        finally:
            (self.work / "latency.yaml").write_text(manifest())


def manifest(**options: Any) -> str:
    """A YAML of hermes_latency against the sandbox at the centre; an ``interval`` among ``options`` is its own."""
    interval = options.pop("interval", "2s")
    return json.dumps(
        {
            "probe": "hermes_latency",
            "interval": interval,
            "options": {
                "endpoint": f"http://{CENTRE_ADDRESS}:8080",
                "feeds": [FEED],
                "api_key": "credential:hermes_key",
                "timeout": "1s",
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


@contextlib.contextmanager
def deployment(work: Path) -> Iterator[Deployed]:
    """Hosts, the sandbox and the receiver at the centre, and ``site``."""
    if (reason := lacking()) is not None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    build(ROOT, work / "dist", PROFILES[:1], say=lambda what: None)
    (work / "latency.yaml").write_text(manifest())
    (work / "runs.jsonl").touch()
    unit = {
        "name": "latency",
        "probe": "hermes_latency",
        "manifest": str(work / "latency.yaml"),
        "credentials": {"hermes_key": SECRET},
        "environment": {"PROBEKIT_TEST_NOTE": NOTE},
    }
    variables = {
        "probe_dist": str(work / "dist"),
        "probe_provider": "nspawn",
        "probe_otlp_endpoint": f"http://{CENTRE_ADDRESS}:{sink.PORT}",
        "probe_environment": {"OTEL_METRIC_EXPORT_INTERVAL": "1000"},
        "probe_units": [unit],
    }
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(fleet(HOSTS, ROOT / "build" / "fleet", work))
        target = within(CENTRE, sys.executable, "-m", "probekit.dev.hermes", "--host", "0.0.0.0", "--port", "8080")
        hermes = stack.enter_context(subprocess.Popen(target, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        stack.callback(hermes.kill)
        receiver = within(
            CENTRE, sys.executable, "-m", "tests.fleet.sink", CENTRE_ADDRESS, str(sink.PORT), str(work / "runs.jsonl")
        )
        behind = stack.enter_context(
            subprocess.Popen(receiver, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(behind.kill)
        assert behind.stdout is not None
        assert behind.stdout.readline() == "READY\n"
        operator = Operator(hosts, work, variables)
        checked = operator.play("site", "--check", "--diff")
        left = {
            name: host.ssh("find", "/opt", "/etc", "/var", "-name", "*probekit*").strip() for name, host in hosts.hosts.items()
        }
        played = operator.play("site")
        assert played.code == 0, played.output
        yield Deployed(hosts, operator, work, checked, left, played)
