"""Start-up and memory of whole processes, against budgets: the peer is the budget itself.

Modules are compiled, as they are from an installed package's first run on, whatever this shell's environment says of bytecode:
in one that forbids to write it, every run would measure the compiler over the whole source once more (some 25 ms of --help).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.row import Row
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread

ROOT = Path(__file__).parents[1]


@cache
def compiled() -> tuple[dict[str, str], tempfile.TemporaryDirectory[str]]:
    """An environment that writes bytecode, and where to: a folder of its own, for this process's life."""
    folder = tempfile.TemporaryDirectory(prefix="probekit-bench-")
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environ, "PYTHONPYCACHEPREFIX": folder.name}, folder


def elapsed_ms(*arguments: str) -> float:
    """Wall time of one interpreter run."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=compiled()[0])
    return (time.perf_counter() - began) * 1000


@cache
def compile_once(*arguments: str) -> None:
    """The first run, which nothing measures."""
    elapsed_ms(*arguments)


def import_ms() -> float:
    """``import probekit`` over a bare interpreter, in pairs."""
    compile_once("-c", "import probekit")
    return max(elapsed_ms("-c", "import probekit") - elapsed_ms("-c", "pass"), 0.1)


def help_ms() -> float:
    """``--help`` of a probe, the interpreter's own start included."""
    arguments = ("probes/hermes_freshness.py", "--help")
    compile_once(*arguments)
    return elapsed_ms(*arguments)


def run_help_ms() -> float:
    """The same by the command, which also looks for the probe in the catalogue."""
    arguments = ("-c", "from probekit.cli.main import main; raise SystemExit(main(['run', 'hermes_freshness', '--help']))")
    compile_once(*arguments)
    return elapsed_ms(*arguments)


def probe_rss_mb() -> float:
    """Peak resident size of hermes_freshness after a few runs against a sandbox of 50 feeds."""
    network = SandboxNetwork(feeds=50)
    feeds = ", ".join(str(market.feed.id) for market in network.markets)
    with serve_in_thread(Sandbox(network)) as url:
        code = (
            "import sys, importlib.util\n"
            "spec = importlib.util.spec_from_file_location('p', 'probes/hermes_freshness.py')\n"
            "module = importlib.util.module_from_spec(spec); sys.modules['p'] = module; spec.loader.exec_module(module)\n"
            "import probekit\n"
            f"probekit.main(module.probe, ['--loop', '--runs', '3', '--set', 'endpoint={url}', '--set', 'feeds=[{feeds}]'])\n"
            # Not ru_maxrss: that remembers the process this one was forked from.
            "print('RSS', next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    return int(done.stdout.rsplit("RSS ", 1)[1]) / 1024


def rows() -> list[Row]:
    """Budgets as rows: ``ratio`` is budget / ours, so at least 1 is asked for."""

    def row(name: str, ours: Callable[[], float], budget: float, unit: str, runs: int) -> Row:
        return {
            "name": name,
            "ours": ours,
            "peer": lambda: budget,
            "peer_name": "budget",
            "target": 1.0,
            "unit": unit,
            "measured": True,
            "runs": runs,
        }

    return [
        row("import probekit", import_ms, 100, "ms", 15),
        row("--help of a probe", help_ms, 150, "ms", 15),
        row("probekit run PROBE --help", run_help_ms, 150, "ms", 15),
        row("peak memory of a Hermes probe", probe_rss_mb, 60, "MB", 1),
    ]
