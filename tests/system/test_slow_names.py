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
from typing import Any

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
    """A command that runs another with the loopback network alone, a name server there that is the test's, and one name that
    is known without it.
    """
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver 127.0.0.9\noptions timeout:{_SILENT_S} attempts:2\n")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost healthy.example.com\n")
    files = f"mount --bind {resolver} /etc/resolv.conf && mount --bind {hosts} /etc/hosts"
    setup = f'ip link set lo up && {files} && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c", setup, "sh"]
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    trial = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=20)
    if trial.returncode:
        pytest.skip(f"no namespaces here: {trial.stderr.strip()[:200]}")
    return command


def told_by(alone: list[str], program: str, *arguments: str) -> dict[str, Any]:
    """What a program tells, as JSON, that runs with that network alone."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [*alone, sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environ)
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(("engine", "phase"), [("curl", "resolve"), ("httpx", "connect")])
def test_nothing_waits_for_it(alone: list[str], engine: str, phase: str) -> None:
    told = told_by(alone, _PROGRAM, engine)
    assert told["asked"], "the name server was asked, and said nothing"
    assert told["phase"] == phase
    assert told["late_s"] < 2
    # Far below the eight seconds that the resolver goes on for.
    assert told["closed_s"] < _SILENT_S / 2
    assert told["lateness_s"] < _SILENT_S / 2


_MANY = """
import asyncio, json, socket, sys, threading, time
from probekit.clock import SYSTEM_CLOCK
from probekit.errors import DeadlineExceeded
from probekit.transports.base import Request
from probekit.transports.dial import Call, SocketDialer

names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.9", 53))
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]

def answer():
    while True:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n")
        connection.close()

threading.Thread(target=answer, daemon=True).start()
HEALTHY = "healthy.example.com"

def asking(kind):
    if kind == "curl":
        from probekit.transports.curl import CurlTransport as engine
    if kind == "httpx":
        from probekit.transports.httpx import HttpxTransport as engine
    if kind in ("curl", "httpx"):
        made = engine()
        return lambda host, due_ns: made.send(Request("GET", f"http://{host}:{port}/", deadline_ns=due_ns))
    if kind == "dial":
        dialer = SocketDialer()
        return lambda host, due_ns: dialer.dial(Call(host, port, deadline_ns=due_ns))
    from probekit.transports.websocket import WebsocketsConnector
    connector = WebsocketsConnector()
    # The server is none of WebSockets: that it was reached is what counts here.
    return lambda host, due_ns: connector.connect(
        f"ws://{host}:{port}/", timeout_ns=due_ns - time.monotonic_ns(), max_message_bytes=1024)

async def main():
    ask = asking(sys.argv[1])
    due_ns = time.monotonic_ns() + 2_500_000_000
    # httpx has a hundred connections, those that are not open yet among them.
    count = 80 if sys.argv[1] == "httpx" else 150
    hanging = [asyncio.ensure_future(ask(f"nobody{number}.example.com", due_ns)) for number in range(count)]
    await asyncio.sleep(0.3)
    healthy, took = [], []
    for _ in range(3):
        began = time.monotonic()
        try:
            await ask(HEALTHY, time.monotonic_ns() + 2_000_000_000)
            healthy.append("answered")
        except Exception as error:
            healthy.append(type(error).__name__)
        took.append(time.monotonic() - began)
    outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    late = sorted({f"{type(one).__name__} {getattr(one, 'phase', None)}" for one in outcomes})
    print(json.dumps({"healthy": healthy, "took": took, "late": late}), flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("kind", "answered", "late"),
    [
        ("curl", "answered", "DeadlineExceeded resolve"),
        ("httpx", "answered", "DeadlineExceeded connect"),
        ("dial", "answered", "DeadlineExceeded resolve"),
        ("websocket", "StatusError", "DeadlineExceeded connect"),
    ],
)
def test_names_that_hang_take_no_other_names_place(alone: list[str], kind: str, answered: str, late: str) -> None:
    """More of them than libcurl, asyncio's pool of threads and an engine have places."""
    told = told_by(alone, _MANY, kind)
    assert told["healthy"] == [answered] * 3
    assert max(told["took"]) < 1
    assert told["late"] == [late]


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
hanging = [service(url=f"http://nobody{number}.example.com/") for number in range(100)]
port = listener.getsockname()[1]
good = [service(url=f"http://127.0.0.1:{port}/{number}") for number in range(20)]
good += [service(url=f"http://healthy.example.com:{port}/{number}") for number in range(20)]
services = (*hanging[:50], *good, *hanging[50:])
options = probe.options(services=services, timeout=timedelta(seconds=1.5), budget=timedelta(seconds=0.5))
run = asyncio.run(run_once(probe, options, settings=RunSettings()))
told = [(result.target.id, result.status, result.verdicts[0].reason) for result in run.results]
print(json.dumps({"told": told, "elapsed_ns": run.elapsed_ns}), flush=True)
"""


def test_a_name_that_hangs_delays_no_other_service(alone: list[str]) -> None:
    told = told_by(alone, _SERVICES)
    by_kind = {(name.startswith("http://nobody"), status, reason) for name, status, reason in told["told"]}
    assert by_kind == {(True, "critical", "deadline_resolve"), (False, "ok", "as_expected")}
    assert told["elapsed_ns"] < 4e9
