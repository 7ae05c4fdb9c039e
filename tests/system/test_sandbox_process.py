"""``python -m probekit.dev.hermes`` as a process: endpoints of one network, faults over HTTP, an end that is clean."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from probekit.clients.hermes import HermesClient
from probekit.model import TrustRoot
from probekit.secret import Secret
from probekit.trust import EMITTERS, SignerSet, Trust

pytestmark = pytest.mark.system

BTC = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"


@contextmanager
def sandbox(*arguments: str, lines: int) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The process and its first lines; ended by force only if it has not ended by itself."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "probekit.dev.hermes", "--port", "0", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        # A suite started in the background is one whose children ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        yield process, [process.stdout.readline().rstrip() for _ in range(lines)]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def ask(url: str, method: str = "GET", **body: Any) -> Any:
    request = Request(url, method=method, data=json.dumps(body).encode() if body else None)
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize("root", list(TrustRoot))
def test_two_endpoints_one_network(root: TrustRoot, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("a-key-in-a-file\n")
    signers = 19 if root is TrustRoot.CORE else 5
    options = ("--root", str(root), "--feeds", "20", "--endpoints", "2", "--key-file", str(key_file), "--control")
    with sandbox(*options, lines=3 + signers) as (process, printed):
        urls = [re.sub(".* at ", "", line) for line in printed[:2]]
        addresses = [line.strip() for line in printed[3:]]
        trust = Trust((SignerSet.of(root, 1, *addresses),), EMITTERS)

        async def slots() -> set[int]:
            """The newest slot of each."""
            clients = [HermesClient(url, api_key=Secret("a-key-in-a-file"), verify=trust) for url in urls]
            try:
                batches = await asyncio.gather(*(one.latest([BTC]) for one in clients))
                return {batch[BTC].slot or 0 for batch in batches}
            finally:
                for one in clients:
                    await one.aclose()

        until = time.monotonic() + 20
        while len(asyncio.run(slots())) > 1:
            assert time.monotonic() < until, "the endpoints never had the same slot"
        with pytest.raises(HTTPError, match="401"):
            ask(f"{urls[0]}/v2/updates/price/latest?ids[]={BTC}")
        put = ask(f"{urls[0]}/_sandbox/faults", "POST", fault="not_ready")
        with pytest.raises(HTTPError, match="503"):
            ask(f"{urls[0]}/ready")
        with urlopen(f"{urls[1]}/ready", timeout=10) as answer:
            assert answer.read() == b"OK"
        assert ask(f"{urls[0]}/_sandbox/faults/{put['id']}", "DELETE") == []
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - began < 5


def test_interrupted_with_an_open_stream() -> None:
    with sandbox(lines=7) as (process, printed):
        url = re.sub(".* at ", "", printed[0])
        with urlopen(f"{url}/v2/updates/price/stream?ids[]={BTC}", timeout=10) as stream:
            assert stream.read(6) == b"data:{"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""
