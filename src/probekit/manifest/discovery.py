"""Finding probes: one file each, loaded by path; adding one registers nothing anywhere else."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Sequence
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
        """The ready-to-run manifest beside it, where there is one.

        Also where it is a folder or a link to nothing: to run on defaults then would be to run on another configuration.
        """
        beside = self.path.with_suffix(".yaml")
        return beside if os.path.lexists(beside) else None


def catalogue() -> Path:
    """Where the probes that come with probekit stand: in the wheel, or ``probes/`` of the checkout it runs from."""
    inside = Path(probekit.__file__).parent / "_catalogue"
    return inside if inside.is_dir() else Path(probekit.__file__).parents[2] / "probes"


def search_path(given: Sequence[str] = ()) -> tuple[Path, ...]:
    """Folders to search: the given ones, else those of PROBEKIT_PROBE_PATH, else the catalogue."""
    folders = list(given) or [one for one in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if one]
    return tuple(Path(one) for one in folders) if folders else (catalogue(),)


def list_probes(folders: Sequence[Path]) -> list[Found]:
    """Every probe in ``folders``; a folder given twice counts once.

    Raises ``ConfigError`` when two share a name, showing both, and when a folder is none or cannot be read.
    """
    return [Found(name, path, _question(path)) for name, path in sorted(_named(folders).items())]


def find_probe(name: str, folders: Sequence[Path]) -> Found:
    """The probe of that name, or at that path. Raises ``ConfigError`` with the nearest names."""
    if name.endswith(".py") or os.sep in name:
        path = Path(name)
        if path.is_dir():
            raise ConfigError(f"{path} is a folder, not a probe's file; --probe-path takes folders")
        if not path.is_file():
            beside = [one.name for one in _siblings(path)]
            raise ConfigError(f"there is no probe file {path}; nearest: {_nearest(path.name, beside)}")
        return Found(path.stem, path, _question(path))
    named = _named(folders)
    if name not in named:
        searched = ", ".join(str(folder) for folder in folders)
        raise ConfigError(f"no probe is named {name!r} in {searched}; nearest: {_nearest(name, named)}")
    return Found(name, named[name], _question(named[name]))


def load_probe(found: Found) -> Probe[Any]:
    """Import a probe's file by path and return its ``probe``. Raises ``ConfigError``, with the line, when it does not import,
    and when it defines none.
    """
    name = f"probekit_probe_{found.name}"
    spec = importlib.util.spec_from_file_location(name, found.path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{found.path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # A half-made module must not be found by the next import of that name.
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise ConfigError(f"{_place(found.path, error)}: {_import_fault(error)}") from error
    probe = getattr(module, "probe", None)
    if not isinstance(probe, Probe):
        near = [name for name, value in vars(module).items() if isinstance(value, Probe)]
        hint = f"; {near[0]!r} is one: name it 'probe'" if near else ": a module-level 'probe = pk.Probe...'"
        raise ConfigError(f"{found.path} defines no probe{hint}")
    return probe


def source_digest(path: Path) -> str:
    """sha256 of a probe's file: which code a run was made by. Raises ``ConfigError`` when there is no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: the probe's file cannot be read: {reason}") from None


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """The file of each name. Raises as :func:`list_probes`."""
    named: dict[str, Path] = {}
    for path in _files(folders):
        other = named.setdefault(path.stem, path)
        if other is not path and not _same(other, path):
            raise ConfigError(f"two probes are named {path.stem}: {other} and {path}")
    return named


def _files(folders: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for folder in folders:
        try:
            names = sorted(one for one in os.listdir(folder) if one.endswith(".py") and not one.startswith(("_", ".")))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"the probe folder {folder} cannot be read: {reason}") from None
        files += [folder / one for one in names if (folder / one).is_file()]
    return files


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _siblings(path: Path) -> list[Path]:
    try:
        return _files([path.parent])
    except ConfigError:
        return []


def _nearest(name: str, known: Iterable[str]) -> str:
    return ", ".join(difflib.get_close_matches(name, list(known), n=3)) or "none"


def _place(path: Path, error: BaseException) -> str:
    """``file:line`` of an import's fault: in the probe's own file where its trace passes there."""
    if isinstance(error, SyntaxError) and error.filename is not None and error.lineno is not None:
        return f"{error.filename}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _import_fault(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "does not import: it ends the program; put what it runs under if __name__ == '__main__'"
    if isinstance(error, ConfigError):
        return error.message
    if isinstance(error, SyntaxError):
        return f"does not import: {type(error).__name__}: {error.msg}"
    return f"does not import: {type(error).__name__}: {error}"


def _question(path: Path) -> str:
    try:
        with warnings.catch_warnings():
            # What a file's own syntax deserves to be warned of is said when it is imported.
            warnings.simplefilter("ignore")
            text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return "(does not parse)"
    return text.splitlines()[0] if text else ""
