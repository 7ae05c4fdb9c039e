"""The real upstream Collector for tests: found, or built once by its official builder into a cache; started, killed, stopped.

Where there is no Go, rotel from PyPI receives in its place; where that is missing too, the reason to skip is a sentence. In
CI nothing is skipped: a collector that cannot be had fails the tests.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder@v0.160.0"
RECIPE: Final = Path(__file__).resolve().parents[3] / "ansible" / "collector" / "builder.yaml"
NAME: Final = "otelcol-probekit"
_BUILD_S: Final = 900.0


class Unavailable(Exception):
    """No collector here; the message says why."""


@dataclass(frozen=True)
class Binary:
    """A program that receives OTLP: the upstream Collector, or rotel where Go is missing."""

    path: Path
    kind: Literal["otelcol", "rotel"]


def find(*, build: bool = True) -> Binary:
    """The collector of ``PROBEKIT_COLLECTOR``, of PATH, of the cache, built now, or rotel. Raises :class:`Unavailable`."""
    if named := os.environ.get("PROBEKIT_COLLECTOR"):
        if not os.access(named, os.X_OK):
            raise Unavailable(f"PROBEKIT_COLLECTOR={named} is not a program")
        return Binary(Path(named), "otelcol")
    for name in (NAME, "otelcol"):
        if found := shutil.which(name):
            return Binary(Path(found), "otelcol")
    go = shutil.which("go")
    if go is not None:
        cached = cache_path(go)
        if not cached.exists() and build:
            _build(go, cached)
        if cached.exists():
            return Binary(cached, "otelcol")
        raise Unavailable(f"no collector in {cached.parent} and building was not asked for")
    if os.environ.get("CI"):
        raise Unavailable("no collector: set PROBEKIT_COLLECTOR, put otelcol-probekit on PATH, or install Go to build it")
    spec = importlib.util.find_spec("rotel")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("no otelcol-probekit or otelcol on PATH, no Go to build it, and no rotel (pip install rotel)")
    agent = Path(spec.submodule_search_locations[0]) / "rotel-agent"
    if not agent.exists():
        raise Unavailable("rotel is installed without its agent")
    return Binary(agent, "rotel")


def cache_path(go: str) -> Path:
    """Where the built collector is kept: a directory per builder.yaml and Go version, so that neither goes stale."""
    version = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True).stdout
    digest = hashlib.sha256(RECIPE.read_bytes() + b"\0" + version).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "probekit" / "collector" / digest / NAME


def _build(go: str, target: Path) -> None:
    """Build beside the target and rename: a build that dies leaves nothing that looks finished."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        recipe = Path(scratch) / "builder.yaml"
        recipe.write_bytes(RECIPE.read_bytes())
        command = [go, "run", BUILDER, "--config", recipe.name]
        try:
            done = subprocess.run(
                command,
                cwd=scratch,
                env={**os.environ, "GOFLAGS": "-mod=mod"},
                capture_output=True,
                text=True,
                timeout=_BUILD_S,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"building the collector took more than {_BUILD_S:.0f} s") from None
        if done.returncode:
            raise Unavailable(f"the collector does not build: {done.stderr[-2000:]}")
        os.replace(Path(scratch) / "dist" / NAME, target)


# No queue and no batch: the receiver answers a client only once the next hop has answered, so that what is acknowledged has
# arrived, and a client's counters can be held against what did.
_CONFIG: Final = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{http}"}}
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
exporters:
  otlp_http:
    endpoint: {downstream}
    compression: none
    timeout: 5s
    sending_queue: {{enabled: false}}
    retry_on_failure: {{enabled: false}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
    metrics: {{receivers: [otlp], exporters: [otlp_http]}}
    logs: {{receivers: [otlp], exporters: [otlp_http]}}
"""


class Collector:
    """A collector on loopback that passes everything on to ``downstream``; it keeps its ports when started again."""

    def __init__(self, binary: Binary, folder: Path, downstream: str) -> None:
        self.binary = binary
        self.http, self.grpc = _free_ports(2)
        self._folder = folder
        self._downstream = downstream
        self._process: subprocess.Popen[bytes] | None = None

    def endpoint(self, protocol: str) -> str:
        """Its URL for OTLP over that protocol."""
        return f"http://127.0.0.1:{self.grpc if protocol == 'grpc' else self.http}"

    def start(self) -> None:
        """Start it, and return once both ports accept connections."""
        with (self._folder / "collector.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self._folder)
        deadline = time.monotonic() + 30
        while not (_accepts(self.http) and _accepts(self.grpc)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the collector does not start: {self.log()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: no flush, no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """SIGTERM, or SIGKILL where that does not help. Does nothing when it does not run."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        """The end of what it said."""
        return (self._folder / "collector.log").read_text(errors="replace")[-4000:]

    def _command(self) -> list[str]:
        if self.binary.kind == "rotel":
            ports = ["--otlp-http-endpoint", f"127.0.0.1:{self.http}", "--otlp-grpc-endpoint", f"127.0.0.1:{self.grpc}"]
            to = ["--exporter", "otlp", "--otlp-exporter-endpoint", self._downstream, "--otlp-exporter-protocol", "http"]
            return [str(self.binary.path), "start", *ports, *to, "--batch-timeout", "100ms"]
        config = self._folder / "collector.yaml"
        config.write_text(_CONFIG.format(http=self.http, grpc=self.grpc, downstream=self._downstream))
        return [str(self.binary.path), "--config", str(config)]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    try:
        print(find().path)
    except Unavailable as problem:
        sys.exit(str(problem))
