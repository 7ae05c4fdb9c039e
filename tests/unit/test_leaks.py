"""The leak check itself: it must be able to fail."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import leaks
from tests.support.leaks import Watch, settled

ROOT = Path(__file__).resolve().parents[2]

INNER = """
import asyncio, socket
import pytest
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.transports.base import Request
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from tests.support import leaks

leaks._PATIENCE_S = 0.1
kept = []

async def test_leaves_a_task():
    kept.append(asyncio.create_task(asyncio.sleep(3600)))

async def test_leaves_a_listener():
    kept.append(socket.create_server(("127.0.0.1", 0)))

def test_leaves_a_listener_without_a_loop():
    kept.append(socket.create_server(("127.0.0.1", 0)))

async def test_leaves_a_connection():
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    kept.append(await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1]))
    server.close()

@pytest.fixture
async def server():
    async with serve(Sandbox(SandboxNetwork(feeds=2))) as url:
        yield url

@pytest.mark.parametrize("engine", [HttpxTransport, CurlTransport])
async def test_leaves_an_engine(server, engine):
    kept.append(engine())
    await kept[-1].send(Request("GET", f"{server}/live"))

@pytest.fixture
async def careless():
    kept.append(await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0))
    yield

async def test_leaves_what_a_fixture_opened(careless):
    pass

@pytest.fixture(scope="module")
def listener():
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one

@pytest.mark.parametrize("engine", [HttpxTransport, CurlTransport])
async def test_clean_engine(server, listener, engine):
    transport = engine()
    await transport.send(Request("GET", f"{server}/live"))
    await transport.aclose()

async def test_clean_unused_engine_and_tasks_that_end():
    kept.append(HttpxTransport())
    kept.append(asyncio.create_task(asyncio.sleep(0)))
    ending = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(0)
    ending.cancel()

def test_clean_without_a_loop():
    socket.create_server(("127.0.0.1", 0)).close()
"""


def test_what_is_left_behind_fails_the_test_that_left_it(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "tests.support.leaks",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
    ]
    command += ["-W", "ignore", "--rootdir", str(tmp_path), "-c", os.devnull, "-o", "asyncio_mode=auto", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))), "COLUMNS": "250"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50, check=False, cwd=tmp_path)
    found = dict(re.findall(r"^ERROR test_inner\.py::test_(\S+) - Failed: left behind: (.+)$", ended.stdout, re.MULTILINE))
    assert {name: words.partition("(")[0].partition(" Task-")[0].strip() for name, words in found.items()} == {
        "leaves_a_task": "task",
        "leaves_a_listener": "socket AF_INET",
        "leaves_a_listener_without_a_loop": "socket AF_INET",
        "leaves_a_connection": "socket AF_INET",
        "leaves_an_engine[HttpxTransport]": "socket AF_INET",
        "leaves_an_engine[CurlTransport]": "CurlTransport that was used and not closed",
        "leaves_what_a_fixture_opened": "socket AF_INET",
    }, ended.stdout + ended.stderr
    assert "HttpxTransport that was used and not closed" in found["leaves_an_engine[HttpxTransport]"]
    # A test that leaves something is passed and then an error: as many as there are tests in all.
    assert "11 passed, 7 errors" in ended.stdout


async def test_what_is_being_closed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    assert await settled(watch) == []
    task = asyncio.create_task(asyncio.sleep(0.05))
    assert await settled(watch) == []
    assert task.done()
    monkeypatch.setattr(leaks, "_PATIENCE_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (told,) = await settled(watch)
        assert str(listener.getsockname()) in told
    assert await settled(watch) == []
