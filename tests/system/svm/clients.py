"""The JavaScript clients for tests: found where they are installed, run against a node that is alive.

Where they cannot be had the reason is a sentence. In CI nothing is skipped: clients that cannot be had fail the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import Served, serve, ticking

HERE: Final = Path(__file__).resolve().parent / "node"
MODULES: Final = Path(__file__).resolve().parents[3] / "build" / "node-svm"
_NEEDED: Final = (20, 18)
_PATIENCE_S: Final = 60.0

SLOT_TIME: Final = timedelta(milliseconds=25)
"""Quicker than a cluster's, so that what takes a cluster a minute takes a test a second."""


class Unavailable(Exception):
    """No JavaScript client here; the message says why."""


def find() -> str:
    """The ``node`` program, once the clients stand in ``build/node-svm`` as locked. Raises :class:`Unavailable`."""
    program = shutil.which("node")
    if program is None:
        raise Unavailable("no node on PATH")
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _NEEDED:
        raise Unavailable(f"node {version} is older than {'.'.join(map(str, _NEEDED))}")
    installed = MODULES / "package-lock.json"
    if not (MODULES / "node_modules").is_dir() or not installed.exists():
        raise Unavailable("the clients are not installed in build/node-svm: make node-svm")
    if installed.read_bytes() != (HERE / "package-lock.json").read_bytes():
        raise Unavailable("the clients in build/node-svm are not the locked ones: make node-svm")
    return program


def require() -> str:
    """:func:`find`, or a skip with the reason; in CI a failure."""
    try:
        return find()
    except Unavailable as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem))
        pytest.skip(str(problem))


async def run(program: str, script: str, *arguments: str) -> dict[str, Any]:
    """What a script printed, one JSON object. Fails with its error output."""
    process = await asyncio.create_subprocess_exec(
        program,
        str(HERE / script),
        *arguments,
        str(MODULES),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        _, err = await process.communicate()
        raise AssertionError(f"{script} did not end within {_PATIENCE_S:.0f} s: {err.decode()[-2000:]}") from None
    assert process.returncode == 0, err.decode()[-4000:]
    told = json.loads(out)
    assert isinstance(told, dict)
    return told


@contextlib.asynccontextmanager
async def living(ledger: Ledger) -> AsyncIterator[tuple[Node, Served]]:
    """A node over a ledger whose blocks come by themselves."""
    node = Node(ledger)
    async with ticking(ledger, every=SLOT_TIME), serve(node) as served:
        yield node, served
