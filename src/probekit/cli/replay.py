"""``probekit replay FILE``: what other limits would have said of what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from probekit.entry.command import Parser, filled
from probekit.entry.streams import emit, say
from probekit.errors import ConfigError, DecodeError
from probekit.manifest.discovery import find_probe, load_probe, search_path
from probekit.manifest.options import describe, value_text
from probekit.manifest.problems import one_line
from probekit.manifest.read import overridden, read_manifest
from probekit.model import Status
from probekit.probe import Probe
from probekit.runner.replay import Course, Replay, first_step, lines_of, replay
from probekit.runner.values import Values, own_module
from probekit.units import format_ns


def main(argv: Sequence[str]) -> int:
    """Judge a recording again and print what changes. Raises ``ConfigError``, also for a file that is no recording."""
    parser = Parser(
        prog="probekit replay",
        description="Judge what was recorded with --observations again, by other limits, and print what would have changed.",
    )
    parser.add_argument("file", type=filled, help="what a probe recorded with --observations")
    parser.add_argument("--config", metavar="FILE", type=filled, help="manifest with the limits (default: those recorded)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override an option, as in YAML")
    parser.add_argument("--probe", metavar="PROBE", type=filled, help="name or path of the probe (default: the recording's)")
    parser.add_argument(
        "--probe-path", metavar="DIR", type=filled, action="append", default=[], help="folder of probes (default: catalogue)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args(argv)
    path = Path(arguments.file)
    try:
        with path.open("rb") as file:
            began = first_step(lines_of(file))
        found = find_probe(arguments.probe or began.probe, search_path(arguments.probe_path))
        probe = load_probe(found)
        module = own_module(probe)
        recorded = _recorded(probe, began.options, Values(module))
        options = _options(probe, recorded, arguments.config, _overrides(arguments.set))
        with path.open("rb") as file:
            made = replay(lines_of(file), probe, options, module=module)
    except OSError as error:
        raise ConfigError(f"{arguments.file}: {error.strerror}") from None
    except DecodeError as error:
        raise ConfigError(f"{arguments.file}: {error.message}") from None
    changed = list(_changed(probe, recorded, options))
    emit(_json(made, changed) if arguments.json else _text(made, changed))
    for warning in _warnings(made):
        say(f"probekit replay: {warning}")
    return 0


def _overrides(items: Sequence[str]) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise ConfigError("--set ...: write it as KEY=VALUE")
        overrides[key] = value
    return overrides


def _recorded(probe: Probe[Any], written: Any, values: Values) -> Any:
    """The options of the recording; ``None`` where they were not written, or this release has other ones."""
    try:
        options = values.decode(written)
    except DecodeError:
        return None
    return options if isinstance(options, probe.options) else None


def _options(probe: Probe[Any], recorded: Any, config: str | None, overrides: dict[str, str]) -> Any:
    if config is not None:
        return read_manifest(probe, Path(config), overrides).options
    if recorded is None:
        raise ConfigError(f"the recording's options are not those of this {probe.name}: give a manifest with --config")
    return overridden(recorded, overrides)


@dataclass(frozen=True, slots=True)
class _Change:
    option: str
    recorded: str
    replayed: str


def _changed(probe: Probe[Any], recorded: Any, options: Any) -> Iterator[_Change]:
    for info in describe(probe.options):
        before = "" if recorded is None else value_text(getattr(recorded, info.name))
        after = value_text(getattr(options, info.name))
        if before != after:
            yield _Change(info.name, before, after)


def _text(made: Replay, changed: Sequence[_Change]) -> str:
    lines = [f"{made.probe}: {made.closes} runs from {made.first_at} to {made.last_at}, {len(made.replayed)} targets"]
    lines += [f"  {one.option}: {one.recorded} -> {one.replayed}" for one in changed] or ["  the limits of the recording"]
    same = 0
    for target, course in made.replayed.items():
        before = made.recorded.get(target, Course(course.name))
        if before == course:
            same += 1
            continue
        lines.append(f"{course.name}: {_turns(before.turns)} -> {_turns(course.turns)}")
        for status in Status:
            if before.counts.get(status) or course.counts.get(status):
                lines.append(f"  {status:8}  {_told(before, status)} -> {_told(course, status)}")
    lines.append(f"{same} of {len(made.replayed)} targets unchanged")
    # A recording may name anything, and a terminal must not obey it.
    return "".join(f"{one_line(line)}\n" for line in lines)


def _turns(turns: int) -> str:
    return "never turned" if not turns else f"turned {turns} times" if turns > 1 else "turned once"


def _told(course: Course, status: Status) -> str:
    """``12 runs, 1m00s, first 2026-... stale``."""
    count = course.counts.get(status, 0)
    if not count:
        return "never"
    first = course.first[status]
    runs = "1 run" if count == 1 else f"{count} runs"
    return f"{runs}, {format_ns(course.lasted_ns.get(status, 0))}, first {first.at} {first.reason}"


def _json(made: Replay, changed: Sequence[_Change]) -> str:
    def course(one: Course | None) -> dict[str, Any]:
        known = one or Course("")
        return {
            "turns": known.turns,
            "statuses": {
                str(status): {
                    "runs": known.counts[status],
                    "lasted_ns": known.lasted_ns.get(status, 0),
                    "first_at": str(known.first[status].at),
                    "first_reason": known.first[status].reason,
                }
                for status in Status
                if known.counts.get(status)
            },
        }

    found = {
        "probe": made.probe,
        "runs": made.closes,
        "first_at": str(made.first_at),
        "last_at": str(made.last_at),
        "unreadable": made.unreadable,
        "options": {one.option: {"recorded": one.recorded, "replayed": one.replayed} for one in changed},
        "targets": {
            target: {"recorded": course(made.recorded.get(target)), "replayed": course(again)}
            for target, again in made.replayed.items()
        },
    }
    return msgspec.json.encode(found).decode() + "\n"


def _warnings(made: Replay) -> Iterator[str]:
    if not made.closes:
        yield "no run was closed in this recording"
    if made.unreadable:
        yield f"{made.unreadable} observations could not be read and are left out; the first: {made.why_unreadable}"
    if made.unconfigured:
        shown = ", ".join(sorted(made.unconfigured)[:5])
        yield f"{len(made.unconfigured)} targets are not in these options and are not judged: {shown}"
    if made.full:
        yield "the recording ended at its bound: what came after is not in it"
