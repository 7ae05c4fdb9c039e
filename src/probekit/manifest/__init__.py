"""One YAML file per probe, read into typed options, with every fault positioned."""

from probekit.manifest.discovery import Found, find_probe, list_probes, load_probe
from probekit.manifest.options import OptionInfo, describe
from probekit.manifest.read import Manifest, Origin, read_manifest

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
