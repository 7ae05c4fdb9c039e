"""Real programs from Debian, for tests and benchmarks: found, or in CI downloaded and unpacked into a cache.

Nothing is installed: no service starts, no root is needed, and nothing outside the cache changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_APT_S: Final = 300.0


class Unavailable(Exception):
    """No such program here; the message says why."""


def program(name: str, package: str, *libraries: str) -> Path:
    """The program ``name``: of ``PROBEKIT_<NAME>``, of PATH, of the usual places, of the cache; in CI from the archive.

    ``libraries`` are packages that it is linked with and that a system may not have: unpacked beside it, where
    :func:`environment` leads it to them. Raises :class:`Unavailable`.
    """
    variable = f"PROBEKIT_{name.upper().replace('-', '_')}"
    if named := os.environ.get(variable):
        if not os.access(named, os.X_OK):
            raise Unavailable(f"{variable}={named} is not a program")
        return Path(named)
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"))
    if found := shutil.which(name, path=places):
        return Path(found)
    cached = _cache() / package
    if not cached.exists() and os.environ.get("CI"):
        _unpack((package, *libraries), cached)
    for folder in ("usr/sbin", "usr/bin"):
        if os.access(cached / folder / name, os.X_OK):
            return cached / folder / name
    raise Unavailable(f"no {name} on PATH or named by {variable} (Debian: apt-get install {package})")


def environment(path: Path) -> dict[str, str]:
    """What a program that was unpacked needs in its environment to find its libraries."""
    library = path.parents[1] / "lib"
    # Postfix keeps its own in a folder of its name.
    folders = [*sorted(library.glob("*-linux-gnu")), *library.glob("postfix")]
    beside = [str(one) for one in folders] if _cache() in path.parents else []
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(beside)} if beside else dict(os.environ)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "probekit" / "debian"


def _unpack(packages: tuple[str, ...], target: Path) -> None:
    """Unpack beside the target and rename: a download that dies leaves nothing that looks finished."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unavailable(f"this system has no apt to get {packages[0]} with")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        done = _apt("download", *packages, folder=scratch)
        if done.returncode:
            # Images come without the archive's lists.
            _apt("update", folder=scratch)
            done = _apt("download", *packages, folder=scratch)
        found = list(Path(scratch).glob("*.deb"))
        if done.returncode or len(found) != len(packages):
            raise Unavailable(f"{packages[0]} cannot be downloaded: {done.stderr[-500:]}")
        unpacked = Path(scratch) / "unpacked"
        for one in found:
            subprocess.run(["dpkg-deb", "-x", str(one), str(unpacked)], check=True, timeout=60)
        if not target.exists():
            os.rename(unpacked, target)


def _apt(*arguments: str, folder: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-qq", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_APT_S, check=False)
