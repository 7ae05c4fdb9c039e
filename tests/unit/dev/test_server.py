"""The server on a socket of this machine: it starts, answers, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest

from probekit.dev import faults
from probekit.dev import hermes as command
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve, serve_in_thread
from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra
from probekit.transports.base import Request
from probekit.transports.httpx import HttpxTransport
from tests.unit.dev.bench import BTC


async def test_serves_and_ends_with_open_streams() -> None:
    sandbox = Sandbox(SandboxNetwork(feeds=2))
    before = asyncio.all_tasks()
    async with serve(sandbox) as url:
        transport = HttpxTransport()
        assert (await transport.send(Request("GET", f"{url}/live"))).body == b"OK"
        stream = await transport.send(Request("GET", f"{url}/v2/updates/price/stream?ids[]={BTC}", stream=True))
        assert stream.chunks is not None
        assert (await anext(stream.chunks)).startswith(b"data:{")
        port = int(url.rpartition(":")[2])
    assert asyncio.all_tasks() == before
    assert sandbox.open_streams == 0
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    await stream.aclose()
    await transport.aclose()


def test_serves_from_a_thread() -> None:
    sandbox = Sandbox(SandboxNetwork(feeds=2))
    with serve_in_thread(sandbox) as url:
        with urlopen(f"{url}/live", timeout=5) as answer:
            assert answer.read() == b"OK"
        with sandbox.inject(faults.ServerError(everywhere=True)).during(), pytest.raises(OSError, match="503"):
            urlopen(f"{url}/live", timeout=5)
    assert not any(thread.name == "sandbox server" for thread in threading.enumerate())


async def test_taken_port_is_one_sentence() -> None:
    sandbox = Sandbox(SandboxNetwork(feeds=2))
    async with serve(sandbox) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with serve(sandbox, port=port):
                pass
        with pytest.raises(ConfigError, match="cannot listen"), serve_in_thread(sandbox, port=port):
            pass


async def test_missing_uvicorn_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match="the sandbox server needs uvicorn: pip install 'uvicorn>="):
        async with serve(Sandbox(SandboxNetwork(feeds=2))):
            pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--feeds", "0"], "1 to 2000 feeds"),
        (["--publish-every", "75ms"], "multiple"),
        (["--publish-every", "soon"], "not a duration"),
        (["--key-file", "/nowhere/key"], "/nowhere/key"),
        (["--endpoints", "0"], "at least one"),
    ],
)
def test_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert command.main(["--port", "0", *arguments]) == 3
    assert words in capsys.readouterr().err


def test_command_without_uvicorn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    key = tmp_path / "key"
    key.write_text("a-key-in-a-file\n")
    assert command.main(["--port", "0", "--feeds", "2", "--key-file", str(key)]) == 3
    assert capsys.readouterr().err.strip() == str(missing_extra("the sandbox server needs uvicorn", "dev"))
