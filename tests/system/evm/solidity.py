"""The contracts for tests, compiled by solc into ``build/evm-contracts`` once for each change of theirs or its."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from probekit.codecs.evm import abi
from tests.system.evm.installed import HERE, INSTALLED, LOCK, require_node

SOURCES: Final = HERE / "contracts"
_COMPILER: Final = HERE / "node" / "compile.mjs"
_BUILT: Final = HERE.parents[2] / "build" / "evm-contracts"
_PATIENCE_S: Final = 60


@dataclass(frozen=True)
class Compiled:
    """A contract: its ABI, the code that makes it, and the code that stands there then (for contracts without immutables)."""

    abi: list[dict[str, Any]]
    creation: bytes
    runtime: bytes

    def made_with(self, types: str = "", *arguments: Any) -> bytes:
        """The creation code with the constructor's arguments."""
        return self.creation + abi.encode(types, arguments)


@lru_cache(maxsize=1)
def contracts() -> dict[str, Compiled]:
    """Every contract by name, ours and Pyth's MockPyth and PythAggregatorV3. A skip with the reason where there is no compiler;
    in CI a failure.
    """
    node = require_node()
    digest = hashlib.sha256()
    for path in (LOCK, _COMPILER, *sorted(SOURCES.glob("*.sol"))):
        digest.update(path.read_bytes() + b"\0")
    built = _BUILT / f"{digest.hexdigest()[:16]}.json"
    if not built.exists():
        _compile(node, built)
    found = msgspec.json.decode(built.read_bytes())
    return {
        name: Compiled(one["abi"], bytes.fromhex(one["creation"]), bytes.fromhex(one["runtime"])) for name, one in found.items()
    }


def _compile(node: str, built: Path) -> None:
    done = subprocess.run(
        [node, str(_COMPILER), str(SOURCES), str(INSTALLED)], capture_output=True, text=True, timeout=_PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    built.parent.mkdir(parents=True, exist_ok=True)
    # Beside it and renamed: another process may read it at once.
    with tempfile.NamedTemporaryFile("w", dir=built.parent, delete=False) as written:
        written.write(done.stdout)
    os.replace(written.name, built)
