"""A deployed Hermes probe between its runs: memory and processor of the whole process, against budgets.

From the unpacked executable, as a unit starts it: ``hermes_freshness --loop`` at an interval of 5 s, with telemetry, against a
sandbox of its own process. Both numbers are the kernel's, over ``WATCHED_S`` seconds that begin after the first runs.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.artifacts import CORE, release
from benchmarks.row import Row
from probekit.dev.artifacts.launcher import UNPACKED
from probekit.dev.network import SandboxNetwork
from probekit.dev.otlp_sink import OtlpSink

INTERVAL_S = 5
WATCHED_S = 4 * INTERVAL_S
LARGEST = "httpx"
"""The package whose import, from nothing, takes most memory of those that the probe stands on: measured, and asserted."""
IMPORTS = {
    "httpx": "httpx",
    "opentelemetry": "opentelemetry.sdk._logs, opentelemetry.exporter.otlp.proto.common.trace_encoder",
    "coincurve": "coincurve",
    "msgspec": "msgspec",
    "tenacity": "tenacity",
    "yaml": "yaml",
}


def command(endpoint: str) -> list[str]:
    """The probe's process itself: a launcher executes it."""
    feeds = ", ".join(str(market.feed.id) for market in SandboxNetwork(feeds=3).markets)
    options = ["--loop", "--interval", f"{INTERVAL_S}s", "--set", f"endpoint={endpoint}", "--set", f"feeds=[{feeds}]"]
    return [str(release() / "hermes_freshness"), *options]


@functools.cache
def measured() -> tuple[float, float]:
    """Resident size in MB at the end, and percent of a core over the time."""
    sandbox = [sys.executable, "-m", "probekit.dev.hermes", "--port", "0", "--feeds", "3"]
    with (
        tempfile.TemporaryDirectory() as folder,
        OtlpSink(Path(folder) / "sink.jsonl") as sink,
        subprocess.Popen(sandbox, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as hermes,
    ):
        assert hermes.stdout is not None
        found = re.search(r"http://\S+?:\d+", hermes.stdout.readline())
        assert found is not None
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_METRIC_EXPORT_INTERVAL": "10000"}
        with subprocess.Popen(command(found[0]), env=environment, stdout=subprocess.PIPE, text=True) as probe:
            try:
                assert probe.stdout is not None
                first = probe.stdout.readline()
                assert "hermes_freshness: OK" in first, first
                time.sleep(INTERVAL_S + 1)
                began_s, spent_s = time.monotonic(), processor_s(probe.pid)
                time.sleep(WATCHED_S)
                percent = 100 * (processor_s(probe.pid) - spent_s) / (time.monotonic() - began_s)
                resident = int(re.findall(r"^VmRSS:\s+(\d+)", Path(f"/proc/{probe.pid}/status").read_text(), re.MULTILINE)[0])
            finally:
                probe.kill()
                hermes.kill()
        assert min(sink.received["metrics"], sink.received["traces"]) > 0
    return resident / 1024, percent


def processor_s(process: int) -> float:
    """Time that a process has had of any core."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def import_mb(modules: str) -> float:
    """By how much an interpreter of the executable grows that imports ``modules`` and nothing else."""
    size = "int(open('/proc/self/statm').read().split()[1])"
    code = f"before = {size}\nimport {modules}\nprint({size} - before)"
    python = release() / UNPACKED / CORE / "bin" / "python"
    pages = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True).stdout
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def largest_import_mb() -> float:
    """Of ``LARGEST``, what it imports itself included. Fails where another takes more: its name is to be in the row."""
    grown = {name: import_mb(modules) for name, modules in IMPORTS.items()}
    assert max(grown, key=lambda name: grown[name]) == LARGEST, grown
    return grown[LARGEST]


def rows() -> list[Row]:
    """Budgets as rows: ``ratio`` is budget / ours, so at least 1 is asked for."""
    return [
        {
            "name": "a deployed Hermes probe, idle: memory",
            "ours": lambda: measured()[0],
            "peer": lambda: 60.0,
            "peer_name": "budget",
            "target": 1.0,
            "unit": "MB",
            "measured": True,
            "runs": 1,
        },
        {
            "name": f": of a core, every {INTERVAL_S} s",
            "ours": lambda: measured()[1],
            "peer": lambda: 1.0,
            "peer_name": "budget",
            "target": 1.0,
            "unit": "%",
            "measured": True,
            "runs": 1,
        },
        {
            "name": f": its largest import, {LARGEST}",
            "ours": largest_import_mb,
            "peer": lambda: measured()[0],
            "peer_name": "the whole process",
            "target": None,
            "unit": "MB",
            "measured": True,
            "runs": 1,
        },
    ]
