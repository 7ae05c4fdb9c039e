"""The EVM node and the compiler for tests: found where they are installed.

Where they cannot be had the reason is a sentence. In CI nothing is skipped: a node that cannot be had fails the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final, NoReturn

import pytest

from probekit.dev.anvil import find_anvil
from probekit.errors import ConfigError

HERE: Final = Path(__file__).resolve().parent
LOCK: Final = HERE / "node" / "package-lock.json"
INSTALLED: Final = HERE.parents[2] / "build" / "node-evm"
_NEEDED: Final = (20, 18)


class Unavailable(Exception):
    """No node or no compiler here; the message says why."""


def find_node() -> str:
    """The ``node`` program, once the packages stand in ``build/node-evm`` as locked. Raises :class:`Unavailable`."""
    program = shutil.which("node")
    if program is None:
        raise Unavailable("no node on PATH")
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _NEEDED:
        raise Unavailable(f"node {version} is older than {'.'.join(map(str, _NEEDED))}")
    installed = INSTALLED / "package-lock.json"
    if not (INSTALLED / "node_modules").is_dir() or not installed.exists():
        raise Unavailable("anvil and solc are not installed in build/node-evm: make node-evm")
    if installed.read_bytes() != LOCK.read_bytes():
        raise Unavailable("the packages in build/node-evm are not the locked ones: make node-evm")
    return program


def require_anvil() -> Path:
    """The node's program, or a skip with the reason; in CI a failure."""
    try:
        return find_anvil()
    except ConfigError as problem:
        _refuse(problem.message)


def require_node() -> str:
    """:func:`find_node`, or a skip with the reason; in CI a failure."""
    try:
        return find_node()
    except Unavailable as problem:
        _refuse(str(problem))


def _refuse(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
