"""A fresh connection per probe, with everything that a run brings: CPU of ``http_service`` against blackbox_exporter's.

Both ask the same server, in turn, as many targets at once as a prober of a fleet has. Ours is the whole path: runner, engine,
assertions, percentiles, all metrics at their interval and traces of 1 % of runs, encoded and sent. Theirs is its process, asked
for each target once by ``GET /probe``: what asks is not counted. Over TLS each makes full handshakes and verifies certificates.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import uvloop

from benchmarks.row import Row
from benchmarks.transports import _certificates, process
from probekit.manifest import find_probe, load_probe
from probekit.manifest.discovery import catalogue
from probekit.model import Status, Vantage
from probekit.runner import RunSettings, watch
from probekit.telemetry import recorder_from_env
from probekit.transports.base import Request
from probekit.transports.curl import CurlTransport
from tests.support.debian import Unavailable, program
from tests.support.nginx import free_ports, nginx

TARGETS = 100
TICKS = 7
INTERVAL_S = 1.5
EXPORT_MS = round(6 * INTERVAL_S * 1000)
"""As by default: a tick every 10 s, an export of all metrics every 60. One falls into what is measured."""
EXPORTER = "prometheus-blackbox-exporter"

_MODULES = """
modules:
  plain:
    prober: http
    timeout: 5s
    http:
      preferred_ip_protocol: ip4
      fail_if_body_not_matches_regexp: ['"result":"0x1"']
  tls:
    prober: http
    timeout: 5s
    http:
      preferred_ip_protocol: ip4
      fail_if_not_ssl: true
      fail_if_body_not_matches_regexp: ['"result":"0x1"']
      tls_config: {{ca_file: {ca}}}
"""


def _sink(listener: socket.socket) -> None:
    """A receiver of telemetry that takes everything."""

    def take(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                size = 0
                while line not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                    line = stream.readline()
                stream.read(size)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")

    while True:
        threading.Thread(target=take, args=(listener.accept()[0],), daemon=True).start()


@contextlib.contextmanager
def _server(tls: bool) -> Iterator[str]:
    """nginx with one small answer; our own small server where it is not to be had."""
    certificate = _certificates()[0]
    [port] = free_ports(1)
    secured = f"ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_session_tickets off;" if tls else ""
    block = f"""server {{ listen 127.0.0.1:{port}{" ssl" if tls else ""} backlog=1024; {secured}
      location / {{ return 200 '{{"jsonrpc":"2.0","id":1,"result":"0x1"}}'; }} }}"""
    scheme = "https" if tls else "http"
    with contextlib.ExitStack() as stack:
        try:
            program("nginx", "nginx")
        except Unavailable:
            from benchmarks.transports import _serve_small

            port = stack.enter_context(process(_serve_small, certificate if tls else None))
        else:
            stack.enter_context(nginx(Path(stack.enter_context(tempfile.TemporaryDirectory())), block, [port]))
        yield f"{scheme}://127.0.0.1:{port}"


async def _ours(url: str, collector: str) -> float:
    probe = load_probe(find_probe("http_service", (catalogue(),)))
    services = [
        {"name": f"service-{number}", "url": f"{url}/{number}", "expect_body": [{"matches": '"result":"0x1"'}]}
        for number in range(TARGETS)
    ]
    options = _options(probe, services)
    vantage = Vantage(host="bench")
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector, "OTEL_METRIC_EXPORT_INTERVAL": str(EXPORT_MS),
                   "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}  # fmt: skip
    recorder = recorder_from_env(vantage, environment)
    assert recorder is not None
    settings = RunSettings(vantage, interval=timedelta(seconds=INTERVAL_S))
    runs = watch(probe, options, settings=settings, recorders=[recorder])
    began = spent = 0.0
    seen = 0
    async with contextlib.aclosing(runs):
        async for run in runs:
            wrong = [one for one in run.results if one.status is not Status.OK]
            if wrong:
                raise AssertionError(f"{wrong[0].target.id}: {wrong[0].verdicts}")
            seen += 1
            if seen == 1:
                # What is made once is not counted: series, CA store, imports.
                began = time.process_time()
            elif seen > TICKS:
                # Before the last export, which comes once in a process's life and not once in seven ticks.
                spent = time.process_time() - began
                break
    return spent / TICKS / TARGETS * 1000


def _options(probe: Any, services: list[dict[str, Any]]) -> Any:
    import sys

    module = sys.modules[probe.observe.__module__]
    made = tuple(
        module.Service(**{**one, "expect_body": tuple(module.Expected(**want) for want in one["expect_body"])})
        for one in services
    )
    return probe.options(services=made)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _theirs(url: str, port: int, pid: int, module: str) -> float:
    engine = CurlTransport(max_concurrency=TARGETS)
    targets = [f"http://127.0.0.1:{port}/probe?module={module}&target={quote(f'{url}/{n}', safe='')}" for n in range(TARGETS)]

    async def tick() -> None:
        for answer in await asyncio.gather(*(engine.send(Request("GET", one)) for one in targets)):
            if b"\nprobe_success 1\n" not in answer.body:
                raise AssertionError(answer.body.decode()[-2000:])

    await tick()
    began = _cpu_s(pid)
    for _ in range(TICKS):
        await tick()
        await asyncio.sleep(0.1)
    await engine.aclose()
    return (_cpu_s(pid) - began) / TICKS / TARGETS * 1000


@contextlib.contextmanager
def _exporter(path: Path, ca: str) -> Iterator[tuple[int, int]]:
    """The exporter's port and process."""
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "blackbox.yml"
        config.write_text(_MODULES.format(ca=ca))
        command = [str(path), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            due_s = time.monotonic() + 20
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                if running.poll() is not None or time.monotonic() > due_s:
                    raise AssertionError("the exporter does not start")
                time.sleep(0.02)
            yield port, running.pid
        finally:
            running.kill()
            running.wait()


def _loop() -> asyncio.Runner:
    """On uvloop, as probes run."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def rows() -> list[Row]:
    """CPU per probe, over HTTP and over TLS. Without the exporter ours alone is measured, and no target is held."""
    try:
        peer: Path | None = program(EXPORTER, EXPORTER)
    except Unavailable:
        peer = None
    ca = _certificates()[1]

    def ours(tls: bool) -> Callable[[], float]:
        def measure() -> float:
            trusted = patch.dict(os.environ, {"SSL_CERT_FILE": ca}) if tls else contextlib.nullcontext()
            with trusted, _server(tls) as url, process(_sink) as port, _loop() as runner:
                return runner.run(_ours(url, f"http://127.0.0.1:{port}"))

        return measure

    def theirs(tls: bool) -> Callable[[], float]:
        def measure() -> float:
            assert peer is not None
            with _server(tls) as url, _exporter(peer, ca) as (port, pid), _loop() as runner:
                return runner.run(_theirs(url, port, pid, "tls" if tls else "plain"))

        return measure

    def row(name: str, tls: bool, target: float) -> Row:
        # Without the peer ours stands on both sides of a row that holds nothing.
        return {
            "name": name,
            "ours": ours(tls),
            "peer": theirs(tls) if peer is not None else ours(tls),
            "peer_name": EXPORTER if peer is not None else f"{EXPORTER} is not installed: ours again, no target",
            "target": target if peer is not None else None,
            "unit": "ms CPU",
            "measured": True,
            "runs": 5,
        }

    return [row("http_service, HTTP, a fresh probe", False, 2.0), row("http_service, TLS, a fresh probe", True, 1.0)]
