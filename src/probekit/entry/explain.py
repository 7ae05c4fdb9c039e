"""What a probe asks, and its effective configuration with the origin of each value."""

from __future__ import annotations

from typing import Any

from probekit.entry.command import first_line
from probekit.manifest.options import describe
from probekit.manifest.read import Manifest
from probekit.probe import Probe


def explain(probe: Probe[Any], manifest: Manifest[Any]) -> str:
    """Text for a terminal. A secret shows only where it comes from."""
    lines = [
        f"{probe.name}: {first_line(probe.question)}",
        "",
        f"kind      {probe.mode}",
        f"interval  {manifest.origins['interval'].value}  ({manifest.origins['interval'].source})",
        f"deadline  {manifest.origins['deadline'].value}  ({manifest.origins['deadline'].source})",
        f"extras    {', '.join(probe.needs) or 'none'}",
        f"measures  {', '.join(probe.metrics) or 'none'}",
        f"runbook   docs/runbooks/{probe.name}.md",
        "",
        "options",
    ]
    for info in describe(probe.options):
        origin = manifest.origins[info.name]
        lines += [f"  {info.name} = {origin.value}  ({origin.source})", f"      {info.doc} [{info.type}]"]
        for part in info.parts:
            default = "required" if part.required else f"default {part.default}"
            lines.append(f"      {part.name}: {part.doc} [{part.type}], {default}")
    return "\n".join(lines)
