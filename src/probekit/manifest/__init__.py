"""One YAML file per probe, read into typed options, with every fault positioned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probekit._lazy import exported

if TYPE_CHECKING:
    from probekit.manifest.discovery import Found, find_probe, list_probes, load_probe
    from probekit.manifest.options import OptionInfo, describe
    from probekit.manifest.read import Manifest, Origin, read_manifest

# To find a probe takes no reader of YAML: names are imported when first used.
_WHERE = {
    "Found": "discovery",
    "Manifest": "read",
    "OptionInfo": "options",
    "Origin": "read",
    "describe": "options",
    "find_probe": "discovery",
    "list_probes": "discovery",
    "load_probe": "discovery",
    "read_manifest": "read",
}

__all__ = [
    "Found",
    "Manifest",
    "OptionInfo",
    "Origin",
    "describe",
    "find_probe",
    "list_probes",
    "load_probe",
    "read_manifest",
]


def __getattr__(name: str) -> Any:
    return exported(__name__, name, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
