"""Finding probes: one file each, loaded by path; adding one registers nothing anywhere else."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probekit
from probekit.errors import ConfigError
from probekit.probe import Probe

SEARCH_VARIABLE = "PROBEKIT_PROBE_PATH"


@dataclass(frozen=True, slots=True)
class Found:
    """A probe's file. ``question`` is the first line of its docstring, read without running it."""

    name: str
    path: Path
    question: str

    @property
    def manifest(self) -> Path | None:
        """The ready-to-run manifest beside it, where there is one."""
        beside = self.path.with_suffix(".yaml")
        return beside if beside.is_file() else None


def catalogue() -> Path:
    """Where the probes that come with probekit stand: in the wheel, or ``probes/`` of the checkout it runs from."""
    inside = Path(probekit.__file__).parent / "_catalogue"
    return inside if inside.is_dir() else Path(probekit.__file__).parents[2] / "probes"


def search_path(given: Sequence[str] = ()) -> tuple[Path, ...]:
    """Folders to search: the given ones, else those of PROBEKIT_PROBE_PATH, else the catalogue."""
    folders = list(given) or [one for one in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if one]
    return tuple(Path(one) for one in folders) if folders else (catalogue(),)


def list_probes(folders: Sequence[Path]) -> list[Found]:
    """Every probe in ``folders``. Raises ``ConfigError`` when two share a name, showing both."""
    found: dict[str, Found] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            if path.stem.startswith("_"):
                continue
            one = Found(path.stem, path, _question(path))
            other = found.setdefault(path.stem, one)
            if other is not one:
                raise ConfigError(f"two probes are named {path.stem}: {other.path} and {path}")
    return sorted(found.values(), key=lambda one: one.name)


def find_probe(name: str, folders: Sequence[Path]) -> Found:
    """The probe of that name, or at that path. Raises ``ConfigError`` with the nearest names."""
    if name.endswith(".py") or os.sep in name:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"there is no probe file {path}")
        return Found(path.stem, path, _question(path))
    listed = {one.name: one for one in list_probes(folders)}
    if name not in listed:
        near = difflib.get_close_matches(name, listed, n=3)
        searched = ", ".join(str(folder) for folder in folders)
        raise ConfigError(f"no probe is named {name!r} in {searched}; nearest: {', '.join(near) or 'none'}")
    return listed[name]


def load_probe(found: Found) -> Probe[Any]:
    """Import a probe's file by path and return its ``probe``. Raises ``ConfigError`` when it has none or does not import."""
    name = f"probekit_probe_{found.name}"
    spec = importlib.util.spec_from_file_location(name, found.path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{found.path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{found.path} does not import: {type(error).__name__}: {error}") from error
    probe = getattr(module, "probe", None)
    if not isinstance(probe, Probe):
        raise ConfigError(f"{found.path} defines no probe")
    return probe


def source_digest(path: Path) -> str:
    """sha256 of a probe's file: which code a run was made by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _question(path: Path) -> str:
    try:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (SyntaxError, ValueError, OSError):
        return "(does not parse)"
    return text.splitlines()[0] if text else ""
