"""A name server that says nothing: the deadline holds, the loop goes on, and nothing waits for it at the end.

libcurl asks the resolver in C, so only a real one that hangs can show it: in a network namespace of its own, with its own
``resolv.conf``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

_SILENT_S = 4
"""The resolver asks twice, and waits so long each time."""

_PROGRAM = """
import asyncio, json, socket, sys, time
from probekit.errors import DeadlineExceeded
from probekit.transports.base import Request
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.9", 53))

async def main():
    engine = {"curl": CurlTransport, "httpx": HttpxTransport}[sys.argv[1]]()
    lateness = 0.0

    async def tick():
        nonlocal lateness
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            lateness = max(lateness, time.monotonic() - began - 0.02)

    ticking = asyncio.ensure_future(tick())
    began = time.monotonic()
    request = Request("GET", "http://nobody.example.com/", deadline_ns=time.monotonic_ns() + 1_000_000_000)
    try:
        await engine.send(request)
    except DeadlineExceeded as late:
        phase = late.phase
    late_s = time.monotonic() - began
    task = asyncio.ensure_future(engine.send(Request("GET", "http://nobody.example.com/")))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await engine.aclose()
    await asyncio.sleep(0.1)
    ticking.cancel()
    closed_s = time.monotonic() - began - 0.1
    told = {"phase": phase, "late_s": late_s, "closed_s": closed_s, "lateness_s": lateness, "asked": asked()}
    print(json.dumps(told), flush=True)

def asked():
    server.settimeout(1)
    return len(server.recv(512)) > 0

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""


@pytest.fixture
def alone(tmp_path: Path) -> list[str]:
    """A command that runs another with the loopback network alone, and a name server there that is the test's."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver 127.0.0.9\noptions timeout:{_SILENT_S} attempts:2\n")
    setup = f'ip link set lo up && mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c", setup, "sh"]
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    trial = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=20)
    if trial.returncode:
        pytest.skip(f"no namespaces here: {trial.stderr.strip()[:200]}")
    return command


@pytest.mark.parametrize(("engine", "phase"), [("curl", "resolve"), ("httpx", "connect")])
def test_nothing_waits_for_it(alone: list[str], engine: str, phase: str) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*alone, sys.executable, "-c", _PROGRAM, engine]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environ)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["asked"], "the name server was asked, and said nothing"
    assert told["phase"] == phase
    assert told["late_s"] < 2
    # Far below the eight seconds that the resolver goes on for.
    assert told["closed_s"] < _SILENT_S / 2
    assert told["lateness_s"] < _SILENT_S / 2


_SERVICES = """
import asyncio, json, socket, sys, threading
from datetime import timedelta
from probekit.runner import RunSettings, run_once
from tests.support.sandbox import load, module_of

names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.9", 53))
listener = socket.create_server(("127.0.0.1", 0))

def answer():
    while True:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n")
        connection.close()

threading.Thread(target=answer, daemon=True).start()
probe = load("http_service")
service = module_of(probe).Service
hanging = [service(url=f"http://nobody{number}.example.com/") for number in range(20)]
good = [service(url=f"http://127.0.0.1:{listener.getsockname()[1]}/{number}") for number in range(20)]
options = probe.options(services=(*hanging, *good), timeout=timedelta(seconds=1.5), budget=timedelta(seconds=0.5))
run = asyncio.run(run_once(probe, options, settings=RunSettings()))
told = [(result.target.id, result.status, result.verdicts[0].reason) for result in run.results]
print(json.dumps({"told": told, "elapsed_ns": run.elapsed_ns}), flush=True)
"""


def test_a_name_that_hangs_delays_no_other_service(alone: list[str]) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [*alone, sys.executable, "-c", _SERVICES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environ)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    by_kind = {(name.startswith("http://nobody"), status, reason) for name, status, reason in told["told"]}
    assert by_kind == {(True, "critical", "deadline_resolve"), (False, "ok", "as_expected")}
    assert told["elapsed_ns"] < 4e9
