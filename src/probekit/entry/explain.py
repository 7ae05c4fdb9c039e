"""What a probe asks, of what, by which limits, and its effective configuration with the origin of each value."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from probekit.checks import Check
from probekit.entry.command import first_line
from probekit.entry.runbook import Meaning, find_runbook, read_runbook, shown_runbook
from probekit.errors import ProbekitError
from probekit.manifest.options import describe, value_text
from probekit.manifest.read import Manifest
from probekit.model import Target
from probekit.probe import Context, Probe
from probekit.telemetry.names import MEASURES
from probekit.transports.base import Capabilities, Request, Response

_MOST_TARGETS: Final = 20
_LONGEST: Final = 80


class _Unasked:
    """An engine for a probe that is looked at and not run."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("explain", frozenset(), frozenset(), fresh_connections=False, redirects=False)

    async def send(self, request: Request) -> Response:
        raise ProbekitError("explaining asks nothing of the network")

    async def aclose(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class CheckUse:
    """One check with its limits as they are configured, and the targets it judges."""

    name: str
    question: str
    limits: tuple[tuple[str, str], ...]
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a probe would look at: its targets, why they are not all known (empty: they are), and the checks."""

    targets: tuple[Target, ...]
    unknown: str
    checks: tuple[CheckUse, ...]


def plan(probe: Probe[Any], options: Any) -> Plan:
    """The targets that are known without asking, and what judges them."""
    targets, unknown = asyncio.run(_targets(probe, options))
    uses: dict[tuple[str, tuple[tuple[str, str], ...]], CheckUse] = {}
    for target in targets:
        for check in probe.checks(options, target):
            limits = _limits(check)
            before = uses.get((check.name, limits))
            of = () if before is None else before.targets
            uses[check.name, limits] = CheckUse(check.name, _question(check, probe), limits, (*of, target))
    return Plan(targets, unknown, tuple(sorted(uses.values(), key=lambda use: use.name)))


async def _targets(probe: Probe[Any], options: Any) -> tuple[tuple[Target, ...], str]:
    context = Context(options, engines=lambda _: _Unasked())
    try:
        return tuple(await probe.targets(context)), ""
    except ProbekitError as error:
        return (), error.message
    finally:
        await context.aclose()


def _limits(check: Check) -> tuple[tuple[str, str], ...]:
    kind: Any = type(check)
    if not dataclasses.is_dataclass(kind):
        return ()
    return tuple((one.name, _short(value_text(getattr(check, one.name)))) for one in dataclasses.fields(kind))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _question(check: Check, probe: Probe[Any]) -> str:
    """The first line of the file a check stands in; of one in the probe's own file, of its class."""
    own = type(check).__module__ == probe.observe.__module__
    module = sys.modules.get(type(check).__module__)
    return first_line(inspect.getdoc(type(check)) or "" if own or module is None else module.__doc__ or "")


def explain(probe: Probe[Any], manifest: Manifest[Any], path: Path) -> str:
    """Text for a terminal. A secret shows only where it comes from. Nothing is asked of the network."""
    runbook = find_runbook(path)
    lines = [
        f"{probe.name}: {first_line(probe.question)}",
        "",
        f"kind      {probe.mode}",
        f"interval  {manifest.origins['interval'].value}  ({manifest.origins['interval'].source})",
        f"deadline  {manifest.origins['deadline'].value}  ({manifest.origins['deadline'].source})",
        f"extras    {', '.join(probe.needs) or 'none'}",
        f"measures  {', '.join(probe.metrics) or 'none'}",
        f"runbook   {shown_runbook(runbook)}",
        "",
        "options",
    ]
    for info in describe(probe.options):
        origin = manifest.origins[info.name]
        lines += [f"  {info.name} = {origin.value}  ({origin.source})", f"      {info.doc} [{info.type}]"]
        for part in info.parts:
            default = "required" if part.required else f"default {part.default}"
            lines.append(f"      {part.name}: {part.doc} [{part.type}], {default}")
    planned = plan(probe, manifest.options)
    lines += ["", "targets", *_target_lines(planned), "", "measures"]
    lines += [f"  {name} [{spec.unit}] {spec.description}" for name, spec in MEASURES.items() if name in probe.metrics]
    lines += ["", "checks", *_check_lines(planned.checks, read_runbook(runbook))]
    return "\n".join(lines)


def _target_lines(planned: Plan) -> list[str]:
    if planned.unknown:
        return [f"  known once it runs ({planned.unknown})"]
    lines = []
    for target in planned.targets[:_MOST_TARGETS]:
        label = "" if target.label in ("", target.id) else f"  {target.label}"
        behind = f"  behind {target.behind}" if target.behind else ""
        lines.append(f"  {target.id}  {target.kind}{label}{behind}")
    more = len(planned.targets) - _MOST_TARGETS
    return lines + ([f"  and {more} more"] if more > 0 else [])


def _check_lines(uses: Sequence[CheckUse], meanings: Sequence[Meaning]) -> list[str]:
    by_name: dict[str, list[CheckUse]] = {}
    for use in uses:
        by_name.setdefault(use.name, []).append(use)
    lines: list[str] = []
    for name, same in by_name.items():
        lines.append(f"  {name}: {same[0].question}")
        for use in same:
            limits = ", ".join(f"{limit} {value}" for limit, value in use.limits) or "no limit of its own"
            lines.append(f"    of {_counted(use.targets)}: {limits}")
        told = meanings_of(name, meanings)
        lines += [f"      {one.reason} {' '.join(one.statuses)}: {one.text}" for one in told]
    return lines


def meanings_of(check: str, meanings: Sequence[Meaning]) -> list[Meaning]:
    """The reasons that a check can give, as the runbook explains them."""
    return [meaning for meaning in meanings if check in meaning.checks]


def _counted(targets: Sequence[Target]) -> str:
    return targets[0].name if len(targets) == 1 else f"{len(targets)} targets"
