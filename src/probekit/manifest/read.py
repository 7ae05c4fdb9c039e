"""A probe's manifest: which probe, how often, from where, with which options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path as FilePath
from typing import Any, Final, Generic, TypeVar

import msgspec

from probekit.manifest import options as option_reader
from probekit.manifest.convert import convert, convert_value
from probekit.manifest.options import unknown_key, value_text
from probekit.manifest.problems import Mark, Problems, one_line
from probekit.manifest.tree import BROKEN, Tree, parse
from probekit.probe import O, Probe
from probekit.secret import Secret, redact

S = TypeVar("S", bound=msgspec.Struct)

MAX_BYTES: Final = 1024 * 1024
"""A manifest of two thousand feeds has a tenth of this; what is larger is another file, given by mistake."""

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
    pass. A file that is no YAML at all has one.
    """
    problems = Problems("(no manifest)" if path is None else one_line(str(path)))
    tree = Tree({}) if path is None else parse(_text(path, problems), problems)
    if tree.value is BROKEN:
        problems.refuse()
    if tree.value is None:
        tree.value = {}
    if not isinstance(tree.value, dict):
        problems.add(tree.mark(()), (), f"expected a mapping with {', '.join(_KEYS)}")
        problems.refuse()
    # A key with nothing after it, as when all its lines are comments, is a key that is not there.
    for key in _KEYS:
        if tree.value.get(key, BROKEN) is None:
            del tree.value[key]
    flagged = _apply(tree, overrides or {}, problems)
    for key in tree.value:
        if key not in _KEYS:
            problems.add(tree.mark((key,)), (key,), unknown_key(key, _KEYS))
    _check_probe(probe, tree, problems)
    name = _name(tree, ("name",), problems) or probe.name
    before = len(problems)
    interval, deadline = _schedule(probe, tree, problems)
    timely = len(problems) == before
    vantage = _vantage(tree, problems)
    connectivity = _addresses(tree, problems)
    tree.value.setdefault("options", {})
    if timely:
        _check_times(probe, tree, interval, deadline, problems)
    options = convert(probe.options, tree, ("options",), problems)
    if len(problems) or options is None:
        problems.refuse()
    origins = _origins(probe, options, tree, problems.source, flagged, interval, deadline)
    return Manifest(options, name, interval, deadline, vantage, connectivity, origins)


def overridden(options: S, overrides: Mapping[str, str]) -> S:
    """``options`` with ``overrides`` (``key=value`` as on the command line) on top.

    Raises ``ConfigError`` as :func:`read_manifest` does.
    """
    problems, tree = Problems("(options)"), Tree({})
    fields = {one.name: one for one in msgspec.structs.fields(options)}
    values: dict[str, Any] = {}
    for key in _apply(tree, overrides, problems):
        path = ("options", key)
        if key not in fields:
            problems.add(tree.mark(path), path, unknown_key(key, fields))
        else:
            values[key] = convert_value(fields[key].type, tree.value["options"][key], tree, path, problems)
    if len(problems):
        problems.refuse()
    try:
        return msgspec.structs.replace(options, **values)
    except ValueError as error:
        problems.add(None, ("options",), redact(str(error)))
        problems.refuse()


