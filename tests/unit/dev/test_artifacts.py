"""What `make dist` writes beside the executables, and which probe goes with which of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from probekit.dev.artifacts import build as building
from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.launcher import UNPACKED, launcher
from probekit.dev.artifacts.manifest import File, Manifest, ProbeFile, ProfileFile, digest
from probekit.dev.artifacts.profiles import PROFILES, Profile, abi, executable_name, platform, profile_for
from probekit.errors import ConfigError
from probekit.manifest.discovery import list_probes, load_probe

ROOT = Path(__file__).parents[3]
CATALOGUE = list_probes([ROOT / "probes"])


@pytest.mark.parametrize("found", CATALOGUE, ids=lambda found: found.name)
def test_every_probe_of_the_catalogue_has_a_profile(found: object) -> None:
    probe = load_probe(found)  # type: ignore[arg-type]
    assert profile_for(probe.name, probe.needs).runs(probe.needs)


def test_a_probe_goes_with_the_smallest_profile_that_has_its_extras() -> None:
    assert profile_for("plain", ()).name == "core"
    assert profile_for("timed", ("measure",)).name == "core"
    assert profile_for("contracts", ("evm",)).name == "evm"
    assert profile_for("both", ("evm", "solana")).name == "full"
    with pytest.raises(ConfigError, match="no profile runs odd: none has the extra carrier-pigeon"):
        profile_for("odd", ("measure", "carrier-pigeon"))


def test_profiles_grow_and_the_last_has_what_any_other_has() -> None:
    assert [profile.name for profile in PROFILES] == ["core", "evm", "solana", "full"]
    assert all(PROFILES[0].extras < profile.extras <= PROFILES[-1].extras for profile in PROFILES[1:])


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_profiles_lock_is_for_its_extras_and_pins_what_the_tests_ran_with(profile: Profile) -> None:
    asked = (ROOT / "requirements" / f"{profile.name}.in").read_text()
    assert f"-e .[{','.join(sorted(profile.extras))}]" in asked.splitlines()
    tested = pins("dev")
    assert pins(profile.name).items() <= tested.items()


@pytest.mark.parametrize("unused", ["requests", "urllib3", "charset-normalizer", "googleapis-common-protos"])
def test_the_smallest_profile_carries_no_exporter_that_nothing_imports(unused: str) -> None:
    assert unused not in pins("core")


def test_the_name_of_an_executable_says_for_which_python_and_platform() -> None:
    assert executable_name("core") == f"probekit-core-{abi()}-{platform()}"
    assert re.fullmatch(r"probekit-core-cp3\d+-[a-z0-9_]+", executable_name("core"))


class Release:
    """A folder with a launcher and an executable that shows what it was started with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.put("exe", '#!/bin/sh\nprintf "%s\\n" "$PEX_ROOT" "$@"\n')
        self.put("some_probe", launcher("some_probe", "exe"))

    def put(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def start(self, *arguments: str, through: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
        command = [str(through or self.folder / "some_probe"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path / "re lease")


def test_a_launcher_starts_its_probe_and_hands_every_argument_on(release: Release) -> None:
    done = release.start("--set", "name=a b", "--once", "")
    unpacked = release.folder / UNPACKED
    assert done.stdout.split("\n")[:-1] == [str(unpacked), "run", "some_probe", "--set", "name=a b", "--once", ""]
    assert unpacked.is_dir()


def test_a_launcher_is_found_through_links_to_its_release(release: Release, tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.symlink_to(release.folder)
    done = release.start(through=current / "some_probe")
    assert done.stdout.splitlines()[0] == str(release.folder / UNPACKED)


def test_a_launcher_unpacks_into_the_cache_of_its_unit_unless_its_release_was_unpacked_before(
    release: Release, tmp_path: Path
) -> None:
    caches = f"{tmp_path / 'cache'}:/var/cache/other"
    assert release.start(CACHE_DIRECTORY=caches).stdout.splitlines()[0] == str(tmp_path / "cache")
    ready = release.folder / UNPACKED / "exe" / "bin"
    ready.mkdir(parents=True)
    (ready / "probekit").write_text('#!/bin/sh\nprintf "%s\\n" "unpacked" "$@"\n')
    (ready / "probekit").chmod(0o755)
    assert release.start("--once", CACHE_DIRECTORY=caches).stdout.splitlines() == ["unpacked", "run", "some_probe", "--once"]


def test_a_launcher_that_can_unpack_nowhere_says_what_to_change(release: Release, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    done = release.start(CACHE_DIRECTORY=str(blocked / "below"))
    assert (done.returncode, done.stdout) == (3, "")
    assert f"some_probe: cannot unpack into {blocked / 'below'}" in done.stderr
    assert "CACHE_DIRECTORY" in done.stderr


def test_a_manifest_says_the_same_in_the_same_bytes() -> None:
    file = {"sha256": "ab", "size": 3}
    made = {"abi": "cp311", "platform": "linux_x86_64"}
    core = ProfileFile(file="exe", extras=("otel",), probes=("a", "b"), **file, **made)  # type: ignore[arg-type]
    probes = {
        name: ProbeFile(file=name, profile="core", source_digest="cd", **file, **made)  # type: ignore[arg-type]
        for name in ("b", "a")
    }
    manifest = Manifest(version="1", wheel=File(file="w", sha256="ef", size=1), profiles={"core": core}, probes=probes)
    again = Manifest(version="1", wheel=manifest.wheel, profiles={"core": core}, probes=dict(sorted(probes.items())))
    assert manifest.encoded() == again.encoded()
    read = json.loads(manifest.encoded())
    assert read["format"] == 1
    assert read["profiles"]["core"]["probes"] == ["a", "b"]
    assert read["probes"]["a"] == {"file": "a", "profile": "core", "source_digest": "cd", **file, **made}


def test_a_digest_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert digest(tmp_path / "x") == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)


def test_a_build_empties_no_folder_that_it_did_not_fill(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(ConfigError, match=r"is not empty and holds no manifest\.json"):
        build(ROOT, tmp_path, [])
    assert (tmp_path / "thesis.txt").exists()


def test_a_step_that_fails_says_which_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run

    def failing(command: list[str], **kwargs: object) -> object:
        script = "echo no such wheel >&2; exit 7"
        return real(["sh", "-c", script], **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(ConfigError, match=r"(?s)pip wheel ended with 7:\nno such wheel"):
        build(ROOT, tmp_path / "dist", [], say=lambda what: None)


def test_a_profile_without_a_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "probes").mkdir()

    def wheel(root: Path, out: Path, say: object) -> Path:
        (out / "probekit-0-py3-none-any.whl").write_bytes(b"")
        return out / "probekit-0-py3-none-any.whl"

    monkeypatch.setattr(building, "_wheel", wheel)
    with pytest.raises(ConfigError, match=r"core\.txt is missing: .*make lock"):
        build(tmp_path, tmp_path / "dist", PROFILES[:1], say=lambda what: None)
