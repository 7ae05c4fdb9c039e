"""`make dist` for real: executables that start, the same bytes from another folder, nothing written below HOME."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.manifest import Manifest, digest
from probekit.dev.artifacts.profiles import PROFILES, executable_name
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread

pytestmark = [pytest.mark.system, pytest.mark.fleet]

ROOT = Path(__file__).parents[2]
CORE = executable_name("core")
MOST_CORE_BYTES = 15_000_000


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    out = tmp_path_factory.mktemp("dist") / "dist"
    return out, build(ROOT, out, PROFILES[:1])


@pytest.fixture
def release(built: tuple[Path, Manifest], tmp_path: Path) -> Path:
    """A folder as a host has it: the executable once, the launchers beside it."""
    return Path(shutil.copytree(built[0], tmp_path / "release"))


def start(command: Path, *arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home), **variables}
    return subprocess.run([str(command), *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_manifest_is_what_stands_beside_it(built: tuple[Path, Manifest]) -> None:
    out, manifest = built
    read: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    files = [read["wheel"], *read["profiles"].values(), *read["probes"].values()]
    assert sorted(file["file"] for file in files) == sorted(set(os.listdir(out)) - {"manifest.json"})
    for file in files:
        assert (file["sha256"], file["size"]) == digest(out / file["file"])
    assert manifest.profiles["core"].size <= MOST_CORE_BYTES
    assert all(one.size < 4_000 for one in manifest.probes.values())
    assert {"hermes_freshness", "http_service"} <= set(manifest.probes)


def test_a_launcher_names_its_probe_version_and_source_and_writes_nothing_below_home(
    built: tuple[Path, Manifest], release: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name, probe in built[1].probes.items():
        done = start(release / name, "--version", home=home)
        version = built[1].version
        assert (done.returncode, done.stdout) == (0, f"{name} {version} {probe.source_digest[:16]}\n"), done.stderr
    assert list(home.iterdir()) == []
    assert (release / "unpacked").is_dir()


@pytest.fixture
def readable(built: tuple[Path, Manifest]) -> Iterator[Path]:
    """An unpacked release that whoever runs the tests may read and not write."""
    folder = Path(tempfile.mkdtemp(prefix="probekit-release-"))
    release = Path(shutil.copytree(built[0], folder / "release"))
    link = release / "unpacked" / CORE
    done = start(release / CORE, "unpack", "--link", str(link), home=folder / "nowhere", PEX_ROOT=str(release / "unpacked"))
    assert done.returncode == 0, done.stderr
    for path in (release, *release.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534, follow_symlinks=False)
    yield release
    for path in (release, *(one for one in release.rglob("*") if one.is_dir() and not one.is_symlink())):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_an_unpacked_release_is_only_read_by_who_may_not_write_it(readable: Path, tmp_path: Path) -> None:
    before = sorted(str(path) for path in readable.rglob("*"))
    network = SandboxNetwork(feeds=3)
    feeds = json.dumps([str(market.feed.id) for market in network.markets])
    # Root without its capabilities is somebody like any other, to files of somebody else.
    plain = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    with serve_in_thread(Sandbox(network)) as url:
        done = subprocess.run(
            [
                *plain,
                str(readable / "hermes_latency"),
                "--once",
                "--json",
                "--set",
                f"endpoint={url}",
                "--set",
                f"feeds={feeds}",
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "CACHE_DIRECTORY": str(tmp_path / "unused")},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    run = json.loads(done.stdout.splitlines()[-1])
    assert run["probe"] == "hermes_latency", done.stderr
    assert sorted(str(path) for path in readable.rglob("*")) == before
    assert not (tmp_path / "unused").exists()


def test_without_an_unpacked_release_it_unpacks_into_the_cache_of_its_unit(release: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = start(release / "hermes_proof", "--version", home=tmp_path / "nowhere", CACHE_DIRECTORY=str(cache))
    assert done.returncode == 0, done.stderr
    assert cache.is_dir()
    assert not (release / "unpacked").exists()


def test_an_executable_refuses_another_python(release: Path, tmp_path: Path) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    for tool in ("sh", "dirname", "readlink", "mkdir", "env", "cat"):
        found = shutil.which(tool)
        assert found is not None
        (only / tool).symlink_to(found)
    done = subprocess.run(
        [str(release / "hermes_proof"), "--version"],
        env={"PATH": str(only), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "python" in done.stderr.lower()
