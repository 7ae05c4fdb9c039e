"""The build: the wheel by its own back end, executables by pex from hash-checked wheels, launchers and the manifest by us.

Nothing here resolves: ``requirements/<profile>.txt`` is the closure, and pex is given those wheels and our own. The time of the
build is in no file, so that one commit gives the same bytes wherever it is built by the same versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from probekit._version import __version__
from probekit.dev.artifacts.launcher import launcher
from probekit.dev.artifacts.manifest import FILE, File, Manifest, ProbeFile, ProfileFile, digest
from probekit.dev.artifacts.profiles import PROFILES, Profile, abi, executable_name, platform, profile_for
from probekit.errors import ConfigError
from probekit.manifest.discovery import Found, list_probes, load_probe, source_digest

RUNTIME_ROOT: Final = "/var/cache/probekit"
"""Where an executable unpacks that was started without a launcher: a folder of the system's, never ``$HOME``."""

_PROJECT: Final = "probekit"
_EPOCH: Final = "1580601600"  # 2020-02-02, as hatchling's own default


def build(root: Path, out: Path, profiles: Sequence[Profile] = PROFILES, *, say: Callable[[str], None] = print) -> Manifest:
    """Fill ``out`` (emptied first) from the checkout ``root``. ``profiles`` limits which executables are built; launchers of
    probes that none of them runs are left out.

    Raises ``ConfigError`` where a lock is missing, a probe needs an extra that no profile has, or a step fails.
    """
    catalogue = list_probes([root / "probes"])
    needs = {found.name: load_probe(found).needs for found in catalogue}
    homes = {name: profile_for(name, extras) for name, extras in needs.items()}
    if out.exists() and not (out / FILE).exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty and holds no {FILE}: it is not mine to empty")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    wheel = _wheel(root, out, say)
    built = {profile.name: _executable(root, out, wheel, profile, needs, say) for profile in profiles}
    probes: dict[str, ProbeFile] = {}
    for found in catalogue:
        home = homes[found.name]
        if home.name not in built:
            home = next((one for one in profiles if one.runs(needs[found.name])), home)
        if home.name in built:
            probes[found.name] = _launcher(out, found, built[home.name], home.name)
    manifest = Manifest(version=__version__, wheel=_file(wheel), profiles=built, probes=probes)
    (out / FILE).write_bytes(manifest.encoded())
    return manifest


def _wheel(root: Path, out: Path, say: Callable[[str], None]) -> Path:
    say("the wheel")
    _run("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(root))
    (wheel,) = out.glob("probekit-*.whl")
    return wheel


def _executable(
    root: Path, out: Path, wheel: Path, profile: Profile, needs: dict[str, tuple[str, ...]], say: Callable[[str], None]
) -> ProfileFile:
    lock = root / "requirements" / f"{profile.name}.txt"
    if not lock.is_file():
        raise ConfigError(f"{lock} is missing: the profile {profile.name} has no lock; make lock writes it")
    name = executable_name(profile.name)
    say(name)
    with tempfile.TemporaryDirectory(prefix="probekit-dist-") as scratch:
        wheels = Path(scratch) / "wheels"
        _run(
            *("pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--dest", str(wheels), "--requirement", str(lock)),
        )
        shutil.copy(wheel, wheels)
        _run(
            # The extras are asked for by name: pex leaves out every wheel that nothing asks for.
            *("pex", "--pre-resolved-dists", str(wheels), f"{_PROJECT}[{','.join(sorted(profile.extras))}]=={__version__}"),
            *("--console-script", _PROJECT, "--output-file", str(out / name)),
            # Hard links, not symbolic ones: two wheels may fill one package, as lightkube and its models do.
            *("--venv", "prepend", "--venv-site-packages-copies"),
            *("--sh-boot", "--no-compile", "--runtime-pex-root", RUNTIME_ROOT),
            *("--interpreter-constraint", f"CPython=={sys.version_info.major}.{sys.version_info.minor}.*"),
            PEX_ROOT=str(Path(scratch) / "pex"),
        )
    runs = tuple(sorted(probe for probe, extras in needs.items() if profile.runs(extras)))
    sha256, size = digest(out / name)
    return ProfileFile(
        file=name,
        sha256=sha256,
        size=size,
        abi=abi(),
        platform=platform(),
        extras=tuple(sorted(profile.extras)),
        probes=runs,
    )


def _launcher(out: Path, found: Found, executable: ProfileFile, profile: str) -> ProbeFile:
    path = out / found.name
    path.write_text(launcher(found.name, executable.file))
    path.chmod(0o755)
    sha256, size = digest(path)
    return ProbeFile(
        file=path.name,
        sha256=sha256,
        size=size,
        profile=profile,
        abi=executable.abi,
        platform=executable.platform,
        source_digest=source_digest(found.path),
    )


def _file(path: Path) -> File:
    sha256, size = digest(path)
    return File(file=path.name, sha256=sha256, size=size)


def _run(*module: str, **variables: str) -> None:
    # The modes that files have inside an archive follow the umask that they were unpacked under.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", *module],
        env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        umask=0o022,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-20:])
        raise ConfigError(f"{' '.join(module[:2])} ended with {done.returncode}:\n{tail}")
