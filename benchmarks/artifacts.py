"""The executable of the smallest profile: its size, and the start of a deployed probe, against budgets."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.row import Row
from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.launcher import UNPACKED
from probekit.dev.artifacts.profiles import PROFILES, executable_name
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread

ROOT = Path(__file__).parents[1]
CORE = executable_name("core")


@functools.cache
def release() -> Path:
    """The core executable and its launchers, built once and unpacked as a role does before it switches to a release."""
    folder = Path(tempfile.mkdtemp(prefix="probekit-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    out = folder / "release"
    build(ROOT, out, PROFILES[:1], say=lambda what: None)
    environment = {**os.environ, "PEX_ROOT": str(out / UNPACKED)}
    subprocess.run(
        [out / CORE, "unpack", "--link", out / UNPACKED / CORE], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    return out


@functools.cache
def sandbox() -> tuple[str, str]:
    """URL of a sandbox of a few feeds, and their ids as a manifest's list."""
    network = SandboxNetwork(feeds=3)
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(serve_in_thread(Sandbox(network))), json.dumps([str(one.feed.id) for one in network.markets])


def size_mb() -> float:
    """Size of the core executable, in MB of a million bytes."""
    return (release() / CORE).stat().st_size / 1e6


def start_ms() -> float:
    """Wall time of ``hermes_latency --once`` by its launcher: start, first observation, verdict and end."""
    url, feeds = sandbox()
    command = [str(release() / "hermes_latency"), "--once", "--json", "--set", f"endpoint={url}", "--set", f"feeds={feeds}"]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    took = (time.perf_counter() - began) * 1000
    results = json.loads(done.stdout.splitlines()[-1])["results"]
    statuses = [verdict["status"] for result in results for verdict in result["verdicts"]]
    assert "ok" in statuses, done.stdout
    return took


def rows() -> list[Row]:
    """Budgets as rows: ``ratio`` is budget / ours, so at least 1 is asked for."""
    return [
        {
            "name": "executable of the profile core",
            "ours": size_mb,
            "peer": lambda: 15.0,
            "peer_name": "budget",
            "target": 1.0,
            "unit": "MB",
            "measured": True,
            "runs": 1,
        },
        {
            "name": "a deployed probe: start to first verdict",
            "ours": start_ms,
            "peer": lambda: 1000.0,
            "peer_name": "budget",
            "target": 1.0,
            "unit": "ms",
            "measured": True,
            "runs": 7,
        },
    ]
