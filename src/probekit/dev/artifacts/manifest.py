"""``dist/manifest.json``: what was built, for whom, and the digests a deployment compares."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

FORMAT: Final = 1
FILE: Final = "manifest.json"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file beside the manifest: its name, sha256 of its bytes (hex) and size in bytes."""

    file: str
    sha256: str
    size: int


class ProfileFile(File, frozen=True, kw_only=True):
    """An executable. ``abi`` and ``platform`` as wheels name them; ``probes`` it can run, sorted."""

    abi: str
    platform: str
    extras: tuple[str, ...]
    probes: tuple[str, ...]


class ProbeFile(File, frozen=True, kw_only=True):
    """A launcher: ``profile`` whose executable it starts; ``source_digest`` is sha256 of the probe's Python file, as in
    ``--version`` and ``probekit.source_digest``.
    """

    profile: str
    abi: str
    platform: str
    source_digest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one build made. ``version`` is probekit's."""

    format: int = FORMAT
    version: str
    wheel: File
    profiles: dict[str, ProfileFile]
    probes: dict[str, ProbeFile]

    def encoded(self) -> bytes:
        """Indented JSON with sorted keys, so that equal builds have equal bytes."""
        ordered = msgspec.json.encode(self, order="sorted")
        return msgspec.json.format(ordered, indent=2) + b"\n"


def digest(path: Path) -> tuple[str, int]:
    """sha256 (hex) and size in bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
