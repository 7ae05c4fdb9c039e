"""Every executable of `make dist`: each runs the probes it claims to, starts at once, and is the same when built again."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.launcher import UNPACKED
from probekit.dev.artifacts.manifest import FILE, Manifest, digest
from probekit.dev.artifacts.profiles import PROFILES, Profile
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread
from probekit.manifest.discovery import Found, list_probes, load_probe
from tests.packaging.extras import KUBECONFIG, without_endpoints

pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
CATALOGUE = {found.name: found for found in list_probes([ROOT / "probes"])}
BY_PROFILE = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
MOST_START_S = 1.0


class Built:
    """A folder as a host has it after the role: executables unpacked beside their launchers."""

    def __init__(self, folder: Path, manifest: Manifest, work: Path) -> None:
        self.folder = folder
        self.manifest = manifest
        self._work = work

    def executable(self, profile: Profile) -> Path:
        return self.folder / self.manifest.profiles[profile.name].file

    def start(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/nonexistent", **variables}
        return subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)

    def once_against_nobody(self, command: Sequence[str | Path], found: Found) -> dict[str, Any]:
        """A probe's run where nobody answers at any endpoint of its ready manifest."""
        manifest = self._work / f"{found.name}.yaml"
        manifest.write_text(without_endpoints(found))
        kubeconfig = self._work / "kubeconfig"
        kubeconfig.write_text(KUBECONFIG)
        done = self.start(*command, "--once", "--json", "--config", manifest, KUBECONFIG=str(kubeconfig))
        assert done.returncode in (2, 3), (found.name, done.stdout, done.stderr)
        run: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return run


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    work = tmp_path_factory.mktemp("profiles")
    out = work / "dist"
    made = Built(out, build(ROOT, out, say=lambda what: None), work)
    for profile in PROFILES:
        executable = made.executable(profile)
        unpacked = made.start(executable, "unpack", "--link", out / UNPACKED / executable.name, PEX_ROOT=str(out / UNPACKED))
        assert unpacked.returncode == 0, unpacked.stderr
    yield made
    shutil.rmtree(work)  # some 700 MB


def test_the_manifest_tells_every_file_and_each_probes_smallest_executable(built: Built) -> None:
    manifest = built.manifest
    assert list(manifest.profiles) == [profile.name for profile in PROFILES]
    for file in (manifest.wheel, *manifest.profiles.values(), *manifest.probes.values()):
        assert (file.sha256, file.size) == digest(built.folder / file.file)
    needs = {name: set(load_probe(found).needs) for name, found in CATALOGUE.items()}
    for profile in PROFILES:
        assert set(manifest.profiles[profile.name].probes) == {
            name for name, extras in needs.items() if extras <= profile.extras
        }
    assert set(manifest.profiles["full"].probes) == set(CATALOGUE) == set(manifest.probes)
    for name, probe in manifest.probes.items():
        assert probe.profile == next(profile.name for profile in PROFILES if needs[name] <= profile.extras)
        assert probe.size < 4_000


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_every_executable_tells_of_each_of_its_probes(built: Built, argument: str) -> None:
    def ask(profile: Profile, name: str) -> None:
        done = built.start(built.executable(profile), "run", name, argument, PEX_ROOT=str(built.folder / UNPACKED))
        version = f"{name} {built.manifest.version} {built.manifest.probes[name].source_digest[:16]}\n"
        wanted = version if argument == "--version" else f"usage: probekit run {name} "
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(wanted)

    pairs = [(profile, name) for profile in PROFILES for name in built.manifest.profiles[profile.name].probes]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, *zip(*pairs, strict=True)))


def test_every_probe_runs_from_its_launcher_with_the_packages_of_its_profile(built: Built) -> None:
    """Nobody answers: such a verdict has been through the probe's imports. What a profile lacked would be ``config``."""

    def run(name: str) -> set[str]:
        told = built.once_against_nobody([built.folder / name], CATALOGUE[name])
        assert told["probe"] == name
        return {verdict["reason"] for result in told["results"] for verdict in result["verdicts"]}

    # A few wait for their deadline: four at a time cost no more than the longest.
    with ThreadPoolExecutor(4) as pool:
        reasons = dict(zip(CATALOGUE, pool.map(run, CATALOGUE), strict=True))
    assert {name: told for name, told in reasons.items() if not told or told & {"config", "probe_error"}} == {}


def test_a_probe_in_an_executable_without_its_packages_names_them(built: Built) -> None:
    core = built.executable(PROFILES[0])
    told = built.once_against_nobody([core, "run", "grpc_health"], CATALOGUE["grpc_health"])
    messages = {verdict["message"] for result in told["results"] for verdict in result["verdicts"]}
    assert all(message.startswith("calls of gRPC need grpcio: pip install") for message in messages)


@BY_PROFILE
def test_what_was_unpacked_is_compiled_to_the_last_module(built: Built, profile: Profile) -> None:
    """Who may only read a release would compile what is not at every start."""
    root = built.folder / UNPACKED / built.executable(profile).name / "lib" / f"python3.{sys.version_info.minor}"
    for source in (root / "site-packages").rglob("*.py"):
        if Path(importlib.util.cache_from_source(str(source))).exists():
            continue
        with pytest.raises((SyntaxError, ValueError)):  # templates, and modules of other versions
            compile(source.read_bytes(), str(source), "exec")
    assert not list(root.glob("site-packages/pex-ns-pkgs.pth")), "packages beside site-packages are not looked at by unpack"


@BY_PROFILE
def test_a_later_start_judges_within_a_second(built: Built, profile: Profile) -> None:
    network = SandboxNetwork(feeds=3)
    feeds = json.dumps([str(market.feed.id) for market in network.markets])
    took = []
    with serve_in_thread(Sandbox(network)) as url:
        arguments = ("--once", "--json", "--set", f"endpoint={url}", "--set", f"feeds={feeds}")
        # The probe's launcher starts the smallest profile, and the others as a launcher of theirs would.
        command: list[str | Path] = [
            built.folder / UNPACKED / built.executable(profile).name / "bin" / "probekit",
            "run",
            "hermes_latency",
        ]
        if built.manifest.probes["hermes_latency"].profile == profile.name:
            command = [built.folder / "hermes_latency"]
        for _ in range(5):
            began = time.perf_counter()
            done = built.start(*command, *arguments)
            took.append(time.perf_counter() - began)
            assert json.loads(done.stdout.splitlines()[-1])["results"], done.stderr
    # The best of five: what else this machine does is not the executable's. `python -m benchmarks` states the median.
    assert min(took) < MOST_START_S


def test_the_same_commit_gives_the_same_bytes_in_another_folder(built: Built, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("src", "probes", "requirements", "docs"):
        shutil.copytree(ROOT / name, elsewhere / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        # Another time of change, and modes of another umask.
        shutil.copyfile(ROOT / name, elsewhere / name)
    other = tmp_path / "dist"
    done = subprocess.run(
        [sys.executable, "-m", "probekit.dev.artifacts", "--out", str(other)],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
        env={**os.environ, "PYTHONPATH": str(elsewhere / "src"), "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
    )
    assert done.returncode == 0, done.stderr
    again = msgspec.json.decode((other / FILE).read_bytes(), type=Manifest)
    assert again == built.manifest
    for file in (again.wheel, *again.profiles.values(), *again.probes.values()):
        assert digest(other / file.file) == (file.sha256, file.size)
    with suppress(OSError):
        shutil.rmtree(tmp_path)
