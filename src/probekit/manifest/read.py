"""A probe's manifest: which probe, how often, from where, with which options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path as FilePath
from typing import Any, Final, Generic

from probekit.errors import ConfigError
from probekit.manifest import options as option_reader
from probekit.manifest.options import unknown_key, value_text
from probekit.manifest.tree import Mark, Problems, Tree, parse
from probekit.probe import O, Probe
from probekit.secret import Secret
from probekit.units import parse_duration

_KEYS: Final = ("probe", "name", "interval", "deadline", "vantage", "connectivity", "options")
_VANTAGE_KEYS: Final = ("region", "provider", "host", "unit")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an effective value came from: ``default``, ``file:line`` or a flag; ``value`` as it is written."""

    value: str
    source: str


@dataclass(frozen=True)
class Manifest(Generic[O]):
    """The effective configuration of one probe. ``origins`` says of every option and setting where its value came from."""

    options: O
    name: str
    interval: timedelta
    deadline: timedelta | None
    vantage: Mapping[str, str]
    connectivity: tuple[str, ...]
    origins: Mapping[str, Origin]


def read_manifest(probe: Probe[O], path: FilePath | None, overrides: Mapping[str, str] | None = None) -> Manifest[O]:
    """Read ``path`` (nothing: an empty manifest) with ``overrides`` (``key=value`` of options, from the command line) on top.

    Raises ``ConfigError`` whose ``problems`` name file, line, column, key and, for an unknown key, the nearest; all in one
    pass.
    """
    source = "(no manifest)" if path is None else str(path)
    problems = Problems(source)
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None
    tree = parse(text, problems)
    if problems.found:
        _raise(problems)
    if not isinstance(tree.value, dict):
        problems.add(None, (), "expected a mapping with probe and options")
        _raise(problems)
    flagged = _apply(tree, overrides or {}, problems)
    _check_keys(tree, problems)
    named = tree.value.get("probe", probe.name)
    if named != probe.name:
        problems.add(tree.mark(("probe",)), ("probe",), f"this manifest is for {named!r}, not for {probe.name!r}")
    interval = _duration(tree, "interval", problems) or probe.interval
    deadline = _duration(tree, "deadline", problems) or probe.deadline
    if deadline is not None and deadline > interval:
        at = "deadline" if "deadline" in tree.value else "interval"
        problems.add(
            tree.mark((at,)),
            (at,),
            f"the deadline {value_text(deadline)} is longer than the interval {value_text(interval)}; "
            "raise the interval or lower the deadline",
        )
    vantage = _text_mapping(tree, "vantage", _VANTAGE_KEYS, problems)
    connectivity = _addresses(tree, problems)
    tree.value.setdefault("options", {})
    options = option_reader.convert(probe.options, tree, ("options",), problems)
    if problems.found or options is None:
        _raise(problems)
    assert options is not None
    return Manifest(
        options,
        str(tree.value.get("name", probe.name)),
        interval,
        deadline,
        vantage,
        connectivity,
        _origins(probe, options, tree, source, flagged, interval, deadline),
    )


def _raise(problems: Problems) -> None:
    raise ConfigError("\n".join(problems.found), problems=tuple(problems.found))


def _apply(tree: Tree, overrides: Mapping[str, str], problems: Problems) -> set[str]:
    """Lay ``--set`` values over the file's; each is parsed as YAML would parse it. A secret is a reference here as there."""
    options = tree.value.setdefault("options", {})
    for key, text in overrides.items():
        flag = Problems(f"--set {key}")
        value = parse(text, flag).value
        problems.found.extend(flag.found)
        if isinstance(options, dict):
            options[key] = value
            tree.marks.pop(("options", key), None)
    return set(overrides)


def _check_keys(tree: Tree, problems: Problems) -> None:
    for key in tree.value:
        if key not in _KEYS:
            problems.add(tree.mark((key,)), (key,), unknown_key(key, _KEYS))


def _duration(tree: Tree, key: str, problems: Problems) -> timedelta | None:
    value = tree.value.get(key)
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} has no unit; write a duration as 500ms, 10s or 1m30s")
        duration = parse_duration(value)
        if duration <= timedelta(0):
            raise ValueError("must be positive")
    except ValueError as error:
        problems.add(tree.mark((key,)), (key,), str(error))
        return None
    return duration


def _text_mapping(tree: Tree, key: str, known: tuple[str, ...], problems: Problems) -> dict[str, str]:
    value = tree.value.get(key, {})
    if not isinstance(value, dict):
        problems.add(tree.mark((key,)), (key,), f"expected a mapping with {', '.join(known)}")
        return {}
    for name, one in value.items():
        if name not in known:
            problems.add(tree.mark((key, name)), (key, name), unknown_key(name, known))
        elif not isinstance(one, str):
            problems.add(tree.mark((key, name)), (key, name), f"expected text, got {one!r}")
    return {name: one for name, one in value.items() if isinstance(one, str)}


def _addresses(tree: Tree, problems: Problems) -> tuple[str, ...]:
    value = tree.value.get("connectivity", [])
    if not isinstance(value, list):
        problems.add(tree.mark(("connectivity",)), ("connectivity",), "expected a list of host:port")
        return ()
    for number, one in enumerate(value):
        port = str(one).rpartition(":")[2]
        if not isinstance(one, str) or ":" not in one or not (port.isascii() and port.isdigit() and int(port) < 65_536):
            path = ("connectivity", number)
            problems.add(tree.mark(path), path, f"{one!r} is not host:port")
    return tuple(str(one) for one in value)


def _origins(
    probe: Probe[O],
    options: O,
    tree: Tree,
    source: str,
    flagged: set[str],
    interval: timedelta,
    deadline: timedelta | None,
) -> dict[str, Origin]:
    def at(mark: Mark | None) -> str:
        return source if mark is None else f"{source}:{mark.line}"

    origins = {
        key: Origin(value_text(value), at(tree.marks.get((key,))) if key in tree.value else "default")
        for key, value in (("interval", interval), ("deadline", deadline))
    }
    given: Any = tree.value["options"]
    for info in option_reader.describe(probe.options):
        value = getattr(options, info.name)
        shown = repr(value) if isinstance(value, Secret) else value_text(value)
        if info.name in flagged:
            origins[info.name] = Origin(shown, "--set")
        elif info.name in given:
            origins[info.name] = Origin(shown, at(tree.marks.get(("options", info.name))))
        else:
            origins[info.name] = Origin(shown, "default")
    return origins