def _text(path: FilePath, problems: Problems) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        problems.add(None, (), f"cannot be read: {getattr(error, 'strerror', None) or error}")
        problems.refuse()
    if len(data) > MAX_BYTES:
        problems.add(None, (), f"more than {MAX_BYTES} bytes: no manifest")
        problems.refuse()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Mark(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        problems.add(place, (), f"not UTF-8: the byte 0x{data[error.start]:02x}")
        problems.refuse()


def _apply(tree: Tree, overrides: Mapping[str, str], problems: Problems) -> set[str]:
    """Lay ``--set`` values over the file's; each is parsed as YAML would parse it. A secret is a reference here as there."""
    options = tree.value.setdefault("options", {}) if overrides else None
    for key, text in overrides.items():
        path = ("options", key)
        given = parse(text, problems, at=path, flag=f"--set {key}")
        if isinstance(options, dict):
            options[key] = given.value
            tree.graft(path, given)
    return set(overrides)


def _check_probe(probe: Probe[Any], tree: Tree, problems: Problems) -> None:
    named = tree.value.get("probe", probe.name)
    if named is not BROKEN and named != probe.name:
        shown = tree.texts.get(("probe",)) or repr(named)[:80]
        problems.add(tree.mark(("probe",)), ("probe",), f"this manifest is for {shown}, not for {probe.name!r}")


def _name(tree: Tree, path: tuple[str, ...], problems: Problems) -> str | None:
    """A text that becomes a resource attribute: of one line, and not empty."""
    value = tree.value
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    made = convert_value(str, value, tree, path, problems)
    if not isinstance(made, str):
        return None
    if not made.strip() or not made.isprintable() or len(made) > 255:
        problems.add(tree.mark(path), path, f"expected text of 1 to 255 printable characters, got {made[:60]!r}")
        return None
    return made


def _schedule(probe: Probe[Any], tree: Tree, problems: Problems) -> tuple[timedelta, timedelta | None]:
    before = len(problems)
    interval = _duration(tree, "interval", problems) or probe.interval
    deadline = _duration(tree, "deadline", problems) or probe.deadline
    # Against a value that is itself at fault, the comparison would be one with a default nobody wrote.
    if deadline is not None and deadline > interval and len(problems) == before:
        at = "deadline" if "deadline" in tree.value else "interval"
        problems.add(
            tree.mark((at,)),
            (at,),
            f"the deadline {value_text(deadline)} is longer than the interval {value_text(interval)}; "
            "raise the interval or lower the deadline",
        )
    return interval, deadline


def refused_times(
    probe: Probe[Any], given: Mapping[str, Any], interval: timedelta, deadline: timedelta | None
) -> Iterator[tuple[str, str]]:
    """Option and sentence for each time of a poll's options that does not fit into its runs: an exchange (``timeout``) that may
    take longer than the interval, and a wait (``wait``) that does not end before the deadline. What is slow would end as a run
    that was cut off, and never be seen as what it is.
    """
    if probe.mode != "poll":
        return
    timeout, wait = given.get("timeout"), given.get("wait")
    if isinstance(timeout, timedelta) and timeout > interval:
        yield (
            "timeout",
            f"the interval {value_text(interval)} is shorter than options.timeout {value_text(timeout)}; "
            "raise the interval or lower the timeout",
        )
    end = interval if deadline is None else deadline
    if isinstance(wait, timedelta) and wait >= end:
        yield (
            "wait",
            f"options.wait {value_text(wait)} is not shorter than the deadline of a run, {value_text(end)}; "
            "raise the deadline or lower the wait",
        )


def _check_times(probe: Probe[Any], tree: Tree, interval: timedelta, deadline: timedelta | None, problems: Problems) -> None:
    """Told beside all other faults, so it does not wait for options that are whole."""
    written = tree.value["options"]
    if not isinstance(written, dict):
        return
    given: dict[str, Any] = {}
    for one in msgspec.structs.fields(probe.options):
        if one.name in ("timeout", "wait"):
            given[one.name] = one.default
            if one.name in written:
                # Its own faults are told where all options are read.
                path = ("options", one.name)
                given[one.name] = convert_value(one.type, written[one.name], tree, path, Problems(""))
    other = {"timeout": "interval", "wait": "deadline"}
    for option, words in refused_times(probe, given, interval, deadline):
        at: tuple[str, ...] = (other[option],) if other[option] in tree.value else ("options", option)
        problems.add(tree.mark(at), at, words)


def _duration(tree: Tree, key: str, problems: Problems) -> timedelta | None:
    if key not in tree.value:
        return None
    duration = convert_value(timedelta, tree.value[key], tree, (key,), problems)
    if isinstance(duration, timedelta) and duration <= timedelta(0):
        problems.add(tree.mark((key,)), (key,), "must be positive")
    return duration if isinstance(duration, timedelta) else None


def _vantage(tree: Tree, problems: Problems) -> dict[str, str]:
    given = tree.value.get("vantage", {})
    if given is BROKEN:
        return {}
    if not isinstance(given, dict):
        problems.add(tree.mark(("vantage",)), ("vantage",), f"expected a mapping with {', '.join(_VANTAGE_KEYS)}")
        return {}
    made: dict[str, str] = {}
    for key in given:
        if key not in _VANTAGE_KEYS:
            problems.add(tree.mark(("vantage", key)), ("vantage", key), unknown_key(key, _VANTAGE_KEYS))
            continue
        text = _name(tree, ("vantage", key), problems)
        if text is not None:
            made[key] = text
    return made


def _addresses(tree: Tree, problems: Problems) -> tuple[str, ...]:
    given = tree.value.get("connectivity", [])
    if not isinstance(given, list):
        convert_value(list[str], given, tree, ("connectivity",), problems)
        return ()
    for number, item in enumerate(given):
        path = ("connectivity", number)
        address = convert_value(str, item, tree, path, problems)
        if not isinstance(address, str):
            continue
        host, _, port = address.rpartition(":")
        known = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536
        if not host or not known or any(letter in "/@ \t" for letter in host):
            problems.add(tree.mark(path), path, f"{address[:80]!r} is not host:port")
    return tuple(str(item) for item in given)


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
